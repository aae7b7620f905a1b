"""Forecast.Solar: the roof's power by its own model, for each face; free, or better with a key.

https://doc.forecast.solar/api:estimate: `/[key/]estimate/lat/lon/tilt/azimuth/kwp`, azimuth 0 south, 90 west.
`watts` is the power at its times, from sunrise to sunset of today and the next days; between two of them it
runs straight.  Without a key 12 calls an hour are free; each face is one.  The service asks for a User-Agent,
a wait of at least 15 minutes, and calls that do not all come at the full quarter hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from optimizer.domain import Forecast
from optimizer.errors import BadAnswer
from optimizer.forecast.answers import instant, number, table
from optimizer.forecast.provider import HOUR, Asked, Provider, Quota, Terms, every, forecast_of
from optimizer.forecast.roof import SLOT, Face, Roof, mean_over_slots, slot_of
from optimizer.forecast.spread import guessed_spread
from optimizer.forecast.web import KEY_MARK, Web

NAME = "forecast-solar"
CALLS_PER_HOUR = 12

_DEG_PER_H = 15.0
_SOUTH_DEG = 180.0
_ZONE_DOUBT = timedelta(hours=2)
_DARK_SHARE = 0.002


class ForecastSolar(Provider):
    """The roof's faces by Forecast.Solar, added up; `keyed` where the owner has a key."""

    name = NAME

    def __init__(self, roof: Roof, web: Web, *, keyed: bool, refresh_s: float, stale_s: float) -> None:
        quotas = (Quota(CALLS_PER_HOUR, HOUR),)
        self.terms = Terms(every(refresh_s), stale_s, calls=len(roof.faces), quotas=quotas)
        self._roof = roof
        self._web = web
        self._prefix = f"/{KEY_MARK}" if keyed else ""

    async def fetch(self, asked: Asked) -> Forecast:
        """Return the sum of the faces; see `Provider`."""
        faces = [await self._face(face, asked) for face in self._roof.faces]
        count = min(len(face_w) for face_w in faces)
        asked = Asked(asked.now, asked.start, count, asked.clear)
        limit_w = self._roof.inverter_max_w or float("inf")
        sums_w = [min(limit_w, sum(watts)) for watts in zip(*(face[:count] for face in faces), strict=True)]
        low_w, high_w = guessed_spread(sums_w, asked.clear.within(asked.start, count))
        return forecast_of(self.name, asked, low_w, sums_w, high_w)

    async def _face(self, face: Face, asked: Asked) -> list[float]:
        told = await self._web.get(self._path(face), {"time": "utc"}, asked.now)
        points = _points(table(table(told, "result"), "watts"))
        self._refuse_shifted(points, asked.now)
        count = self._told_slots(max(points), asked)
        return mean_over_slots(sorted(points), [points[at] for at in sorted(points)], asked.start, count)

    def _path(self, face: Face) -> str:
        roof = self._roof
        place = f"{roof.latitude:.4f}/{roof.longitude:.4f}"
        plane = f"{face.tilt_deg:.0f}/{face.azimuth_deg - _SOUTH_DEG:.0f}/{face.kwp:g}"
        return f"{self._prefix}/estimate/{place}/{plane}"

    def _refuse_shifted(self, points: Mapping[datetime, float], now: datetime) -> None:
        """See that the first day is today, by the sun's own clock; near midnight there may be two."""
        solar = timedelta(hours=self._roof.longitude / _DEG_PER_H)
        today = {(now + solar + doubt).date() for doubt in (-_ZONE_DOUBT, _ZONE_DOUBT)}
        if (min(points) + solar).date() not in today:
            raise BadAnswer("its answer does not begin today")

    def _told_slots(self, last: datetime, asked: Asked) -> int:
        """Return how many quarter hours it tells of: to its last point, and through the night after."""
        count = min(asked.count, max(0, (slot_of(last) - asked.start) // SLOT + 1))
        dark_w = self._roof.peak_w * _DARK_SHARE
        while count < asked.count and (asked.clear.at(asked.start + SLOT * count) or 0.0) <= dark_w:
            count += 1
        return count


def _points(watts: Mapping[str, Any]) -> dict[datetime, float]:
    points = {instant(at, "watts"): number(power, "watts") for at, power in watts.items()}
    if not points:
        raise BadAnswer("its answer has no watts")
    return points
