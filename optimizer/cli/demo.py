"""`sunmode demo`: a real measured day before the real service, over real HTTP, many times faster."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from optimizer import logs
from optimizer.cli import config_option
from optimizer.cli.demo_view import DayView, frame, line, summary
from optimizer.cli.virtual_home import VIRTUAL_TOKEN, virtual_cloud
from optimizer.clock import Clock, ScaledClock
from optimizer.config import Settings
from optimizer.config.loading import find_config, load_settings
from optimizer.errors import InputError
from optimizer.runtime.calendar import ClockCalendar
from optimizer.runtime.locks import database_lock
from optimizer.service import Ports, Service
from optimizer.simulation.server import running_server

DAY = "2019-09-10"
"""Sun with clouds, and a car at home until the afternoon; see data/samples/README.md."""

BEGIN_HOUR = 4
HOURS = 18.0
_FRAME_S = 0.25
_LINE_EVERY = timedelta(minutes=30)


@click.command("demo")
@click.option("--day", default=DAY, show_default=True, help="Which day of the sample year.")
@click.option(
    "--hours", default=HOURS, show_default=True, type=click.FloatRange(0.1, 48), help="How much of it."
)
@click.option(
    "--speed", default=600.0, show_default=True, type=click.FloatRange(1, 2000), help="Times real time."
)
@click.option("--keep", type=click.Path(dir_okay=False, path_type=Path), help="Where the log goes.")
@config_option
def demo_command(day: str, hours: float, speed: float, keep: Path | None, config_path: Path | None) -> None:
    """Watch the service charge a car through a real day; ends with the figures of its own log."""
    settings = load_settings(find_config(config_path, os.environ), os.environ)
    path = keep or settings.store.path.parent / "demo" / f"{day}.db"
    settings = _for_demo(settings, path)
    start = _start(day, settings)
    with database_lock(path):
        _remove_log(path)
        calls = asyncio.run(_play(settings, ScaledClock(start, speed), timedelta(hours=hours)))
    Console().print(summary(settings, path, start, start + timedelta(hours=hours), calls))


def _for_demo(settings: Settings, path: Path) -> Settings:
    """Return the settings in front of the virtual home, with a log of the demo's own."""
    solax = settings.solax.model_copy(update={"base_url": "virtual"})
    callback = settings.callback.model_copy(update={"url": ""})
    store = settings.store.model_copy(update={"path": path, "backup": None})
    return settings.model_copy(update={"solax": solax, "callback": callback, "store": store})


def _start(day: str, settings: Settings) -> datetime:
    try:
        midnight = datetime.fromisoformat(day)
    except ValueError as error:
        raise InputError(f"{day!r} is no day like {DAY}") from error
    return midnight.replace(hour=BEGIN_HOUR, minute=0, tzinfo=settings.zone)


def _remove_log(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", ".ballast"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


async def _play(settings: Settings, clock: ScaledClock, length: timedelta) -> int:
    """Run the service for `length`, on `clock`; return the most calls that the cloud saw in 60 s."""
    cloud = virtual_cloud(settings, clock)
    async with running_server(cloud) as base_url:
        ports = Ports(clock=clock, calendar=lambda on_failure: ClockCalendar(clock, on_failure))
        service = Service(settings, ports, base_url=base_url, token=lambda: VIRTUAL_TOKEN)
        stop = asyncio.Event()
        try:
            await service.start()
            running = asyncio.create_task(service.run(stop))
            await _watch(service, clock, clock.now() + length, running)
            stop.set()
            service.cycle.wake()
            await running
        except BaseException:
            await service.close()
            raise
        await service.stop()
    return cloud.worst_minute()


async def _watch(service: Service, clock: Clock, end: datetime, running: asyncio.Task[None]) -> None:
    """Show the day until its end, or until the service fails."""
    view = DayView(service, clock.now(), end)
    with _screen() as show:
        while clock.now() < end and not running.done():
            view.look(clock.now())
            show(view)
            await asyncio.sleep(_FRAME_S)


class _Printer:
    """On a terminal a picture that changes, elsewhere a line for every half hour."""

    def __init__(self, live: Live | None) -> None:
        self._live = live
        self._next: datetime | None = None

    def __call__(self, view: DayView) -> None:
        if self._live is not None:
            self._live.update(frame(view), refresh=True)
        elif self._next is None or view.now >= self._next:
            self._next = view.now + _LINE_EVERY
            click.echo(line(view))


@contextmanager
def _screen() -> Iterator[_Printer]:
    console = Console()
    if not console.is_terminal:
        logs.configure("error", "auto", str)
        yield _Printer(None)
        return
    logs.configure("error", "text", str)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield _Printer(live)
