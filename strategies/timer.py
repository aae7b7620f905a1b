"""The usual law: charge after a minute of enough surplus, stop after three minutes without.

This is what most charging controllers do (evcc's `pv` mode with its defaults, enable delay 1 min and disable
delay 3 min, checked in its source in 2026): a timer that any contrary sample resets, no energy integral, no
dwell, no limit of starts.  On means ECO, which follows the surplus and fills up from the grid below its gear,
as such a controller's minimum current does; off means STOP; FAST at the latest start serves a goal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from annotated_types import Ge, Le

from optimizer.ahead import NOTHING, Ahead
from optimizer.domain import ChargerSpec, Mode, Proposal, Reason, Situation
from optimizer.goals import goal_at_risk, safe_for_s
from optimizer.params import doc
from optimizer.sensed import Sensed, sensed

DelayS = Annotated[float, Ge(0.0), Le(3600.0)]
MarginS = Annotated[float, Ge(0.0), Le(86_400.0)]

OFF, ON, GOAL = 0, 1, 2
"""Reason codes of the kernel."""

_STOP, _FAST, _ECO = 0, 1, 2

Memory = tuple[float, float]
"""Whether charging is on (0 or 1), and for how many seconds the surplus has said otherwise."""


@dataclass(frozen=True, slots=True)
class TimerParams:
    """Parameters of `timer`."""

    start_delay_s: DelayS = field(default=60.0, metadata=doc("surplus above ECO's floor for so long: charge"))
    stop_delay_s: DelayS = field(default=180.0, metadata=doc("surplus below ECO's floor for so long: stop"))
    margin_s: MarginS = field(
        default=1800.0, metadata=doc("FAST starts this long before the last moment that would do")
    )


class Setting(NamedTuple):
    """All that the kernel needs to know of parameters and charger."""

    floor_w: float
    start_delay_s: float
    stop_delay_s: float
    margin_s: float


def kernel(seen: Sensed, _ahead: Ahead, setting: Setting, memory: Memory) -> tuple[int, int, float, Memory]:
    """Return mode, reason code, how long they hold, and the memory."""
    on, timer_s = memory
    contrary = False
    if seen.known:
        contrary = (seen.surplus_w >= setting.floor_w) != (on > 0.0)
        timer_s = timer_s + seen.elapsed_s if contrary else 0.0
        if contrary and timer_s >= (setting.stop_delay_s if on > 0.0 else setting.start_delay_s):
            on, timer_s = 1.0 - on, 0.0
    wanted = seen.connected and not seen.full
    if wanted and goal_at_risk(seen.need_kwh, seen.power_w, seen.left_s, setting.margin_s):
        return _FAST, GOAL, 0.0, (on, timer_s)
    safe_s = safe_for_s(seen.need_kwh, seen.power_w, seen.left_s, setting.margin_s)
    holds_s = 0.0 if contrary or timer_s > 0.0 else safe_s
    return (_ECO, ON, holds_s, (on, timer_s)) if on > 0.0 else (_STOP, OFF, holds_s, (on, timer_s))


class Timer:
    """The law of the others, to be compared with."""

    name = "timer"
    serves_goals = True
    Params = TimerParams
    kernel = staticmethod(kernel)

    def __init__(self, params: TimerParams) -> None:
        self.params = params

    def setting(self, charger: ChargerSpec) -> Setting:
        """Return what the kernel needs to know for this charger."""
        p = self.params
        return Setting(charger.eco_floor_w, p.start_delay_s, p.stop_delay_s, p.margin_s)

    def first_memory(self, mode: Mode) -> Memory:
        """Return what the mode of a charger tells after a start."""
        return float(mode.draws_from_grid), 0.0

    def propose(self, situation: Situation) -> Proposal:
        """Return ECO or STOP by the timer, FAST while a goal is at risk."""
        memory = self._remembered(situation)
        mode, code, _, memory = kernel(sensed(situation), NOTHING, self.setting(situation.charger), memory)
        name, sentence = _SENTENCES[code]
        numbers = {
            "surplus_w": situation.surplus_w or 0.0,
            "floor_w": situation.charger.eco_floor_w,
            "need_kwh": situation.need_kwh,
        }
        return Proposal(Mode(mode), Reason.telling(f"timer.{name}", sentence, numbers), memory=memory)

    def _remembered(self, situation: Situation) -> Memory:
        if situation.memory:
            on, timer_s = situation.memory
            return on, timer_s
        return self.first_memory(Mode.STOP if situation.mode is None else situation.mode)


_SENTENCES = {
    OFF: ("off", "STOP at {surplus_w:.0f} W surplus; charging starts at {floor_w:.0f} W"),
    ON: ("on", "ECO at {surplus_w:.0f} W surplus; charging ends below {floor_w:.0f} W"),
    GOAL: ("goal", "{need_kwh:.1f} kWh are due and leave no more time"),
}
