"""Compiled backtests beside acnportal's simulator, in its own environment, in one run.

The first time it is installed from PyPI into `.venv-acnportal` (half a gigabyte).  Where that fails the
benchmark is skipped and says why.  Its charging network is more than a house needs and its house is none: the
ratio says what a simulator for one purpose gains, no more.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from backtest_speed import YEAR_MIN, compiled_s, sample_year
from places import ROOT
from result import Result, Skipped

COMMAND = "python benchmarks/run.py peers"
_PEER = "acnportal==0.3.3"
_FOLDER = ROOT / ".venv-acnportal"
_SCRIPT = Path(__file__).parent / "peers" / "acnportal_month.py"
_PATIENCE_S = 900.0
_YEARS = 30


def measure() -> list[Result]:
    """Run ours, theirs, and ours again."""
    python = _environment()
    year = sample_year()
    compiled_s(year, 1)
    before_s = compiled_s(year, _YEARS)
    theirs = float(_run([python, str(_SCRIPT)]))
    ours = YEAR_MIN / min(before_s, compiled_s(year, _YEARS))
    return [
        Result("steps per core-second, threshold and a house", ours, "1/s", None, COMMAND),
        Result(f"  {_PEER}, uncontrolled, one point", theirs, "1/s", None, COMMAND),
        Result("  ours beside theirs", ours / theirs, "x", None, COMMAND),
    ]


def _environment() -> str:
    """Return the Python that has the peer; installed once."""
    python, done = _FOLDER / "bin" / "python", _FOLDER / ".installed"
    if not done.exists():
        print(f"installing {_PEER} into {_FOLDER.name} ...", file=sys.stderr, flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(_FOLDER)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", _PEER])
        done.touch()
    return str(python)


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_PATIENCE_S)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"exit code {error.returncode}"]
        raise Skipped(f"{Path(command[0]).name} {command[1]}: {lines[-1]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Skipped(str(error)) from error
    return done.stdout
