"""`sunmode score`: replay past days with every strategy, and keep what came of it in the log."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import click

from optimizer.cli import config_option
from optimizer.clock import SystemClock
from optimizer.errors import InputError


@click.command("score")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="One day, anew; else all that lack a score.")
@config_option
def score_command(day: datetime | None, config_path: Path | None) -> None:
    """Score past days: what each strategy would have made of them; the service does so each night."""
    from optimizer.cli.report_site import site_of
    from optimizer.report.score import catch_up, record

    site = site_of(config_path)
    today = SystemClock().now().astimezone(site.zone).date()
    if day is not None:
        record(site, ended(day, today), click.echo)
    elif not catch_up(site, today, click.echo):
        click.echo("no day lacks a score")


def ended(day: datetime, today: date) -> date:
    """Return the day, if it has ended.

    Raises:
        InputError: it has not.

    """
    if day.date() >= today:
        raise InputError(f"{day:%Y-%m-%d} has not ended yet: the last day that has is before {today}")
    return day.date()
