"""Forecasts out of a file: `issued, time, p10_w, p50_w, p90_w`, any number of vintages.

A row speaks of the time from `time` on, for as long as the rows of its vintage are apart, up to an hour.  It
may be used from the quarter hour on that begins with `issued` or after it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np

from optimizer.backtest.case import SLOT_MIN, Floats, Ints
from optimizer.backtest.table_file import Table, check_finite, read_table
from optimizer.errors import InputError
from optimizer.forecast.vintages import Vintages
from optimizer.planning.expected import MOST_SLOTS

ISSUED = "issued"
QUANTILES = ("p10_w", "p50_w", "p90_w")

_SLOT_S = SLOT_MIN * 60
_LONGEST_S = 3600
_MOST_W = 1e6


def read_forecast(path: Path, first: datetime, slots: int) -> Vintages:
    """Return the vintages in slots counted from `first` (aware, on a quarter hour).

    Of each vintage two days are kept.

    Raises:
        InputError: what is wrong with the file, its column and line, and what would be right.

    """
    table = read_table(path, QUANTILES, instants=(ISSUED,))
    _check(table)
    origin = int(first.timestamp()) // _SLOT_S
    issued, vintage = np.unique(table.values[ISSUED].astype(np.int64), return_inverse=True)
    known_from = -(-issued // _SLOT_S) - origin
    begins = np.maximum(known_from, 0)
    held = _step_s(table, vintage) // _SLOT_S
    columns = np.full((len(QUANTILES), len(issued), MOST_SLOTS), np.nan)
    slot = table.time_s // _SLOT_S - origin
    # Last held slot first: where a row begins within what the one before holds, its own value stands.
    for later in range(held - 1, -1, -1):
        place = slot + later - begins[vintage]
        inside = (place >= 0) & (place < MOST_SLOTS)
        for number, name in enumerate(QUANTILES):
            columns[number, vintage[inside], place[inside]] = table.values[name][inside]
    if not np.any(known_from < slots):
        raise InputError(f"{path}: every forecast was issued after the house's data end")
    return Vintages(known_from, begins, *columns)


def _step_s(table: Table, vintage: Ints) -> int:
    """Return how long a row holds: the least distance of two rows of a vintage."""
    order = np.lexsort((table.time_s, vintage))
    apart_s = np.diff(table.time_s[order])[np.diff(vintage[order]) == 0]
    if np.any(apart_s == 0):
        raise InputError(f"{table.path}: a vintage has two rows for one time")
    step_s = int(apart_s.min()) if len(apart_s) else _SLOT_S
    if step_s % _SLOT_S:
        raise InputError(f"{table.path}: times must be a multiple of 15 min apart, not {step_s / 60:g} min")
    return min(step_s, _LONGEST_S)


def _check(table: Table) -> None:
    for name in QUANTILES:
        check_finite(table, name)
        _refuse(table, table.values[name] < 0.0, f"{name} is negative")
        _refuse(table, table.values[name] > _MOST_W, f"{name} is above {_MOST_W:g} W")
    low_w, middle_w, high_w = (table.values[name] for name in QUANTILES)
    _refuse(table, (low_w > middle_w) | (middle_w > high_w), "p10_w, p50_w, p90_w must not descend")
    _refuse(table, table.time_s % _SLOT_S != 0, "time must be a full quarter hour")


def _refuse(table: Table, bad: Floats | np.ndarray[tuple[int], np.dtype[np.bool_]], why: str) -> None:
    rows = np.flatnonzero(bad)
    if len(rows):
        raise InputError(f"{table.place(int(rows[0]))}: {why}")
