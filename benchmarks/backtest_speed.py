"""How fast strategies run over past days, compiled and in plain Python, and what stands around that.

Minutes in which nothing can happen are stepped over: the figures hold for the sample's house and its car.
Processor time, the best of many: the machine has other things to do.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import thread_time

from places import ROOT
from processes import SUNMODE
from result import Result

from optimizer.backtest.assemble import CaseOptions, assemble
from optimizer.backtest.case import Case
from optimizer.backtest.house_file import HouseColumns
from optimizer.backtest.lineup import lineup
from optimizer.backtest.runs import run_strategy
from optimizer.backtest.truth import truth_of
from optimizer.planning.bound import lp_bound, mode_bound

COMMAND = "python benchmarks/run.py backtest"
YEAR_MIN = 525_600
SAMPLES = ROOT / "data" / "samples"

_WEEKS = tuple(datetime(2019, month, day, tzinfo=UTC) for month, day in ((2, 11), (5, 13), (8, 26), (11, 11)))
"""One of each season; a whole year in plain Python would take too long."""
_ROUNDS = 5
_YEARS_A_ROUND = 20
_LEAST_COMPILED, _LEAST_REFERENCE, _LEAST_RATIO, _LIMIT_BOUND_S = 150.0, 0.5, 200.0, 5.0
_FIRST = "from backtest_speed import sample_year, threshold_s; threshold_s(sample_year(), compiled=True)"


def measure() -> list[Result]:
    """Run both speeds in turn, then the bounds and whole processes."""
    return [*_speeds(), *_bounds(), *_processes()]


def sample_year() -> Case:
    """Return the sample's year."""
    return _sample()


def threshold_s(case: Case, *, compiled: bool) -> float:
    """Run `threshold` once and return the processor time of it."""
    (entry,) = lineup(["threshold"])
    return _cpu_s(lambda: run_strategy(case, entry.strategy, compiled=compiled))


def compiled_s(year: Case, runs: int) -> float:
    """Return the least processor time that a compiled year takes."""
    return min(threshold_s(year, compiled=True) for _ in range(runs))


def _speeds() -> list[Result]:
    year, weeks = sample_year(), [_sample(begin, begin + timedelta(weeks=1)) for begin in _WEEKS]
    threshold_s(year, compiled=True)
    fast_s, plain_s = [], []
    for _ in range(_ROUNDS):
        fast_s.append(compiled_s(year, _YEARS_A_ROUND))
        plain_s.append(sum(threshold_s(week, compiled=False) for week in weeks))
    fast = year.minutes / YEAR_MIN / min(fast_s)
    plain = sum(week.minutes for week in weeks) / YEAR_MIN / min(plain_s)
    return [
        Result("house-years per core-second, threshold", fast, "1/s", None, COMMAND, _LEAST_COMPILED),
        Result("  in plain Python", plain, "1/s", None, COMMAND, _LEAST_REFERENCE),
        Result("  compiled beside plain Python", fast / plain, "x", None, COMMAND, _LEAST_RATIO),
    ]


def _bounds() -> list[Result]:
    truth = truth_of(sample_year())
    mode_bound(truth)
    modes = min(_cpu_s(lambda: mode_bound(truth)) for _ in range(_ROUNDS))
    lp = min(_cpu_s(lambda: lp_bound(truth)) for _ in range(_ROUNDS))
    return [
        Result("a year's bound, four modes", modes, "s", _LIMIT_BOUND_S, COMMAND),
        Result("a year's bound, anything", lp, "s", _LIMIT_BOUND_S, COMMAND),
    ]


def _processes() -> Iterator[Result]:
    """Yield what fresh processes take, imports and files included."""
    script = [sys.executable, "-c", _FIRST]
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "XDG_CACHE_HOME": folder, "PYTHONPATH": str(Path(__file__).parent)}
        yield Result("a process's first year, compiling", _process_s(script, env), "s", None, COMMAND)
        cached = min(_process_s(script, env) for _ in range(_ROUNDS))
        yield Result("  what was compiled before", cached, "s", None, COMMAND)
    backtest = [SUNMODE, "backtest", "--bound", "--house", str(SAMPLES / "house_ohrberg_2019.parquet")]
    backtest += ["--pv-scale", "0.6", "--sessions", str(SAMPLES / "sessions.csv")]
    _process_s(backtest, os.environ)
    whole = min(_process_s(backtest, os.environ) for _ in range(_ROUNDS))
    yield Result("sunmode backtest, a year, all strategies", whole, "s", None, COMMAND)


def _sample(since: datetime | None = None, until: datetime | None = None) -> Case:
    case, _ = assemble(
        CaseOptions(
            SAMPLES / "house_ohrberg_2019.parquet",
            SAMPLES / "sessions.csv",
            columns=HouseColumns(pv_scale=0.6),
            since=since,
            until=until,
        )
    )
    return case


def _cpu_s(work: Callable[[], object]) -> float:
    began_s = thread_time()
    work()
    return thread_time() - began_s


def _process_s(command: Sequence[str], env: Mapping[str, str]) -> float:
    """Return the processor time of a whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
