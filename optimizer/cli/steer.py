"""`sunmode set`: the owner's hand on the command line."""

from __future__ import annotations

import asyncio
import os
import re
from datetime import datetime, timedelta
from pathlib import Path

import click

from optimizer.cli import config_option
from optimizer.clock import Clock, SystemClock
from optimizer.config import Settings
from optimizer.config.loading import find_config, load_settings
from optimizer.domain import Mode
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions

_UNITS_S = {"m": 60.0, "h": 3600.0, "d": 86_400.0}
_SHORTEST_S, _LONGEST_S = 60.0, 31 * 86_400.0


class Duration(click.ParamType[timedelta]):
    """`90m`, `2h` or `1d`, from a minute to 31 days."""

    name = "duration"

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Return the time meant."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhd])", value.strip())
        if found is None:
            self.fail(f"{value!r} is not a time like 90m, 2h or 1d", param, ctx)
        length_s = float(found[1]) * _UNITS_S[found[2]]
        if not _SHORTEST_S <= length_s <= _LONGEST_S:
            self.fail(f"{value!r} is not between 1m and 31d", param, ctx)
        return timedelta(seconds=length_s)


@click.command("set")
@click.argument("mode", type=click.Choice(["stop", "fast", "eco", "green", "auto"], case_sensitive=False))
@click.option("--charger", help="Its name in config.toml; without it, all chargers.")
@click.option(
    "--for", "length", type=Duration(), help="How long, like 90m, 2h, 1d; else control.override_hold_s."
)
@config_option
def set_command(mode: str, charger: str | None, length: timedelta | None, config_path: Path | None) -> None:
    """Hold MODE by hand, or go back to automatic with `auto`; the service follows in its next cycle."""
    settings = load_settings(find_config(config_path, os.environ), os.environ)
    names = [spec.name for spec in settings.charger_specs()]
    if charger is not None and charger not in names:
        raise click.BadParameter(
            f"no charger is called {charger!r}; there is {', '.join(names)}", param_hint="--charger"
        )
    wanted = None if mode == "auto" else Mode[mode.upper()]
    clock = SystemClock()
    until = clock.now() + _held(wanted, length, settings)
    asyncio.run(_write(settings, charger, wanted, until, clock))
    what = (
        "automatic" if wanted is None else f"{wanted.name} until {until.astimezone(settings.zone):%a %H:%M}"
    )
    click.echo(f"{charger or 'all chargers'}: {what}")


def _held(mode: Mode | None, length: timedelta | None, settings: Settings) -> timedelta:
    """Return how long the order stands; automatic for one charger outlives any order for all."""
    if mode is None:
        if length is not None:
            raise click.BadParameter("automatic has no end; leave it out", param_hint="--for")
        return timedelta(seconds=_LONGEST_S)
    if length is None and settings.control.override_hold_s == 0:
        raise click.UsageError("say how long with --for, since control.override_hold_s is 0")
    return length or timedelta(seconds=settings.control.override_hold_s)


async def _write(
    settings: Settings, charger: str | None, mode: Mode | None, until: datetime, clock: Clock
) -> None:
    store = Store.open(
        settings.store.path, clock, inline=True, options=FileOptions(ballast_bytes=0, busy_ms=5000)
    )
    try:
        await store.set_override(charger, mode, until, "command line")
    finally:
        store.close()
