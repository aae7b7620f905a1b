"""`sunmode virtual`: the virtual SolaX cloud for anybody who writes a client."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from optimizer import logs
from optimizer.cli import config_option
from optimizer.cli.virtual_home import VIRTUAL_TOKEN, virtual_cloud
from optimizer.clock import SystemClock
from optimizer.config.loading import find_config, load_settings
from optimizer.errors import InputError
from optimizer.simulation.server import serve_virtual


@click.command("virtual")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8411, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on."
)
@config_option
def virtual_command(host: str, port: int, config_path: Path | None) -> None:
    """Serve the virtual SolaX cloud over HTTP until it is stopped."""
    settings = load_settings(find_config(config_path, os.environ), os.environ)
    logs.configure(settings.log.level, settings.log.format, str)
    cloud = virtual_cloud(settings, SystemClock())
    serials = ", ".join(cloud.home.serials)
    click.echo(
        f"http://{host}:{port}  token {VIRTUAL_TOKEN}  inverter {cloud.settings.inverter}  chargers {serials}"
    )
    click.echo(f"the truth, for human eyes: http://{host}:{port}/virtual/state")
    try:
        asyncio.run(serve_virtual(cloud, host, port))
    except OSError as error:
        raise InputError(f"cannot listen on {host}:{port}: {error.strerror}") from error
