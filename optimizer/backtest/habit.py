"""What a car will probably do, from nothing but its earlier sessions: when it leaves, what it takes.

On arrival each earlier session is a witness, see `optimizer.forecast.witnesses`.

The departure is a low quantile of when the car would leave if it did as a witness did.  The energy is a high
quantile of what the witnesses took.  Low and high, for a car that leaves early or needs more is what costs;
to be ready early costs little, and to go on when it is full nothing.

Where few witnesses are alike, the car might leave at any time, and is taken to.  One that is still there when
it should have left is looked at again: the departures that are still ahead, and more energy than any witness
took, for it may not be full yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

import numpy as np

from optimizer.forecast.quantile import weighted_quantile
from optimizer.forecast.witnesses import (
    followed_h,
    instants_of,
    likeness,
    witnesses_of,
    youth,
)
from optimizer.simulation.sessions import Session


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
    weights, stays_h, support = _testimony(arrival, past, zone, law)
    least_h = (0.0 if overdue is None else (overdue - arrival) / timedelta(hours=1)) + law.ahead_h
    ahead = [(hours, weight) for hours, weight in zip(stays_h, weights, strict=True) if hours >= least_h]
    known = ahead and support >= law.support
    stay_h = weighted_quantile(ahead, law.departure_quantile) if known else least_h + law.outstayed_h
    took = [(session.energy_kwh, weight) for session, weight in zip(past, weights, strict=True)]
    energy_kwh = weighted_quantile(took, law.energy_quantile)
    if overdue is not None:
        energy_kwh = law.overdue_factor * max(kwh for kwh, _ in took)
    return Habit(arrival + timedelta(hours=stay_h), energy_kwh)


def _testimony(
    arrival: datetime, past: Sequence[Session], zone: tzinfo | None, law: HabitLaw
) -> tuple[list[float], list[float], float]:
    """Return what each witness counts, how long it says that the car stays, and how alike all are."""
    here = instants_of([arrival], zone)
    there = witnesses_of([(one.arrival, one.departure, one.energy_kwh) for one in past], zone)
    alike = likeness(here, there.arrival, law.near_h, law.other_day)[0]
    # Never nothing: someone who comes at a new hour is still better known by other hours than not at all.
    weights = np.maximum(alike, 1e-6) * youth(here, there.arrival, law.half_life_d)[0]
    stays_h = followed_h(here, there, law.short_h, law.ahead_h)[0]
    return weights.tolist(), stays_h.tolist(), float(alike.sum())
