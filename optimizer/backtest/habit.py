"""What a car will probably do, from nothing but its earlier sessions: when it leaves, what it takes.

On arrival each earlier session is a witness.  It weighs the more, the nearer its arrival was by the time of
day, the more alike its kind of day was (work or weekend, today and tomorrow), and the younger it is.

The departure is a low quantile of when the witnesses left, of those times that are still ahead.  They count
from the midnight before the arrival: "the next morning at seven" stays what it is however late the car comes.
The energy is a high quantile of what they took.  Low and high, for a car that leaves early or needs more is
what costs; being ready early, or to go on when it is full, costs little.

A car that is still there when it should have left is looked at again: the departures that are still ahead,
and nearly all that any witness took.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from optimizer.simulation.sessions import Session

_DAY_H = 24.0
_FRIDAY_NIGHT = 4
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class HabitLaw:
    """How witnesses are weighed, and which quantiles are taken; chosen on the odd weeks of real sessions."""

    at_least: int = 4
    near_h: float = 2.0
    other_day: float = 0.3
    half_life_d: float = 60.0
    departure_quantile: float = 0.35
    energy_quantile: float = 0.75
    overdue_energy_quantile: float = 0.95
    ahead_min: float = 15.0


@dataclass(frozen=True, slots=True)
class Habit:
    """What is expected of a car that has just arrived."""

    departure: datetime
    energy_kwh: float


REFERENCE = HabitLaw()


def expected(
    arrival: datetime,
    earlier: Sequence[Session],
    zone: tzinfo | None = None,
    law: HabitLaw = REFERENCE,
    overdue: datetime | None = None,
) -> Habit | None:
    """Return what those of the `earlier` sessions let expect that have ended; None if they are few.

    `overdue`: the car is still there, at that time, though it was expected to have left.  Times of day are
    those of `zone`, or of each session's own offset.
    """
    past = [session for session in earlier if session.departure <= arrival]
    if len(past) < law.at_least:
        return None
    here, midnight = _local(arrival, zone), _midnight(arrival, zone)
    weights = [_weight(here, _local(session.arrival, zone), law) for session in past]
    now_h = _hours(midnight, overdue or arrival) + law.ahead_min / 60.0
    leaves_h = [_hours(_midnight(session.arrival, zone), session.departure) for session in past]
    ahead = [(hours, weight) for hours, weight in zip(leaves_h, weights, strict=True) if hours > now_h]
    if not ahead:
        if overdue is not None:
            return None
        stays_h = [_hours(session.arrival, session.departure) for session in past]
        ahead = [(now_h + hours, weight) for hours, weight in zip(stays_h, weights, strict=True)]
    departure = midnight + timedelta(hours=weighted_quantile(ahead, law.departure_quantile))
    took = [(session.energy_kwh, weight) for session, weight in zip(past, weights, strict=True)]
    quantile = law.energy_quantile if overdue is None else law.overdue_energy_quantile
    return Habit(departure, weighted_quantile(took, quantile))


def weighted_quantile(values: Sequence[tuple[float, float]], quantile: float) -> float:
    """Return the least of the `(value, weight)` that reaches the quantile of all weight."""
    ranked = sorted(values)
    wanted = quantile * math.fsum(weight for _, weight in ranked)
    reached = 0.0
    for value, weight in ranked:
        reached += weight
        if reached >= wanted:
            return value
    return ranked[-1][0]


def _weight(here: datetime, there: datetime, law: HabitLaw) -> float:
    apart_h = abs(_hour_of_day(here) - _hour_of_day(there))
    apart_h = min(apart_h, _DAY_H - apart_h)
    near = math.exp(-0.5 * (apart_h / law.near_h) ** 2)
    kind = math.pow(law.other_day, sum(a != b for a, b in zip(_kind(here), _kind(there), strict=True)))
    age_d = (here - there) / timedelta(days=1)
    # Never nothing: someone who comes at a new hour is still better known by other hours than not at all.
    return max(near, 1e-6) * kind * math.exp2(-age_d / law.half_life_d)


def _kind(at: datetime) -> tuple[bool, bool]:
    """Return whether today, and whether tomorrow, is a day at the weekend."""
    return at.weekday() >= _SATURDAY, at.weekday() in {_FRIDAY_NIGHT, _SATURDAY}


def _local(at: datetime, zone: tzinfo | None) -> datetime:
    return at if zone is None else at.astimezone(zone)


def _hour_of_day(at: datetime) -> float:
    return at.hour + at.minute / 60.0


def _midnight(at: datetime, zone: tzinfo | None) -> datetime:
    """Return the instant that is as long before `at` as its clock shows.

    Not the calendar's midnight: on the two days that change the clock, hours count as they are shown.
    """
    local = _local(at, zone)
    shown = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second)
    return at - shown


def _hours(since: datetime, until: datetime) -> float:
    return (until - since) / timedelta(hours=1)
