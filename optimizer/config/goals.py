"""What each car needs and by when: out of the configuration, as it was given, and by its state of charge.

- Of several goals that which falls due first counts, and of two for the same time the larger one.
- A day that has a goal of its own (given, or with `on`) has no weekly one.
- A wall time that comes twice (autumn) or never (spring) has two readings: the earlier one counts, for a car
  that is ready too early is ready.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from optimizer.config.sections import Car, Charger, WeeklyGoal
from optimizer.domain import Goal
from optimizer.errors import InputError
from optimizer.goals import Charge, Given

_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_GROUPS = {"weekdays": _WEEK[:5], "weekend": _WEEK[5:], "daily": _WEEK}
_FURTHEST = timedelta(days=14)
_TIME = r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9]"
_DIGITS = 2
_MOST_KWH = 200.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """The goal that counts, where it comes from, and how its energy was reckoned ("" where it was given)."""

    goal: Goal
    origin: str
    basis: str = ""


def next_goal(goals: Iterable[WeeklyGoal], zone: ZoneInfo, now: datetime) -> Goal | None:
    """Return the goal with the first deadline after `now` (aware), or None without goals.

    Of two goals with the same deadline the one with more energy counts.
    """
    found = _next(tuple(goals), zone, now, ())
    return None if found is None else found[1]


def wanted(
    charger: Charger, given: Given | None, charge: Charge | None, zone: ZoneInfo, now: datetime
) -> Wanted | None:
    """Return what the charger's car needs next, or None where nobody wants anything."""
    if given is not None and given.goal.deadline <= now:
        given = None
    taken = () if given is None else (given.goal.deadline.astimezone(zone).date(),)
    found = _next(charger.goal, zone, now, taken)
    if found is None or (given is not None and given.goal.deadline <= found[1].deadline):
        return None if given is None else Wanted(given.goal, given.origin)
    configured, goal = found
    energy_kwh, basis = _energy(configured, charger.car, charge, zone, now)
    origin = "weekly" if configured.on is None else f"for {configured.on}"
    return Wanted(Goal(goal.deadline, energy_kwh), origin, basis)


def _energy(
    goal: WeeklyGoal, car: Car | None, charge: Charge | None, zone: ZoneInfo, now: datetime
) -> tuple[float, str]:
    """Return the energy of the whole session, kWh, and how it was reckoned."""
    if goal.soc is None or car is None:
        return goal.energy_kwh, ""
    if charge is None or now - charge.at > timedelta(seconds=car.stale_s):
        return goal.energy_kwh, "the car's state of charge is not known"
    missing_kwh = max(0.0, goal.soc - charge.soc) * car.capacity_kwh / car.efficiency
    basis = (
        f"{goal.soc:.0%} of {car.capacity_kwh:g} kWh, {charge.soc:.0%} at {charge.at.astimezone(zone):%H:%M}"
    )
    return round(charge.session_kwh + missing_kwh, _DIGITS), basis


def weekdays(goal: WeeklyGoal) -> frozenset[int]:
    """Return the days of a goal as `date.weekday` numbers them, Monday 0."""
    return days_of(goal.days)


def days_of(words: Iterable[str]) -> frozenset[int]:
    """Return the days that words like `weekdays` and `sat` name, Monday 0."""
    names = {name for day in words for name in _GROUPS.get(day, (day,))}
    return frozenset(_WEEK.index(name) for name in names)


def instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return the UTC instant of a wall time; of two readings the earlier one."""
    local = datetime.combine(day, at, tzinfo=zone)
    return min(local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))


def deadline_from(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """Return the instant that people mean by `06:30`, `fri 06:30`, `tomorrow 6:30` or `2026-06-05 06:30`.

    Raises:
        InputError: it is none, or does not lie within the next 14 days.

    """
    shown = repr(text[:40])
    deadline = _spoken(text.strip().lower(), zone, now) or _written(text.strip(), zone)
    if deadline is None:
        raise InputError(
            f'{shown} is no time like "06:30", "fri 06:30", "tomorrow 06:30" or "2026-06-05 06:30"'
        )
    if not now < deadline <= now + _FURTHEST:
        at = f"{deadline.astimezone(zone):%Y-%m-%d %H:%M}"
        raise InputError(f"{shown} ({at}) does not lie within the next 14 days")
    return deadline


def energy_from(value: object) -> float:
    """Return the energy of a goal that is given, kWh.

    Raises:
        InputError: it is no number above 0 and up to 200.

    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and 0.0 < value <= _MOST_KWH):  # type: ignore[operator]
        raise InputError(f"energy: needs a number of kWh above 0 and up to {_MOST_KWH:g}")
    return float(value)  # type: ignore[arg-type]


def one_charger(chargers: Iterable[Charger], name: str | None) -> str:
    """Return the charger that is meant; where there is only one, it need not be named.

    Raises:
        InputError: there is none of that name, or there are several and none is named.

    """
    names = [charger.name for charger in chargers]
    if name is None and len(names) > 1:
        raise InputError(f"say which charger: {', '.join(names)}")
    if name is not None and name not in names:
        raise InputError(f"no charger is called {name!r}; there is {', '.join(names)}")
    return names[0] if name is None else name


def _spoken(text: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """Return the next time that a word and a time of day name, None where they do not."""
    found = re.fullmatch(rf"(?:([a-z]+) +)?({_TIME})", text)
    word = "" if found is None else found[1] or ""
    if found is None or word not in {"", "today", "tomorrow", *_WEEK}:
        return None
    today, at = now.astimezone(zone).date(), time.fromisoformat(found[2].zfill(5))
    days = [today + timedelta(days=ahead) for ahead in range(9)]
    if word in {"today", "tomorrow"}:
        return instant(days[word == "tomorrow"], at, zone)
    fitting = (instant(day, at, zone) for day in days if word in {"", _WEEK[day.weekday()]})
    return next((deadline for deadline in fitting if deadline > now), None)


def _written(text: str, zone: ZoneInfo) -> datetime | None:
    """Return the instant of a date with a time, in the site's zone where it names none."""
    if not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:", text):
        return None
    try:
        at = datetime.fromisoformat(text)
        return instant(at.date(), at.time(), zone) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _next(
    goals: tuple[WeeklyGoal, ...], zone: ZoneInfo, now: datetime, taken: tuple[date, ...]
) -> tuple[WeeklyGoal, Goal] | None:
    """Return the goal that falls due first, on a day that is not taken, with its deadline."""
    alone = {date.fromisoformat(goal.on) for goal in goals if goal.on is not None}
    # Asked in each cycle: of each weekly goal the first day that is still to come is enough.
    firsts = ((goal, _first(goal, zone, now, {*taken, *(() if goal.on else alone)})) for goal in goals)
    coming = [(goal, first) for goal, first in firsts if first is not None]
    return min(coming, key=lambda pair: (pair[1].deadline, -pair[1].energy_kwh), default=None)


def _first(goal: WeeklyGoal, zone: ZoneInfo, now: datetime, taken: set[date]) -> Goal | None:
    at = time.fromisoformat(goal.by)
    deadlines = (
        instant(day, at, zone) for day in _days(goal, now.astimezone(zone).date()) if day not in taken
    )
    deadline = next((one for one in deadlines if one > now), None)
    return None if deadline is None else Goal(deadline=deadline, energy_kwh=goal.energy_kwh)


def _days(goal: WeeklyGoal, today: date) -> Iterator[date]:
    """Yield the coming days on which a goal stands."""
    if goal.on is not None:
        yield date.fromisoformat(goal.on)
        return
    fitting = weekdays(goal)
    for ahead in range(16):
        day = today + timedelta(days=ahead)
        if day.weekday() in fitting:
            yield day
