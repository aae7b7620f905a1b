"""What a forecast provider is: one question, and the terms on which it may be asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from optimizer.domain import Forecast, ForecastSlot
from optimizer.forecast.roof import Powers, slots

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `calls` in any stretch of `span`."""

    calls: int
    span: timedelta


@dataclass(frozen=True, slots=True)
class Terms:
    """How often a provider is asked and how long its word stands.

    `next_after` tells from the last asking when the next is due, before jitter of up to `jitter_s`.
    One fetch takes `calls` calls of the `quotas`; none are kept where there are no quotas.
    """

    next_after: Callable[[datetime], datetime]
    stale_s: float
    jitter_s: float = 900.0
    calls: int = 1
    quotas: tuple[Quota, ...] = ()


def every(seconds: float) -> Callable[[datetime], datetime]:
    """Return the plan of a provider that is asked regularly."""
    return lambda last: last + timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a provider is asked for: `count` quarter hours from `start` on, and a clear sky's power."""

    now: datetime
    start: datetime
    count: int
    clear: Powers


class Provider(Protocol):
    """Somebody who knows the sun of the next days."""

    name: str
    terms: Terms

    async def fetch(self, asked: Asked) -> Forecast:
        """Return the forecast as of now.

        Raises:
            Unavailable: try later.
            Throttled: try much later.
            AuthError: the owner must do something about the key.
            BadAnswer: what came is no forecast.

        """
        ...


def forecast_of(
    provider: str, asked: Asked, p10_w: list[float], p50_w: list[float], p90_w: list[float]
) -> Forecast:
    """Return a forecast in whole watts, as the log keeps it, with its quantiles in order."""
    ordered = (sorted(map(_whole, three)) for three in zip(p10_w, p50_w, p90_w, strict=True))
    starts = slots(asked.start, asked.count)
    made = (ForecastSlot(at, *three) for at, three in zip(starts, ordered, strict=True))
    return Forecast(asked.now, provider, tuple(made))


def _whole(power_w: float) -> float:
    return float(round(power_w))
