"""`sunmode forecast`: how good the forecasts in the log were, as text, JSON and picture."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import click

from optimizer.cli import config_option
from optimizer.clock import SystemClock
from optimizer.config.loading import find_config, load_settings
from optimizer.errors import InputError

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("forecast")
@click.option(
    "--days",
    default=30,
    show_default=True,
    type=click.IntRange(1, 3650),
    help="How far back forecasts are judged.",
)
@click.option("--provider", help="Only this one's.")
@click.option("--plot", type=_FILE, help="A picture (PNG) to write: forecasts and truth of the last days.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object, times in UTC.")
@config_option
def forecast_command(
    days: int, provider: str | None, plot: Path | None, as_json: bool, config_path: Path | None
) -> None:
    """Tell how good forecasts were, by how far ahead they looked."""
    from optimizer.report.forecasts import forecast_report

    settings = load_settings(find_config(config_path, os.environ), os.environ)
    now = SystemClock().now()
    report = forecast_report(settings.store.path, now - timedelta(days=days), now, provider)
    if plot is not None:
        from optimizer.report.forecast_picture import draw_forecasts
        from optimizer.report.picture import png

        _write(plot, png(draw_forecasts(report, settings.zone)))
    if as_json:
        click.echo(json.dumps(report.document, indent=2))
        return
    for line in report.lines:
        click.echo(line)


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
