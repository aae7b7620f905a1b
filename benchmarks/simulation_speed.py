"""How many virtual days pass in a second."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from time import perf_counter

from life import live
from places import SUNNY_MORNING, shipped, workplace
from result import Result

from optimizer.cli.virtual_home import virtual_home

COMMAND = "python benchmarks/run.py simulation"
_DAYS = 7.0


def measure() -> list[Result]:
    """Let the home alone and then the whole service before it live through the same days."""
    with workplace() as folder:
        alone = _DAYS / _home_alone_s()
        whole = live(folder / "life.db", SUNNY_MORNING, _DAYS)
    both = whole.days / whole.wall_s
    return [
        Result("virtual days per second, home alone", alone, "days/s", None, COMMAND),
        Result("virtual days per second, service and cloud", both, "days/s", None, COMMAND),
        Result("a cycle in virtual time", 1e3 * whole.wall_s / whole.cycles, "ms", None, COMMAND),
    ]


def _home_alone_s() -> float:
    home = virtual_home(shipped(Path("unused.db")), SUNNY_MORNING)
    began_s = perf_counter()
    for minute in range(int(_DAYS * 1440)):
        home.advance(SUNNY_MORNING + timedelta(minutes=minute))
    return perf_counter() - began_s
