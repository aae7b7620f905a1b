"""EMHASS plans one car's charging: reads days as JSON from standard input, prints a plan for each as JSON.

Only the last line is the answer: the solver says its name before.

Runs in an environment of its own that has EMHASS, and knows nothing of sunmode.  Everything that is not said
here is as EMHASS ships it; only it is to find the optimum to 1e-4 (it would do with 1 %), on one thread.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

warnings.simplefilter("ignore")

import emhass  # noqa: E402 - its imports warn
import pandas as pd  # noqa: E402
from emhass.optimization import Optimization  # noqa: E402

ROUNDS = 5
_LOUD = logging.getLogger("emhass")
_COST, _EARNED = "unit_load_cost", "unit_prod_price"


def main() -> None:
    """Answer all days that were asked for."""
    _LOUD.setLevel(logging.CRITICAL)
    days = json.load(sys.stdin)
    answers = [_answer(day) for day in days]
    print(json.dumps(answers))


def _answer(day: dict[str, Any]) -> dict[str, Any]:
    """Return the car's power by step, and the least times from scratch and with the problem kept."""
    best_s, (problem, found) = _best(lambda: _planned(_problem(day), day))
    kept_s, _ = _best(lambda: _planned(problem, day))
    if set(found["optim_status"]) != {"Optimal"}:
        sys.exit(f"no optimal plan: {set(found['optim_status'])}")
    return {"ev_w": found["P_deferrable0"].tolist(), "scratch_s": best_s, "kept_s": kept_s}


def _best(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the least processor time of some rounds, and what the last one made."""
    times, made = [], None
    for _ in range(ROUNDS):
        began_s = process_time()
        made = work()
        times.append(process_time() - began_s)
    return min(times), made


def _problem(day: dict[str, Any]) -> Optimization:
    shipped = json.loads((Path(emhass.__file__).parent / "data" / "config_defaults.json").read_text())
    one = {
        "number_of_deferrable_loads": 1,
        "nominal_power_of_deferrable_loads": [day["max_w"]],
        "minimum_power_of_deferrable_loads": [day["min_w"]],
        "operating_hours_of_each_deferrable_load": [day["need_kwh"] * 1000.0 / day["max_w"]],
        "start_timesteps_of_each_deferrable_load": [0],
        "end_timesteps_of_each_deferrable_load": [day["due_step"]],
        "treat_deferrable_load_as_semi_cont": [day["on_off"]],
        "set_deferrable_load_single_constant": [False],
        "set_deferrable_startup_penalty": [0.0],
        "deferrable_load_max_cost": [0.0],
        "set_deferrable_max_startups": [0],
        "def_minimum_on_time": [0],
        "def_minimum_off_time": [0],
        "cost_forecast_per_deferrable_load": [None],
        "is_electric_load": [True],
        "maximum_power_from_grid": 50_000,
        "maximum_power_to_grid": 50_000,
        "lp_solver_mip_rel_gap": 0.0,
        "num_threads": 1,
        "set_use_pv": True,
        "delta_forecast_daily": 2,
    }
    time = {"optimization_time_step": pd.Timedelta(day["step_min"], "min"), "time_zone": "UTC"}
    conf = {**shipped, **one, **time}
    steps = len(day["pv_w"])
    return Optimization(
        conf, conf, conf, _COST, _EARNED, "profit", {}, _LOUD, opt_time_delta=48, num_timesteps=steps
    )


def _planned(problem: Optimization, day: dict[str, Any]) -> tuple[Optimization, pd.DataFrame]:
    freq = pd.Timedelta(day["step_min"], "min")
    index = pd.date_range("2026-06-01", periods=len(day["pv_w"]), freq=freq, tz="UTC")
    prices = pd.DataFrame({_COST: day["price"], _EARNED: day["feed_in"]}, index=index)
    pv, load = (pd.Series(day[name], index=index) for name in ("pv_w", "load_w"))
    return problem, problem.perform_dayahead_forecast_optim(prices, pv, load)


if __name__ == "__main__":
    main()
