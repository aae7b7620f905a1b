"""The forecast that needs nobody: a clear sky over the roof, times what the clouds left of it lately.

The index is the measured power over that of a clear sky, by quarter hour.  The last two hours tell of the
next few, the last weeks of the rest; before there is a past, a middling climate stands in.  Where the roof is
not as it was described, the index learns that as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

from optimizer.domain import Forecast
from optimizer.forecast.own_past import Past
from optimizer.forecast.provider import Asked, Provider, Terms, every, forecast_of
from optimizer.forecast.roof import SLOT, SLOT_H, Powers

NAME = "offline"
PAST = timedelta(days=30)

_QUANTILES = (0.07, 0.5, 0.93)
"""A little wide: neighbouring quarter hours err together, so that there are fewer witnesses than it seems."""
_CLIMATE = (0.12, 0.55, 0.95)
_CLIMATE_SLOTS = 48.0
"""Quarter hours of full sun that the climate weighs: about two days."""
_HALF_LIFE_DAYS = 10.0
_LOW_SUN_SHARE = 0.05
_MOST = 1.5
_RECENT = timedelta(hours=2)
_FADES_H = 4.0
_AROUND_NOW = (0.5, 1.0, 1.35)


class Offline(Provider):
    """Clear sky times the owner's own recent clear-sky index."""

    name = NAME

    def __init__(self, past: Past, *, refresh_s: float, stale_s: float) -> None:
        self.terms = Terms(every(refresh_s), stale_s, jitter_s=0.0)
        self._past = past

    async def fetch(self, asked: Asked) -> Forecast:
        """Return what can be said without a provider; see `Provider`."""
        indices = list(clear_indices(await self._past(asked.now, PAST), asked.clear))
        usual = _usual(indices, asked.now)
        recent = _recent(indices, asked.now)
        clear_w = asked.clear.within(asked.start, asked.count)
        columns: list[list[float]] = [
            [power_w * _blend(n, place, usual, recent) for n, power_w in enumerate(clear_w)]
            for place in range(len(_QUANTILES))
        ]
        return forecast_of(self.name, asked, *columns)


Index = tuple[datetime, float, float]
"""A quarter hour, its index, and what a clear sky would have given."""


def clear_indices(past: Powers, clear: Powers) -> Iterable[Index]:
    """Yield the index of each quarter hour of the past in which the sun stood high enough to tell."""
    least_w = max((power_w or 0.0 for power_w in clear.watts), default=0.0) * _LOW_SUN_SHARE
    for number, power_w in enumerate(past.watts):
        at = past.start + SLOT * number
        clear_w = clear.at(at) or 0.0
        if power_w is not None and clear_w > max(least_w, 0.0):
            yield at, min(_MOST, power_w / clear_w), clear_w


def _usual(indices: list[Index], now: datetime) -> list[float]:
    """Return the quantiles of the last weeks, by energy, the young ones counting more."""
    climate_weight = max((clear_w for *_, clear_w in indices), default=1.0) * _CLIMATE_SLOTS
    weighted = [(index, climate_weight / len(_CLIMATE)) for index in _CLIMATE]
    for at, index, clear_w in indices:
        weighted.append((index, clear_w * 0.5 ** ((now - at) / timedelta(days=_HALF_LIFE_DAYS))))
    weighted.sort()
    total = sum(weight for _, weight in weighted)
    return [_quantile(weighted, share * total) for share in _QUANTILES]


def _quantile(weighted: list[tuple[float, float]], until: float) -> float:
    passed = 0.0
    for index, weight in weighted:
        passed += weight
        if passed >= until:
            return index
    return weighted[-1][0]


def _recent(indices: list[Index], now: datetime) -> float | None:
    """Return the index of the last two hours as a whole, None where the sun told nothing."""
    young = [(index, clear_w) for at, index, clear_w in indices if now - _RECENT <= at < now]
    total = sum(clear_w for _, clear_w in young)
    return sum(index * clear_w for index, clear_w in young) / total if total > 0.0 else None


def _blend(number: int, place: int, usual: list[float], recent: float | None) -> float:
    if recent is None:
        return usual[place]
    share = math.exp(-number * SLOT_H / _FADES_H)
    return share * min(_MOST, recent * _AROUND_NOW[place]) + (1.0 - share) * usual[place]
