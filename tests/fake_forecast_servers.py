"""Loopback servers that answer as the documentation of Open-Meteo, Forecast.Solar and Solcast says.

They know nothing of sunmode's own code.  Their sky is made up: a sine between 5 and 19 h UTC.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fake_guide_server import Guide, Heard, Reply, told

QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
Bend = Callable[[dict[str, Any]], Any]
Sky = Callable[[datetime], float]


def height(at: datetime) -> float:
    """The sun's share of its highest."""
    hour = at.hour + at.minute / 60.0
    return max(0.0, math.sin(math.pi * (hour - 5.0) / 14.0)) if 5.0 < hour < 19.0 else 0.0


@dataclass
class ForecastServer(Guide):
    """One provider; `bend` changes the payload before it is sent."""

    bend: Bend = lambda payload: payload
    sky: Sky = height
    now: datetime = datetime(2026, 6, 2, 8, 7, tzinfo=UTC)
    key: str = field(default="", repr=False)

    def answer(self, heard: Heard) -> Reply:
        """Answer as documented, bent."""
        reply = self.documented(heard)
        return reply if isinstance(reply, Reply) else _bent(self.bend(reply))

    def documented(self, heard: Heard) -> dict[str, Any] | Reply:
        """The provider's own answer."""
        raise NotImplementedError


def _bent(payload: Any) -> Reply:
    return payload if isinstance(payload, Reply) else Reply(200, json.dumps(payload).encode())


class OpenMeteoServer(ForecastServer):
    """`/v1/forecast` by quarter hour and `/v1/ensemble` by hour, radiation as means of the time before."""

    def documented(self, heard: Heard) -> dict[str, Any] | Reply:
        query = dict(heard.query)
        if query.get("timeformat") != "unixtime":
            return told({"error": True, "reason": "this server was made for unixtime"}, 400)
        if heard.path == "/v1/ensemble":
            return self._ensemble(query)
        names = query["minutely_15"].split(",")
        start, end = (datetime.fromisoformat(query[f"{edge}_minutely_15"] + "Z") for edge in ("start", "end"))
        times = _times(start, end, QUARTER)
        made = {
            "shortwave_radiation": [round(800.0 * self.sky(at - QUARTER / 2), 1) for at in times],
            "direct_normal_irradiance": [round(700.0 * self.sky(at - QUARTER / 2) ** 0.5, 1) for at in times],
            "diffuse_radiation": [round(160.0 * self.sky(at - QUARTER / 2), 1) for at in times],
            "temperature_2m": [15.0 for _ in times],
            "wind_speed_10m": [2.5 for _ in times],
        }
        units = dict(zip(made, ("W/m²", "W/m²", "W/m²", "°C", "m/s"), strict=True))
        return {
            **_place(query),
            "minutely_15_units": {"time": "unixtime", **{name: units[name] for name in names}},
            "minutely_15": {"time": [_unix(at) for at in times], **{name: made[name] for name in names}},
        }

    def _ensemble(self, query: dict[str, str]) -> dict[str, Any]:
        start, end = (datetime.fromisoformat(query[f"{edge}_hour"] + "Z") for edge in ("start", "end"))
        times = _times(start, end, HOUR)
        names = ["shortwave_radiation", *(f"shortwave_radiation_member{n:02d}" for n in range(1, 40))]
        hourly = {
            name: [round((400.0 + 10.0 * n) * self.sky(at - HOUR / 2), 1) for at in times]
            for n, name in enumerate(names)
        }
        return {
            **_place(query),
            "hourly_units": {"time": "unixtime", **dict.fromkeys(names, "W/m²")},
            "hourly": {"time": [_unix(at) for at in times], **hourly},
        }


class ForecastSolarServer(ForecastServer):
    """`/[key/]estimate/lat/lon/dec/az/kwp`, today and tomorrow, by the hour between sunrise and sunset."""

    def documented(self, heard: Heard) -> dict[str, Any] | Reply:
        parts = heard.path.strip("/").split("/")
        if parts[0] != "estimate":
            parts = parts[1:]
        if len(parts) != 6:
            return told({"result": None, "message": {"code": 404, "type": "error"}}, 404)
        kwp = float(parts[5])
        today = self.now.replace(hour=0, minute=0)
        hours = [
            today + day + timedelta(hours=h) for day in (timedelta(), timedelta(1)) for h in range(5, 20)
        ]
        watts = {f"{at:%Y-%m-%dT%H:%M:%S}+00:00": round(650.0 * kwp * self.sky(at)) for at in hours}
        return {
            "result": {"watts": watts, "watt_hours_period": {}, "watt_hours": {}, "watt_hours_day": {}},
            "message": {
                "code": 0,
                "type": "success",
                "text": "",
                "info": {"latitude": 52.0, "longitude": 9.4, "timezone": "Europe/Berlin"},
                "ratelimit": {"zone": "IP 127.0.0.1", "period": 3600, "limit": 12, "remaining": 11},
            },
        }


class SolcastServer(ForecastServer):
    """`/rooftop_sites/{id}/forecasts` in half hours, kW."""

    def documented(self, heard: Heard) -> dict[str, Any] | Reply:
        if heard.headers.get("Authorization") != f"Bearer {self.key}":
            return told({"response_status": {"error_code": "Unauthorized"}}, 401)
        first = self.now.replace(minute=30 * (self.now.minute // 30), second=0) + timedelta(minutes=30)
        ends = _times(first, first + timedelta(hours=int(dict(heard.query)["hours"])), timedelta(minutes=30))
        return {"forecasts": [_period(end, self.sky) for end in ends]}


def _period(end: datetime, sky: Sky) -> dict[str, Any]:
    kw = 5.0 * sky(end - QUARTER)
    return {
        "pv_estimate": round(kw, 4),
        "pv_estimate10": round(0.5 * kw, 4),
        "pv_estimate90": round(1.1 * kw, 4),
        "period_end": f"{end:%Y-%m-%dT%H:%M:%S}.0000000Z",
        "period": "PT30M",
    }


def _times(first: datetime, last: datetime, step: timedelta) -> list[datetime]:
    return [first + step * n for n in range((last - first) // step + 1)]


def _unix(at: datetime) -> int:
    return int(at.timestamp())


def _place(query: dict[str, str]) -> dict[str, Any]:
    return {
        "latitude": float(query["latitude"]),
        "longitude": float(query["longitude"]),
        "generationtime_ms": 0.1,
        "utc_offset_seconds": 0,
        "timezone": "GMT",
        "timezone_abbreviation": "GMT",
        "elevation": 90.0,
    }


def each(payload: Any, change: Callable[[str, Any], Any]) -> Any:
    """Return a payload with every number that tells of power or radiation changed."""
    if isinstance(payload, dict):
        return {
            key: value
            if key in {"time", "message", "period_end", "period"}
            else change(key, value)
            if isinstance(value, int | float)
            else each(value, change)
            if not isinstance(value, list) or any(isinstance(one, dict) for one in value)
            else [change(key, one) if isinstance(one, int | float) else one for one in value]
            for key, value in payload.items()
        }
    return [each(one, change) for one in payload] if isinstance(payload, list) else payload


LIES: dict[str, Callable[[str, Any], Any]] = {
    "all zero": lambda key, value: value if key in {"latitude", "longitude"} else 0 * value,
    "ten times too high": lambda _, value: value * 10,
    "NaN": lambda *_: float("nan"),
    "null": lambda *_: None,
    "text": lambda _, value: str(value),
    "negative": lambda _, value: -abs(value) - 1,
    "infinite": lambda *_: float("inf"),
}


def shifted(payload: Any, by: timedelta) -> Any:
    """Return a payload that tells of other times than it says."""
    if "forecasts" in payload:
        for period in payload["forecasts"]:
            end = datetime.fromisoformat(period["period_end"]) + by
            period["period_end"] = f"{end:%Y-%m-%dT%H:%M:%S}Z"
    elif "result" in payload:
        watts = payload["result"]["watts"]
        payload["result"]["watts"] = {
            (datetime.fromisoformat(at) + by).isoformat(): power for at, power in watts.items()
        }
    else:
        columns = payload.get("minutely_15") or payload["hourly"]
        columns["time"] = [at + by.total_seconds() for at in columns["time"]]
    return payload
