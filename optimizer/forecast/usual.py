"""A house's usual load by kind of day and quarter hour, and how usual each quarter hour was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np

from optimizer.forecast.learnt import quantiles_of
from optimizer.forecast.quarters import DAY_SLOTS
from optimizer.forecast.vintages import Floats, Ints

LEVELS = np.array([0.005, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995])
"""Levels of probability at which a usual load is kept."""
KINDS = 2
"""Workdays and weekends."""
_EDGES_W = np.concatenate(([0.0], np.geomspace(10.0, 40_000.0, 60)))
_HALF_LIFE_DAYS = 18.0
_NEAR_SLOTS = np.arange(-2, 3)
_NEAR_SHARES = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 9.0
_OTHER_KIND_DAYS, _WHOLE_DAY_DAYS = 1.5, 0.6
"""A slot leans on that of the other kind of day, and on the day as a whole, as if on so many days."""
_SLOT_S, _WORKDAYS = 900, 5


def kind_and_clock(first_slot: int, slots: int, zone: tzinfo) -> Ints:
    """Return each slot's row in a usual week: kind of day (0 workday, 1 weekend) and time of day.

    Row `kind * 96 + n` is quarter hour `n` by the zone's clock; `first_slot` counts from 1970 (UTC).
    """
    days = -(-slots // DAY_SLOTS)
    start = datetime.fromtimestamp(first_slot * _SLOT_S, UTC)
    offsets = [_offset_slots(start + timedelta(days=day), zone) for day in range(days + 1)]
    by_slot = np.repeat(np.array(offsets[:-1]), DAY_SLOTS)
    for day in np.flatnonzero(np.diff(offsets)).tolist():
        hours = [_offset_slots(start + timedelta(days=day, hours=hour), zone) for hour in range(24)]
        by_slot[day * DAY_SLOTS : (day + 1) * DAY_SLOTS] = np.repeat(hours, DAY_SLOTS // 24)
    local = first_slot + np.arange(len(by_slot)) + by_slot
    weekend = (local // DAY_SLOTS + 3) % 7 >= _WORKDAYS
    return np.asarray(weekend * DAY_SLOTS + local % DAY_SLOTS)


def _offset_slots(at: datetime, zone: tzinfo) -> int:
    offset = at.astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds()) // _SLOT_S


def usual_w(by_day_w: Floats, row: Ints) -> Floats:
    """Return the load (days, rows, levels) at each level of probability, learnt from the days before.

    `row` is that of each slot, as `kind_and_clock` tells it.  NaN where there are no such days.
    """
    counts = np.zeros((KINDS, DAY_SLOTS, len(_EDGES_W) - 1))
    usual = np.full((len(by_day_w), KINDS * DAY_SLOTS, len(LEVELS)), np.nan)
    keep = 0.5 ** (1.0 / _HALF_LIFE_DAYS)
    seen = False
    for day, watts in enumerate(by_day_w):
        if seen:
            usual[day] = quantiles_of(_leaning(counts), _EDGES_W, LEVELS).reshape(usual[day].shape)
        known = np.flatnonzero(~np.isnan(watts))
        counts *= keep
        _count(counts, row[known + day * DAY_SLOTS], watts[known])
        seen = seen or len(known) > 0
    return usual


def _count(counts: Floats, row: Ints, watts: Floats) -> None:
    """Count loads at their slots and, for less, at those around."""
    bin_ = np.clip(np.searchsorted(_EDGES_W, watts, side="right") - 1, 0, len(_EDGES_W) - 2)
    slot = (row % DAY_SLOTS + _NEAR_SLOTS[:, None]) % DAY_SLOTS
    np.add.at(counts, (row // DAY_SLOTS, slot, bin_), _NEAR_SHARES[:, None])


def _leaning(counts: Floats) -> Floats:
    """Return counts that lean on the other kind of day and on the day as a whole."""
    seen_days = np.maximum(1.0, counts.sum(axis=(1, 2), keepdims=True) / DAY_SLOTS)
    other_kind = (counts / seen_days)[::-1]
    whole_day = counts.sum(axis=(0, 1)) / (seen_days.sum() * DAY_SLOTS)
    return np.asarray(counts + _OTHER_KIND_DAYS * other_kind + _WHOLE_DAY_DAYS * whole_day)


def ranks(by_day_w: Floats, usual: Floats, row: Ints) -> Floats:
    """Return the level (days, 96) at which each load stood among its day's usual ones; NaN where unknown."""
    flat_w = by_day_w.ravel()
    at = np.arange(len(flat_w))
    levels_w = usual[at // DAY_SLOTS, row[at]]
    above = (levels_w <= flat_w[:, None]).sum(axis=1)
    low, high = np.maximum(above - 1, 0), np.minimum(above, len(LEVELS) - 1)
    low_w, high_w = levels_w[at, low], levels_w[at, high]
    share = np.divide(flat_w - low_w, high_w - low_w, out=np.zeros_like(flat_w), where=high_w > low_w)
    rank = LEVELS[low] + share * (LEVELS[high] - LEVELS[low])
    return np.where(np.isnan(flat_w) | np.isnan(low_w), np.nan, rank).reshape(by_day_w.shape)


def at_levels(usual: Floats, row: Ints, level: Floats) -> Floats:
    """Return the loads (vintages, width, quantiles) at levels between those of usual ones (rows, levels)."""
    place = np.clip(np.searchsorted(LEVELS, level, side="right") - 1, 0, len(LEVELS) - 2)
    at = row[..., None] * len(LEVELS) + place
    low_w, high_w = usual.take(at), usual.take(at + 1)
    share = (level - LEVELS[place]) / (LEVELS[place + 1] - LEVELS[place])
    return np.asarray(low_w + np.clip(share, 0.0, 1.0) * (high_w - low_w))
