"""Compiled backtests beside acnportal's simulator, in its own environment, in one run.

The first time it is installed from PyPI into `.venv-acnportal` (half a gigabyte).  Where that fails the
benchmark is skipped and says why.  Its charging network is more than a house needs and its house is none: the
ratio says what a simulator for one purpose gains, no more.
"""

from __future__ import annotations

from backtest_speed import YEAR_MIN, compiled_s, sample_year
from peer_environment import Peer
from result import Result

COMMAND = "python benchmarks/run.py peers"
_PEER = Peer("acnportal==0.3.3", "acnportal_month.py")
_YEARS = 30


def measure() -> list[Result]:
    """Run ours, theirs, and ours again."""
    year = sample_year()
    compiled_s(year, 1)
    before_s = compiled_s(year, _YEARS)
    theirs = float(_PEER.answer())
    ours = YEAR_MIN / min(before_s, compiled_s(year, _YEARS))
    return [
        Result("steps per core-second, threshold and a house", ours, "1/s", None, COMMAND),
        Result(f"  {_PEER.requirement}, uncontrolled, one point", theirs, "1/s", None, COMMAND),
        Result("  ours beside theirs", ours / theirs, "x", None, COMMAND),
    ]
