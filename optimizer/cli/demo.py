"""`sunmode demo`: a real measured day before the real service, over real HTTP, many times faster."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from optimizer import logs
from optimizer.cli import config_option
from optimizer.cli.demo_account import CloudCount, Day, account, next_steps
from optimizer.cli.demo_past import write_past
from optimizer.cli.demo_score import day_score
from optimizer.cli.demo_view import GUTTER, DayView, News, frame, line
from optimizer.cli.virtual_home import VIRTUAL_TOKEN, virtual_home
from optimizer.clock import ScaledClock
from optimizer.config import Settings
from optimizer.config.loading import find_config, load_settings
from optimizer.config.sections import WeeklyGoal
from optimizer.errors import InputError
from optimizer.forecast.reckoner import ProcessReckoner
from optimizer.runtime.calendar import ClockCalendar
from optimizer.runtime.locks import database_lock
from optimizer.service import Ports, Service
from optimizer.simulation.server import running_server
from optimizer.simulation.world import build_cloud
from optimizer.store.logfile import FileOptions

DAY = "2019-10-01"
"""Of the days with the car at home until the afternoon the one whose sun changes most for what it gives."""

GOAL = WeeklyGoal(by="16:00", energy_kwh=12.0)
"""What the owner of the demo wants, where the configuration has no goal."""

BEGIN_HOUR = 7
HOURS = 11.5
SPEED = 450.0
_FRAME_S = 0.25
_LINE_EVERY = timedelta(minutes=30)


@click.command("demo")
@click.option(
    "--day",
    default=DAY,
    show_default=True,
    type=click.DateTime(["%Y-%m-%d"]),
    help="Which day, of the sample year.",
)
@click.option(
    "--hours", default=HOURS, show_default=True, type=click.FloatRange(0.1, 48), help="How much of it."
)
@click.option(
    "--speed", default=SPEED, show_default=True, type=click.FloatRange(1, 2000), help="Times real time."
)
@click.option("--keep", type=click.Path(path_type=Path), help="A new file for the log of this run.")
@config_option
def demo_command(
    day: datetime, hours: float, speed: float, keep: Path | None, config_path: Path | None
) -> None:
    """Watch the service charge a car through a real day; ends with the figures of its own log and a score."""
    config = find_config(config_path, os.environ)
    settings = load_settings(config, os.environ)
    path = _place(keep, settings.store.path.parent / "demo" / f"{day:%Y-%m-%d}.db")
    settings = _for_demo(settings, path)
    start = day.replace(hour=BEGIN_HOUR, tzinfo=settings.zone)
    logs.configure("error", "auto", str)
    goal = settings.goal_for(settings.charger_specs()[0].name, start)
    with database_lock(path):
        _remove_log(path)
        counted, end = asyncio.run(_play(settings, start, timedelta(hours=hours), speed))
    played = Day(path, start, end, goal)
    Console().print(account(settings, played, counted))
    for told in (*day_score(settings, config.name, day.date()), "", *next_steps(played, settings)):
        click.echo(told)


def _place(keep: Path | None, own: Path) -> Path:
    """Return where the log goes; only the demo's own file is written over.

    Raises:
        InputError: the file is there already, or its folder cannot be made.

    """
    if keep is not None and keep.exists():
        raise InputError(f"{keep} is there already: name a new file")
    path = keep or own
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path.parent}: {error.strerror}") from error
    return path


def _remove_log(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", ".ballast"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _for_demo(settings: Settings, path: Path) -> Settings:
    """Return the settings in front of the virtual home, with a log and, if need be, a goal of its own.

    Who looks ahead is told forecasts that need no network: the day is long over.
    """
    solax = settings.solax.model_copy(update={"base_url": "virtual"})
    callback = settings.callback.model_copy(update={"url": ""})
    store = settings.store.model_copy(update={"path": path, "backup": None})
    first, *others = settings.charger
    charger = (first if first.goal else first.model_copy(update={"goal": (GOAL,)}), *others)
    # The home is gone with its service: nobody has to be brought to rest, in what would be milliseconds.
    control = settings.control.model_copy(update={"stop_mode": "keep"})
    forecast = settings.forecast.model_copy(update={"providers": None})
    changed = {"solax": solax, "callback": callback, "store": store, "charger": charger, "control": control}
    return settings.model_copy(update=changed | {"forecast": forecast})


async def _play(
    settings: Settings, start: datetime, length: timedelta, speed: float
) -> tuple[CloudCount, datetime]:
    """Run the service for `length`, or until the user has seen enough (Ctrl-C); return also when it ended."""
    home = virtual_home(settings, start)  # takes its time, which shall not be the day's
    write_past(settings.store.path, home.series, start, settings.zone)
    clock, end = ScaledClock(start, speed), start + length
    cloud = build_cloud(home, clock)
    async with running_server(cloud) as base_url:
        # A disk does not get faster with the clock: what it may take in real life would be minutes here.
        ports = Ports(
            clock=clock,
            calendar=lambda on_failure: ClockCalendar(clock, on_failure),
            file=FileOptions(durable=False),
            reckoner=ProcessReckoner(os.environ),
        )
        service = Service(settings, ports, base_url=base_url, token=lambda: VIRTUAL_TOKEN)
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            await service.start()
            running = asyncio.create_task(service.run(stop))
            await _watch(service, clock, end, lambda: stop.is_set() or running.done())
            stop.set()
            service.cycle.wake()
            await running
        except BaseException:
            await service.close()
            raise
        await service.stop()
    return CloudCount(len(cloud.calls), cloud.worst_minute()), min(clock.now(), end)


async def _watch(service: Service, clock: ScaledClock, end: datetime, is_over: Callable[[], bool]) -> None:
    """Show the day until its end."""
    console = Console()
    view = DayView(service, clock.now(), end, console.width - GUTTER)
    with _screen(console) as show:
        while (now := clock.now()) < end and not is_over():
            show(view, view.look(now))
            await asyncio.sleep(_FRAME_S)


class _Printer:
    """On a terminal a picture that changes, elsewhere a line for each change and every half hour."""

    def __init__(self, live: Live | None) -> None:
        self._live = live
        self._next: datetime | None = None

    def __call__(self, view: DayView, fresh: list[News]) -> None:
        if self._live is not None:
            self._live.update(frame(view), refresh=True)
            return
        for news in fresh:
            click.echo(f"{view.clock(news.at)}  {news.text}")
        if self._next is None or view.now >= self._next:
            self._next = view.now + _LINE_EVERY
            click.echo(line(view))


@contextmanager
def _screen(console: Console) -> Iterator[_Printer]:
    if not console.is_terminal:
        yield _Printer(None)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield _Printer(live)
