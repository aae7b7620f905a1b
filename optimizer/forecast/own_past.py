"""The sun by the owner's own past alone: for a roof that nobody has described, see `past`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from optimizer.domain import Forecast
from optimizer.forecast.provider import Asked, Provider, Terms, every, forecast_of
from optimizer.forecast.reckoner import Reckoner
from optimizer.forecast.roof import Powers

NAME = "own-past"
PAST = timedelta(days=365)


class OwnPast(Provider):
    """What the roof has done at these hours lately, and how today has gone so far."""

    name = NAME

    def __init__(
        self,
        past: Callable[[datetime], Awaitable[Powers]],
        reckoner: Reckoner,
        *,
        refresh_s: float,
        stale_s: float,
    ) -> None:
        self.terms = Terms(every(refresh_s), stale_s, jitter_s=0.0)
        self._past = past
        self._reckoner = reckoner

    async def fetch(self, asked: Asked) -> Forecast:
        """Return what the own past says; see `Provider`."""
        found = await self._reckoner.own_sun(await self._past(asked.now), asked.count)
        begun = Asked(asked.now, found.start, asked.count, asked.clear)
        return forecast_of(self.name, begun, list(found.p10_w), list(found.p50_w), list(found.p90_w))
