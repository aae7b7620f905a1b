"""One half of an accelerated world as a process: the real service, or the virtual cloud that it calls.

Both halves run on a clock of their own, `speed` times as fast as the machine's, from the same morning.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path

from places import SUNNY_MORNING

from optimizer.cli.run import configure_logs, serve
from optimizer.clock import ScaledClock
from optimizer.config import load_settings
from optimizer.runtime.calendar import ClockCalendar
from optimizer.service import Ports, Service


async def service(config: Path, clock: ScaledClock) -> None:
    """Run the service as the command does, on another clock."""
    settings = load_settings(config, os.environ)
    configure_logs(settings)
    await serve(
        Service(settings, Ports(clock=clock, calendar=lambda on_fault: ClockCalendar(clock, on_fault)))
    )


async def cloud(config: Path, clock: ScaledClock, port: int) -> None:
    """Serve the virtual cloud."""
    from optimizer.cli.virtual_home import virtual_cloud
    from optimizer.simulation.server import serve_virtual

    await serve_virtual(virtual_cloud(load_settings(config, {}), clock), port=port)


def main() -> None:
    """Run the half that is asked for until a signal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("half", choices=("service", "cloud"))
    parser.add_argument("config", type=Path)
    parser.add_argument("--speed", type=float, required=True)
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    clock = ScaledClock(SUNNY_MORNING, asked.speed)
    asyncio.run(
        service(asked.config, clock) if asked.half == "service" else cloud(asked.config, clock, asked.port)
    )


if __name__ == "__main__":
    main()
