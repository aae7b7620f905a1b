"""What the service holds in memory; its cloud is another process, so that only the service counts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from places import SHIPPED, workplace, write_config
from processes import CYCLE_ENDED, WITH_TOKEN, Daemon, cloud_process, daemon, free_port, sunmode_run, virtual
from result import Result

COMMAND = "python benchmarks/run.py memory"
LIMIT_MB = 110.0
_WATCHED_S = 60.0
_SPEED = 1440.0


def measure() -> list[Result]:
    """Watch one service with a cycle a second, then one that lives through a whole day in a minute."""
    with workplace() as folder:
        with _real(folder) as service:
            results = _figures("sunmode run", service)
        with _accelerated(folder) as service:
            return results + _figures("a virtual day", service)


def _figures(what: str, service: Daemon) -> list[Result]:
    service.until(CYCLE_ENDED)
    cycles = service.watch(_WATCHED_S)
    return [
        Result(f"resident, {what}", service.memory_mb("VmRSS"), "MB", LIMIT_MB, COMMAND),
        Result(f"  cycles in {_WATCHED_S:.0f} s", cycles, "cycles", None, COMMAND),
        Result(f"  most ever resident, {what}", service.memory_mb("VmHWM"), "MB", LIMIT_MB, COMMAND),
    ]


@contextmanager
def _real(folder: Path) -> Iterator[Daemon]:
    port = free_port()
    config = write_config(folder, port=port, every_s=1.0)
    with cloud_process(virtual(port), port), sunmode_run(config) as service:
        yield service


@contextmanager
def _accelerated(folder: Path) -> Iterator[Daemon]:
    port = free_port()
    config = write_config(folder, port=port, every_s=60.0)
    cloud = _half("cloud", str(SHIPPED), "--port", str(port))
    with cloud_process(cloud, port), daemon(_half("service", str(config)), WITH_TOKEN) as service:
        yield service


def _half(half: str, config: str, *more: str) -> list[str]:
    script = str(Path(__file__).with_name("accelerated.py"))
    return [sys.executable, script, half, config, "--speed", str(_SPEED), *more]
