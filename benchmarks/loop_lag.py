"""How late the event loop gets while others hold the database: a lock of 30 s, a reader that does not end."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import perf_counter

from life import CLOUD
from places import SUNNY_MORNING, shipped, workplace
from result import Result

from optimizer import logs
from optimizer.cli.virtual_home import VIRTUAL_TOKEN, virtual_cloud
from optimizer.clock import ScaledClock
from optimizer.runtime.calendar import ClockCalendar
from optimizer.service import Ports, Service
from optimizer.simulation.transport import VirtualTransport

COMMAND = "python benchmarks/run.py lag"
LIMIT_MS = 250.0
_LOCKED_S = 30.0
_OTHERS_S = 10.0
_SPEED = 60.0
"""A cycle each second, so that the lock meets many of them."""
_BEAT_S = 0.005


def measure() -> list[Result]:
    """Return the worst delay of a beat of 5 ms: left alone, locked out, and beside a reader."""
    logs.configure("critical", "json", str)
    with workplace() as folder:
        return asyncio.run(_lags(folder / "lag.db"))


async def _lags(database: Path) -> list[Result]:
    clock, settings = ScaledClock(SUNNY_MORNING, _SPEED), shipped(database)
    ports = Ports(
        clock=clock,
        network=VirtualTransport(virtual_cloud(settings, clock)),
        calendar=lambda on_failure: ClockCalendar(clock, on_failure),
    )
    service = Service(settings, ports, base_url=CLOUD, token=lambda: VIRTUAL_TOKEN)
    await service.start()
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    alone = await _worst_ms(_OTHERS_S)
    with _locked(database):
        locked = await _worst_ms(_LOCKED_S)
    with _reading(database):
        reading = await _worst_ms(_OTHERS_S)
    stop.set()
    service.cycle.wake()
    await running
    await service.stop()
    return [
        Result("loop lag, database free", alone, "ms", LIMIT_MS, COMMAND),
        Result(f"loop lag, database locked for {_LOCKED_S:.0f} s", locked, "ms", LIMIT_MS, COMMAND),
        Result("loop lag, beside an open reader", reading, "ms", LIMIT_MS, COMMAND),
    ]


async def _worst_ms(seconds: float) -> float:
    worst_s, end_s = 0.0, perf_counter() + seconds
    while (began_s := perf_counter()) < end_s:
        await asyncio.sleep(_BEAT_S)
        worst_s = max(worst_s, perf_counter() - began_s - _BEAT_S)
    return worst_s * 1e3


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None)) as conn:
        conn.execute("BEGIN EXCLUSIVE")
        yield
        conn.execute("ROLLBACK")


@contextmanager
def _reading(database: Path) -> Iterator[None]:
    """Keep a cursor on its first row: the journal cannot be folded in behind it."""
    with closing(sqlite3.connect(database, isolation_level=None)) as conn:
        conn.execute("BEGIN")
        rows = conn.execute("SELECT * FROM call")
        rows.fetchone()
        yield
        conn.execute("ROLLBACK")
