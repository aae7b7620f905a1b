"""What a forecast overlooks at each time of day: the tree in the east, the neighbour's roof, a wrong tilt."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from optimizer.forecast.quarters import DAY_SLOTS
from optimizer.forecast.vintages import Floats

_WINDOW_DAYS = 30
_LEANS_DAYS = 30.0
"""A factor leans on 1 as if on so many days more."""
_LEAST, _MOST = 0.2, 2.5
_LIT_W = 1.0


def shading(truth_w: Floats, said_w: Floats) -> Floats:
    """Return factors (days, 96) for a forecast: what share of it there was at this slot on the days before.

    The weighted median of the last days: one under snow or one when the meter stood still does not count.
    """
    lit = ~np.isnan(truth_w) & (np.nan_to_num(said_w) > _LIT_W)
    ratio = np.divide(truth_w, said_w, out=np.full(said_w.shape, np.inf), where=lit)
    ratios, weights = _windows(ratio, np.inf), _windows(np.where(lit, said_w, 0.0), 0.0)
    order = np.argsort(ratios, axis=-1)
    upto = np.cumsum(np.take_along_axis(weights, order, axis=-1), axis=-1)
    middle = np.argmax(upto >= upto[..., -1:] / 2.0, axis=-1)[..., None]
    median = np.take_along_axis(ratios, np.take_along_axis(order, middle, axis=-1), axis=-1)[..., 0]
    seen = np.count_nonzero(weights > 0.0, axis=-1)
    bounded = np.clip(np.where(seen > 0, median, 1.0), _LEAST, _MOST)
    return np.asarray(np.exp(_smoothed(np.log(bounded) * seen / (seen + _LEANS_DAYS))))


def _windows(by_day: Floats, before: float) -> Floats:
    """Return the days before each day (days, 96, window)."""
    padded = np.concatenate((np.full((_WINDOW_DAYS, DAY_SLOTS), before), by_day))[:-1]
    return sliding_window_view(padded, _WINDOW_DAYS, axis=0)


def _smoothed(by_slot: Floats) -> Floats:
    return np.asarray((np.roll(by_slot, 1, axis=1) + 2.0 * by_slot + np.roll(by_slot, -1, axis=1)) / 4.0)
