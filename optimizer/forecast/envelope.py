"""What one roof makes of a clear sky, learnt from its last weeks: by slot of the day, with its shade."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from optimizer.forecast.daylight import Place, sky_of
from optimizer.forecast.quarters import DAY_SLOTS, before_each_day
from optimizer.forecast.vintages import Floats

WINDOW_DAYS = 28
_CLEAR_SHARE = 0.12
"""Of the days of the window so many are taken for clear at a slot; the envelope is their mean."""
_FIRST_DAY_HIDES = 0.5
"""By so much the clearest may exceed a single day seen, by half of it the clearer of two, and so on."""
_DUSK_W_M2 = 20.0
"""The roof's share of the light is not reckoned from less light than this."""


def clear_sky_w(by_day_w: Floats, first_day: int, place: Place | None) -> Floats:
    """Return clear-sky power (days, 96) as each day could know it; `first_day` counts from 1970.

    Where the plant stands is guessed from its days if nobody tells.
    """
    sky = sky_of(first_day, len(by_day_w))
    if place is None:
        return envelope_w(by_day_w, sky.clear_w_m2(*sky.guessed_places(by_day_w)))
    ones = np.ones(len(by_day_w))
    return envelope_w(by_day_w, sky.clear_w_m2(place.latitude_deg * ones, place.longitude_deg * ones))


def envelope_w(by_day_w: Floats, light_w_m2: Floats, window_days: int = WINDOW_DAYS) -> Floats:
    """Return clear-sky power (days, 96): a day's is learnt from the days before and carried to its light.

    It is NaN until there are any; after weeks without it is as it was before.  A slot of which nothing is
    known while others are is night: an inverter without sun is silent.
    """
    light = np.maximum(light_w_m2, _DUSK_W_M2)
    before = np.concatenate((np.full((window_days, DAY_SLOTS), np.nan), by_day_w / light))[:-1]
    best = _mean_of_best(sliding_window_view(before, window_days, axis=0))
    some_known = ~np.all(np.isnan(best), axis=1)
    share = _smoothed(np.nan_to_num(best))
    share[~some_known] = np.nan
    share = share[np.maximum.accumulate(np.where(some_known, np.arange(len(share)), 0))]
    seen_days = before_each_day(np.asarray((~np.isnan(by_day_w)).any(axis=1), dtype=np.float64))
    unseen = 1.0 + _FIRST_DAY_HIDES / np.maximum(seen_days, 1.0)
    return np.asarray(share * light * unseen[:, None])


def _mean_of_best(windows: Floats) -> Floats:
    """Return the mean of the largest known values along the last axis; NaN where none is known."""
    ordered = -np.sort(-windows, axis=-1)
    known = np.count_nonzero(~np.isnan(windows), axis=-1)
    take = np.maximum(1, np.rint(_CLEAR_SHARE * known)).astype(np.int64)
    sums = np.cumsum(np.nan_to_num(ordered), axis=-1)
    return np.where(known > 0, np.take_along_axis(sums, take[..., None] - 1, axis=-1)[..., 0] / take, np.nan)


def _smoothed(by_slot: Floats) -> Floats:
    """Return the mean with both neighbours in the round of the day; dark stays dark."""
    mean = (np.roll(by_slot, 1, axis=1) + 2.0 * by_slot + np.roll(by_slot, -1, axis=1)) / 4.0
    return np.where(by_slot > 0.0, mean, 0.0)
