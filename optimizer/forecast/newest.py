"""The newest vintage of what the owner's own past says: what the service needs of `past` and `load`."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from optimizer.errors import Unavailable
from optimizer.forecast.load import load_vintages
from optimizer.forecast.past import pv_vintages
from optimizer.forecast.roof import SLOT, Powers, Quantiles
from optimizer.forecast.vintages import Floats, Vintages

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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


def _array(past: Powers) -> Floats:
    return np.array([np.nan if power is None else power for power in past.watts])


def _number(past: Powers) -> int:
    return (past.start - _EPOCH) // SLOT


def _newest(vintages: Vintages, past: Powers) -> Quantiles:
    columns = [quantile[-1] for quantile in (vintages.p10_w, vintages.p50_w, vintages.p90_w)]
    if np.isnan(columns).any():
        raise Unavailable("the log tells too little of the past yet")
    p10_w, p50_w, p90_w = (tuple(column.tolist()) for column in columns)
    return Quantiles(past.end, p10_w, p50_w, p90_w)
