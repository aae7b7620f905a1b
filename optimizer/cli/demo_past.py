"""What the log would hold had the service watched the demo's house before: who looks ahead learns by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from optimizer.control.energy import SLOT, EnergyRow
from optimizer.domain import SiteReading
from optimizer.simulation.series import HouseSeries
from optimizer.store.database import open_log
from optimizer.store.rows import add_energy, add_site_reading

PAST = timedelta(days=28)

_READ_EVERY = timedelta(minutes=5)
_LAST_READ = timedelta(minutes=5)
_W_PER_KW = 1000.0
_BUSY_MS = 1000


def write_past(path: Path, series: HouseSeries, start: datetime, zone: ZoneInfo) -> None:
    """Write a new log with four weeks of the house's accounts before `start`, and the day's readings so far.

    No car is in it: what a car does is up to who charges it.
    """
    midnight = start.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    with closing(open_log(path, durable=False, busy_ms=_BUSY_MS).conn) as conn:
        conn.execute("BEGIN")
        add_energy(conn, _accounts(series, start))
        for reading in _readings(series, midnight, start - _LAST_READ):
            add_site_reading(conn, reading)
        conn.execute("COMMIT")


def _accounts(series: HouseSeries, start: datetime) -> Iterator[EnergyRow]:
    for back in range(PAST // SLOT, 0, -1):
        slot_start = start - SLOT * back
        yield _account(series, slot_start)


def _account(series: HouseSeries, slot_start: datetime) -> EnergyRow:
    begin_s, minutes = slot_start.timestamp(), int(SLOT / timedelta(minutes=1))
    powers = [series.at(begin_s + 60.0 * minute) for minute in range(minutes)]
    to_kwh = SLOT / timedelta(hours=1) / minutes / _W_PER_KW
    return EnergyRow(
        slot_start,
        None,
        pv_kwh=to_kwh * sum(pv_w for pv_w, _ in powers),
        base_load_kwh=to_kwh * sum(load_w for _, load_w in powers),
        import_kwh=to_kwh * sum(max(0.0, load_w - pv_w) for pv_w, load_w in powers),
        export_kwh=to_kwh * sum(max(0.0, pv_w - load_w) for pv_w, load_w in powers),
    )


def _readings(series: HouseSeries, start: datetime, end: datetime) -> Iterator[SiteReading]:
    at = start
    while at < end:
        pv_w, load_w = series.at(at.timestamp())
        yield SiteReading(at, None, pv_w, load_w - pv_w)
        at += _READ_EVERY
