"""What a kernel sees: a situation in plain numbers, so that one function decides live and compiled.

A built-in strategy is a class around a kernel: `propose` turns the situation into numbers, asks the kernel
and renders the reason code that comes back.  The backtest compiles the very same kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from operator import is_
from typing import Any, NamedTuple, Protocol, runtime_checkable

from optimizer.ahead import DAY_SLOTS, NO_HABITS, NOTHING, NOTHING_SAID, SLOT_S, Ahead, Habits, Outlook
from optimizer.domain import ChargerSpec, Forecast, Habit, Mode, Situation

PAST_SLOTS = DAY_SLOTS
"""What lies ahead begins a day ago: yesterday's prices stand in for those that are not known yet."""

Memory = tuple[float, ...]


class Sensed(NamedTuple):
    """A `Situation` in numbers.

    `known` tells whether the surplus is.  `need_kwh` is what the goal still misses and `left_s` the time to
    its deadline, both 0 without a goal.  `power_w` is what FAST draws.  `slot` is the present one in the
    columns that a kernel is given beside this, `into_slot_s` what of it is over.  The next six are the newest
    sample of the house with its age, and what the car has taken; NaN where not known.  `habit` is the row of
    what is expected of this car (-1: nothing), `stayed_s` how long it has been there.
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
    habit: int
    stayed_s: float


Answer = tuple[int, int, float, Memory]
"""Mode, reason code, how long both and the memory would stay the same if only time went on (s; 0: not known),
and the memory to be told again.
"""

Kernel = Callable[[Sensed, Ahead, Any, Any], Answer]
"""From what is seen, what lies ahead, setting and memory to an answer."""


@runtime_checkable
class Compilable(Protocol):
    """A strategy whose policy is a kernel: a module's function in the subset of Python that Numba compiles.

    Its setting is a named tuple of numbers and, where it needs room to work in, of lists of numbers, which
    are arrays for a compiled kernel; its memory a tuple of floats of fixed length.
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
        slot=PAST_SLOTS,
        into_slot_s=into_slot_s,
        data_age_s=_number(situation.data_age_s),
        pv_w=_number(None if site is None else site.pv_w),
        grid_w=_number(None if site is None else site.grid_w),
        battery_w=_number(None if site is None else site.battery_w),
        battery_soc=_number(None if site is None else site.battery_soc),
        session_kwh=_number(situation.session_kwh),
        habit=-1 if situation.habit is None else 0,
        stayed_s=situation.stayed_s,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _into_slot_s(now: datetime) -> float:
    return (now.minute * 60.0 + now.second + now.microsecond / 1e6) % SLOT_S


def _slot_start(now: datetime) -> datetime:
    return now - timedelta(seconds=_into_slot_s(now))


def _origin(now: datetime) -> int:
    return round(_slot_start(now).timestamp() / SLOT_S) - PAST_SLOTS


def ahead_of(situation: Situation, slots: int) -> Ahead:
    """Return what is known of the last `PAST_SLOTS` quarter hours and of `slots` from the present one on."""
    present, origin, tariff = _slot_start(situation.now), _origin(situation.now), situation.tariff
    starts = [present + timedelta(seconds=SLOT_S * n) for n in range(-PAST_SLOTS, slots)]
    known = len(starts) if tariff.known_until is None else _slot_at(tariff.known_until) - origin
    return Ahead(
        origin=origin,
        price=[tariff.price_eur_per_kwh(at) for at in starts]
        if tariff.steps
        else [tariff.import_eur_per_kwh] * len(starts),
        feed_in=[tariff.earned_eur_per_kwh(at) for at in starts]
        if tariff.feed_in_steps
        else [tariff.feed_in_eur_per_kwh] * len(starts),
        priced_until=[max(1, min(known, len(starts)))] * (PAST_SLOTS + 1),
        pv=_outlook(situation.forecast, origin),
        load=_outlook(situation.load_forecast, origin),
        habits=_habits(situation.habit),
    )


class Lookout:
    """Looks ahead for one charger; anew only when a quarter hour has begun or something else is known."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._known: tuple[object, ...] = (None,)
        self._ahead = NOTHING

    def ahead(self, situation: Situation) -> tuple[Ahead, bool]:
        """Return what `ahead_of` does, and whether something else is known than when it was asked last.

        That is told by the objects: to compare what they say would take as long as to look ahead.
        """
        known = (situation.tariff, situation.forecast, situation.load_forecast, situation.habit)
        is_news = len(known) != len(self._known) or not all(map(is_, known, self._known))
        if is_news or self._ahead.origin != _origin(situation.now):
            self._known, self._ahead = known, ahead_of(situation, self._slots)
        return self._ahead, is_news


def slots_to_goal(situation: Situation) -> int:
    """Return how many quarter hours begin before the goal's deadline, the present one counted; at least 1."""
    if situation.goal is None:
        return 1
    left_s = (situation.goal.deadline - situation.now).total_seconds()
    return max(1, math.ceil((left_s + _into_slot_s(situation.now)) / SLOT_S))


def _outlook(forecast: Forecast | None, origin: int) -> Outlook:
    """Return one vintage; quarter hours that it leaves out are NaN."""
    if forecast is None or not forecast.slots:
        return NOTHING_SAID
    numbers = [_slot_at(slot.start_including) for slot in forecast.slots]
    first, width = min(numbers), max(numbers) - min(numbers) + 1
    said = dict(zip(numbers, forecast.slots, strict=True))
    row = [said.get(first + n) for n in range(width)]
    return Outlook(
        [_slot_at(forecast.issued_at) - origin],
        [first - origin],
        width,
        [math.nan if slot is None else slot.p10_w for slot in row],
        [math.nan if slot is None else slot.p50_w for slot in row],
        [math.nan if slot is None else slot.p90_w for slot in row],
    )


def _slot_at(at: datetime) -> int:
    return math.floor(at.timestamp() / SLOT_S)


def _habits(habit: Habit | None) -> Habits:
    if habit is None:
        return NO_HABITS
    return Habits(len(habit.stays), list(habit.stays), len(habit.takes), list(habit.takes))
