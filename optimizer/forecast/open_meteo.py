"""Open-Meteo: irradiance by quarter hour from the national weather services, without a key.

https://open-meteo.com/en/docs (CC BY 4.0; free for non-commercial use, 10,000 calls a day).  Radiation in
`minutely_15` is the mean of the quarter hour *before* its time.  Times are asked for as Unix seconds and must
come back as they were asked.  The ensemble (hourly, mean of the hour before) tells how sure the weather is;
where it fails the middle stands with a guessed spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from optimizer.domain import Forecast
from optimizer.errors import BadAnswer, CloudError
from optimizer.forecast.answers import number, numbers, rows, table
from optimizer.forecast.provider import DAY, Asked, Provider, Quota, Terms, every, forecast_of
from optimizer.forecast.reckoner import Reckoner
from optimizer.forecast.roof import SLOT, Roof, Weather
from optimizer.forecast.spread import guessed_spread, spread_by
from optimizer.forecast.web import Web

NAME = "open-meteo"

_COLUMNS = (
    "shortwave_radiation",
    "direct_normal_irradiance",
    "diffuse_radiation",
    "temperature_2m",
    "wind_speed_10m",
)
_UNITS = ("W/m²", "W/m²", "W/m²", "°C", "m/s")
_RADIATION = _COLUMNS[0]
_ENSEMBLE = "icon_seamless"
_FEWEST_MEMBERS = 5
_DIM_W_M2 = 10.0
_BRIGHTEST_W_M2 = 1500.0
"""The sun has 1,361 outside of the air; clouds beside it may add some."""
_HOUR = timedelta(hours=1)
_QUOTA = Quota(500, DAY)
"""Of 10,000 calls a day; the ensemble counts as several."""


class OpenMeteo(Provider):
    """The weather by Open-Meteo, the power by our own physics; without `ensemble` the spread is a guess."""

    name = NAME

    def __init__(
        self,
        roof: Roof,
        reckoner: Reckoner,
        forecast: Web,
        ensemble: Web | None,
        *,
        refresh_s: float,
        stale_s: float,
    ) -> None:
        self.terms = Terms(every(refresh_s), stale_s, calls=1 if ensemble is None else 2, quotas=(_QUOTA,))
        self._roof = roof
        self._reckoner = reckoner
        self._forecast = forecast
        self._ensemble = ensemble

    async def fetch(self, asked: Asked) -> Forecast:
        """Return the weather's power; see `Provider`."""
        weather = _weather(await self._forecast.get("/v1/forecast", self._question(asked), asked.now), asked)
        middle_w = [power_w or 0.0 for power_w in (await self._reckoner.power(self._roof, weather)).watts]
        clear_w = asked.clear.within(asked.start, asked.count)
        shares = await self._shares(asked)
        low_w, high_w = (
            guessed_spread(middle_w, clear_w) if shares is None else spread_by(middle_w, clear_w, *shares)
        )
        return forecast_of(self.name, asked, low_w, middle_w, high_w)

    def _where(self) -> dict[str, str]:
        return {
            "latitude": f"{self._roof.latitude:.4f}",
            "longitude": f"{self._roof.longitude:.4f}",
            "timezone": "GMT",
            "timeformat": "unixtime",
        }

    def _question(self, asked: Asked) -> dict[str, str]:
        return {
            **self._where(),
            "minutely_15": ",".join(_COLUMNS),
            "wind_speed_unit": "ms",
            "start_minutely_15": _minute(asked.start + SLOT),
            "end_minutely_15": _minute(asked.start + SLOT * asked.count),
        }

    async def _shares(self, asked: Asked) -> tuple[list[float], list[float]] | None:
        """Return how low and how high the sun may come out, as shares of the middle by quarter hour."""
        if self._ensemble is None:
            return None
        first, last = _ceiling(asked.start + SLOT), _ceiling(asked.start + SLOT * asked.count)
        question = {
            **self._where(),
            "hourly": _RADIATION,
            "models": _ENSEMBLE,
            "start_hour": _minute(first),
            "end_hour": _minute(last),
        }
        try:
            told = table(await self._ensemble.get("/v1/ensemble", question, asked.now), "hourly")
            by_hour = _quantile_shares(told, first, last)
        except CloudError:
            return None
        ends = [_ceiling(asked.start + SLOT * (number + 1)) for number in range(asked.count)]
        return [by_hour[end][0] for end in ends], [by_hour[end][1] for end in ends]


def _weather(told: dict[str, Any], asked: Asked) -> Weather:
    units, columns = table(told, "minutely_15_units"), table(told, "minutely_15")
    if [units.get(name) for name in _COLUMNS] != list(_UNITS):
        raise BadAnswer("its answer has other units than it was asked for")
    times = numbers(columns, "time", asked.count)
    wanted = [(asked.start + SLOT * (n + 1)).timestamp() for n in range(asked.count)]
    if times != wanted:
        raise BadAnswer("its answer is about other times than it was asked for")
    ghi, dni, dhi, air_c, wind = (tuple(numbers(columns, name, asked.count)) for name in _COLUMNS)
    if min(*ghi, *dni, *dhi, *wind) < 0.0 or max(*ghi, *dni, *dhi) > _BRIGHTEST_W_M2:
        raise BadAnswer("its answer has radiation or wind that cannot be")
    return Weather(asked.start, ghi, dni, dhi, air_c, wind)


def _quantile_shares(
    told: dict[str, Any], first: datetime, last: datetime
) -> dict[datetime, tuple[float, float]]:
    """Return the members' 10 % and 90 % over their median, by the hour's end."""
    hours = (last - first) // _HOUR + 1
    ends = [first + _HOUR * n for n in range(hours)]
    if numbers(told, "time", hours) != [end.timestamp() for end in ends]:
        raise BadAnswer("its ensemble is about other times than it was asked for")
    members = [rows(told, name) for name in told if name.startswith(_RADIATION)]
    if len(members) < _FEWEST_MEMBERS or any(len(member) != hours for member in members):
        raise BadAnswer("its ensemble is incomplete")
    return {end: _shares([number(member[n], _RADIATION) for member in members]) for n, end in enumerate(ends)}


def _shares(radiation: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(radiation)
    low, middle, high = (ordered[round(share * (len(ordered) - 1))] for share in (0.1, 0.5, 0.9))
    return (1.0, 1.0) if middle < _DIM_W_M2 else (low / middle, high / middle)


def _ceiling(at: datetime) -> datetime:
    """Return the end of the hour that ends at or after `at`."""
    floor = at.replace(minute=0, second=0, microsecond=0)
    return floor if floor == at else floor + _HOUR


def _minute(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
