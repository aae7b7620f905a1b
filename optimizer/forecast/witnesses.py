"""Earlier sessions as witnesses of what a car will do now: how much each one counts, and what it says.

A witness counts the more, the nearer its arrival was by the time of day, the more alike its kind of day was
(work or weekend, today and tomorrow), and the younger it is.  It tells when the car would leave now if it did
as then: after a short stay it leaves as long after its arrival, after a long one at the same time of day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Stay = tuple[datetime, datetime, float]
"""Arrival and departure (aware) of a session, and the kWh that it took."""

_DAY_H = 24.0
_FRIDAY_NIGHT = 4
_SATURDAY = 5
_HOUR = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Instants:
    """Times as columns: `since_h` counts the hours since 1970 (UTC), `clock_h` those of the local day.

    `weekend` has two columns: whether it is a day at the weekend, and whether the next one is.
    """

    since_h: Floats
    clock_h: Floats
    weekend: Flags


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Sessions as columns."""

    arrival: Instants
    departure: Instants
    energy_kwh: Floats

    @property
    def stayed_h(self) -> Floats:
        """How long each one lasted."""
        return self.departure.since_h - self.arrival.since_h


def instants_of(times: Iterable[datetime], zone: tzinfo | None) -> Instants:
    """Return the times as columns; their time of day is that of `zone`, or of each one's own offset."""
    kept = list(times)
    local = [at if zone is None else at.astimezone(zone) for at in kept]
    weekdays = np.array([at.weekday() for at in local], dtype=np.int64)
    return Instants(
        np.array([(at - _EPOCH) / _HOUR for at in kept], dtype=np.float64),
        np.array([at.hour + at.minute / 60.0 for at in local], dtype=np.float64),
        np.stack([weekdays >= _SATURDAY, (weekdays == _FRIDAY_NIGHT) | (weekdays == _SATURDAY)], axis=1),
    )


def witnesses_of(stays: Sequence[Stay], zone: tzinfo | None) -> Witnesses:
    """Return the sessions as columns, in their order."""
    return Witnesses(
        instants_of((arrival for arrival, _, _ in stays), zone),
        instants_of((departure for _, departure, _ in stays), zone),
        np.array([energy_kwh for _, _, energy_kwh in stays], dtype=np.float64),
    )


def likeness(here: Instants, there: Instants, near_h: float, other_day: float) -> Floats:
    """Return 1 for the same time of day on the same kind of day, less the less alike; here by there."""
    apart_h = np.abs(here.clock_h[:, None] - there.clock_h)
    apart_h = np.minimum(apart_h, _DAY_H - apart_h)
    today, tomorrow = (here.weekend[:, None, day] != there.weekend[:, day] for day in (0, 1))
    by_differences = np.array([1.0, other_day, other_day**2])
    nearness = np.exp(-0.5 / near_h**2 * apart_h * apart_h)
    return np.asarray(nearness * by_differences[today.view(np.int8) + tomorrow])


def youth(here: Instants, there: Instants, half_life_d: float) -> Floats:
    """Return 1 for a witness of this moment, half for each `half_life_d` of its age; here by there."""
    age_d = (here.since_h[:, None] - there.since_h) / _DAY_H
    return np.asarray(np.exp2(-np.maximum(age_d, 0.0) / half_life_d))


def followed_h(here: Instants, there: Witnesses, short_h: float, least_h: float) -> Floats:
    """Return how long a car stays here if it does as each one did there; here by there.

    A stay shorter than `short_h` is as long as it was; a longer one ends at the same time of day, at least
    `least_h` after the arrival.
    """
    stayed_h = there.stayed_h
    until_h = (there.departure.clock_h - here.clock_h[:, None]) % _DAY_H
    days = stayed_h // _DAY_H + (until_h < least_h)
    return np.where(stayed_h < short_h, stayed_h, until_h + days * _DAY_H)
