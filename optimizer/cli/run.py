"""`sunmode run`: the service, from its locks to its clean stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import click

from optimizer import logs
from optimizer.cli import config_option
from optimizer.config import Settings
from optimizer.config.loading import find_config, load_settings
from optimizer.errors import Unavailable
from optimizer.forecast.reckoner import ProcessReckoner
from optimizer.runtime.locks import account_lock, database_lock
from optimizer.runtime.scoring import score_command, scorer
from optimizer.service import Ports, Service
from optimizer.solax.redact import Redactor


@dataclass(frozen=True, slots=True)
class Site:
    """What the service is put in front of: the real cloud, or the virtual one on a port of its own."""

    ports: Ports
    base_url: str
    token: Callable[[], str]


@click.command("run")
@config_option
@click.option("--dry-run", is_flag=True, help="Read, decide and record, but command nothing.")
@click.option("--once", is_flag=True, help="One cycle, then end; it never leaves FAST or ECO behind.")
def run_command(config_path: Path | None, dry_run: bool, once: bool) -> None:
    """Run the service until it is told to stop (SIGTERM, SIGINT)."""
    path = find_config(config_path, os.environ)
    settings = load_settings(path, os.environ)
    configure_logs(settings)
    logs.report_faults()
    with ExitStack() as locks:
        locks.enter_context(database_lock(settings.store.path))
        if not settings.is_virtual:
            locks.enter_context(account_lock(settings.solax.base_url, settings.token()))
        asyncio.run(_serve(settings, path, dry_run=dry_run, once=once))


def configure_logs(settings: Settings) -> None:
    """Send the log to standard error, with all secrets hidden wherever they might turn up."""
    redactor = Redactor()
    if not settings.is_virtual:
        redactor.learn(settings.token())
    for key in settings.forecast.secrets():
        redactor.learn(key)
    logs.configure(settings.log.level, settings.log.format, redactor.text)


async def _serve(settings: Settings, path: Path, *, dry_run: bool, once: bool) -> None:
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(open_site(settings))
        scoring, reckoner = scorer(score_command(path), os.environ), ProcessReckoner(os.environ)
        ports = replace(site.ports, scorer=scoring, reckoner=reckoner)
        service = Service(settings, ports, base_url=site.base_url, token=site.token, dry_run=dry_run)
        await (_once(service) if once else serve(service))


async def serve(service: Service) -> None:
    """Run the service until a signal, then stop it cleanly; a fault closes it and comes out."""
    stop = asyncio.Event()
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await service.start()
        await service.run(stop)
    except BaseException:
        await service.close()
        raise
    await service.stop()


async def _once(service: Service) -> None:
    # Nobody will renew a lease: FAST and ECO are not given at all.
    service.forbid_grid_modes()
    try:
        await service.start()
        for one in await service.cycle.once():
            click.echo(f"{one.decision.charger}: {one.decision.mode.name}. {one.decision.reason}")
        service.settle()
        if not service.rules.dry_run and (left := service.tell_left_drawing()):
            raise Unavailable(left)
    finally:
        await service.close()


@asynccontextmanager
async def open_site(settings: Settings) -> AsyncIterator[Site]:
    """Yield the real cloud, or start the virtual one and yield that."""
    if not settings.is_virtual:
        yield Site(Ports(), settings.solax.base_url, settings.token)
        return
    from optimizer.cli.virtual_home import VIRTUAL_TOKEN, virtual_cloud
    from optimizer.simulation.server import running_server

    ports = Ports()
    async with running_server(virtual_cloud(settings, ports.clock)) as base_url:
        yield Site(ports, base_url, lambda: VIRTUAL_TOKEN)
