"""What a car will probably do, as distributions: how long it stays, what it takes.

Both are mixtures.  Each earlier session that has ended is a witness (see `witnesses`) with a kernel about
what it says.  A broad prior stands beside them with a weight of its own: it speaks alone where there is no
witness, little where there are many, and again where the car outstays or outtakes all of them.  So no chance
is ever 0 or 1, and a car that is still there when it should have gone has a sane chance to leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cache
from typing import Any

import numpy as np

from optimizer.ahead import TAKEN_STEP_KWH, Habits
from optimizer.domain import Habit
from optimizer.forecast.witnesses import (
    Floats,
    Instants,
    Stay,
    Witnesses,
    followed_h,
    instants_of,
    likeness,
    witnesses_of,
    youth,
)

STAY_SLOTS = 192
"""Two days of quarter hours."""
TAKE_STEPS = 401
"""Up to 100 kWh."""

_SLOT_H = 0.25
_SEEN_SLOTS = 2 * STAY_SLOTS
_LEAST_H = 0.25
_AFTER_H: Floats = np.arange(1, STAY_SLOTS + 1, dtype=np.float64) * _SLOT_H
_STEPS_KWH: Floats = np.arange(TAKE_STEPS, dtype=np.float64) * TAKEN_STEP_KWH


@dataclass(frozen=True, slots=True)
class Weighing:
    """How much a witness counts: see `witnesses.likeness` and `youth`.

    `unlike` is what one counts that is not alike at all, `prior` how many quite alike and new ones the prior
    is worth.
    """

    near_h: float
    other_day: float
    half_life_d: float
    unlike: float
    prior: float


@dataclass(frozen=True, slots=True)
class HabitLaw:
    """How witnesses and prior are mixed; chosen by log score on the odd weeks of real sessions.

    What a car takes changes faster than when it leaves, and hangs less on the hour that it came.  A departure
    strays from what a witness says by about `stray_h`, an energy by the factor `exp(spread)`.  The prior's
    medians are `prior_stay_h` and `prior_take_kwh`; its tails are powers, with `stay_tail` and `take_tail`.
    """

    stay: Weighing = Weighing(near_h=3.0, other_day=0.3, half_life_d=150.0, unlike=0.005, prior=2.0)
    take: Weighing = Weighing(near_h=4.0, other_day=0.7, half_life_d=30.0, unlike=0.1, prior=1.0)
    short_h: float = 6.0
    stray_h: float = 0.3
    spread: float = 0.1
    prior_stay_h: float = 9.0
    stay_tail: float = 1.5
    prior_take_kwh: float = 9.0
    take_tail: float = 2.4


REFERENCE = HabitLaw()


def habit_of(
    arrival: datetime, earlier: Sequence[Stay], zone: tzinfo | None = None, law: HabitLaw = REFERENCE
) -> Habit:
    """Return what those of the `earlier` sessions let expect that have ended by the arrival.

    Times of day are those of `zone`, or of each time's own offset.
    """
    ended = [stay for stay in earlier if stay[1] <= arrival]
    stays, takes = _distributions(instants_of([arrival], zone), witnesses_of(ended, zone), law)
    return Habit(tuple(stays[0].tolist()), tuple(takes[0].tolist()))


def habits_table(
    arrivals: Sequence[datetime],
    sessions: Sequence[Stay],
    zone: tzinfo | None = None,
    law: HabitLaw = REFERENCE,
    *,
    as_arrays: bool = True,
) -> Habits:
    """Return what could be expected at each arrival (a row) from those of the sessions that had ended.

    Arrays are for compiled code, lists for plain Python.
    """
    stays, takes = _distributions(instants_of(arrivals, zone), witnesses_of(sessions, zone), law)
    return Habits(STAY_SLOTS, _column(stays, as_arrays), TAKE_STEPS, _column(takes, as_arrays))


def _column(rows: Floats, as_array: bool) -> Any:
    """Return the rows one after the other."""
    return rows.ravel() if as_array else rows.ravel().tolist()


def _distributions(here: Instants, there: Witnesses, law: HabitLaw) -> tuple[Floats, Floats]:
    """Return `stays` and `takes`, a row for each arrival."""
    stayed_h = followed_h(here, there, law.short_h, _LEAST_H)
    said = np.ceil(stayed_h / _SLOT_H) - 1.0
    stays = _mixed(
        _weights(here, there, law.stay), said, _stay_kernel(law), law.stay.prior, _prior_stays(law)
    )
    took = np.broadcast_to(np.round(there.energy_kwh / TAKEN_STEP_KWH), stayed_h.shape)
    takes = _mixed(
        _weights(here, there, law.take), took, _take_kernel(law), law.take.prior, _prior_takes(law)
    )
    takes[:, 0] = 1.0
    return stays, takes


def _weights(here: Instants, there: Witnesses, by: Weighing) -> Floats:
    """Return what each witness counts, 0 where it had not ended; here by there."""
    ended = there.departure.since_h <= here.since_h[:, None]
    alike = np.maximum(likeness(here, there.arrival, by.near_h, by.other_day), by.unlike)
    return np.where(ended, alike * youth(here, there.arrival, by.half_life_d), 0.0)


def _mixed(weights: Floats, said: Floats, kernel: Floats, prior_weight: float, prior: Floats) -> Floats:
    """Return the mixture of the kernels' rows that the witnesses say, and the prior."""
    whole = weights.sum(axis=1, keepdims=True) + prior_weight
    mixed = (_histogram(weights, said, len(kernel)) @ kernel + prior_weight * prior) / whole
    # A product of matrices may round neighbours apart that are equal.
    return np.minimum.accumulate(mixed, axis=1)


def _histogram(weights: Floats, places: Floats, width: int) -> Floats:
    """Return the weight at each of `width` places by row; what lies beyond counts at the last one."""
    rows = len(weights)
    flat = np.clip(places, 0, width - 1).astype(np.int64) + np.arange(rows)[:, None] * width
    counted = np.bincount(flat.ravel(), weights.ravel(), minlength=rows * width)
    return np.asarray(counted.reshape(rows, width), dtype=np.float64)


@cache
def _stay_kernel(law: HabitLaw) -> Floats:
    """Return the chance to be there after each slot (column) by what a witness says (row): cut logistic."""
    said_h = (np.arange(_SEEN_SLOTS, dtype=np.float64) + 0.5)[:, None] * _SLOT_H
    return _logistic((said_h - _AFTER_H) / law.stray_h) / _logistic(said_h / law.stray_h)


@cache
def _take_kernel(law: HabitLaw) -> Floats:
    """Return the chance to take more than each step (column) by what a witness took (row): log-logistic."""
    took_kwh = np.maximum(_STEPS_KWH, 0.5 * TAKEN_STEP_KWH)[:, None]
    return _log_logistic(_STEPS_KWH, took_kwh, 1.0 / law.spread)


@cache
def _prior_stays(law: HabitLaw) -> Floats:
    return _log_logistic(_AFTER_H, law.prior_stay_h, law.stay_tail)


@cache
def _prior_takes(law: HabitLaw) -> Floats:
    return _log_logistic(_STEPS_KWH, law.prior_take_kwh, law.take_tail)


def _logistic(values: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * values))


def _log_logistic(values: Floats, median: Floats | float, exponent: float) -> Floats:
    """Return the chance of more than each value: a bell in the logarithm, with the tail of a power."""
    return np.asarray(1.0 / (1.0 + (values / median) ** exponent))
