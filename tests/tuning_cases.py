"""What tests of tuning share: a made-up house over some weeks, and a study that is kept nowhere."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from optimizer.backtest.case import Case, Visit
from optimizer.backtest.control import Control
from optimizer.backtest.goals import announced_goals
from optimizer.backtest.lineup import lineup
from optimizer.clock import SystemClock
from optimizer.errors import StrategyFailed
from optimizer.plugins import load_strategy
from optimizer.tune.evaluate import Problem, Score
from optimizer.tune.space import Plain, Space, Value, space_of
from optimizer.tune.splits import splits_of
from optimizer.tune.weeks import DAY_MIN, weeks_of

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
SPRING = (
    *("--house", str(SAMPLES / "house_ohrberg_2019.parquet"), "--pv-scale", "0.6"),
    *("--sessions", str(SAMPLES / "sessions.csv"), "--from", "2019-04-01", "--to", "2019-06-24"),
)
"""Twelve weeks of the sample house."""

ABSURD = (
    *("--set", "green_start_factor=2.9", "--set", "green_stop_factor=2.8", "--set", "eco_by_surplus=false"),
    *("--set", "start_delay_s=3600", "--set", "margin_s=40000"),
)
"""Parameters that let the sun go by."""


def some_weeks(weeks: int = 8, seed: int = 0) -> Case:
    """Return a house with clouds and a car that comes most evenings and some mornings."""
    rng = random.Random(f"weeks {seed}")
    minutes = weeks * 7 * DAY_MIN
    hour = (np.arange(minutes) / 60.0) % 24.0
    cloud = np.repeat([rng.uniform(0.1, 1.0) for _ in range(minutes // 30)], 30)
    pv_w = 7000.0 * cloud * np.maximum(0.0, np.sin((hour - 5.0) / 14.0 * math.pi)) * (hour < 19.0)
    visits = tuple(_visits(rng, weeks * 7))
    return Case(
        house="made up",
        start=datetime(2019, 4, 1, tzinfo=UTC),
        pv_w=pv_w,
        load_w=np.full(minutes, 300.0),
        known=np.ones(minutes, dtype=bool),
        visits=visits,
        goals=announced_goals(visits),
        price_eur_per_kwh=np.full(minutes // 15, 0.30),
        feed_in_eur_per_kwh=np.full(minutes // 15, 0.08),
    )


def _visits(rng: random.Random, days: int) -> Iterator[Visit]:
    number = 0
    for day in range(days - 1):
        if rng.random() < 0.7:
            arrival = day * DAY_MIN + rng.randint(8 * 60, 12 * 60)
            departure = arrival + rng.choice((240, 360, 20 * 60))
            yield Visit(number, arrival, min(departure, (day + 1) * DAY_MIN + 7 * 60), rng.uniform(3.0, 12.0))
            number += 1


def problem_of(case: Case, strategy: str = "threshold", *, compiled: bool = True) -> Problem:
    return Problem(case, Control(), strategy, splits_of(weeks_of(case)), compiled)


def threshold_space(*only: str, **values: Value) -> Space:
    settings = [f"{name}={str(value).lower()}" for name, value in values.items()]
    (entry,) = lineup(["threshold"], settings)
    return space_of(load_strategy("threshold"), "threshold", entry.params, only)


@dataclass
class Unkept:
    """A study that forgets when the test ends."""

    known: dict[str, Score] = field(default_factory=dict)
    path: Path = Path("unkept")

    def get(self, split: str, values: Plain) -> Score | None:
        return self.known.get(self._key(split, values))

    def put(self, split: str, values: Plain, score: Score) -> None:
        self.known[self._key(split, values)] = score

    @staticmethod
    def _key(split: str, values: Mapping[str, Value]) -> str:
        return f"{split} {sorted(values.items())}"


def a_failure(*_: object) -> object:
    """What a worker does whose strategy fails."""
    raise StrategyFailed("strategy 'x' failed at noon")


def is_soon(condition: Callable[[], bool], within_s: float = 60.0) -> bool:
    """Wait until it is so; tell whether it came to be."""
    clock = SystemClock()
    end_s = clock.monotonic_s() + within_s
    while not condition():
        if clock.monotonic_s() > end_s:
            return False
        threading.Event().wait(0.005)
    return True
