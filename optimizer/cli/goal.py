"""`sunmode goal`: what the car needs and by when, given for once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import click

from optimizer.cli import config_option
from optimizer.cli.goal_state import goal_lines, goal_states
from optimizer.clock import Clock, SystemClock
from optimizer.config import Settings
from optimizer.config.goals import deadline_from, energy_from, one_charger
from optimizer.config.loading import find_config, load_settings
from optimizer.domain import Goal
from optimizer.errors import InputError
from optimizer.goals import Given
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions
from optimizer.store.queries import last_status

T = TypeVar("T")

_NONE = "none"


@click.command("goal")
@click.argument("energy", metavar="[KWH|none]", required=False)
@click.option("--by", "by", help='When: "06:30", "fri 06:30", "tomorrow 06:30", "2026-06-05 06:30".')
@click.option("--charger", help="Its name in config.toml; needed where there are several.")
@config_option
def goal_command(energy: str | None, by: str | None, charger: str | None, config_path: Path | None) -> None:
    """Have KWH in the car by a time, for once; `none` takes it back; without either, list what stands."""
    settings = load_settings(find_config(config_path, os.environ), os.environ)
    clock = SystemClock()
    if energy is None:
        _refuse(by is not None or charger is not None, "say how many kWh, or none")
        _list(settings, clock.now())
    elif energy.lower() == _NONE:
        _refuse(by is not None, "none has no time; leave --by out")
        _clear(settings, charger, clock)
    else:
        _refuse(by is None, 'say by when, like --by "fri 06:30"')
        _give(settings, charger, energy, by or "", clock)


def _refuse(wrong: bool, text: str) -> None:
    if wrong:
        raise click.UsageError(text)


def _list(settings: Settings, now: datetime) -> None:
    sessions = last_status(settings.store.path, now).sessions if settings.store.path.is_file() else {}
    lines = list(goal_lines(goal_states(settings, sessions, now), settings.zone))
    for line in lines or ["no goal stands"]:
        click.echo(line)


def _give(settings: Settings, charger: str | None, energy: str, by: str, clock: Clock) -> None:
    name = one_charger(settings.charger, charger)
    now = clock.now()
    try:
        number = float(energy)
    except ValueError:
        raise InputError(f"{energy!r} is neither a number of kWh nor none") from None
    goal = Goal(deadline_from(by, settings.zone, now), energy_from(number))
    asyncio.run(_written(settings, clock, lambda log: log.goals.give(Given(name, goal, "command line"), now)))
    until = f"{goal.deadline.astimezone(settings.zone):%a %Y-%m-%d %H:%M}"
    click.echo(f"{name}: {goal.energy_kwh:g} kWh by {until}")


def _clear(settings: Settings, charger: str | None, clock: Clock) -> None:
    name = None if charger is None else one_charger(settings.charger, charger)
    count = asyncio.run(_written(settings, clock, lambda log: log.goals.clear(name, clock.now())))
    what = f"{count} given goal{'' if count == 1 else 's'} cleared"
    click.echo(f"{name or 'all chargers'}: {what}; those of the configuration stand")


async def _written(settings: Settings, clock: Clock, write: Callable[[Store], Awaitable[T]]) -> T:
    store = Store.open(
        settings.store.path, clock, inline=True, options=FileOptions(ballast_bytes=0, busy_ms=5000)
    )
    try:
        return await write(store)
    finally:
        store.close()
