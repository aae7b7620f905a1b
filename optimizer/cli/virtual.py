"""`sunmode virtual`: the virtual SolaX cloud for anybody who writes a client."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import click
import httpx

from optimizer import logs
from optimizer.cli import config_option
from optimizer.cli.virtual_home import VIRTUAL_TOKEN, virtual_cloud
from optimizer.clock import SystemClock
from optimizer.config import Settings
from optimizer.config.loading import find_config, load_settings
from optimizer.errors import SunmodeError
from optimizer.simulation.server import running_server
from optimizer.simulation.transport import http_callbacks


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
    asyncio.run(_serve(settings, host, port))


async def _serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; what is printed is true from then on."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        cloud = virtual_cloud(settings, SystemClock(), http_callbacks(http))
        try:
            url = await stack.enter_async_context(running_server(cloud, host, port))
        except OSError as error:
            raise SunmodeError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        serials = ", ".join(cloud.home.serials)
        click.echo(f"{url}  token {VIRTUAL_TOKEN}  inverter {cloud.settings.inverter}  chargers {serials}")
        click.echo(f"the truth, for human eyes: {url}/virtual/state")
        await stop.wait()
