"""Desks whose providers say what a test wants."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from optimizer.domain import Forecast
from optimizer.errors import CloudError
from optimizer.forecast.chain import Chain, ClearSky, NoSky
from optimizer.forecast.desk import Desk, Rules
from optimizer.forecast.provider import Asked, Provider, Terms, every, forecast_of
from optimizer.forecast.reckoner import InlineReckoner
from optimizer.forecast.roof import Powers, Roof
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions

NOW = datetime(2026, 6, 2, 8, 7, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
COUNT = 192


@dataclass
class WallClock:
    """A clock that a test sets."""

    at: datetime = NOW
    boot_id: str = "test"

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return (self.at - NOW).total_seconds()

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """A real log, which is where records are kept."""
    options = FileOptions(durable=False, busy_ms=5, ballast_bytes=0)
    store = Store.open(path, WallClock(), inline=True, options=options)
    try:
        yield store
    finally:
        store.close()


class Scripted:
    """A provider that says what a test tells it to; its power is its number of kilowatts."""

    def __init__(self, name: str, *says: CloudError | float, terms: Terms | None = None) -> None:
        self.name = name
        self.terms = terms or Terms(every(3600.0), stale_s=7200.0, jitter_s=0.0)
        self.says = list(says)
        self.asked_at: list[datetime] = []

    async def fetch(self, asked: Asked) -> Forecast:
        self.asked_at.append(asked.now)
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, CloudError):
            raise said
        column = [1000.0 * said] * asked.count
        return forecast_of(self.name, asked, column, column, column)


class Remembering(InlineReckoner):
    """Works out each day's clear sky once for all tests."""

    known: ClassVar[dict[Any, Powers]] = {}

    async def clear_sky(self, roof: Roof, start: datetime, count: int) -> Powers:
        if (roof, start) not in self.known:
            self.known[roof, start] = await super().clear_sky(roof, start, count)
        return self.known[roof, start]


@dataclass
class Site:
    """A chain of providers over one log, with what it told."""

    store: Store
    providers: Sequence[Provider]
    told: list[str] = field(default_factory=list)
    seed: int = 1
    roof: Roof | None = None

    def chain(self) -> Chain:
        """The chain as a service would make it at its start."""
        peak_w = None if self.roof is None else self.roof.peak_w
        rules = Rules(self.store.forecasts, self._tell, random.Random(self.seed), peak_w)
        desks = [Desk(p, rules, self.store.forecasts.newest(p.name)) for p in self.providers]
        ahead = timedelta(hours=48)
        sky = NoSky() if self.roof is None else ClearSky(self.roof, Remembering(), ahead)
        return Chain(desks, sky, COUNT, self._tell)

    def _tell(self, *said: str) -> None:
        self.told.append(said[-1])


async def run_through(chain: Chain, minutes: Sequence[float]) -> list[Forecast | None]:
    return [await chain.latest(NOW + timedelta(minutes=at)) for at in minutes]


def lived(
    tmp_path: Path, providers: Sequence[Provider], script: Callable[[Site], Awaitable[Any]], **site: Any
) -> Site:
    with opened(tmp_path / "log.db") as store:
        made = Site(store, providers, **site)
        asyncio.run(script(made))  # type: ignore[arg-type]
    return made
