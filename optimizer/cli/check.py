"""`sunmode check`: everything that must work, one line each, with what to change where it does not."""

from __future__ import annotations

import asyncio
import math
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from optimizer.cli import config_option
from optimizer.cli.experience_view import experience_lines
from optimizer.cli.forecast_view import forecast_lines
from optimizer.cli.run import configure_logs, open_site
from optimizer.clock import Clock
from optimizer.config import Settings
from optimizer.config.loading import find_config, load_settings
from optimizer.errors import (
    AuthError,
    BadAnswer,
    CloudError,
    RateLimited,
    SunmodeError,
    Throttled,
    Unavailable,
)
from optimizer.runtime.price_feeds import feeds_from
from optimizer.runtime.prices import MARKET, missing_words
from optimizer.service import Ports, limits_from
from optimizer.solax.client import SolaxClient
from optimizer.solax.transport import open_http
from optimizer.sources.http_json import open_web
from optimizer.sources.prices import Asked
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions
from optimizer.tariffs.slots import known_until

_WAL_RESET_FIXED = (3, 51, 3)
_MINUTES_FROM_S = 120.0
_WHERE_LOGS_GO = "let store.path name a file in a folder that this user may write to"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, whether it is good, and what was found or is to be changed."""

    what: str
    good: bool
    text: str


@click.command("check")
@click.option("--commission", "trial", is_flag=True, help="Try whether GREEN works, with a car plugged in.")
@click.option("--charger", metavar="NAME", help="The charger to try; needed where there are several.")
@click.option("--yes", is_flag=True, help="Try it without asking.")
@config_option
def check_command(trial: bool, charger: str | None, yes: bool, config_path: Path | None) -> None:
    """Check config, token, cloud, chargers and database; uses one call for the house and one per charger."""
    path = find_config(config_path, os.environ)
    settings = load_settings(path, os.environ)
    configure_logs(settings)
    if trial:
        from optimizer.cli.commission import commission

        raise click.exceptions.Exit(0 if commission(settings, charger, yes=yes) else 1)
    if charger is not None or yes:
        raise click.UsageError("--charger and --yes belong to --commission")
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
        except SunmodeError as error:
            yield Finding("virtual", False, str(error))
            return
        try:
            store = _open_store(settings, site.ports)
        except SunmodeError as error:
            yield Finding("database", False, f"{error}; {_WHERE_LOGS_GO}")
            return
        stack.callback(store.close)
        yield _database(settings)
        for what, text in experience_lines(settings):
            yield Finding(what, True, text)
        async for finding in _prices(settings, site.ports):
            yield finding
        for finding in _forecasts(settings, store, site.ports.clock):
            yield finding
        http = open_http(site.base_url, site.token)
        client = SolaxClient(
            http,
            store.ledger,
            site.ports.clock,
            inverter=settings.inverter,
            call_timeout_s=settings.solax.call_timeout_s,
            status_map=settings.solax.status_map,
            cars_w=sum(spec.max_power_w for spec in settings.charger_specs()),
        )
        stack.push_async_callback(client.aclose)
        async for finding in _cloud(settings, client, site.ports.clock):
            yield finding


async def _cloud(settings: Settings, client: SolaxClient, clock: Clock) -> AsyncIterator[Finding]:
    """Look at the house and at each charger, until one look tells that no other can be had either."""
    looks: list[tuple[str, Callable[[], Awaitable[str]]]] = [("house", partial(_house, client))]
    looks += [(spec.name, partial(_charger, client, spec.serial)) for spec in settings.charger_specs()]
    for number, (what, look) in enumerate(looks, start=1):
        try:
            yield Finding(what, True, await look())
        except CloudError as error:
            yield Finding(what, False, _cure(error, clock))
            # A second refusal in a row would shut every program of this token out for a quarter of an hour.
            if isinstance(error, AuthError | RateLimited):
                for left, _ in looks[number:]:
                    yield Finding(left, False, "not looked at; mend the fault before it and check again")
                return


async def _prices(settings: Settings, ports: Ports) -> AsyncIterator[Finding]:
    """Ask each source of prices once; without them the service goes on, and this tells how."""
    async with open_web(ports.web) as client:
        for name, feed in feeds_from(settings, client).items():
            now, plan = ports.clock.now(), settings.price_plan()
            await feed.ask(Asked(now, plan.zone))
            until = known_until(feed.slots, now)
            if feed.trouble or until <= now:
                yield Finding("prices", False, missing_words(name, feed, now, plan))
            else:
                price = plan.tariff(now, feed.slots, feed.slots).price_eur_per_kwh(now)
                told = f"{price:.4f} EUR per kWh now, " if name == MARKET else ""
                yield Finding("prices", True, f"{told}known until {until.astimezone(plan.zone):%a %H:%M}")


def _forecasts(settings: Settings, store: Store, clock: Clock) -> Iterator[Finding]:
    """Tell who is asked about the sun; the service goes on without any."""
    try:
        for line in forecast_lines(settings, store.forecasts, clock.now()):
            yield Finding("forecast", True, line)
    except SunmodeError as error:
        yield Finding("forecast", True, f"not known: {error}")


def _strategy(settings: Settings) -> Finding:
    try:
        shadow = settings.build_shadow()
        beside = "" if shadow is None else f"; {shadow.name} in its shadow"
        return Finding("strategy", True, settings.build_strategy().name + beside)
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


def _cure(error: CloudError, clock: Clock) -> str:
    """Return what went wrong and what to do about it."""
    if isinstance(error, RateLimited):
        wait_s = max(1.0, error.retry_at_s - clock.monotonic_s())
        return f"not looked at, for calls are held back ({error}); check again in {_duration(wait_s)}"
    if isinstance(error, Throttled):
        return f"{error}; what else uses this token? Let it rest for an hour"
    if isinstance(error, BadAnswer):
        return f"{error}; does solax.base_url lead to the SolaX cloud, and to nothing else?"
    if isinstance(error, Unavailable):
        return f"{error}; is the device online in the SolaX app, and solax.base_url reachable from here?"
    return str(error)


def _duration(seconds: float) -> str:
    return f"{math.ceil(seconds)} s" if seconds < _MINUTES_FROM_S else f"{math.ceil(seconds / 60.0)} min"


async def _house(client: SolaxClient) -> str:
    reading = await client.read_site()
    parts = {"PV": reading.pv_w, "grid": reading.grid_w, "battery": reading.battery_w}
    known = ", ".join(f"{name} {'unknown' if w is None else f'{w:.0f} W'}" for name, w in parts.items())
    return f"{known}, measured {reading.stamp or 'at an unknown time'} (the cloud's clock)"


async def _charger(client: SolaxClient, serial: str) -> str:
    reading = await client.read_charger(serial)
    mode = "mode unknown" if reading.mode is None else reading.mode.name
    power = "power unknown" if reading.ev_w is None else f"{reading.ev_w:.0f} W"
    return f"{mode}, {reading.status.name.lower()}, {power}"
