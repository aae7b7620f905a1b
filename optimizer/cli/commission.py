"""`sunmode check --commission`: try at one charger whether GREEN works, and keep what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import click

from optimizer.cli.run import Site, open_site
from optimizer.config import Settings
from optimizer.control.commissioning import Proof, Verdict, above_w, below_w
from optimizer.domain import ChargerSpec
from optimizer.errors import AnotherInstance, InputError
from optimizer.runtime.commissioning import Commissioning, Patience, Seen
from optimizer.runtime.locks import account_lock, database_lock
from optimizer.service import limits_from
from optimizer.solax.client import SolaxClient
from optimizer.solax.transport import open_http
from optimizer.store.experience import NOTHING, known_at, write_proof
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions

_BUSY_MS = 5000


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried where, and what earlier trials have shown."""

    settings: Settings
    spec: ChargerSpec
    known: Proof
    patience: Patience = Patience()  # noqa: RUF009 - it cannot change


def commission(settings: Settings, name: str | None, *, yes: bool) -> bool:
    """Explain, ask, try and keep the result; return whether something good was shown.

    Raises:
        InputError: no charger has that name, or there are several and none is named.
        AnotherInstance: a service runs.

    """
    spec = chosen(settings.charger_specs(), name)
    trial = Trial(settings, spec, known_at(settings.store.path).get(spec.serial, NOTHING).proof)
    for line in _explanation(trial):
        click.echo(line)
    if not yes:
        click.confirm("Do it?", abort=True)
    with ExitStack() as locks:
        try:
            locks.enter_context(database_lock(settings.store.path))
            if not settings.is_virtual:
                locks.enter_context(account_lock(settings.solax.base_url, settings.token()))
        except AnotherInstance as error:
            hint = (
                "stop the service meanwhile (sudo systemctl stop sunmode), for both would command the charger"
            )
            raise AnotherInstance(f"{error}; {hint}") from error
        return asyncio.run(_tried(trial))


def chosen(specs: Sequence[ChargerSpec], name: str | None) -> ChargerSpec:
    """Return the charger of that name, or the only one."""
    found = [spec for spec in specs if name in {None, spec.name}]
    if len(found) == 1:
        return found[0]
    names = ", ".join(spec.name for spec in specs)
    told = "name one of them by --charger" if name is None else f"no charger is called {name!r}"
    raise InputError(f"{told}: {names}")


async def _tried(trial: Trial) -> bool:
    async with open_site(trial.settings) as site:
        return await tried(trial, site)


async def tried(trial: Trial, site: Site) -> bool:
    """Try it at a site, tell and keep the result; return whether something good was shown."""
    settings, clock = trial.settings, site.ports.clock
    options = FileOptions(ballast_bytes=0, busy_ms=_BUSY_MS)
    limits = limits_from(settings)
    store = Store.open(settings.store.path, clock, limits=limits, inline=True, options=options)
    client = SolaxClient(
        open_http(site.base_url, site.token, inner=site.ports.network),
        store.ledger,
        clock,
        inverter=settings.inverter,
        call_timeout_s=settings.solax.call_timeout_s,
        status_map=settings.solax.status_map,
        cars_w=sum(spec.max_power_w for spec in settings.charger_specs()),
    )

    def tell(line: str) -> None:
        click.echo(f"{clock.now().astimezone(settings.zone):%H:%M:%S} {line}")

    try:
        seen = await Commissioning(client, store, clock, trial.spec, tell, trial.known, trial.patience).run()
        return await _kept(trial, site, store, seen)
    finally:
        await client.aclose()
        store.close()


async def _kept(trial: Trial, site: Site, store: Store, seen: Seen) -> bool:
    """Keep what was shown, and tell what that means."""
    proof = trial.known.then(seen.proof)
    lines = list(_result(trial, seen, proof))
    if seen.proof.is_new:
        store.event("commissioned", lines[0], charger=trial.spec.name)
        await store.flush()
        write_proof(trial.settings.store.path, trial.spec, site.ports.clock.now(), proof)
    for line in lines:
        click.echo(line)
    return seen.proof.is_new and proof.verdict is not Verdict.DOES_NOT_WORK


def _explanation(trial: Trial) -> Iterator[str]:
    spec, patience = trial.spec, trial.patience
    yield f"This tries whether GREEN works at {spec.name}. It"
    yield "  - sends GREEN, reads back that the charger is in it, and watches charger and house"
    yield f"    for up to {patience.watch_s / 60:.0f} minutes, with two calls a minute;"
    yield f"  - wants to see the car follow a surplus of more than {above_w(spec):.0f} W,"
    yield f"    and the charger pause below {below_w(spec):.0f} W; what is shown once is kept;"
    yield "  - leaves the charger in GREEN if both have been shown, else in STOP."
    yield "Plug the car in, not full and with no timer of its own, and change nothing meanwhile."
    yield f"So far: {trial.known}."


def _result(trial: Trial, seen: Seen, proof: Proof) -> Iterator[str]:
    why = f" ({seen.why})" if seen.why else ""
    yield f"GREEN at {trial.spec.name}: {proof.verdict.value}: {proof}{why}"
    if proof.verdict is Verdict.NOT_SHOWN:
        yield next_step(proof)
    owners = trial.settings.control.green_commissioned
    if owners is not None and proof.verdict is not Verdict.NOT_SHOWN:
        said = str(owners).lower()
        yield f"control.green_commissioned = {said} has the last word: take it out to go by what was shown"


def next_step(proof: Proof) -> str:
    """Return what to do to have the rest shown."""
    if proof.follows:
        return "run it again when the sun is down or weak"
    return "run it again in the sun" + ("" if proof.pauses else ", and once when it is down or weak")
