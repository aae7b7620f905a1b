"""`sunmode plan`: how the strategy expects to go on, what that comes to, and what it stands on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import click

from optimizer.cli import config_option
from optimizer.cli.look import parsed_time
from optimizer.cli.plan_view import document, show
from optimizer.clock import SystemClock
from optimizer.config import Settings
from optimizer.config.loading import find_config, load_settings
from optimizer.config.words import did_you_mean
from optimizer.errors import InputError
from optimizer.runtime.planned import Plan, plan_of
from optimizer.store.instants import to_json
from optimizer.store.queries import LoggedDecision, decision_at


@click.command("plan")
@click.argument("moment", metavar="[TIME]", required=False)
@click.option("--charger", metavar="NAME", help="Of one charger only.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object, times in UTC.")
@config_option
def plan_command(moment: str | None, charger: str | None, as_json: bool, config_path: Path | None) -> None:
    """Show how the strategy expects to go on from now, or expected at TIME ("14:30", as for `why`)."""
    settings = load_settings(find_config(config_path, os.environ), os.environ)
    now = SystemClock().now()
    at = now if moment is None else parsed_time(moment, settings.zone, now)
    if at > now:
        raise InputError(f"{moment!r} lies ahead: a plan begins with what has been seen")
    plans = _plans(settings, _asked(settings, charger), at)
    if as_json:
        click.echo(to_json(document(plans, settings.zone, now)))
    else:
        show(plans, settings, now, is_newest=moment is None)


def _asked(settings: Settings, charger: str | None) -> tuple[str, ...]:
    """Return the chargers that are meant.

    Raises:
        InputError: none is called so.

    """
    names = tuple(one.name for one in settings.charger)
    if charger is None:
        return names
    if charger not in names:
        hint = did_you_mean(charger, names)
        raise InputError(
            f"--charger {charger}: no charger is called so{hint} (there are: {', '.join(names)})"
        )
    return (charger,)


def _plans(settings: Settings, names: tuple[str, ...], at: datetime) -> Mapping[str, Plan | None]:
    """Return each charger's plan, None where nothing has been decided for it yet."""
    path = settings.store.path
    found: Mapping[str, LoggedDecision] = decision_at(path, at)
    strategy = settings.build_strategy()
    return {name: plan_of(path, found[name], strategy) if name in found else None for name in names}
