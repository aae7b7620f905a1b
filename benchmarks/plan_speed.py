"""How long one plan from scratch takes, compiled and in plain Python, and a backtest with the planner in it.

Processor time of the thread, the best of several runs; wall time beside it where it is seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import pi, sin
from time import perf_counter, thread_time

from backtest_speed import sample_year
from result import Result

from optimizer.ahead import Ahead
from optimizer.backtest.runs import run_strategy
from optimizer.backtest.tape import tape_of
from optimizer.compiling import compiled, with_arrays
from optimizer.domain import (
    ChargerSpec,
    ChargerStatus,
    Forecast,
    ForecastSlot,
    Goal,
    Mode,
    PriceStep,
    SiteReading,
    Situation,
    Tariff,
)
from optimizer.planning.choice import value_modes
from optimizer.planning.expected import MOST_SLOTS, Task, task_of
from optimizer.planning.lookahead import Model
from optimizer.sensed import Sensed, ahead_of, sensed
from strategies.planner import Planner, PlannerParams

COMMAND = "python benchmarks/run.py plan"
PLANS = (("certain", 1, 121, 10.0), ("certain", 1, 401, 10.0), ("30 kinds of weather", 30, 121, 250.0))
"""Name, levels of the sky and of energy, and how many ms it may take."""

_LIMIT_YEAR_S = 4.0
_ROUNDS, _YEARS = 20, 3
BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
_NEED_KWH = 69.0
"""Whole steps of energy for 121 and for 401 levels: all of them are used."""
_LOAD_W = 400.0
_UNKNOWN = -1.0
"""A key that no plan has: it is made from scratch."""


@dataclass(frozen=True, slots=True)
class Day:
    """Quarter hours from `BEGIN` on: production, load without the car, EUR/kWh; and what is due when."""

    sun_w: Sequence[float]
    load_w: Sequence[float]
    price: Sequence[float]
    feed_in: float
    need_kwh: float
    due_slot: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What a plan is asked for with."""

    seen: Sensed
    ahead: Ahead
    task: Task
    model: Model

    def as_arrays(self) -> Asked:
        """Return the same as compiled code takes it."""
        return Asked(self.seen, with_arrays(self.ahead), self.task, with_arrays(self.model))


def measure() -> list[Result]:
    """Make plans, then live a year with them."""
    results: list[Result] = []
    for name, sky_levels, energy_levels, limit_ms in PLANS:
        asked = two_days(PlannerParams(sky_levels=sky_levels, energy_levels=energy_levels))
        results += _plan(f"plan of {MOST_SLOTS} slots, {name}, {energy_levels} levels", asked, limit_ms)
    return [*results, *_year()]


def two_days(params: PlannerParams) -> Asked:
    """Return a car that wants much within two days of sun and clouds."""
    charger = ChargerSpec("garage", "REFERENCE")
    sun_w = [_sun_w(number) for number in range(MOST_SLOTS)]
    day = Day(sun_w, [_LOAD_W] * MOST_SLOTS, [0.30] * MOST_SLOTS, 0.08, _NEED_KWH, MOST_SLOTS)
    return asked_for(day, charger, Planner(params).setting(charger))


def asked_for(day: Day, charger: ChargerSpec, model: Model) -> Asked:
    """Return what is planned from when the car has just been plugged in."""
    surplus_w = day.sun_w[0] - day.load_w[0]
    situation = Situation(
        now=BEGIN,
        charger=charger,
        status=ChargerStatus.PREPARING,
        mode=Mode.STOP,
        ev_w=0.0,
        session_kwh=0.0,
        surplus_w=surplus_w,
        site=SiteReading(BEGIN, "x", day.sun_w[0], -surplus_w),
        data_age_s=60.0,
        elapsed_s=60.0,
        goal=Goal(_start(day.due_slot), day.need_kwh),
        tariff=Tariff(
            day.price[0],
            day.feed_in,
            tuple(PriceStep(_start(number), price) for number, price in enumerate(day.price)),
        ),
        forecast=_forecast(day.sun_w),
        load_forecast=_forecast(day.load_w),
    )
    seen, ahead = sensed(situation), ahead_of(situation, MOST_SLOTS)
    return Asked(seen, ahead, task_of(seen, ahead, model.costs), model)


def planning_s(asked: Asked, values: Callable[..., None]) -> float:
    """Return the processor time of a plan from scratch."""
    asked.model.tables.key[0] = _UNKNOWN
    began_s = thread_time()
    values(asked.seen, asked.ahead, asked.task, asked.model)
    return thread_time() - began_s


def _plan(name: str, asked: Asked, limit_ms: float) -> list[Result]:
    fast, arrays = compiled(value_modes), asked.as_arrays()
    planning_s(arrays, fast)
    fast_ms = min(planning_s(arrays, fast) for _ in range(_ROUNDS)) * 1000.0
    plain_ms = planning_s(asked, value_modes) * 1000.0
    if list(arrays.model.tables.eur) != asked.model.tables.eur:
        raise AssertionError("compiled and plain plans differ")
    return [
        Result(name, fast_ms, "ms", limit_ms, COMMAND),
        Result("  in plain Python", plain_ms, "ms", None, COMMAND),
        Result("  compiled beside plain Python", plain_ms / fast_ms, "x", None, COMMAND),
    ]


def _year() -> list[Result]:
    """Run the sample's year; the forecasts are made before, as for all strategies of a backtest."""
    year, planner = sample_year(), Planner(PlannerParams())
    began_s = thread_time()
    tape_of(year, as_arrays=True, looks_ahead=True)
    forecasts_s = thread_time() - began_s
    run_strategy(year, planner)
    runs = [_cpu_and_wall_s(lambda: run_strategy(year, planner)) for _ in range(_YEARS)]
    cpu_s, wall_s = (min(times) for times in zip(*runs, strict=True))
    return [
        Result("a backtest year with the planner in the loop", cpu_s, "s", _LIMIT_YEAR_S, COMMAND),
        Result("  on the wall", wall_s, "s", None, COMMAND),
        Result("  its forecasts made from the past, before", forecasts_s, "s", None, COMMAND),
    ]


def _cpu_and_wall_s(work: Callable[[], object]) -> tuple[float, float]:
    began_s, wall_s = thread_time(), perf_counter()
    work()
    return thread_time() - began_s, perf_counter() - wall_s


def _start(number: int) -> datetime:
    return BEGIN + timedelta(minutes=15 * number)


def _sun_w(number: int) -> float:
    """Return 6 kWp with a cloud every now and then."""
    cloud = 0.7 + 0.3 * sin(2.1 * number)
    return 6000.0 * cloud * max(0.0, sin(pi * (number / 4.0 % 24.0 - 5.0) / 14.0))


def _forecast(power_w: Sequence[float]) -> Forecast:
    slots = (ForecastSlot(_start(number), 0.6 * w, w, 1.3 * w) for number, w in enumerate(power_w))
    return Forecast(BEGIN, "made up", tuple(slots))
