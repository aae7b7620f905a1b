"""Providers in the owner's order: the first one with a forecast that stands is believed.

The clear sky over the roof is worked out once a day, for all of them: it is what the offline one scales, and
what a lie is measured by.  Where even that fails, a forecast that still stands is used up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from optimizer.domain import Forecast
from optimizer.errors import Unavailable
from optimizer.forecast.desk import Announce, Desk
from optimizer.forecast.offline import PAST
from optimizer.forecast.provider import DAY, Asked
from optimizer.forecast.reckoner import Reckoner
from optimizer.forecast.roof import SLOT, Powers, Roof, slot_of


class ClearSky:
    """The roof's power under a clear sky, from a month ago to the end of tomorrow's forecast."""

    def __init__(self, roof: Roof, reckoner: Reckoner, ahead: timedelta) -> None:
        self._roof = roof
        self._reckoner = reckoner
        self._ahead = ahead
        self._powers: Powers | None = None
        self._day: datetime | None = None

    async def around(self, now: datetime) -> Powers:
        """Return the powers around `now`; raises `Unavailable`."""
        day = slot_of(now).replace(hour=0, minute=0)
        if self._powers is None or day != self._day:
            start = day - PAST - SLOT
            count = (PAST + DAY + self._ahead) // SLOT + 2
            self._powers = await self._reckoner.clear_sky(self._roof, start, count)
            self._day = day
        return self._powers


class NoSky:
    """Where the roof is not known: nothing is said of a clear sky."""

    async def around(self, now: datetime) -> Powers:
        """Return no power at all."""
        return Powers(slot_of(now), ())


class Chain:
    """Desks in order; `count` quarter hours are asked for."""

    def __init__(self, desks: Sequence[Desk], sky: ClearSky | NoSky, count: int, announce: Announce) -> None:
        self._desks = desks
        self._sky = sky
        self._count = count
        self.announce = announce
        self._source: str | None = None
        self._sky_lost = False

    async def latest(self, now: datetime) -> Forecast | None:
        """Return the forecast to go by, None where nobody has one."""
        try:
            asked = Asked(now, slot_of(now), self._count, await self._sky.around(now))
        except Unavailable as error:
            self._lose_sky(str(error))
            return self._chosen([(desk, desk.fresh(now)) for desk in self._desks])
        self._sky_lost = False
        for desk in self._desks:
            forecast = await desk.latest(asked)
            if forecast is not None:
                return self._chosen([(desk, forecast)])
        return self._chosen([])

    def standing(self, now: datetime) -> Forecast | None:
        """Return the forecast to go by without asking anybody."""
        return next((found for desk in self._desks if (found := desk.fresh(now)) is not None), None)

    def _chosen(self, found: Sequence[tuple[Desk, Forecast | None]]) -> Forecast | None:
        desk, forecast = next(((d, f) for d, f in found if f is not None), (None, None))
        name = None if desk is None else desk.name
        if name != self._source:
            self.announce("forecast_source", "info", self._sentence(name))
            self._source = name
        return forecast

    def _sentence(self, name: str | None) -> str:
        if name is None:
            return "there is no forecast of the sun: decisions go by what is measured"
        lost = [desk.name for desk in self._desks if desk.trouble]
        return f"the forecast is {name}'s" + (f", in place of {', '.join(lost)}" if lost else "")

    def _lose_sky(self, why: str) -> None:
        if not self._sky_lost:
            self.announce("forecast_lost", "warning", f"the clear sky over the roof is not known: {why}")
        self._sky_lost = True
