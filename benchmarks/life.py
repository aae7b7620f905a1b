"""The whole service before the whole virtual cloud, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter

from places import shipped

from optimizer import logs
from optimizer.cli.virtual_home import VIRTUAL_TOKEN, virtual_cloud
from optimizer.clock import LoopClock
from optimizer.config import Settings
from optimizer.runtime.calendar import ClockCalendar
from optimizer.service import Ports, Service
from optimizer.simulation.transport import VirtualTransport
from optimizer.simulation.virtual_time import run_virtual
from optimizer.store.logfile import FileOptions

CLOUD = "https://cloud.invalid"


@dataclass(frozen=True, slots=True)
class Life:
    """What a stretch of days came to."""

    days: float
    wall_s: float
    cycles: int


def live(database: Path, start: datetime, days: float) -> Life:
    """Let the service with the shipped config live for `days`; its log is at `database`."""
    logs.configure("error", "json", str)
    settings = shipped(database)
    began_s = perf_counter()
    cycles = run_virtual(_live(settings, start, days))
    return Life(days, perf_counter() - began_s, cycles)


async def _live(settings: Settings, start: datetime, days: float) -> int:
    clock = LoopClock(start)
    ports = Ports(
        clock=clock,
        network=VirtualTransport(virtual_cloud(settings, clock)),
        calendar=lambda on_failure: ClockCalendar(clock, on_failure),
        inline=True,
        file=FileOptions(durable=False, ballast_bytes=0),
    )
    service = Service(settings, ports, base_url=CLOUD, token=lambda: VIRTUAL_TOKEN)
    await service.start()
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    await clock.sleep(timedelta(days=days).total_seconds())
    stop.set()
    service.cycle.wake()
    await running
    await service.stop()
    return service.cycle.pulse.cycles
