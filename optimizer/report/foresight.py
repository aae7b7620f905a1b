"""What could be known of sun and load on a day of the log: the forecasts that decisions went by, or the past.

A strategy that is replayed is told what the service was told, when it was told.  Where no decision went by a
forecast, what the house had done until then says what it may: the same for all who look ahead.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from optimizer.backtest.case import SLOT_MIN, Floats, Foresight
from optimizer.forecast.load import load_vintages
from optimizer.forecast.logged import slot_number, vintages_from
from optimizer.forecast.past import pv_vintages
from optimizer.forecast.vintages import Vintages
from optimizer.store.forecasts import HouseEnergy, read_past, read_vintage
from optimizer.store.instants import to_text
from optimizer.store.queries import reading

LEARNT_FROM = timedelta(days=60)

_SLOT = timedelta(minutes=SLOT_MIN)
_STANDS = timedelta(days=1)
"""A forecast that is older than this when the day begins is not looked for."""
_SLOT_S = _SLOT.total_seconds()
_LEAST_KNOWN_S = 450.0
_WS_PER_KWH = 3_600_000.0
_NAMED = (
    "SELECT DISTINCT json_extract(inputs, '$.{name}[0]'), json_extract(inputs, '$.{name}[1]') FROM decision"
    " WHERE at >= ? AND at < ? AND json_extract(inputs, '$.{name}') IS NOT NULL"
)


def foresight_of(path: Path, start: datetime, end: datetime, zone: ZoneInfo) -> Foresight:
    """Return the forecasts for `[start, end)`, in quarter hours from `start` on.

    Raises:
        InputError: no readable log.

    """
    with reading(path) as conn:
        pv, load = (_logged(conn, name, start, end) for name in ("forecast", "load_forecast"))
        past = () if pv and load else read_past(conn, start - LEARNT_FROM)
    known = [row for row in past if row.start < end]
    if not known:
        return Foresight(pv, load)
    first, since = slot_number(known[0].start), slot_number(start)
    pv = pv or _shifted(pv_vintages(_powers(known, "pv_kwh"), first), first - since)
    load = load or _shifted(load_vintages(_powers(known, "base_load_kwh"), first, zone=zone), first - since)
    return Foresight(pv, load)


def _logged(conn: sqlite3.Connection, name: str, start: datetime, end: datetime) -> Vintages | None:
    """Return the forecasts that decisions went by, as far as the log has them yet; None without any."""
    rows = conn.execute(_NAMED.format(name=name), (to_text(start - _STANDS), to_text(end))).fetchall()
    issues = sorted((datetime.fromisoformat(issued), provider) for provider, issued in rows)
    found = [read_vintage(conn, provider, to_text(issued)) for issued, provider in issues]
    told = [forecast for forecast in found if forecast.slots]
    return vintages_from(told, slot_number(start)) if told else None


def _powers(rows: Sequence[HouseEnergy], column: str) -> Floats:
    """Return mean powers by the quarter hour, W; NaN where too little is known."""
    first = rows[0].start
    powers_w = np.full((rows[-1].start - first) // _SLOT + 1, np.nan)
    for row in rows:
        known_s = _SLOT_S - row.missing_s
        if known_s >= _LEAST_KNOWN_S:
            powers_w[(row.start - first) // _SLOT] = getattr(row, column) * _WS_PER_KWH / known_s
    return powers_w


def _shifted(vintages: Vintages, slots: int) -> Vintages:
    """Return the vintages that matter from slot 0 on, counted from there; theirs count from slot `slots`."""
    known_from = vintages.known_from + slots
    rows = slice(max(0, int(np.searchsorted(known_from, 0, side="right")) - 1), None)
    return Vintages(
        known_from[rows],
        vintages.first[rows] + slots,
        vintages.p10_w[rows],
        vintages.p50_w[rows],
        vintages.p90_w[rows],
    )
