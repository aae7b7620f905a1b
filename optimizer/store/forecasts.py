"""Forecasts in the log: vintages with their time of issue, thinned with age, and what was asked.

A quarter hour at night, where all quantiles are 0, is left out unless it is the first or the last one of its
vintage: whoever reads a vintage fills it in.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from optimizer.domain import Forecast, ForecastSlot
from optimizer.store.instants import from_text, to_json, to_text
from optimizer.store.sqlite import StoreUnavailable, connect_reader
from optimizer.store.writer import Journal

_STATE = "forecast."
_SLOT = timedelta(minutes=15)
_BUSY_MS = 2000
_BATCH = 20
_SLOW_S = 10.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Thinning:
    """Up to the age `until` one vintage is kept in each `every`; older ones as the next rule says."""

    until: timedelta
    every: timedelta


RULES = (
    Thinning(timedelta(days=2), timedelta()),
    Thinning(timedelta(days=30), timedelta(hours=3)),
    Thinning(timedelta(days=180), timedelta(days=1)),
    Thinning(timedelta(days=36_500), timedelta(days=7)),
)
"""All of two days, eight a day for a month to learn from, one a day for half a year, then one a week."""

OWN_RULES = (RULES[0], Thinning(timedelta(days=30), timedelta(days=1)))
"""What was made of the log alone can be made again."""
OWN = "own-"


@dataclass(frozen=True, slots=True)
class HouseEnergy:
    """What the house did in one quarter hour, kWh; `missing_s` of it are not known."""

    start: datetime
    pv_kwh: float
    base_load_kwh: float
    missing_s: float


class ForecastLog:
    """Hands forecasts and records to the writer, and reads in the caller's thread."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self._path = path
        self._journal = journal

    def add(self, forecast: Forecast) -> None:
        """Log one vintage; the same vintage again replaces itself."""
        self._journal.post(partial(_add, forecast))

    async def recall(self, name: str) -> Any:
        """Return what was noted last under a name, None where nothing was.

        Raises:
            StoreUnavailable: it cannot be read now.

        """
        return await self._journal.call(partial(_recall, _STATE + name))

    async def note(self, name: str, value: Any) -> None:
        """Keep a value; it is committed when this returns.

        Raises:
            StoreUnavailable: it could not be.

        """
        await self._journal.call(partial(_note, _STATE + name, to_json(value)))

    async def thin(self, now: datetime) -> int:
        """Forget vintages that lie closer together than their age is worth; return how many."""
        kept, gone = set[tuple[str, str | None]](), list[tuple[str, str]]()
        for provider, issued in await self._journal.call(_issues, timeout_s=_SLOW_S):
            rules = OWN_RULES if provider.startswith(OWN) else RULES
            group = provider, _group(from_text(issued), now, rules)
            if group in kept or group[1] is None:
                gone.append((provider, issued))
            kept.add(group)
        for first in range(0, len(gone), _BATCH):
            await self._journal.call(partial(_forget, gone[first : first + _BATCH]))
        return len(gone)

    def newest(self, provider: str) -> Forecast | None:
        """Return the newest vintage of a provider, None where there is none.

        Raises:
            StoreUnavailable: the log cannot be read now.

        """
        with _reading(self._path) as conn:
            row = conn.execute("SELECT max(issued) FROM forecast WHERE provider = ?", (provider,)).fetchone()
            return None if row[0] is None else read_vintage(conn, provider, row[0])

    def told(self, provider: str, since: datetime) -> list[Forecast]:
        """Return a provider's vintages since then, oldest first; raises like `newest`."""
        with _reading(self._path) as conn:
            return read_vintages(conn, provider, since)

    def past(self, since: datetime) -> tuple[HouseEnergy, ...]:
        """Return what the house did since then, oldest first; raises like `newest`."""
        with _reading(self._path) as conn:
            return read_past(conn, since)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection of its own for reading; its faults are `StoreUnavailable`."""
    try:
        with closing(connect_reader(path, busy_ms=_BUSY_MS)) as conn:
            yield conn
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"{path}: {error}") from error


def read_past(conn: sqlite3.Connection, since: datetime) -> tuple[HouseEnergy, ...]:
    """Return what the house did since then, oldest first."""
    rows = conn.execute(
        "SELECT slot_start, pv_kwh, base_load_kwh, missing_s FROM energy"
        " WHERE charger = '' AND slot_start >= ? ORDER BY slot_start",
        (to_text(since),),
    )
    return tuple(HouseEnergy(from_text(start), *rest) for start, *rest in rows)


def read_providers(conn: sqlite3.Connection, since: datetime) -> list[str]:
    """Return whose forecasts there are since then."""
    query = "SELECT DISTINCT provider FROM forecast WHERE issued >= ? ORDER BY provider"
    return [name for (name,) in conn.execute(query, (to_text(since),))]


def read_vintages(conn: sqlite3.Connection, provider: str, since: datetime) -> list[Forecast]:
    """Return a provider's vintages that were issued since then, oldest first, with their nights."""
    rows = conn.execute(
        "SELECT issued, slot, p10_w, p50_w, p90_w FROM forecast WHERE provider = ? AND issued >= ?"
        " ORDER BY issued, slot",
        (provider, to_text(since)),
    )
    return [
        Forecast(from_text(issued), provider, _with_nights([_slot(*row[1:]) for row in group]))
        for issued, group in groupby(rows, itemgetter(0))
    ]


def read_vintage(conn: sqlite3.Connection, provider: str, issued: str) -> Forecast:
    """Return one vintage, with its nights; without slots where it is not there."""
    rows = conn.execute(
        "SELECT slot, p10_w, p50_w, p90_w FROM forecast WHERE provider = ? AND issued = ? ORDER BY slot",
        (provider, issued),
    )
    return Forecast(from_text(issued), provider, _with_nights([_slot(*row) for row in rows]))


def _slot(start: str, *quantiles: float) -> ForecastSlot:
    return ForecastSlot(from_text(start), *quantiles)


def vintage_at(path: Path, provider: str, issued: datetime) -> Forecast | None:
    """Return the vintage that a decision went by, None where it was thinned out.

    Raises:
        StoreUnavailable: the log cannot be read.

    """
    with _reading(path) as conn:
        found = read_vintage(conn, provider, to_text(issued))
    return found if found.slots else None


def _with_nights(told: Sequence[ForecastSlot]) -> tuple[ForecastSlot, ...]:
    by_start = {slot.start_including: slot for slot in told}
    if not told:
        return ()
    first, last = told[0].start_including, told[-1].start_including
    starts = (first + _SLOT * number for number in range((last - first) // _SLOT + 1))
    return tuple(by_start.get(start) or ForecastSlot(start, 0.0, 0.0, 0.0) for start in starts)


def _add(forecast: Forecast, conn: sqlite3.Connection) -> None:
    issued = to_text(forecast.issued_at)
    edges = {slot.start_including for slot in (*forecast.slots[:1], *forecast.slots[-1:])}
    conn.executemany(
        "INSERT OR REPLACE INTO forecast (provider, issued, slot, p10_w, p50_w, p90_w) VALUES (?,?,?,?,?,?)",
        (
            (forecast.provider, issued, to_text(slot.start_including), slot.p10_w, slot.p50_w, slot.p90_w)
            for slot in forecast.slots
            if slot.start_including in edges or any((slot.p10_w, slot.p50_w, slot.p90_w))
        ),
    )


def _group(issued: datetime, now: datetime, rules: Sequence[Thinning]) -> str | None:
    """Return a name that all vintages share of which only the first one is kept, None where none is."""
    rule = next((rule for rule in rules if now - issued <= rule.until), None)
    if rule is None:
        return None
    if not rule.every:
        return issued.isoformat()
    return str((issued - _EPOCH) // rule.every * rule.every)


def _issues(conn: sqlite3.Connection) -> list[tuple[str, str]]:
    return conn.execute("SELECT DISTINCT provider, issued FROM forecast ORDER BY provider, issued").fetchall()


def _forget(gone: Sequence[tuple[str, str]], conn: sqlite3.Connection) -> None:
    conn.executemany("DELETE FROM forecast WHERE provider = ? AND issued = ?", gone)


def _recall(name: str, conn: sqlite3.Connection) -> Any:
    row = conn.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
    return None if row is None else json.loads(row[0])


def _note(name: str, value: str, conn: sqlite3.Connection) -> None:
    conn.execute("INSERT OR REPLACE INTO state (name, value) VALUES (?,?)", (name, value))
