"""A case as the kernels read it: plain columns, lists for plain Python and arrays for compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from optimizer.ahead import NO_HABITS, Ahead, Habits, Outlook
from optimizer.backtest.case import SLOT_MIN, Case, GoalSpan
from optimizer.backtest.foresight import foreseen
from optimizer.forecast.vintages import Vintages

NEVER = 1 << 40
"""A minute that does not come."""

_W_MIN_PER_KWH = 60_000.0


class Tape(NamedTuple):
    """Everything that happens to the house, whatever is decided.

    One value a minute: `pv_w`, `load_w`.  One a quarter hour: `price_eur_per_kwh`, `feed_in_eur_per_kwh`.
    One a visit: `arrival`, `departure`, `energy_kwh`.  One a goal: `goal_start`, `goal_deadline`, `goal_kwh`.
    Visits and goals end with one that never comes.  Without a home battery `cost_eur`, `import_kwh` and
    `export_kwh` are what the house comes to without a car, else 0.  `ahead` is what may be known beforehand.
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
    cost_eur: float
    import_kwh: float
    export_kwh: float
    ahead: Ahead


def tape_of(case: Case, *, as_arrays: bool, looks_ahead: bool = False) -> Tape:
    """Return the case as columns, made once; a list is read several times faster by plain Python.

    For one that `looks_ahead` there are forecasts, and habits in place of the goals that were made from them.
    """
    key = (as_arrays, looks_ahead)
    if key not in case.tapes:
        case.tapes[key] = _foreseeing(case, as_arrays) if looks_ahead else _tape(case, as_arrays=as_arrays)
    tape: Tape = case.tapes[key]
    return tape


def _foreseeing(case: Case, as_arrays: bool) -> Tape:
    """Return the columns with all that may be known beforehand."""
    tape, foresight = tape_of(case, as_arrays=as_arrays), foreseen(case)
    ahead = tape.ahead._replace(
        pv=_outlook(foresight.pv, as_arrays=as_arrays),
        load=_outlook(foresight.load, as_arrays=as_arrays),
        habits=_habits(foresight.habits, as_arrays=as_arrays),
    )
    if not foresight.habits.stay_slots:
        return tape._replace(ahead=ahead)
    starts, deadlines, energies = _goals((), as_arrays=as_arrays)
    return tape._replace(ahead=ahead, goal_start=starts, goal_deadline=deadlines, goal_kwh=energies)


def _goals(goals: Sequence[GoalSpan], *, as_arrays: bool) -> tuple[Any, Any, Any]:
    """Return the columns of goals, with one that never comes."""
    return (
        _column([*(goal.start for goal in goals), NEVER], int, as_arrays=as_arrays),
        _column([*(goal.deadline for goal in goals), NEVER], int, as_arrays=as_arrays),
        _column([*(goal.energy_kwh for goal in goals), 0.0], float, as_arrays=as_arrays),
    )


def _ahead(case: Case, price: Any, feed_in: Any, *, as_arrays: bool) -> Ahead:
    """Return the prices and when they are known; no forecast and no habit."""
    slots, until = len(case.price_eur_per_kwh), case.foresight.priced_until
    return Ahead(
        round(case.start.timestamp()) // (SLOT_MIN * 60),
        price,
        feed_in,
        _column(np.full(slots, slots) if until is None else until, int, as_arrays=as_arrays),
        _outlook(None, as_arrays=as_arrays),
        _outlook(None, as_arrays=as_arrays),
        _habits(NO_HABITS, as_arrays=as_arrays),
    )


def _habits(habits: Habits, *, as_arrays: bool) -> Habits:
    return habits._replace(
        stays=_column(habits.stays, float, as_arrays=as_arrays),
        takes=_column(habits.takes, float, as_arrays=as_arrays),
    )


def _outlook(vintages: Vintages | None, *, as_arrays: bool) -> Outlook:
    nothing = np.zeros((0, 1))
    none = np.zeros(0, np.int64)
    return (vintages or Vintages(none, none, nothing, nothing, nothing)).outlook(as_arrays=as_arrays)


def _tape(case: Case, *, as_arrays: bool) -> Tape:
    price = _column(case.price_eur_per_kwh, float, as_arrays=as_arrays)
    feed_in = _column(case.feed_in_eur_per_kwh, float, as_arrays=as_arrays)
    return Tape(
        _column(case.pv_w, float, as_arrays=as_arrays),
        _column(case.load_w, float, as_arrays=as_arrays),
        price,
        feed_in,
        case.slot_offset,
        _column([*(v.arrival for v in case.visits), NEVER], int, as_arrays=as_arrays),
        _column([*(v.departure for v in case.visits), NEVER], int, as_arrays=as_arrays),
        _column([*(v.energy_kwh for v in case.visits), 0.0], float, as_arrays=as_arrays),
        *_goals(case.goals, as_arrays=as_arrays),
        *_without_car(case),
        _ahead(case, price, feed_in, as_arrays=as_arrays),
    )


def _without_car(case: Case) -> tuple[float, float, float]:
    """Return cost, import and export of the house without a car, where no home battery moves them."""
    if case.home.battery is not None:
        return 0.0, 0.0, 0.0
    slots = (np.arange(case.minutes) + case.slot_offset) // SLOT_MIN
    import_kwh = np.maximum(case.load_w - case.pv_w, 0.0) / _W_MIN_PER_KWH
    export_kwh = np.maximum(case.pv_w - case.load_w, 0.0) / _W_MIN_PER_KWH
    cost_eur = import_kwh * case.price_eur_per_kwh[slots] - export_kwh * case.feed_in_eur_per_kwh[slots]
    return float(cost_eur.sum()), float(import_kwh.sum()), float(export_kwh.sum())


def _column(values: Any, kind: type, *, as_arrays: bool) -> Any:
    array = np.asarray(values, dtype=np.int64 if kind is int else np.float64)
    if not as_arrays:
        return array.tolist()
    # Compiled code is made for one layout: read-only or strided columns would be compiled for once more.
    return np.require(array, requirements=["C", "W"])
