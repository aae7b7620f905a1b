"""When the next weekly goal falls due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from optimizer.config.sections import WeeklyGoal
from optimizer.domain import Goal

_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_GROUPS = {"weekdays": _WEEK[:5], "weekend": _WEEK[5:], "daily": _WEEK}


def next_goal(goals: Iterable[WeeklyGoal], zone: ZoneInfo, now: datetime) -> Goal | None:
    """Return the goal with the first deadline after `now` (aware), or None without goals.

    Of two goals with the same deadline the one with more energy counts.
    """
    # Asked in each cycle: of each weekly goal the first day that is still to come is enough.
    coming = (next((g for g in _coming(weekly, zone, now) if g.deadline > now), None) for weekly in goals)
    upcoming = (goal for goal in coming if goal is not None)
    return min(upcoming, key=lambda goal: (goal.deadline, -goal.energy_kwh), default=None)


def weekdays(goal: WeeklyGoal) -> frozenset[int]:
    """Return the days of a goal as `date.weekday` numbers them, Monday 0."""
    return days_of(goal.days)


def days_of(words: Iterable[str]) -> frozenset[int]:
    """Return the days that words like `weekdays` and `sat` name, Monday 0."""
    names = {name for day in words for name in _GROUPS.get(day, (day,))}
    return frozenset(_WEEK.index(name) for name in names)


def instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return the UTC instant of a wall time.

    A wall time that comes twice (autumn) or never (spring) has two readings: the earlier one counts,
    for a car that is ready too early is ready.
    """
    local = datetime.combine(day, at, tzinfo=zone)
    return min(local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))


def _coming(weekly: WeeklyGoal, zone: ZoneInfo, now: datetime) -> Iterator[Goal]:
    today, days, at = now.astimezone(zone).date(), weekdays(weekly), time.fromisoformat(weekly.by)
    for ahead in range(9):
        day = today + timedelta(days=ahead)
        if day.weekday() in days:
            yield Goal(deadline=instant(day, at, zone), energy_kwh=weekly.energy_kwh)
