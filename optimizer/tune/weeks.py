"""A case by weeks: where they begin, a case of some of them only, and what each came to.

A week begins on Monday at midnight of the site's zone or, if a car is there, when it leaves: a session
belongs to the week of its arrival, and the weeks part the time with nothing lost.  A case of some weeks has
the length of the whole one; the others are taken out like gaps in the data: no sun, no load, no car, no goal,
no cost.  So nothing of them can reach what is reckoned, but for prices, which are published ahead, and what
of sun, load and habits had been seen by then; and the controller comes into each week awake.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np

from optimizer.backtest.case import SLOT_MIN, Case, GoalSpan, Visit
from optimizer.backtest.foresight import habits_of
from optimizer.backtest.runs import RunTrace

DAY_MIN = 1440
_W_MIN_PER_KWH = 60_000.0
_WEEK = timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class Week:
    """The minutes `[start, end)` that count as this ISO week."""

    year: int
    number: int
    start: int
    end: int
    visits: int
    car_days: int

    def __str__(self) -> str:
        return f"{self.year}-W{self.number:02}"

    @property
    def is_odd(self) -> bool:
        """Whether it is one to tune on."""
        return self.number % 2 == 1


@dataclass(frozen=True, slots=True)
class Figures:
    """What a span of time came to; `cost_eur` has what the sessions missed in it, at its price."""

    days: float = 0.0
    car_days: int = 0
    cost_eur: float = 0.0
    ev_kwh: float = 0.0
    ev_solar_kwh: float = 0.0
    unmet_kwh: float = 0.0
    mode_changes: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def weeks_of(case: Case, zone: tzinfo | None = None) -> tuple[Week, ...]:
    """Return the weeks of which some minute is known; UTC's where no zone is given."""
    mondays = list(_mondays(case, zone or UTC))
    starts = [0, *(_free(case.visits, minute) for minute, _ in mondays[1:]), case.minutes]
    found = []
    for (_, monday), start, end in zip(mondays, starts[:-1], starts[1:], strict=True):
        if start < end and case.known[start:end].any():
            year, number, _ = monday.isocalendar()
            inside = [visit for visit in case.visits if start <= visit.arrival < end]
            found.append(Week(year, number, start, end, len(inside), _car_days(inside, start)))
    return tuple(found)


def only(case: Case, weeks: Sequence[Week]) -> Case:
    """Return the case with nothing in it but these weeks."""
    kept = np.zeros(case.minutes, dtype=np.bool_)
    for week in weeks:
        kept[week.start : week.end] = True
    rows = [row for row, visit in enumerate(case.visits) if kept[visit.arrival]]
    habits = habits_of(case.foresight.habits, rows)
    return replace(
        case,
        pv_w=np.where(kept, case.pv_w, 0.0),
        load_w=np.where(kept, case.load_w, 0.0),
        known=case.known & kept,
        visits=tuple(case.visits[row] for row in rows),
        goals=tuple(_goals(case.goals, weeks)),
        foresight=replace(case.foresight, habits=habits, whole=case.foresight.whole or case),
    )


def weekly(case: Case, weeks: Sequence[Week], trace: RunTrace) -> tuple[Figures, ...]:
    """Return what each week of a run came to."""
    slots = (np.arange(case.minutes) + case.slot_offset) // SLOT_MIN
    price = np.where(trace.grid_w > 0.0, case.price_eur_per_kwh[slots], case.feed_in_eur_per_kwh[slots])
    solar_w = np.minimum(trace.ev_w, np.maximum(0.0, case.pv_w - case.load_w))
    cost_eur = trace.grid_w * price / _W_MIN_PER_KWH
    changes = np.diff(trace.mode, prepend=np.int8(0)) != 0
    return tuple(
        _figures(case, week, trace, cost_eur[week.start : week.end], solar_w, changes) for week in weeks
    )


def _figures(
    case: Case,
    week: Week,
    trace: RunTrace,
    cost_eur: np.ndarray,
    solar_w: np.ndarray,
    changes: np.ndarray,
) -> Figures:
    span = slice(week.start, week.end)
    unmet_kwh = sum(_unmet_kwh(trace, visit) for visit in _visits_in(case, week))
    return Figures(
        days=float(case.known[span].sum()) / DAY_MIN,
        car_days=week.car_days,
        cost_eur=float(cost_eur.sum()) + unmet_kwh * case.unmet_eur_per_kwh,
        ev_kwh=float(trace.ev_w[span].sum()) / _W_MIN_PER_KWH,
        ev_solar_kwh=float(solar_w[span].sum()) / _W_MIN_PER_KWH,
        unmet_kwh=unmet_kwh,
        mode_changes=int(changes[span].sum()),
    )


def _visits_in(case: Case, week: Week) -> Iterator[Visit]:
    """Yield the week's visits that end while the case lasts: only then a run reckons what they miss."""
    for visit in case.visits:
        if week.start <= visit.arrival < week.end and visit.departure < case.minutes:
            yield visit


def _unmet_kwh(trace: RunTrace, visit: Visit) -> float:
    return max(0.0, visit.energy_kwh - float(trace.ev_kwh[visit.departure - 1]))


def _mondays(case: Case, zone: tzinfo) -> Iterator[tuple[int, datetime]]:
    """Yield the minute at which each week begins, the first one's before the case, and its Monday."""
    local = case.start.astimezone(zone)
    day = datetime(local.year, local.month, local.day) - timedelta(days=local.weekday())  # noqa: DTZ001
    while (at := day.replace(tzinfo=zone).astimezone(UTC)) < case.end:
        yield -int((case.start - at) // timedelta(minutes=1)), day
        day += _WEEK


def _free(visits: Sequence[Visit], minute: int) -> int:
    """Return the first minute from `minute` on at which no car is there that came before."""
    place = bisect_right([visit.arrival for visit in visits], minute - 1) - 1
    return max(minute, visits[place].departure) if place >= 0 else minute


def _car_days(visits: Sequence[Visit], start: int) -> int:
    """Return on how many days, counted from the week's start, a car is there."""
    days = set[int]()
    for visit in visits:
        days.update(range((visit.arrival - start) // DAY_MIN, (visit.departure - 1 - start) // DAY_MIN + 1))
    return len(days)


def _goals(goals: Sequence[GoalSpan], weeks: Sequence[Week]) -> Iterator[GoalSpan]:
    """Yield the goals of these weeks, each with the one that holds when it begins."""
    starts = [goal.start for goal in goals]
    for week in weeks:
        first, last = bisect_right(starts, week.start - 1), bisect_right(starts, week.end - 1)
        before = goals[first - 1] if first > 0 else None
        begins = first < last and goals[first].start == week.start
        if before is not None and before.deadline > week.start and not begins:
            yield replace(before, start=week.start)
        yield from goals[first:last]
