"""What could have been known beforehand: forecasts from the case's own past, and prices as they come out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from optimizer.backtest.case import SLOT_MIN, Case, Floats, Foresight, Ints
from optimizer.forecast.load import load_vintages
from optimizer.forecast.past import pv_vintages

_MARKET = ZoneInfo("Europe/Brussels")
"""Single day-ahead coupling: the prices of a day of this zone come out together, the day before."""
_OUT_AT_H = 13

_SLOT = timedelta(minutes=SLOT_MIN)


def foreseen(case: Case) -> Foresight:
    """Return the case's foresight; forecasts that it has not are made from its past, vintage by vintage."""
    given = case.foresight
    first = round(case.start.timestamp()) // (SLOT_MIN * 60)
    pv, load = given.pv, given.load
    if pv is None:
        pv = pv_vintages(slot_means(case, case.pv_w), first)
    if load is None:
        load = load_vintages(slot_means(case, case.load_w), first, zone=case.zone or UTC)
    return replace(given, pv=pv, load=load)


def slot_means(case: Case, values_w: Floats) -> Floats:
    """Return a column's means by quarter hour of the clock; NaN where nothing is known."""
    slots = len(case.price_eur_per_kwh)
    sums, counts = np.zeros(slots * SLOT_MIN), np.zeros(slots * SLOT_MIN)
    minutes = slice(case.slot_offset, case.slot_offset + case.minutes)
    sums[minutes], counts[minutes] = np.where(case.known, values_w, 0.0), case.known
    total, known = sums.reshape(slots, SLOT_MIN).sum(axis=1), counts.reshape(slots, SLOT_MIN).sum(axis=1)
    return np.where(known > 0, total / np.maximum(known, 1), np.nan)


def published(start: datetime, slots: int) -> Ints:
    """Return for each slot before which one prices are known: today's, and tomorrow's in the afternoon."""
    until = np.empty(slots, np.int64)
    day, first = start.astimezone(_MARKET).date(), start
    begin = 0
    while begin < slots:
        out = datetime(day.year, day.month, day.day, _OUT_AT_H, tzinfo=_MARKET)
        tomorrow, after = (_midnight(day + timedelta(days=n)) for n in (1, 2))
        noon = min(slots, max(begin, (out - first) // _SLOT))
        end = min(slots, (tomorrow - first) // _SLOT)
        until[begin:noon] = (tomorrow - first) // _SLOT
        until[noon:end] = (after - first) // _SLOT
        day, begin = day + timedelta(days=1), end
    return np.minimum(until, slots)


def _midnight(day: Any) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=_MARKET).astimezone(UTC)
