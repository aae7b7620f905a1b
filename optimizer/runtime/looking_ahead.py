"""Whether the service looks ahead, and the job that does; where nobody wants it, nothing of it is loaded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import httpx

from optimizer.clock import Clock
from optimizer.config import Settings
from optimizer.domain import Strategy
from optimizer.forecast.reckoner import InlineReckoner, Reckoner
from optimizer.runtime.calendar import Job, cron
from optimizer.runtime.world import World
from optimizer.store.log import Store

T = TypeVar("T")

TIMEOUT_S = 600.0
"""Twelve faces and a process for the physics, all at their slowest."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What forecasts stand on; `inline` reads the log in the loop's own thread (virtual time)."""

    clock: Clock
    store: Store
    world: World
    reckoner: Reckoner | None = None
    network: httpx.AsyncBaseTransport | None = None
    inline: bool = False

    @property
    def sums(self) -> Reckoner:
        """Who does the heavy sums: this process, where no other was named."""
        return self.reckoner or InlineReckoner()

    async def read(self, question: Callable[[], T]) -> T:
        """Ask the log, in a thread where there are threads."""
        return question() if self.inline else await asyncio.to_thread(question)


def wants_forecasts(strategies: Iterable[Strategy | None]) -> bool:
    """Tell whether a strategy says of itself that it looks ahead, by `wants_forecast = True`."""
    return any(getattr(strategy, "wants_forecast", False) for strategy in strategies)


def habit_jobs(settings: Settings, ground: Ground, strategies: Iterable[Strategy | None]) -> list[Job]:
    """Return what learns habits, where a strategy says of itself that it wants them by `wants_habits`."""
    if not any(getattr(strategy, "wants_habits", False) for strategy in strategies):
        return []
    from optimizer.runtime.habits import Habits

    habits = Habits(ground.store, ground.world, settings.zone, ground.inline)
    return [Job("habits", cron(minute="*", second=20), habits.run, TIMEOUT_S)]


def forecast_jobs(settings: Settings, ground: Ground, strategies: Iterable[Strategy | None]) -> list[Job]:
    """Return what keeps forecasts new, where the owner or a strategy wants any.

    It looks every minute whether somebody is to be asked; not all installations do so in the same second.
    """
    names = settings.forecast.chain(
        is_virtual=settings.is_virtual, is_wanted=wants_forecasts(strategies), has_roof=bool(settings.roof)
    )
    if not names:
        return []
    from optimizer.runtime.forecasting import forecaster_from

    rng = random.Random(f"forecast {ground.clock.boot_id}")  # noqa: S311 - jitter
    forecaster = forecaster_from(settings, ground, names, rng)
    return [Job("forecast", cron(minute="*", second=rng.randrange(60)), forecaster.refresh, TIMEOUT_S)]
