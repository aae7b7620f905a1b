"""How long one cycle takes beside the network: the service's own parts, durable commits, an instant cloud."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter

import httpx
from life import CLOUD
from places import SUNNY_MORNING, shipped, workplace
from result import Result, quantile
from typing_extensions import override

from optimizer import logs
from optimizer.cli.virtual_home import VIRTUAL_TOKEN, virtual_cloud
from optimizer.runtime.calendar import Job
from optimizer.service import Ports, Service
from optimizer.simulation.transport import VirtualTransport
from optimizer.store.logfile import FileOptions
from optimizer.store.sqlite import connect_writer

COMMAND = "python benchmarks/run.py tick"
LIMIT_MS = 5.0
_TICKS = 2000
_APART_S = 60.0
_COMMITS = 500


class PacedClock:
    """A clock that any thread may read and that moves only when it is told to: a tick costs what it costs."""

    def __init__(self, start: datetime) -> None:
        self.boot_id = "paced"
        self._start = start
        self._s = 0.0

    def now(self) -> datetime:
        """Wall time."""
        return self._start + timedelta(seconds=self._s)

    def monotonic_s(self) -> float:
        """Seconds since the start."""
        return self._s

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.forward(seconds)
        await asyncio.sleep(0)

    def forward(self, seconds: float) -> None:
        """Move on."""
        self._s += max(0.0, seconds)


class Wire(VirtualTransport):
    """A network that takes no time: what passes on its far side is counted, to be taken off."""

    far_s = 0.0

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer and count."""
        began_s = perf_counter()
        try:
            return await super().handle_async_request(request)
        finally:
            self.far_s += perf_counter() - began_s


class _NoCalendar:
    """No jobs: only the cycle is measured."""

    def start(self, jobs: Sequence[Job]) -> None:
        """Nothing is begun."""

    def rearm(self) -> None:
        """Nothing is due."""

    async def stop(self) -> None:
        """Nothing runs."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One cycle: how long it took and how many calls it made."""

    ms: float
    calls: int


def measure() -> list[Result]:
    """Return the quantiles of all cycles on the real disk, and what of them is the disk's."""
    logs.configure("error", "json", str)
    with workplace() as folder:
        ticks = asyncio.run(_ticks(folder / "tick.db", FileOptions()))
        simple = asyncio.run(_ticks(folder / "simple.db", FileOptions(), strategy="threshold"))
        undisturbed = asyncio.run(_ticks(folder / "memory.db", FileOptions(durable=False)))
        commits = _commits_ms(folder / "bare.db")
    spans, calling = [tick.ms for tick in ticks], [tick.ms for tick in ticks if tick.calls]
    without = [tick.ms for tick in undisturbed]
    return [
        Result("cycle beside the network, p50", quantile(spans, 0.50), "ms", None, COMMAND),
        Result("cycle beside the network, p99", quantile(spans, 0.99), "ms", LIMIT_MS, COMMAND),
        Result(
            "  with `threshold`, p99",
            quantile([tick.ms for tick in simple], 0.99),
            "ms",
            LIMIT_MS,
            COMMAND,
        ),
        Result("  the same without waiting for the disk, p99", quantile(without, 0.99), "ms", None, COMMAND),
        Result("  one bare durable commit on this disk, p50", quantile(commits, 0.50), "ms", None, COMMAND),
        Result("  one bare durable commit on this disk, p99", quantile(commits, 0.99), "ms", None, COMMAND),
        Result("cycle that calls the cloud, p50", quantile(calling, 0.50), "ms", None, COMMAND),
        Result("cycles that call the cloud", 100.0 * len(calling) / len(spans), "%", None, COMMAND),
    ]


def _commits_ms(database: Path) -> list[float]:
    """Return how long commits of one row take that survive a power cut."""
    spans = []
    with closing(connect_writer(database, durable=True, busy_ms=50)) as conn:
        conn.execute("CREATE TABLE bare (n INTEGER)")
        for number in range(_COMMITS):
            began_s = perf_counter()
            conn.execute("INSERT INTO bare VALUES (?)", (number,))
            spans.append((perf_counter() - began_s) * 1e3)
    return spans


async def _ticks(database: Path, file: FileOptions, strategy: str = "planner") -> list[Tick]:
    """Run cycles a minute apart; what is not the cycle's own (home, writer's rest) is done in between."""
    clock, settings = PacedClock(SUNNY_MORNING), shipped(database, strategy)
    cloud = virtual_cloud(settings, clock)
    wire = Wire(cloud)
    ports = Ports(
        clock=clock,
        network=wire,
        calendar=lambda _: _NoCalendar(),
        file=file,
    )
    service = Service(settings, ports, base_url=CLOUD, token=lambda: VIRTUAL_TOKEN)
    await service.start()
    ticks = []
    for _ in range(_TICKS):
        clock.forward(_APART_S)
        cloud.advance()
        await service.store.flush()
        calls, far_s = len(cloud.calls), wire.far_s
        began_s = perf_counter()
        await service.cycle.once()
        took_s = perf_counter() - began_s - (wire.far_s - far_s)
        ticks.append(Tick(took_s * 1e3, len(cloud.calls) - calls))
    await service.stop()
    return ticks
