"""What a kernel sees: a situation in plain numbers, so that one function decides live and compiled.

A built-in strategy is a class around a kernel: `propose` turns the situation into numbers, asks the kernel
and renders the reason code that comes back.  The backtest compiles the very same kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol, runtime_checkable

from optimizer.domain import ChargerSpec, Goal, Mode, Situation, Tariff

SLOT_S = 900.0
"""A slot of the tariff lasts a quarter hour."""

Memory = tuple[float, ...]


class Sensed(NamedTuple):
    """A `Situation` in numbers.

    `known` tells whether the surplus is.  `need_kwh` is what the goal still misses and `left_s` the time to
    its deadline, both 0 without a goal.  `power_w` is what FAST draws.  `slot` is the present one in the row
    of prices that a kernel is given beside this, `into_slot_s` what of it is over.  The last six are the
    newest sample of the house with its age, and what the car has taken; NaN where not known.
    """

    connected: bool
    full: bool
    mode: int
    known: bool
    surplus_w: float
    ev_w: float
    elapsed_s: float
    need_kwh: float
    left_s: float
    power_w: float
    slot: int
    into_slot_s: float
    data_age_s: float
    pv_w: float
    grid_w: float
    battery_w: float
    battery_soc: float
    session_kwh: float


Answer = tuple[int, int, float, Memory]
"""Mode, reason code, how long both and the memory would stay the same if only time went on (s; 0: not known),
and the memory to be told again.
"""

Kernel = Callable[[Sensed, Sequence[float], Any, Any], Answer]
"""From what is seen, prices (EUR/kWh, one a slot, late ones may miss), setting and memory to an answer."""


@runtime_checkable
class Compilable(Protocol):
    """A strategy whose policy is a kernel: a module's function in the subset of Python that Numba compiles.

    Its setting is a named tuple of numbers, its memory a tuple of floats of fixed length.
    """

    kernel: Kernel

    def setting(self, charger: ChargerSpec) -> Any:
        """Return the kernel's parameters for this charger."""
        ...

    def first_memory(self, mode: Mode) -> Memory:
        """Return the memory to begin with at a charger in `mode`."""
        ...


def sensed(situation: Situation) -> Sensed:
    """Return the situation in numbers."""
    left_s = 0.0 if situation.goal is None else (situation.goal.deadline - situation.now).total_seconds()
    into_slot_s, site = _into_slot_s(situation.now), situation.site
    return Sensed(
        connected=situation.connected,
        full=situation.status is not None and situation.status.finished,
        mode=int(Mode.STOP if situation.mode is None else situation.mode),
        known=situation.surplus_w is not None,
        surplus_w=situation.surplus_w or 0.0,
        ev_w=situation.ev_w or 0.0,
        elapsed_s=situation.elapsed_s,
        need_kwh=situation.need_kwh,
        left_s=left_s,
        power_w=situation.charger.max_power_w,
        slot=0,
        into_slot_s=into_slot_s,
        data_age_s=_number(situation.data_age_s),
        pv_w=_number(None if site is None else site.pv_w),
        grid_w=_number(None if site is None else site.grid_w),
        battery_w=_number(None if site is None else site.battery_w),
        battery_soc=_number(None if site is None else site.battery_soc),
        session_kwh=_number(situation.session_kwh),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def prices_ahead(situation: Situation) -> list[float]:
    """Return the price of the present slot and of all that begin before the goal's deadline."""
    return _prices(situation.tariff, situation.goal, situation.now, _into_slot_s(situation.now))


def _into_slot_s(now: datetime) -> float:
    return (now.minute * 60.0 + now.second + now.microsecond / 1e6) % SLOT_S


def _prices(tariff: Tariff, goal: Goal | None, now: datetime, into_slot_s: float) -> list[float]:
    start = now - timedelta(seconds=into_slot_s)
    slots = 1 if goal is None else max(1, -int((start - goal.deadline).total_seconds() // SLOT_S))
    if not tariff.steps:
        return [tariff.import_eur_per_kwh] * slots
    return [tariff.price_eur_per_kwh(start + timedelta(seconds=SLOT_S * n)) for n in range(slots)]
