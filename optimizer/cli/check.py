"""`sunmode check`: everything that must work, one line each, with what to change where it does not."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from optimizer.cli import config_option
from optimizer.cli.run import configure_logs, open_site
from optimizer.config import Settings
from optimizer.config.loading import find_config, load_settings
from optimizer.domain import ChargerReading, SiteReading
from optimizer.errors import AuthError, CloudError, RateLimited, SunmodeError
from optimizer.service import Ports, limits_from
from optimizer.solax.client import SolaxClient
from optimizer.solax.transport import open_http
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions

T = TypeVar("T")

_WAL_RESET_FIXED = (3, 51, 3)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, whether it is good, and what was found or is to be changed."""

    what: str
    good: bool
    text: str


@click.command("check")
@config_option
def check_command(config_path: Path | None) -> None:
    """Check config, token, cloud, chargers and database; uses one call for the house and one per charger."""
    path = find_config(config_path, os.environ)
    settings = load_settings(path, os.environ)
    configure_logs(settings)
    _show(Finding("config", True, f"{path}: every key is good"))
    for warning in settings.warnings():
        _show(Finding("config", True, f"but {warning}"))
    if not asyncio.run(_all_good(settings)):
        raise click.exceptions.Exit(1)


def _show(finding: Finding) -> None:
    click.echo(f"{'ok   ' if finding.good else 'fault'} {finding.what:<10} {finding.text}")


async def _all_good(settings: Settings) -> bool:
    good = True
    async for finding in _findings(settings):
        _show(finding)
        good = good and finding.good
    return good


async def _findings(settings: Settings) -> AsyncIterator[Finding]:
    yield _strategy(settings)
    async with AsyncExitStack() as stack:
        try:
            site = await stack.enter_async_context(open_site(settings))
            store = _open_store(settings, site.ports)
        except SunmodeError as error:
            yield Finding("database", False, str(error))
            return
        stack.callback(store.close)
        yield _database(settings)
        http = open_http(site.base_url, site.token)
        client = SolaxClient(http, store.ledger, site.ports.clock, inverter=settings.inverter)
        stack.push_async_callback(client.aclose)
        yield await _asked("house", client.read_site, _house)
        for spec in settings.charger_specs():

            async def read(serial: str = spec.serial) -> ChargerReading:
                return await client.read_charger(serial)

            yield await _asked(spec.name, read, _charger)


def _strategy(settings: Settings) -> Finding:
    try:
        return Finding("strategy", True, settings.build_strategy().name)
    except SunmodeError as error:
        return Finding("strategy", False, str(error))


def _open_store(settings: Settings, ports: Ports) -> Store:
    options = FileOptions(ballast_bytes=0, busy_ms=2000)
    return Store.open(
        settings.store.path, ports.clock, limits=limits_from(settings), inline=True, options=options
    )


def _database(settings: Settings) -> Finding:
    text = f"{settings.store.path} can be written"
    if sqlite3.sqlite_version_info < _WAL_RESET_FIXED:
        text += (
            f"; SQLite {sqlite3.sqlite_version} may damage a log that two programs fold in at once"
            " (mended in 3.51.3): let only sunmode write to it"
        )
    return Finding("database", True, text)


async def _asked(what: str, ask: Callable[[], Awaitable[T]], told: Callable[[T], str]) -> Finding:
    try:
        return Finding(what, True, told(await ask()))
    except AuthError as error:
        return Finding(what, False, f"{error}; a new token comes from the API page of the SolaX website")
    except RateLimited:
        return Finding(what, False, "the call budget is used up; try again in a minute")
    except CloudError as error:
        return Finding(what, False, str(error))


def _house(reading: SiteReading) -> str:
    parts = {"PV": reading.pv_w, "grid": reading.grid_w, "battery": reading.battery_w}
    known = ", ".join(f"{name} {'unknown' if w is None else f'{w:.0f} W'}" for name, w in parts.items())
    return f"{known}, measured {reading.stamp or 'at an unknown time'} (the cloud's clock)"


def _charger(reading: ChargerReading) -> str:
    mode = "mode unknown" if reading.mode is None else reading.mode.name
    power = "power unknown" if reading.ev_w is None else f"{reading.ev_w:.0f} W"
    return f"{mode}, {reading.status.name.lower()}, {power}"
