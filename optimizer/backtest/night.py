"""The nights of an inverter that sleeps: it leaves the production empty, and it is 0 W.

A run of empty places is a night where all of this holds, in doubt it is a gap:
- it is at most 20 h long, which is more than any night that still has a day;
- the last value before it and the first one after it are dark: at most 5 % of the highest in the file, for
  the mean of the half hour after sunrise easily is 4 %.  Where the file begins or ends, one of them will do;
- nothing that is known at its times of day, up to a week back or ahead, is above 10 %: else it is a day that
  nobody has written down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optimizer.backtest.case import Floats

Flags = NDArray[np.bool_]

LONGEST_MIN = 20 * 60
EDGE_SHARE = 0.05
DAY_SHARE = 0.10
_NEAR_DAYS = 7
_DAY_MIN = 1440


def nights(pv_w: Floats, step_min: int) -> Flags:
    """Return where an empty production (NaN) of equal steps is night."""
    empty = np.isnan(pv_w)
    found = np.zeros(len(pv_w), dtype=np.bool_)
    if empty.all():
        return found
    peak_w = float(np.nanmax(pv_w))
    for begin, end in runs(empty):
        found[begin:end] = (
            (end - begin) * step_min <= LONGEST_MIN
            and _brightest(pv_w[max(0, begin - 1) : end + 1]) <= EDGE_SHARE * peak_w
            and _brightest_near_by(pv_w, begin, end, step_min) <= DAY_SHARE * peak_w
        )
    return found


def runs(flags: Flags) -> list[tuple[int, int]]:
    """Return the half-open ranges in which the flags are set."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def _brightest_near_by(pv_w: Floats, begin: int, end: int, step_min: int) -> float:
    """Return the most that is known of the same times of day in the days around."""
    shifts = [round(day * _DAY_MIN / step_min) for day in range(-_NEAR_DAYS, _NEAR_DAYS + 1)]
    return max(_brightest(pv_w[max(0, begin + shift) : max(0, end + shift)]) for shift in shifts)


def _brightest(pv_w: Floats) -> float:
    return float(np.nanmax(pv_w, initial=0.0))
