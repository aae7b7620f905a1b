"""What a car will probably do, from nothing but its earlier sessions: when it leaves, what it takes.

On arrival each earlier session is a witness.  It weighs the more, the nearer its arrival was by the time of
day, the more alike its kind of day was (work or weekend, today and tomorrow), and the younger it is.

The departure is a low quantile of when the car would leave if it did as a witness did: a short stay is as
long as it was, a long one ends at the same time of day.  The energy is a high quantile of what the witnesses
took.  Low and high, for a car that leaves early or needs more is what costs; to be ready early costs little,
and to go on when it is full nothing.

Where few witnesses are alike, the car might leave at any time, and is taken to.  One that is still there when
it should have left is looked at again: the departures that are still ahead, and more energy than any witness
took, for it may not be full yet.
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
    """How witnesses are weighed, and which quantiles are taken; chosen on the odd weeks of real sessions.

    `support` is how many witnesses that are quite alike it takes to know when a car leaves, `outstayed_h` how
    long it is thought to stay where that is not known, `ahead_h` the least.
    """

    at_least: int = 2
    support: float = 4.0
    near_h: float = 2.0
    other_day: float = 0.3
    half_life_d: float = 60.0
    departure_quantile: float = 0.1
    energy_quantile: float = 0.95
    overdue_factor: float = 2.0
    ahead_h: float = 0.25
    outstayed_h: float = 1.0
    short_h: float = 5.0


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
    here = _local(arrival, zone)
    weights = [_weight(here, _local(session.arrival, zone), law) for session in past]
    stays_h = [_stay_h(here, session, zone, law) for session in past]
    least_h = (0.0 if overdue is None else _hours(arrival, overdue)) + law.ahead_h
    ahead = [(hours, weight) for hours, weight in zip(stays_h, weights, strict=True) if hours >= least_h]
    known = (
        ahead and math.fsum(_likeness(here, _local(one.arrival, zone), law) for one in past) >= law.support
    )
    stay_h = weighted_quantile(ahead, law.departure_quantile) if known else least_h + law.outstayed_h
    took = [(session.energy_kwh, weight) for session, weight in zip(past, weights, strict=True)]
    energy_kwh = weighted_quantile(took, law.energy_quantile)
    if overdue is not None:
        energy_kwh = law.overdue_factor * max(kwh for kwh, _ in took)
    return Habit(arrival + timedelta(hours=stay_h), energy_kwh)


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
    age_d = (here - there) / timedelta(days=1)
    # Never nothing: someone who comes at a new hour is still better known by other hours than not at all.
    return max(_likeness(here, there, law), 1e-6) * math.exp2(-age_d / law.half_life_d)


def _likeness(here: datetime, there: datetime, law: HabitLaw) -> float:
    """Return 1 for the same time of day on the same kind of day, less the less alike they are."""
    apart_h = abs(_hour_of_day(here) - _hour_of_day(there))
    apart_h = min(apart_h, _DAY_H - apart_h)
    near = math.exp(-0.5 * (apart_h / law.near_h) ** 2)
    kind = math.pow(law.other_day, sum(a != b for a, b in zip(_kind(here), _kind(there), strict=True)))
    return near * kind


def _kind(at: datetime) -> tuple[bool, bool]:
    """Return whether today, and whether tomorrow, is a day at the weekend."""
    return at.weekday() >= _SATURDAY, at.weekday() in {_FRIDAY_NIGHT, _SATURDAY}


def _stay_h(here: datetime, witness: Session, zone: tzinfo | None, law: HabitLaw) -> float:
    """Return how long a car that comes `here` stays if it does as the witness did.

    A short stay is as long as it was; a long one ends at the same time of day.
    """
    stayed_h = _hours(witness.arrival, witness.departure)
    if stayed_h < law.short_h:
        return stayed_h
    until_h = (_hour_of_day(_local(witness.departure, zone)) - _hour_of_day(here)) % _DAY_H
    days = stayed_h // _DAY_H + (until_h < law.ahead_h)
    return until_h + days * _DAY_H


def _local(at: datetime, zone: tzinfo | None) -> datetime:
    return at if zone is None else at.astimezone(zone)


def _hour_of_day(at: datetime) -> float:
    return at.hour + at.minute / 60.0


def _hours(since: datetime, until: datetime) -> float:
    return (until - since) / timedelta(hours=1)
