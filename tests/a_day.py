"""One day of the demo's home in virtual time: the shipped configuration, the whole service, its log."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

from optimizer.cli.demo import BEGIN_HOUR, DAY, GOAL, HOURS
from optimizer.cli.demo_past import write_past
from optimizer.cli.virtual_home import VIRTUAL_TOKEN, virtual_home
from optimizer.clock import LoopClock
from optimizer.config import Settings
from optimizer.config.loading import load_settings
from optimizer.runtime.calendar import ClockCalendar
from optimizer.service import Ports, Service
from optimizer.simulation.transport import VirtualTransport
from optimizer.simulation.virtual_time import run_virtual
from optimizer.simulation.world import build_cloud
from optimizer.store.logfile import FileOptions

ROOT = Path(__file__).parents[1]


def play_a_day(log: Path, hours: float = HOURS) -> None:
    """Let the service live through the demo's day and write its log."""
    run_virtual(_lived(log, hours))


def settings_for(log: Path) -> Settings:
    """Return the shipped configuration with the demo's goal."""
    goal = f'[{{ name = "garage", goal = [{{ by = "{GOAL.by}", energy_kwh = {GOAL.energy_kwh} }}] }}]'
    env = {"SUNMODE_STORE__PATH": str(log), "SUNMODE_CHARGER": goal}
    return load_settings(ROOT / "config.toml", env)


async def _lived(log: Path, hours: float) -> None:
    settings = settings_for(log)
    clock = LoopClock(datetime.fromisoformat(DAY).replace(hour=BEGIN_HOUR, tzinfo=settings.zone))
    home = virtual_home(settings, clock.now())
    write_past(log, home.series, clock.now(), settings.zone)
    ports = Ports(
        clock=clock,
        network=VirtualTransport(build_cloud(home, clock)),
        calendar=lambda on_failure: ClockCalendar(clock, on_failure),
        inline=True,
        file=FileOptions(durable=False, ballast_bytes=0),
    )
    service = Service(settings, ports, base_url="http://127.0.0.1:9", token=lambda: VIRTUAL_TOKEN)
    await service.start()
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    await asyncio.wait([running], timeout=hours * 3600)
    stop.set()
    service.cycle.wake()
    await running
    await service.stop()
