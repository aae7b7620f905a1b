"""Rows for the log, and the log that they go to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from optimizer.domain import (
    Alternative,
    ChargerReading,
    ChargerStatus,
    Decision,
    Guard,
    Mode,
    Reason,
    SiteReading,
)
from optimizer.store.commands import Intent
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions

T0 = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
OPTIONS = FileOptions(durable=False, ballast_bytes=0)


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self, at: datetime = T0, s: float = 1000.0, boot_id: str = "boot") -> None:
        self.at, self.s, self.boot_id = at, s, boot_id

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return self.s

    async def sleep(self, seconds: float) -> None:
        self.at, self.s = self.at + timedelta(seconds=seconds), self.s + seconds


@contextmanager
def opened(path: Path, clock: HandClock) -> Iterator[Store]:
    store = Store.open(path, clock, inline=True, options=OPTIONS)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as conn:
        return conn.execute(sql).fetchall()


def site(
    minutes: float = 0, stamp: str | None = "2026-06-01 12:00:00", **fields: float | None
) -> SiteReading:
    values: dict[str, float | None] = {
        "pv_w": 4000.0,
        "grid_w": -500.0,
        "battery_w": 0.0,
        "battery_soc": None,
    }
    return SiteReading(T0 + timedelta(minutes=minutes), stamp, **{**values, **fields})


def charger(
    minutes: float = 0,
    status: ChargerStatus = ChargerStatus.CHARGING,
    ev_w: float | None = 3000.0,
    session_kwh: float | None = 1.0,
    mode: Mode = Mode.GREEN,
) -> ChargerReading:
    return ChargerReading(T0 + timedelta(minutes=minutes), mode, status, int(status), ev_w, session_kwh)


def decision(
    minutes: float = 0, mode: Mode = Mode.GREEN, code: str = "surplus", guard: Guard | None = None
) -> Decision:
    reason = Reason(code, "{surplus_w:.0f} W surplus", {"surplus_w": 2100.0 + minutes})
    at = T0 + timedelta(minutes=minutes)
    return Decision(
        at, "car", mode, reason, Mode.FAST, guard, at + timedelta(minutes=15), (Alternative(Mode.STOP, 0.04),)
    )


def intent(attempt: int = 1, mode: Mode = Mode.STOP, name: str = "car") -> Intent:
    return Intent(name, f"SN-{name}", mode, T0, attempt, mode is Mode.STOP, "the sun is gone")


IDLE = ChargerStatus.AVAILABLE
