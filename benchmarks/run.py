"""Measure and print: `python benchmarks/run.py [--json] [NAME ...]`; without names everything.

Seconds depend on the machine and on what else it does: look at the figures of one run side by side.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict

import backtest_speed
import forecast
import help_time
import log_size
import loop_lag
import memory
import peer_plans
import peer_speed
import plan_speed
import simulation_speed
import start_time
import tick_time
from result import Result, Skipped

BENCHMARKS: dict[str, Callable[[], list[Result]]] = {
    "help": help_time.measure,
    "start": start_time.measure,
    "memory": memory.measure,
    "tick": tick_time.measure,
    "log": log_size.measure,
    "lag": loop_lag.measure,
    "simulation": simulation_speed.measure,
    "backtest": backtest_speed.measure,
    "plan": plan_speed.measure,
    "forecast": forecast.measure,
    "peers": peer_speed.measure,
    "emhass": peer_plans.measure,
}


def main(arguments: Sequence[str]) -> None:
    """Collect and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--json", action="store_true", help="one JSON array on standard output")
    asked = parser.parse_args(arguments)
    unknown = set(asked.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    results: list[Result] = []
    for name in asked.names or BENCHMARKS:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        try:
            results += BENCHMARKS[name]()
        except Skipped as why:
            print(f"skipped {name}: {why}", file=sys.stderr, flush=True)
    print(_json(results) if asked.json else _table(results))


def _json(results: Sequence[Result]) -> str:
    return json.dumps([{**asdict(result), "kept": result.kept} for result in results], indent=2)


def _table(results: Sequence[Result]) -> str:
    width = max((len(result.name) for result in results), default=0)
    return "\n".join(_row(result, width) for result in results)


def _row(result: Result, width: int) -> str:
    most = "" if result.limit is None else f"limit {result.limit:g} {result.unit}"
    asked = most if result.least is None else f"at least {result.least:g} {result.unit}"
    verdict = "" if not asked else "kept" if result.kept else "NOT KEPT"
    return f"{result.name:<{width}}  {result.value:>10.4g} {result.unit:<8}  {asked:<16} {verdict}".rstrip()


if __name__ == "__main__":
    main(sys.argv[1:])
