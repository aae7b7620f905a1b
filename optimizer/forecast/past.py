"""The sun's power to come, from the owner's past only: its clear-sky envelope and what clouds left of it."""

from __future__ import annotations

import numpy as np

from optimizer.forecast.envelope import envelope_w
from optimizer.forecast.learnt import Counted
from optimizer.forecast.quarters import DAY_SLOTS, Quarters, quarters, recent
from optimizer.forecast.vintages import Floats, Ints, Vintages

_LEAD_ENDS = np.array([2, 4, 8, 16, 32, 64, 96])
"""Leads are told apart up to these slots; beyond the last they are one."""
_LOW_SUN = 0.25
"""Below this share of the day's highest clear-sky power the sun is low."""
_STATES = 8
_TOP = 1.0
"""State of the sky: a mean index of this or more is the clearest."""
_EDGES = np.append(np.linspace(0.0, 1.5, 31), 3.0)
_HALF_LIFE_DAYS = 60.0
_PRIOR_COUNT = 20.0
_NOW_SLOTS, _DAY_SLOTS, _SEASON_SLOTS = 4.0, 48.0, 1500.0
_NOW_FADES_SLOTS, _DAY_FADES_SLOTS = 16.0, 120.0


def pv_vintages(pv_w: Floats, first_slot: int, every_slots: int = 8, width: int = 192) -> Vintages:
    """Return what could be said of a plant's power at each time from what it had done until then.

    `pv_w` are quarter-hour means of its production (NaN where unknown), `first_slot` the number of the first
    one since 1970 (UTC).  A vintage is issued every so many slots by the clock and at the end of the series,
    for `width` slots from its own on; it knows the slots before it.  NaN until a first day was seen.
    """
    series = quarters(np.maximum(np.asarray(pv_w, dtype=np.float64), 0.0), first_slot)
    clear_w = envelope_w(series.by_day)
    issued = series.issues(every_slots)
    target = issued[:, None] + np.arange(width)
    ahead_w = clear_w[(issued // DAY_SLOTS)[:, None], target % DAY_SLOTS]
    index = _index_quantiles(series, clear_w, issued, target, ahead_w)
    p10_w, p50_w, p90_w = (ahead_w * index[..., place] for place in range(3))
    own = issued - series.lead_in
    return Vintages(own, own.copy(), p10_w, p50_w, p90_w)


def _index_quantiles(
    series: Quarters, clear_w: Floats, issued: Ints, target: Ints, ahead_w: Floats
) -> Floats:
    """Return quantiles (vintages, width, 3) of the share of clear-sky power that the clouds will leave."""
    situation = _situations(series, clear_w, issued, target, ahead_w)
    seen_w = np.append(series.by_day.ravel(), np.nan)[np.minimum(target, series.by_day.size)]
    use = ~np.isnan(seen_w) & (ahead_w > 0.0)
    counted = Counted(_EDGES, _prior(), _HALF_LIFE_DAYS)
    tables = counted.tables(
        target[use] // DAY_SLOTS,
        situation[use],
        counted.bin_of(seen_w[use] / ahead_w[use]),
        np.ones(np.count_nonzero(use)),
        series.days,
    )
    return tables[(issued // DAY_SLOTS)[:, None], situation]


def _situations(series: Quarters, clear_w: Floats, issued: Ints, target: Ints, ahead_w: Floats) -> Ints:
    """Return the situation of each value: by lead, height of the sun and state of the sky."""
    lead = np.arange(target.shape[1])
    group = np.searchsorted(_LEAD_ENDS, lead, side="right")
    sky = _sky(series, clear_w, issued, lead)
    state = np.clip(np.nan_to_num(sky) / _TOP * (_STATES - 1) + 0.5, 0, _STATES - 1).astype(np.int64)
    peak_w = np.nanmax(np.nan_to_num(clear_w), axis=1)[issued // DAY_SLOTS]
    high = ahead_w >= _LOW_SUN * peak_w[:, None]
    return np.asarray((group[None, :] * 2 + high) * _STATES + state)


def _sky(series: Quarters, clear_w: Floats, issued: Ints, lead: Ints) -> Floats:
    """Return the index (vintages, width) that is expected from the last hours, days and weeks."""
    both = ~np.isnan(series.by_day) & ~np.isnan(clear_w)
    made_w, could_w = np.where(both, series.by_day, 0.0), np.where(both, clear_w, 0.0)
    made, could = ([recent(part, span)[issued] for span in _SPANS] for part in (made_w, could_w))
    season = (made[2] + 1e-9) / (could[2] + 1e-9 / 0.6)
    day = _ratio(made[1], could[1], season, 1.0)
    now = _ratio(made[0], could[0], day, 1.0)
    of_now = 0.5 ** (lead / _NOW_FADES_SLOTS)
    of_day = (1.0 - of_now) * 0.5 ** (lead / _DAY_FADES_SLOTS)
    return np.asarray(
        now[:, None] * of_now + day[:, None] * of_day + season[:, None] * (1.0 - of_now - of_day)
    )


_SPANS = (_NOW_SLOTS, _DAY_SLOTS, _SEASON_SLOTS)


def _ratio(made_w: Floats, could_w: Floats, otherwise: Floats, weight_w: float) -> Floats:
    return (made_w + weight_w * otherwise) / (could_w + weight_w)


def _prior() -> Floats:
    """Return what is believed of a sky before anything was seen: around its state, and wide."""
    middles = (_EDGES[1:] + _EDGES[:-1]) / 2.0
    centre = 0.25 + 0.5 * np.arange(_STATES) / (_STATES - 1)
    shape = np.exp(-0.5 * ((middles[None, :] - centre[:, None]) / 0.35) ** 2) * np.diff(_EDGES)
    shape *= _PRIOR_COUNT / shape.sum(axis=1, keepdims=True)
    return np.tile(shape, ((len(_LEAD_ENDS) + 1) * 2, 1))
