"""Solcast: the power of rooftop sites that the owner has described there, with its quantiles.

https://docs.solcast.com.au: `/rooftop_sites/{id}/forecasts`, kW as means of periods that end at `period_end`
(30 minutes, UTC).  A hobbyist has 10 requests a day: they are made when the sun is high, where the weather
matters, and each site is one.  Several sites see the same clouds: their quantiles are added up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from optimizer.domain import Forecast
from optimizer.errors import BadAnswer
from optimizer.forecast.answers import instant, number, rows
from optimizer.forecast.provider import DAY, Asked, Provider, Quota, Terms, forecast_of
from optimizer.forecast.roof import SLOT, W_PER_KW, Roof
from optimizer.forecast.sun import times_by_sun
from optimizer.forecast.web import Web

NAME = "solcast"

_QUANTILES = ("pv_estimate10", "pv_estimate", "pv_estimate90")
_PERIOD = re.compile(r"PT(\d{1,3})M")
_HOURS_MORE = 2
_LATE = timedelta(hours=1)
_DEG_PER_H = 15.0


class Solcast(Provider):
    """The owner's rooftop sites at Solcast."""

    name = NAME

    def __init__(
        self, roof: Roof, web: Web, sites: Sequence[str], *, calls_per_day: int, stale_s: float
    ) -> None:
        plan = by_sun(roof.latitude, roof.longitude, max(1, calls_per_day // len(sites)))
        self.terms = Terms(plan, stale_s, calls=len(sites), quotas=(Quota(calls_per_day, DAY),))
        self._web = web
        self._sites = sites

    async def fetch(self, asked: Asked) -> Forecast:
        """Return the sum of the sites; see `Provider`."""
        sites = [await self._site(site, asked) for site in self._sites]
        count = min(len(site) for site in sites)
        asked = Asked(asked.now, asked.start, count, asked.clear)
        quantiles = [
            [sum(site[n][place] for site in sites) for n in range(count)] for place in range(len(_QUANTILES))
        ]
        return forecast_of(self.name, asked, *quantiles)

    async def _site(self, site: str, asked: Asked) -> list[list[float]]:
        hours = asked.count * SLOT // timedelta(hours=1) + _HOURS_MORE
        path = f"/rooftop_sites/{quote(site, safe='')}/forecasts"
        told = await self._web.get(path, {"format": "json", "hours": str(hours)}, asked.now)
        return _slots(rows(told, "forecasts"), asked)


def by_sun(latitude: float, longitude: float, times_a_day: int) -> Callable[[datetime], datetime]:
    """Return the plan that asks so many times a day, the more often the higher the sun."""
    solar = timedelta(hours=longitude / _DEG_PER_H)

    def next_after(last: datetime) -> datetime:
        day = (last + solar).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - solar
        days = (day, day + DAY, day + 2 * DAY)
        times = (at for one in days for at in times_by_sun(one, latitude, longitude, times_a_day))
        return next(at for at in times if at > last)

    return next_after


def _slots(periods: Iterable[Any], asked: Asked) -> list[list[float]]:
    """Return the three quantiles of each quarter hour that the periods cover without a gap, W."""
    found: dict[datetime, list[float]] = {}
    for period in periods:
        if not isinstance(period, Mapping):
            raise BadAnswer("its answer has something else than periods in forecasts")
        end, length = instant(period.get("period_end"), "period_end"), _length(period.get("period"))
        watts = [number(period.get(name), name) * W_PER_KW for name in _QUANTILES]
        at = end - length
        while at < end:
            found[at] = watts
            at += SLOT
    return list(_in_a_row(found, asked))


def _in_a_row(found: Mapping[datetime, list[float]], asked: Asked) -> Iterable[list[float]]:
    """Yield from the present quarter hour on; the first period may begin with the next half hour."""
    first = min(found, default=asked.now + DAY)
    if not asked.start - _LATE <= first <= asked.start + _LATE:
        raise BadAnswer("its answer does not begin now")
    begun = False
    for n in range(asked.count):
        watts = found.get(asked.start + SLOT * n)
        if watts is None and begun:
            return
        if watts is not None:
            begun = True
            yield watts
        else:
            yield found[min(at for at in found if at > asked.start)]


def _length(period: Any) -> timedelta:
    matched = _PERIOD.fullmatch(period) if isinstance(period, str) else None
    length = timedelta(minutes=int(matched[1])) if matched else timedelta()
    if length < SLOT or length % SLOT:
        raise BadAnswer("its answer has periods that are no quarter hours")
    return length
