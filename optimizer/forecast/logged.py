"""Forecasts as they were given out, laid out for those who learn from them and judge them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from optimizer.domain import Forecast
from optimizer.forecast.roof import SLOT
from optimizer.forecast.vintages import Floats, Vintages

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def slot_number(at: datetime) -> int:
    """Return the number since 1970 (UTC) of the quarter hour that `at` lies in."""
    return (at - _EPOCH) // SLOT


def vintages_from(told: Sequence[Forecast], first_slot: int) -> Vintages:
    """Return forecasts, oldest first, as vintages that count slots from number `first_slot` on.

    Each is known from the first quarter hour on that began after it was issued; its end is filled with NaN.
    """
    told = [forecast for forecast in told if forecast.slots]
    known = [-((_EPOCH - one.issued_at) // SLOT) - first_slot for one in told]
    first = [slot_number(one.slots[0].start_including) - first_slot for one in told]
    width = max((len(one.slots) for one in told), default=0)
    quantiles = [_column(told, name, width) for name in ("p10_w", "p50_w", "p90_w")]
    return Vintages(np.array(known, dtype=np.int64), np.array(first, dtype=np.int64), *quantiles)


def _column(told: Sequence[Forecast], name: str, width: int) -> Floats:
    table = np.full((len(told), width), np.nan)
    for row, forecast in enumerate(told):
        table[row, : len(forecast.slots)] = [getattr(slot, name) for slot in forecast.slots]
    return table
