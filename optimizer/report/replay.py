"""A day out of the log as a case, and what each strategy would have made of it.

- A car that is still there when the day ends may go on charging in the dark hours that follow, at their price
  and until its goal or as long as it needs: a strategy that waits for the night is not blamed at midnight.
- Goals are the weekly ones of the configuration, which is what the service itself knew.
- Who looks ahead is told the forecasts that the service was told, when it was told.
- All runs are plain Python: a day is too short to compile anything for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from optimizer.backtest.case import SLOT_MIN, Case, Floats, GoalSpan, Home, Visit
from optimizer.backtest.control import Control
from optimizer.backtest.goals import weekly_goals
from optimizer.backtest.house_file import HouseData
from optimizer.backtest.lineup import Entry
from optimizer.backtest.runs import Run, RunTrace, Totals, run_strategy
from optimizer.config.sections import WeeklyGoal
from optimizer.domain import Tariff
from optimizer.errors import InputError, StrategyFailed
from optimizer.report.day import DayLog
from optimizer.report.foresight import foresight_of
from optimizer.report.prices import day_prices, read_in_force

UNMET_EUR_PER_KWH = 0.60
"""What energy that a car missed counts, as in every backtest."""

_MINUTE = timedelta(minutes=1)
_SPARE_MIN = 120
_DAY_MIN = 1440


@dataclass(frozen=True, slots=True)
class Contender:
    """A strategy as it is scored: `entry.name` is the row's, `name` the strategy's own."""

    kind: str
    name: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Site:
    """What of a configuration a score needs: one charger's home, and who is scored beside each other."""

    path: Path
    zone: ZoneInfo
    home: Home
    control: Control
    tariff: Tariff
    weekly: tuple[WeeklyGoal, ...]
    contenders: tuple[Contender, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DayCase:
    """`case` begins with the day and is longer than it by `tail_min` minutes of night, at least one.

    A car has to leave within the case, or nobody would ask what it missed.
    """

    case: Case
    tail_min: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """What one contender came to; `trace` covers the day, where it was asked for."""

    contender: Contender
    totals: Totals
    trace: RunTrace | None = field(default=None, repr=False)


def case_of(log: DayLog, site: Site) -> DayCase:
    """Return the day as a case for the site's charger."""
    tail_min = _tail_min(log, site)
    house = HouseData(
        log.day.start,
        np.concatenate((log.pv_w, np.zeros(tail_min))),
        np.concatenate((log.load_w, np.zeros(tail_min))),
        np.concatenate((log.known, np.ones(tail_min, dtype=np.bool_))),
    )
    slots = -(-len(house.pv_w) // SLOT_MIN)
    soc = site.home.battery_soc if log.battery_soc is None else log.battery_soc
    price, feed_in = prices_of(log, site, slots)
    case = Case(
        house=str(site.path),
        start=house.start,
        pv_w=house.pv_w,
        load_w=house.load_w,
        known=house.known,
        visits=_visits(log, len(house.pv_w)),
        goals=_goals(log, site, house),
        price_eur_per_kwh=price,
        feed_in_eur_per_kwh=feed_in,
        home=replace(site.home, battery_soc=soc),
        unmet_eur_per_kwh=UNMET_EUR_PER_KWH,
        foresight=foresight_of(site.path, log.day.start, log.day.end, site.zone),
        zone=site.zone,
    )
    return DayCase(case, tail_min)


def prices_of(log: DayLog, site: Site, slots: int) -> tuple[Floats, Floats]:
    """Return what a kWh cost and earned in each quarter hour from the day's beginning on."""
    starts = [log.day.start + number * SLOT_MIN * _MINUTE for number in range(slots)]
    entries = read_in_force(site.path, starts[0], starts[-1] + SLOT_MIN * _MINUTE)
    return day_prices(entries, site.tariff, starts)


def replay(
    day: DayCase, site: Site, contenders: Sequence[Contender], *, trace: bool = False
) -> tuple[tuple[Replayed, ...], tuple[str, ...]]:
    """Return what the contenders come to, and what there is to say about those that fail."""
    done: list[Replayed] = []
    notes: list[str] = []
    for contender in contenders:
        try:
            done.append(_replayed(day, site, contender, trace=trace))
        except (StrategyFailed, InputError) as error:
            notes.append(f"{contender.entry.name}: is not scored: {error}")
    return tuple(done), tuple(notes)


def _replayed(day: DayCase, site: Site, contender: Contender, *, trace: bool) -> Replayed:
    run = _run(day.case, site, contender, trace=trace)
    # Up to the day's end both go the same way: what comes after is no more than money and energy.
    within = _run(_without_tail(day), site, contender).totals
    totals = replace(run.totals, mode_changes=within.mode_changes, api_calls=within.api_calls)
    return Replayed(contender, totals, run.trace)


def _run(case: Case, site: Site, contender: Contender, *, trace: bool = False) -> Run:
    return run_strategy(case, contender.entry.strategy, site.control, compiled=False, trace=trace)


def _without_tail(day: DayCase) -> Case:
    case, minutes = day.case, day.case.minutes - day.tail_min
    parts: dict[str, Any] = {name: getattr(case, name)[:minutes] for name in ("pv_w", "load_w", "known")}
    visits = tuple(replace(visit, departure=min(visit.departure, minutes)) for visit in case.visits)
    return replace(case, **parts, visits=visits)


def _visits(log: DayLog, minutes: int) -> tuple[Visit, ...]:
    return tuple(
        Visit(number, stay.arrival, minutes - 1 if stay.goes_on else stay.departure, stay.need_kwh)
        for number, stay in enumerate(log.stays)
    )


def _tail_min(log: DayLog, site: Site) -> int:
    """Return for how long a car that is still there may charge on after the day: till its goal, or enough."""
    if not (log.stays and log.stays[-1].goes_on):
        return 1
    need_w_min = log.stays[-1].need_kwh * 60_000.0
    enough_min = int(need_w_min / min(site.home.charger.max_power_w, site.home.car.max_w)) + _SPARE_MIN
    night = HouseData(log.day.end, np.zeros(1), np.zeros(1), np.ones(1, dtype=np.bool_))
    deadlines = [goal.deadline for goal in weekly_goals(site.weekly, site.zone, night)]
    return max([enough_min, *(minute for minute in deadlines if minute <= _DAY_MIN)])


def _goals(log: DayLog, site: Site, house: HouseData) -> tuple[GoalSpan, ...]:
    """Return the weekly goals; a car that was there before the day has a part of its goal already."""
    goals = weekly_goals(site.weekly, site.zone, house)
    first = next((stay for stay in log.stays if stay.before_kwh > 0.0), None)
    if first is None:
        return goals
    return tuple(span for goal in goals for span in _less(goal, first.departure, first.before_kwh))


def _less(goal: GoalSpan, departure: int, before_kwh: float) -> Iterator[GoalSpan]:
    """Yield the goal without what a car that leaves at `departure` had before, and in full from then on."""
    if goal.start < departure:
        yield replace(goal, energy_kwh=max(0.0, goal.energy_kwh - before_kwh))
        if departure < goal.deadline:
            yield replace(goal, start=departure)
    else:
        yield goal
