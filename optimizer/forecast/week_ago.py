"""The rival of every forecast of a load: the same slot a week ago, give or take what that was wrong by."""

from __future__ import annotations

import numpy as np

from optimizer.forecast.judge import Bools, pinball_w
from optimizer.forecast.learnt import QUANTILES
from optimizer.forecast.quarters import DAY_SLOTS, Quarters
from optimizer.forecast.vintages import Floats, Ints, Vintages

_WEEK_SLOTS = 7 * DAY_SLOTS
_ERROR_DAYS = 28
_JUDGED_DAYS = 28
_LEAST_JUDGED_DAYS = 14


def week_ago_w(series: Quarters, issued: Ints, width: int) -> Floats:
    """Return quantiles (vintages, width, 3), W, of vintages issued at these slots; NaN in the first week.

    Raises:
        ValueError: a vintage would need what is not known yet.

    """
    if width > _WEEK_SLOTS:
        raise ValueError(f"a week ago says nothing of more than {_WEEK_SLOTS} slots, not of {width}")
    slot = issued[:, None] + np.arange(width) - _WEEK_SLOTS
    then_w = np.where(slot >= 0, series.at(np.maximum(slot, 0)), np.nan)
    return np.maximum(0.0, then_w[..., None] + _errors_w(series)[issued // DAY_SLOTS, None])


def _errors_w(series: Quarters) -> Floats:
    """Return for each day the quantiles of what a week ago was wrong by in the weeks before it (days, 3)."""
    errors_w = series.by_day[7:] - series.by_day[:-7]
    found = np.zeros((series.days, len(QUANTILES)))
    for day in range(8, series.days):
        recent_w = errors_w[max(0, day - 7 - _ERROR_DAYS) : day - 7]
        known_w = recent_w[~np.isnan(recent_w)]
        if known_w.size:
            found[day] = np.quantile(known_w, QUANTILES)
    return found


def days_for_week_ago(series: Quarters, issued: Ints, ours: Vintages) -> Bools:
    """Return for each day whether our vintages had better give way to it.

    The first vintage of a day is judged by the day that it spoke of, over the last weeks that were over.
    """
    day, first = np.unique(issued // DAY_SLOTS, return_index=True)
    width = min(DAY_SLOTS, ours.p50_w.shape[1])
    truth_w = series.at(issued[first, None] + np.arange(width))
    said = np.stack([part[first, :width] for part in (ours.p10_w, ours.p50_w, ours.p90_w)], axis=-1)
    worse_w = pinball_w(said, truth_w) - pinball_w(week_ago_w(series, issued[first], width), truth_w)
    by_day_w = np.full(series.days, np.nan)
    by_day_w[day] = _mean_known(worse_w)
    gives_way = np.zeros(series.days, dtype=np.bool_)
    for today in range(2, series.days):
        over_w = by_day_w[max(0, today - 1 - _JUDGED_DAYS) : today - 1]
        known_w = over_w[~np.isnan(over_w)]
        gives_way[today] = len(known_w) >= _LEAST_JUDGED_DAYS and known_w.mean() > 0.0
    return gives_way


def _mean_known(values: Floats) -> Floats:
    known = ~np.isnan(values)
    sums = np.where(known, values, 0.0).sum(axis=1)
    count = np.asarray(known.sum(axis=1), dtype=np.float64)
    return np.asarray(np.divide(sums, count, out=np.full(len(values), np.nan), where=count > 0.0))
