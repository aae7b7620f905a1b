"""A case as the kernels read it: plain columns, lists for plain Python and arrays for compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from optimizer.backtest.case import Case

NEVER = 1 << 40
"""A minute that does not come."""


class Tape(NamedTuple):
    """Everything that happens to the house, whatever is decided.

    One value a minute: `pv_w`, `load_w`.  One a quarter hour: `price_eur_per_kwh`, `feed_in_eur_per_kwh`.
    One a visit: `arrival`, `departure`, `energy_kwh`.  One a goal: `goal_start`, `goal_deadline`, `goal_kwh`.
    Visits and goals end with one that never comes.
    """

    pv_w: Sequence[float]
    load_w: Sequence[float]
    price_eur_per_kwh: Sequence[float]
    feed_in_eur_per_kwh: Sequence[float]
    slot_offset: int
    arrival: Sequence[int]
    departure: Sequence[int]
    energy_kwh: Sequence[float]
    goal_start: Sequence[int]
    goal_deadline: Sequence[int]
    goal_kwh: Sequence[float]


def tape_of(case: Case, *, as_arrays: bool) -> Tape:
    """Return the case as columns; a list is read several times faster by plain Python."""
    return Tape(
        _column(case.pv_w, float, as_arrays=as_arrays),
        _column(case.load_w, float, as_arrays=as_arrays),
        _column(case.price_eur_per_kwh, float, as_arrays=as_arrays),
        _column(case.feed_in_eur_per_kwh, float, as_arrays=as_arrays),
        case.slot_offset,
        _column([*(v.arrival for v in case.visits), NEVER], int, as_arrays=as_arrays),
        _column([*(v.departure for v in case.visits), NEVER], int, as_arrays=as_arrays),
        _column([*(v.energy_kwh for v in case.visits), 0.0], float, as_arrays=as_arrays),
        _column([*(g.start for g in case.goals), NEVER], int, as_arrays=as_arrays),
        _column([*(g.deadline for g in case.goals), NEVER], int, as_arrays=as_arrays),
        _column([*(g.energy_kwh for g in case.goals), 0.0], float, as_arrays=as_arrays),
    )


def _column(values: Any, kind: type, *, as_arrays: bool) -> Any:
    array = np.asarray(values, dtype=np.int64 if kind is int else np.float64)
    if not as_arrays:
        return array.tolist()
    # Compiled code is made for one layout: read-only or strided columns would be compiled for once more.
    return np.require(array, requirements=["C", "W"])
