"""How long `sunmode --help` takes beside an interpreter that does nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from statistics import median
from time import perf_counter

from processes import SUNMODE
from result import Result

COMMAND = "python benchmarks/run.py help"
LIMIT_S = 0.3
_RUNS = 10


def measure() -> list[Result]:
    """Run both in turn, so that both see the same machine."""
    helps, bares = [], []
    for _ in range(_RUNS):
        helps.append(_wall_s([SUNMODE, "--help"]))
        bares.append(_wall_s([sys.executable, "-c", "pass"]))
    return [
        Result("sunmode --help, best of 10", min(helps), "s", LIMIT_S, COMMAND),
        Result("sunmode --help, median", median(helps), "s", LIMIT_S, COMMAND),
        Result("python -c pass, best of 10", min(bares), "s", None, COMMAND),
        Result("python -c pass, median", median(bares), "s", None, COMMAND),
        Result("sunmode --help beside python -c pass", median(helps) / median(bares), "x", None, COMMAND),
    ]


def _wall_s(arguments: Sequence[str]) -> float:
    began_s = perf_counter()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - began_s
