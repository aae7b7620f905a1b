"""`sunmode report`: how good a day or a month was, as text, JSON, picture and page."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optimizer.cli import config_option
from optimizer.cli.score import ended
from optimizer.clock import SystemClock
from optimizer.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from optimizer.report.build import DayReport, MonthReport
    from optimizer.report.day import DayLog
    from optimizer.report.told import Line

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("report")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="A day that has ended; without it, yesterday.")
@click.option("--month", type=click.DateTime(["%Y-%m"]), help="A month, as far as its days have ended.")
@click.option("--png", type=_FILE, help="A picture to write.")
@click.option("--html", type=_FILE, help="A page to write: one file, for a browser or a phone.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object, times in UTC.")
@config_option
def report_command(
    day: datetime | None,
    month: datetime | None,
    png: Path | None,
    html: Path | None,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Tell how good a day or a month was, beside what else could have been made of it."""
    if day is not None and month is not None:
        raise click.UsageError("name a --day or a --month, not both")
    from optimizer.cli.report_site import site_of
    from optimizer.report.build import day_report, month_report

    site = site_of(config_path)
    today = SystemClock().now().astimezone(site.zone).date()
    if month is not None:
        monthly = month_report(site, _begun(month, today), today)
        _tell_month(monthly, png, html, as_json=as_json)
        return
    daily = day_report(site, today - timedelta(days=1) if day is None else ended(day, today))
    _tell_day(daily, png, html, as_json=as_json)


def _begun(month: datetime, today: date) -> date:
    first = month.date().replace(day=1)
    if first >= today:
        raise InputError(f"{month:%Y-%m}: no day of this month has ended yet")
    return first


def _tell_day(report: DayReport, png: Path | None, html: Path | None, *, as_json: bool) -> None:
    if png or html:
        from optimizer.report.picture import draw_day

        _write(draw_day(report.picture()), png, html, report.title, report.log.charger, report)
    if as_json:
        _echo_json(report.document())
        return
    _echo(report.title, report.lines, report.notes, report.log)


def _tell_month(report: MonthReport, png: Path | None, html: Path | None, *, as_json: bool) -> None:
    if png or html:
        from optimizer.report.month_picture import draw_month

        _write(draw_month(report), png, html, report.title, report.charger, report)
    if as_json:
        _echo_json(report.document())
        return
    _echo(report.title, report.lines, report.notes)


def _echo_json(document: object) -> None:
    from optimizer.store.instants import to_json

    click.echo(to_json(document))


def _echo(title: str, lines: Sequence[Line], notes: Iterable[str], log: DayLog | None = None) -> None:
    from optimizer.report.told import text_table

    click.echo(title)
    if log is not None:
        _echo_picture(log)
    click.echo("")
    for line in (*text_table(lines), "", *notes):
        click.echo(line)


def _echo_picture(log: DayLog) -> None:
    """Show the day in signs, as blocks where the terminal's encoding has them."""
    from rich.console import Console

    from optimizer.report.bar import text_picture

    console = Console()
    for line in text_picture(log, console.width, blocks=console.encoding.startswith("utf")):
        click.echo(line)


def _write(
    figure: Figure,
    png: Path | None,
    html: Path | None,
    title: str,
    charger: str,
    report: DayReport | MonthReport,
) -> None:
    from optimizer.report import picture
    from optimizer.report.page import page

    if png is not None:
        _replace(png, picture.png(figure))
    if html is not None:
        text = page(title, charger, picture.svg(figure), report.lines, report.notes)
        _replace(html, text.encode())


def _replace(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        InputError: it cannot be written.

    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            beside.write_bytes(content)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
