"""The strangers in a life: who forecasts the sun, who tells the market's prices, and what goes wrong there.

A life that looks ahead is one in which everything is real but the services of others, and these fail, dawdle
and lie by the seed: a `Spell` is a time in which one of them does.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

import httpx
from fake_forecast_servers import (
    LIES,
    Bend,
    ForecastServer,
    ForecastSolarServer,
    OpenMeteoServer,
    SolcastServer,
    each,
    shifted,
)
from fake_guide_server import Heard, Reply, told
from typing_extensions import override

METEO, SOLAR, SOLCAST, MARKET = "meteo.example", "solar.example", "solcast.example", "market.example"
KEY = "SOLCASTKEY00000000000042"
"""A made-up key, to be found nowhere."""

_NAMES = {METEO: "open-meteo", SOLAR: "forecast-solar", SOLCAST: "solcast"}
_PUBLISHED_H = 12
_LATE_S = 45.0
_DAY = timedelta(days=1)


class Wrong(StrEnum):
    """What a service does instead of answering well."""

    DOWN = "down"
    LATE = "late"
    BROKEN = "broken"
    BUSY = "busy"
    NONSENSE = "nonsense"
    ZERO = "all zero"
    TENFOLD = "ten times too high"
    NAN = "NaN"
    ANOTHER_DAY = "another day"
    ANOTHER_ZONE = "another zone"


FAILS = frozenset((Wrong.DOWN, Wrong.LATE, Wrong.BROKEN, Wrong.BUSY, Wrong.NONSENSE))
"""What nobody can take for an answer."""


@dataclass(frozen=True, slots=True)
class Spell:
    """One service goes wrong for a while."""

    host: str
    wrong: Wrong
    start_s: float
    lasts_s: float

    def covers(self, t_s: float) -> bool:
        """Tell whether it is on."""
        return self.start_s <= t_s < self.start_s + self.lasts_s


def spells_of(rng: random.Random, span_s: float) -> Iterator[Spell]:
    """Yield what goes wrong: of each service now and then, and of some of them all the time."""
    for host in (METEO, SOLAR, SOLCAST, MARKET):
        if rng.random() < 0.15:
            yield Spell(host, rng.choice(tuple(Wrong)), 0.0, math.inf)
        for _ in range(rng.randint(0, 4)):
            lasts_s = rng.choice((900.0, 4.0 * 3600.0, 12.0 * 3600.0))
            yield Spell(host, rng.choice(tuple(Wrong)), rng.uniform(0.0, span_s), lasts_s)


def looking_ahead(rng: random.Random) -> dict[str, Any]:
    """Return settings of a home that looks ahead, with services of others."""
    named = rng.sample(tuple(_NAMES.values()), rng.randint(0, 3))
    return {
        "site": {"latitude": 52.0, "longitude": 9.4},
        "roof": [{"kwp": 6.0}],
        "strategy": {"name": "planner", "planner": {"by_habit": rng.random() < 0.3}},
        "forecast": {
            "providers": named or ["offline"],
            "calibrate": rng.random() < 0.2,
            "refresh_s": rng.choice((1800.0, 3600.0, 3600.0)),
            "stale_s": rng.choice((3600.0, 21_600.0)),
            "open_meteo": {"url": f"https://{METEO}", "ensemble_url": f"https://{METEO}"},
            "forecast_solar": {"url": f"https://{SOLAR}"},
            "solcast": {"url": f"https://{SOLCAST}", "sites": ["a"], "api_key": KEY},
        },
        "tariff": rng.choice(({}, _MARKET_TARIFF)),
    }


_MARKET_TARIFF = {
    "source": {"kind": "awattar", "url": f"https://{MARKET}/v1/marketdata"},
    "price_adder_eur_per_kwh": 0.18,
}


def sky(at: datetime) -> float:
    """Return the sun's share of its highest on a clear day, about as through the year at 52° north."""
    season = math.cos(2.0 * math.pi * (at.timetuple().tm_yday - 172) / 365.0)
    half_h, hour = 5.6 + 2.0 * season, at.hour + at.minute / 60.0 - 11.4
    return (0.5 + 0.3 * season) * math.cos(math.pi * hour / (2.0 * half_h)) if abs(hour) < half_h else 0.0


@dataclass
class Outside(httpx.AsyncBaseTransport):
    """The way to the services; `failed` counts by provider how often nothing came that could be an answer."""

    spells: tuple[Spell, ...]
    start: datetime
    failed: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._servers: Mapping[str, ForecastServer] = {
            METEO: OpenMeteoServer(sky=sky),
            SOLAR: ForecastSolarServer(sky=sky),
            SOLCAST: SolcastServer(sky=sky, key=KEY),
        }

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        t_s, host = asyncio.get_running_loop().time(), request.url.host
        wrong = next((spell.wrong for spell in self.spells if spell.host == host and spell.covers(t_s)), None)
        if wrong in FAILS and host in _NAMES:
            self.failed[_NAMES[host]] += 1
        if wrong is Wrong.DOWN:
            raise httpx.ConnectError("nobody is there", request=request)
        if wrong is Wrong.LATE:
            await asyncio.sleep(_LATE_S)
        reply = _REFUSALS.get(wrong) if wrong is not None else None
        if reply is None:
            reply = self._answer(request, self.start + timedelta(seconds=t_s), wrong)
        return httpx.Response(reply.status, headers=list(reply.headers), content=reply.body)

    def _answer(self, request: httpx.Request, now: datetime, wrong: Wrong | None) -> Reply:
        headers = {name.title(): text for name, text in request.headers.items()}
        heard = Heard("GET", request.url.raw_path.decode(), headers, b"", 0)
        if request.url.host == MARKET:
            return _prices(now, wrong)
        server = self._servers[request.url.host]
        server.now = now
        server.bend = _BENT.get(wrong, _true) if wrong is not None else _true
        return server.answer(heard)


def _true(payload: dict[str, Any]) -> Any:
    return payload


def _told_by(lie: str) -> Bend:
    return partial(each, change=LIES[lie])


def _moved(by: timedelta) -> Bend:
    return partial(shifted, by=by)


_REFUSALS: Mapping[Wrong, Reply] = {
    Wrong.BROKEN: Reply(502, b"<html>Bad Gateway</html>"),
    Wrong.BUSY: told({"error": True, "reason": "too many requests"}, 429),
    Wrong.NONSENSE: Reply(200, b"<html>please log in</html>"),
}
_BENT: Mapping[Wrong, Bend] = {
    Wrong.ZERO: _told_by("all zero"),
    Wrong.TENFOLD: _told_by("ten times too high"),
    Wrong.NAN: _told_by("NaN"),
    Wrong.ANOTHER_DAY: _moved(_DAY),
    Wrong.ANOTHER_ZONE: _moved(timedelta(hours=3)),
}

_WRONG_PRICES: Mapping[Wrong, Callable[[float], float]] = {
    Wrong.ZERO: lambda _: 0.0,
    Wrong.TENFOLD: lambda price: 10.0 * price,
    Wrong.NAN: lambda _: math.nan,
}


def _prices(now: datetime, wrong: Wrong | None) -> Reply:
    """Return the market's day, and tomorrow's once it is out; another zone's has not come out yet."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if wrong is Wrong.ANOTHER_DAY:
        today -= 2 * _DAY
    hours = 48 if now.hour >= _PUBLISHED_H and wrong is not Wrong.ANOTHER_ZONE else 24
    change = _WRONG_PRICES.get(wrong, float) if wrong is not None else float
    rows = [
        {
            "start_timestamp": _ms(today + timedelta(hours=hour - 1)),
            "end_timestamp": _ms(today + timedelta(hours=hour)),
            "marketprice": change(_price(today + timedelta(hours=hour))),
            "unit": "Eur/MWh",
        }
        for hour in range(hours)
    ]
    return Reply(200, json.dumps({"object": "list", "data": rows}).encode())


def _price(at: datetime) -> float:
    """Return EUR/MWh: cheap by night, dear in the evening, below nothing on some noons."""
    day = random.Random(f"{at:%Y-%m-%d}").uniform(-80.0, 120.0)
    return round(90.0 + 70.0 * math.cos(2.0 * math.pi * (at.hour - 19) / 12.0) + 0.5 * day, 2)


def _ms(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp() * 1000)
