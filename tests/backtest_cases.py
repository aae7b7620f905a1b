"""Cases for backtests, drawn from a seed: any weather, any car, with and without a home battery."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import numpy as np

from optimizer.backtest.case import Case, GoalSpan, Home, Visit
from optimizer.domain import ChargerSpec, Mode, Strategy
from optimizer.plant.battery import BatteryLimits
from optimizer.plant.car import CarLimits
from strategies.deadline import Deadline, DeadlineParams
from strategies.fixed import Fixed, FixedParams
from strategies.planner import Planner, PlannerParams
from strategies.threshold import Threshold, ThresholdParams
from strategies.timer import Timer, TimerParams

BUILT_IN: dict[str, Strategy] = {
    **{mode.name.lower(): Fixed(FixedParams(mode)) for mode in Mode},
    "threshold": Threshold(ThresholdParams()),
    "eager": Threshold(ThresholdParams(start_delay_s=0.0, stop_delay_s=60.0, fast_by_surplus=True)),
    "timer": Timer(TimerParams()),
    "deadline": Deadline(DeadlineParams()),
    "planner": Planner(PlannerParams(energy_levels=21, sky_levels=3)),
    "cheapest": Deadline(DeadlineParams(cheapest=True)),
}


def drawn_case(seed: int, days: int = 3) -> Case:
    """Return the case of `seed`."""
    rng = random.Random(f"case {seed}")
    start = datetime(2019, rng.randint(1, 12), rng.randint(1, 25), tzinfo=UTC) + timedelta(
        minutes=rng.choice((0, 7, 15, 44))
    )
    minutes = days * 1440
    visits = tuple(_visits(rng, minutes))
    slots = (minutes + 29) // 15
    price = [rng.choice((0.3, 0.25 + 0.15 * math.sin(slot / 7.0), -0.05)) for slot in range(slots)]
    return Case(
        house=f"seed {seed}",
        start=start,
        pv_w=_sun_w(rng, start, minutes),
        load_w=np.array([rng.choice((150.0, 300.0, 300.0, 2500.0)) for _ in range(minutes)]),
        known=np.ones(minutes, dtype=bool),
        visits=visits,
        goals=tuple(_goals(rng, visits)),
        price_eur_per_kwh=np.array(price),
        feed_in_eur_per_kwh=np.full(slots, 0.08),
        home=_home(rng),
    )


def _sun_w(rng: random.Random, start: datetime, minutes: int) -> np.ndarray:
    peak_w, cloud = rng.choice((2000.0, 6000.0, 12_000.0)), 1.0
    values = []
    for minute in range(minutes):
        if rng.random() < 0.05:
            cloud = rng.uniform(0.1, 1.0)
        hour = (start.hour + (start.minute + minute) / 60.0) % 24.0
        values.append(max(0.0, peak_w * cloud * math.sin(math.pi * (hour - 5.0) / 14.0)))
    return np.array(values)


def _visits(rng: random.Random, minutes: int) -> list[Visit]:
    visits, at = [], rng.randint(0, 600)
    while True:
        departure = at + rng.randint(1, 1200)
        if departure >= minutes:
            return visits
        visits.append(Visit(len(visits), at, departure, rng.choice((0.0, 0.5, rng.uniform(2.0, 40.0)))))
        at = departure + rng.choice((0, 1, rng.randint(2, 900)))


def _goals(rng: random.Random, visits: tuple[Visit, ...]) -> list[GoalSpan]:
    return [
        GoalSpan(visit.arrival, visit.departure + rng.choice((0, -60, 90)), visit.energy_kwh)
        for visit in visits
        if rng.random() < 0.8
    ]


def _home(rng: random.Random) -> Home:
    phases = rng.choice((1, 1, 3))
    return Home(
        charger=ChargerSpec(
            "garage",
            "REFERENCE",
            phases=phases,
            max_current_a=rng.choice((16.0, 32.0)),
            eco_gear_a=rng.choice((6.0, 10.0)),
            green_gear_a=rng.choice((3.0, 6.0)),
        ),
        car=CarLimits(rng.choice((3700.0, 7400.0, 11_000.0)), rng.choice((1, 3)), rng.choice((0.0, 2.0))),
        battery=BatteryLimits() if rng.random() < 0.5 else None,
        battery_soc=rng.uniform(0.1, 1.0),
    )
