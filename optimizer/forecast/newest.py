"""The newest vintage of what the owner's own past says: what the service needs of `past` and `load`."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import numpy as np

from optimizer.domain import Forecast
from optimizer.errors import Unavailable
from optimizer.forecast.calibration import calibrated
from optimizer.forecast.daylight import Place
from optimizer.forecast.load import load_vintages
from optimizer.forecast.logged import slot_number, vintages_from
from optimizer.forecast.past import pv_vintages
from optimizer.forecast.roof import Powers, Quantiles
from optimizer.forecast.vintages import Floats, Vintages

_ONLY_THE_LAST = 96 * 20_000
"""Slots between vintages: but for the one at the end nobody asks for any."""


def newest_sun(past: Powers, count: int) -> Quantiles:
    """Return the sun's power in the `count` quarter hours after the past.

    Raises:
        Unavailable: not a day is known.

    """
    return _newest(pv_vintages(_array(past), _number(past), _ONLY_THE_LAST, count), past)


def newest_load(past: Powers, count: int, zone: str) -> Quantiles:
    """Return the house's load in the `count` quarter hours after the past; raises like `newest_sun`."""
    return _newest(load_vintages(_array(past), _number(past), _ONLY_THE_LAST, count, ZoneInfo(zone)), past)


def set_right(told: Sequence[Forecast], past: Powers, latitude: float, longitude: float) -> Quantiles:
    """Return the last of these forecasts (oldest first), set right by what the roof made of the others."""
    raw = vintages_from(told, _number(past))
    fixed = calibrated(raw, _array(past), _number(past), Place(latitude, longitude))
    count = len(told[-1].slots)
    columns = [
        np.where(np.isnan(own[-1]), said[-1], own[-1])[:count].tolist()
        for own, said in ((fixed.p10_w, raw.p10_w), (fixed.p50_w, raw.p50_w), (fixed.p90_w, raw.p90_w))
    ]
    return Quantiles(told[-1].slots[0].start_including, *map(tuple, columns))


def _array(past: Powers) -> Floats:
    return np.array([np.nan if power is None else power for power in past.watts])


def _number(past: Powers) -> int:
    return slot_number(past.start)


def _newest(vintages: Vintages, past: Powers) -> Quantiles:
    columns = [quantile[-1] for quantile in (vintages.p10_w, vintages.p50_w, vintages.p90_w)]
    if np.isnan(columns).any():
        raise Unavailable("the log tells too little of the past yet")
    p10_w, p50_w, p90_w = (tuple(column.tolist()) for column in columns)
    return Quantiles(past.end, p10_w, p50_w, p90_w)
