"""`sunmode rest`: one attempt to bring chargers to rest that a service may have left drawing from the grid.

It goes by the log, without reading the chargers first: one call must do, even while the cloud shows nothing.
A charger that was set to FAST or ECO by hand keeps its mode, as at a clean stop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import click

from optimizer.cli import config_option
from optimizer.cli.run import configure_logs
from optimizer.clock import Clock, SystemClock
from optimizer.config import Settings
from optimizer.config.loading import find_config, load_settings
from optimizer.domain import ChargerReading, ChargerSpec, Mode
from optimizer.errors import CloudError
from optimizer.runtime.learning import honoured
from optimizer.runtime.locks import account_lock, database_lock
from optimizer.runtime.one_command import OneCommand, send
from optimizer.service import limits_from, rules_from
from optimizer.solax.client import SolaxClient, in_batches
from optimizer.solax.transport import open_http
from optimizer.store.commands import CommandState
from optimizer.store.experience import known_at
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions
from optimizer.store.overrides import override_for
from optimizer.store.recovery import PastCommand, Recovered

_BUSY_MS = 5000
_UNDERWAY = timedelta(minutes=10)
"""A command that left this long before a reading may still arrive after it."""


@click.command("rest")
@config_option
def rest_command(config_path: Path | None) -> None:
    """Bring chargers last seen in FAST or ECO to the resting mode, in one attempt; for when no service runs.

    Run by systemd after a service ($SERVICE_RESULT is set) it acts only if that ended badly.
    """
    settings = load_settings(find_config(config_path, os.environ), os.environ)
    if ended_well(os.environ):
        click.echo("the service ended well: nothing to do")
    elif settings.is_virtual or not settings.store.path.is_file():
        click.echo("no service has commanded a real charger: nothing to do")
    elif not _locked_and_rested(settings):
        raise click.exceptions.Exit(1)


def ended_well(environ: Mapping[str, str]) -> bool:
    """Tell whether systemd says that the service before us was stopped as it should be."""
    return environ.get("SERVICE_RESULT") == "success"


def _locked_and_rested(settings: Settings) -> bool:
    configure_logs(settings)
    with database_lock(settings.store.path), account_lock(settings.solax.base_url, settings.token()):
        return asyncio.run(_rest(settings))


async def _rest(settings: Settings) -> bool:
    """Send the chargers that need it to rest; return whether the cloud has accepted it all."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        options = FileOptions(ballast_bytes=0, busy_ms=_BUSY_MS)
        limits = limits_from(settings)
        store = Store.open(settings.store.path, clock, limits=limits, inline=True, options=options)
        stack.callback(store.close)
        client = SolaxClient(
            open_http(settings.solax.base_url, settings.token),
            store.ledger,
            clock,
            inverter=settings.inverter,
            call_timeout_s=settings.solax.call_timeout_s,
        )
        stack.push_async_callback(client.aclose)
        past = await store.recover()
        restless = {spec.serial: spec for spec in settings.charger_specs() if _is_restless(spec, past)}
        batches = [[restless[serial] for serial in batch] for batch in in_batches(tuple(restless))]
        known, said = known_at(settings.store.path), settings.control.green_commissioned
        mode = honoured(rules_from(settings), known, said).guard.resting_mode
        return all([await _send(client, store, clock, mode, specs) for specs in batches])


def _is_restless(spec: ChargerSpec, past: Recovered) -> bool:
    """Tell, also the user, whether a charger was seen, or may have been sent, in a mode that imports."""
    order = override_for(spec.name, past.overrides)
    by_hand = order is not None and order.mode is not None and order.mode.draws_from_grid
    drawing = [mode for mode in possible_modes(spec, past) if mode.draws_from_grid]
    if drawing and by_hand:
        click.echo(f"{spec.name}: set by hand, so it is left as it is; `sunmode set auto` ends that")
    elif not drawing:
        click.echo(f"{spec.name}: not in FAST or ECO")
    return bool(drawing) and not by_hand


def possible_modes(spec: ChargerSpec, past: Recovered) -> set[Mode]:
    """Return the mode last read, and those that may have arrived since."""
    seen = past.chargers.get(spec.name)
    modes = {
        command.mode
        for command in past.commands
        if command.charger == spec.name and _may_arrive(command, seen)
    }
    return modes if seen is None or seen.mode is None else modes | {seen.mode}


def _may_arrive(command: PastCommand, seen: ChargerReading | None) -> bool:
    may_have_left = command.sent_at is not None or command.state is CommandState.UNKNOWN
    return may_have_left and (seen is None or command.intended_at > seen.received_at - _UNDERWAY)


async def _send(
    client: SolaxClient, store: Store, clock: Clock, mode: Mode, specs: Sequence[ChargerSpec]
) -> bool:
    names = ", ".join(spec.name for spec in specs)
    reason = f"{mode.name}, for no service watches over {names}"
    try:
        await send(OneCommand(mode, specs, reason, toward_safety=True), client, store, clock)
    except CloudError as error:
        click.echo(f"{names}: {mode.name} was not accepted: {error}", err=True)
        return False
    click.echo(f"{names}: {mode.name} was sent and accepted")
    return True
