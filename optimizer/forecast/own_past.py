"""What the owner's own past alone says, of the sun over a roof that nobody has described, or of the load.

The sums are those of `past` and `load`; a series ends with the quarter hour before the present one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from optimizer.domain import Forecast
from optimizer.errors import Unavailable
from optimizer.forecast.provider import Asked, Provider, Terms, every, forecast_of
from optimizer.forecast.roof import Powers, Quantiles

SUN, LOAD = "own-past", "own-load"
PAST = timedelta(days=365)

Past = Callable[[datetime, timedelta], Awaitable[Powers]]
"""What was measured until a time, from so long before it on."""


class OwnPast(Provider):
    """A series of the house, learnt; `reckon` makes so many quarter hours to come of the past."""

    def __init__(
        self,
        name: str,
        past: Past,
        reckon: Callable[[Powers, int], Awaitable[Quantiles]],
        *,
        refresh_s: float,
        stale_s: float,
    ) -> None:
        self.name = name
        self.terms = Terms(every(refresh_s), stale_s, jitter_s=0.0)
        self._past = past
        self._reckon = reckon

    async def fetch(self, asked: Asked) -> Forecast:
        """Return what the own past says; see `Provider`."""
        past = await self._past(asked.now, PAST)
        if not any(power_w is not None for power_w in past.watts):
            raise Unavailable("the log tells nothing of the past yet")
        found = await self._reckon(past, asked.count)
        begun = Asked(asked.now, found.start, asked.count, asked.clear)
        return forecast_of(self.name, begun, list(found.p10_w), list(found.p50_w), list(found.p90_w))
