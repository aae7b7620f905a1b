"""GREEN, and for what the sun leaves missing the cheapest slots before the goal, or the latest start.

The usual rule of planned charging (evcc's and openWB's charging plans work like it): of the quarter hours
that are left until the deadline as many are needed as full power takes; the present one is used if fewer than
that many later ones are as cheap or cheaper.  Equal prices go to the later slot, so that with a flat price
the sun has every chance and FAST starts at the last moment.  For a price that is not known yet that of the
same time a day before stands in, so that nothing is drawn early because tomorrow's prices are missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from annotated_types import Ge, Le

from optimizer.ahead import SLOT_S, Ahead
from optimizer.domain import ChargerSpec, Mode, Proposal, Reason, Situation
from optimizer.goals import goal_at_risk, safe_for_s, slack_s
from optimizer.params import doc
from optimizer.planning.expected import price_at
from optimizer.sensed import Sensed, ahead_of, sensed, slots_to_goal

MarginS = Annotated[float, Ge(0.0), Le(86_400.0)]

SUN, CHEAP, LATEST = 0, 1, 2
"""Reason codes of the kernel."""

_FAST, _GREEN = 1, 3
_ROUNDING = 1e-6
"""Of a slot: a need that exceeds whole slots by less takes no slot more."""

Memory = tuple[float]
"""Whether FAST was wanted last (0 or 1): it is let go later than it was taken up."""


@dataclass(frozen=True, slots=True)
class DeadlineParams:
    """Parameters of `deadline`."""

    cheapest: bool = field(
        default=False, metadata=doc("use the cheapest slots before the deadline, not only the latest start")
    )
    margin_s: MarginS = field(
        default=1800.0, metadata=doc("FAST starts this long before the last moment that would do")
    )
    release_s: MarginS = field(
        default=900.0, metadata=doc("a goal once served is let go when this much more time is in hand")
    )


class Setting(NamedTuple):
    """The parameters as numbers."""

    cheapest: bool
    margin_s: float
    release_s: float


def kernel(seen: Sensed, ahead: Ahead, setting: Setting, memory: Memory) -> tuple[int, int, float, Memory]:
    """Return mode, reason code, how long they hold, and the memory."""
    if not seen.connected or seen.full or seen.need_kwh <= 0.0 or seen.left_s <= 0.0:
        return _GREEN, SUN, math.inf, (0.0,)
    margin_s = setting.margin_s + (setting.release_s if memory[0] > 0.0 else 0.0)
    if goal_at_risk(seen.need_kwh, seen.power_w, seen.left_s, margin_s):
        return _FAST, LATEST, 0.0, (1.0,)
    if setting.cheapest and among_cheapest(seen, ahead.price, ahead.priced_until[seen.slot]):
        return _FAST, CHEAP, 0.0, (0.0,)
    if setting.cheapest or memory[0] > 0.0:
        return _GREEN, SUN, 0.0, (0.0,)
    return _GREEN, SUN, safe_for_s(seen.need_kwh, seen.power_w, seen.left_s, margin_s), (0.0,)


def among_cheapest(seen: Sensed, prices: Sequence[float], known: int) -> bool:
    """Tell whether the present slot is one of those that the need takes, later ones first among equals."""
    full_s = seen.left_s - slack_s(seen.need_kwh, seen.power_w, seen.left_s)
    needed = math.ceil(full_s / SLOT_S - _ROUNDING)
    ends = seen.slot + math.ceil((seen.into_slot_s + seen.left_s) / SLOT_S)
    present, cheaper = price_at(prices, known, seen.slot), 0
    for slot in range(seen.slot + 1, ends):
        if price_at(prices, known, slot) <= present:
            cheaper += 1
            if cheaper >= needed:
                return False
    return cheaper < needed


class Deadline:
    """Sun first, then what planned charging does everywhere."""

    name = "deadline"
    serves_goals = True
    Params = DeadlineParams
    kernel = staticmethod(kernel)

    def __init__(self, params: DeadlineParams) -> None:
        self.params = params

    def setting(self, charger: ChargerSpec) -> Setting:  # noqa: ARG002 - the same for every charger
        """Return the parameters as the kernel takes them."""
        p = self.params
        return Setting(p.cheapest, p.margin_s, p.release_s)

    def first_memory(self, mode: Mode) -> Memory:
        """Return what the mode of a charger tells after a start."""
        return (float(mode is Mode.FAST),)

    def propose(self, situation: Situation) -> Proposal:
        """Return GREEN, or FAST in a slot that the goal needs."""
        memory = self._remembered(situation)
        seen, setting = sensed(situation), self.setting(situation.charger)
        mode, code, _, memory = kernel(seen, ahead_of(situation, slots_to_goal(situation)), setting, memory)
        name, sentence = _SENTENCES[code]
        goal = situation.goal
        left_h = 0.0 if goal is None else (goal.deadline - situation.now).total_seconds() / 3600.0
        price = situation.tariff.price_eur_per_kwh(situation.now)
        numbers = {"need_kwh": situation.need_kwh, "left_h": left_h, "price_eur_per_kwh": price}
        return Proposal(Mode(mode), Reason.telling(f"deadline.{name}", sentence, numbers), memory=memory)

    def _remembered(self, situation: Situation) -> Memory:
        if situation.memory:
            return (situation.memory[0],)
        return self.first_memory(Mode.STOP if situation.mode is None else situation.mode)


_SENTENCES = {
    SUN: ("sun", "GREEN takes the sun; {need_kwh:.1f} kWh may still be missing later"),
    CHEAP: (
        "cheap",
        "{need_kwh:.1f} kWh are due in {left_h:.1f} h, and {price_eur_per_kwh:.3f} EUR/kWh is cheap for that",
    ),
    LATEST: ("latest", "{need_kwh:.1f} kWh are due in {left_h:.1f} h and leave no more time"),
}
