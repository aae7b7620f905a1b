"""Forecast providers over real HTTP on the loopback: what they are asked, and what is made of any answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import httpx
import pytest
from fake_forecast_servers import (
    LIES,
    ForecastServer,
    ForecastSolarServer,
    OpenMeteoServer,
    SolcastServer,
    each,
    shifted,
)
from fake_guide_server import Guide, Heard, Reply, guide_server, told
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from provider_answers import DAY, HOURLY, NOW, ROOF, fetched, refused

from optimizer.errors import AuthError, BadAnswer, CloudError, Throttled, Unavailable
from optimizer.forecast.forecast_solar import ForecastSolar
from optimizer.forecast.open_meteo import OpenMeteo
from optimizer.forecast.provider import Asked, Provider
from optimizer.forecast.reckoner import InlineReckoner
from optimizer.forecast.roof import SLOT
from optimizer.forecast.solcast import Solcast
from optimizer.forecast.sun import sun_height_deg, times_by_sun
from optimizer.forecast.web import BODY_CAP_BYTES, Web


def open_meteo(server: Guide, key: str) -> Provider:
    web = Web(server.url, timeout_s=1.0)
    return OpenMeteo(ROOF, InlineReckoner(), web, web, **HOURLY)


def forecast_solar(server: Guide, key: str) -> Provider:
    return ForecastSolar(ROOF, Web(server.url, key=lambda: key, timeout_s=1.0), keyed=True, **HOURLY)


def solcast(server: Guide, key: str) -> Provider:
    web = Web(server.url, key=lambda: key, timeout_s=1.0)
    return Solcast(ROOF, web, ("abcd-1234",), calls_per_day=10, stale_s=21_600.0)


Made = Callable[[Guide, str], Provider]
PROVIDERS: dict[str, tuple[type[ForecastServer], Made]] = {
    "open-meteo": (OpenMeteoServer, open_meteo),
    "forecast-solar": (ForecastSolarServer, forecast_solar),
    "solcast": (SolcastServer, solcast),
}


def served(name: str, key: str, **server: Any) -> AbstractContextManager[Any]:
    return guide_server(PROVIDERS[name][0](key=key, now=NOW, **server))


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_tells_quarter_hours_with_quantiles_from_now_on(
    name: str, asked: Asked, token: str
) -> None:
    with served(name, token) as server:
        forecast = fetched(PROVIDERS[name][1](server, token), asked)
    starts = [slot.start_including for slot in forecast.slots]
    assert starts[0] == datetime(2026, 6, 2, 8, 0, tzinfo=UTC)
    assert all(b - a == SLOT for a, b in pairwise(starts))
    assert len(starts) >= 150
    assert (forecast.provider, forecast.issued_at) == (name, NOW)
    assert all(slot.p10_w <= slot.p50_w <= slot.p90_w for slot in forecast.slots)
    noon = next(slot for slot in forecast.slots if slot.start_including.hour == 11)
    night = next(slot for slot in forecast.slots if slot.start_including.hour == 23)
    assert 3000 < noon.p50_w < 8500
    assert noon.p10_w < noon.p50_w < noon.p90_w
    assert night.p90_w == 0.0


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_hears_who_asks(name: str, asked: Asked, token: str) -> None:
    with served(name, token) as server:
        fetched(PROVIDERS[name][1](server, token), asked)
    assert {heard.headers["User-Agent"] for heard in server.heard} == {f"sunmode/{version('sunmode')}"}


HTML = Reply(200, b"<html>please log in</html>", (("Content-Type", "text/html"),))
BAD_ANSWERS: dict[str, tuple[Reply, type[CloudError], str]] = {
    "html": (HTML, BadAnswer, "no JSON"),
    "truncated": (Reply(200, b'{"minutely_15": {"time": [1, 2'), BadAnswer, "no JSON"),
    "cut off": (Reply(200, b'{"forecasts": []}', cut=5), Unavailable, "no connection"),
    "a list": (told([]), BadAnswer, "no JSON object"),
    "nothing": (told({}), BadAnswer, "lacks"),
    "deep": (Reply(200, b'{"a":' * 50_000), BadAnswer, "no JSON"),
    "huge": (Reply(200, b" " * (BODY_CAP_BYTES + 1)), BadAnswer, "longer than"),
    "429": (Reply(429, b"{}"), Throttled, "too often"),
    "503": (Reply(503, b"down"), Unavailable, "HTTP 503"),
    "401": (Reply(401, b"{}"), AuthError, "refuses the key"),
    "400": (told({"error": True, "reason": "Cannot"}, 400), BadAnswer, "HTTP 400"),
    "elsewhere": (Reply(302, b"", (("Location", "http://127.0.0.1:9/"),)), BadAnswer, "HTTP 302"),
    "silent": (Reply(silent=True), Unavailable, "no answer within"),
    "drip": (Reply(200, b"{}" * 200, drip_s=0.05), Unavailable, "no answer within"),
}


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("answer", BAD_ANSWERS)
def test_a_bad_answer_is_an_error_that_says_what_to_do(
    name: str, answer: str, asked: Asked, token: str
) -> None:
    reply, kind, words = BAD_ANSWERS[answer]
    with served(name, token) as server:
        server.replies.append(reply)
        error = refused(PROVIDERS[name][1](server, token), asked)
    assert type(error) is kind
    assert words in str(error)
    assert token not in str(error)
    assert "127.0.0.1" not in str(error)


@pytest.mark.parametrize("name", PROVIDERS)
def test_nobody_at_the_address_is_unavailable(name: str, asked: Asked, token: str) -> None:
    error = refused(PROVIDERS[name][1](Guide(url="http://127.0.0.1:9"), token), asked)
    assert type(error) is Unavailable


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused(name: str, lie: str, asked: Asked, token: str) -> None:
    with served(name, token, bend=lambda payload: each(payload, LIES[lie])) as server:
        error = refused(PROVIDERS[name][1](server, token), asked)
    assert type(error) is BadAnswer


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("by", [DAY, -DAY, timedelta(hours=3), timedelta(hours=-3)], ids=str)
def test_a_forecast_of_another_day_or_zone_is_refused(
    name: str, by: timedelta, asked: Asked, token: str
) -> None:
    with served(name, token, bend=lambda payload: shifted(payload, by)) as server:
        error = refused(PROVIDERS[name][1](server, token), asked)
    assert type(error) is BadAnswer


@pytest.mark.parametrize("name", ["forecast-solar", "solcast"])
def test_times_without_a_zone_are_refused(name: str, asked: Asked, token: str) -> None:
    def bend(payload: Any) -> Any:
        if "forecasts" in payload:
            payload["forecasts"][0]["period_end"] = "2026-06-02T08:30:00"
        else:
            payload["result"]["watts"]["2026-06-02 12:00:00"] = 100
        return payload

    with served(name, token, bend=bend) as server:
        assert "zone" in str(refused(PROVIDERS[name][1](server, token), asked))


junk = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1e300, float("nan"), float("-inf"), 10**400, "", "x", [], {}, [[]], [None]]),
    st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "2026-06-02T08:30:00", "PT0M"]),
    st.sampled_from(["PT999M", "PT30M", "2026-06-02T08:37:11Z", 1e9, -1e9, 5.5]),
)


def bent(payload: Any, choose: Callable[[int], int], value: Any) -> Any:
    """Return a payload with one thing somewhere in it replaced, a key or a value."""
    if isinstance(payload, dict) and payload:
        keys = list(payload)
        key = keys[choose(len(keys))]
        if isinstance(value, str) and choose(4) == 0:
            return {value if other == key else other: inner for other, inner in payload.items()}
        return {**payload, key: bent(payload[key], choose, value)}
    if isinstance(payload, list) and payload:
        place = choose(len(payload))
        return [*payload[:place], bent(payload[place], choose, value), *payload[place + 1 :]]
    return value


@pytest.mark.parametrize("name", PROVIDERS)
@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_an_answer_has_somewhere_it_is_a_forecast_or_a_reason(
    name: str, asked: Asked, token: str, data: st.DataObject
) -> None:
    server = PROVIDERS[name][0](key=token, now=NOW)
    server.bend = lambda payload: bent(payload, lambda n: data.draw(st.integers(0, n - 1)), data.draw(junk))

    def answer(request: httpx.Request) -> httpx.Response:
        heard = Heard("GET", request.url.raw_path.decode(), dict(request.headers), b"", 0)
        heard.headers["Authorization"] = request.headers.get("Authorization", "")
        reply = server.answer(heard)
        return httpx.Response(reply.status, content=reply.body)

    web = Web("http://127.0.0.1:9", key=lambda: token, inner=httpx.MockTransport(answer))
    made: dict[str, Provider] = {
        "open-meteo": OpenMeteo(ROOF, InlineReckoner(), web, web, **HOURLY),
        "forecast-solar": ForecastSolar(ROOF, web, keyed=True, **HOURLY),
        "solcast": Solcast(ROOF, web, ("a",), calls_per_day=10, stale_s=21_600.0),
    }
    try:
        forecast = fetched(made[name], asked)
    except CloudError:
        return
    powers = [power for slot in forecast.slots for power in (slot.p10_w, slot.p50_w, slot.p90_w)]
    assert all(0.0 <= power <= 1.15 * ROOF.peak_w for power in powers)


WAITS: dict[str, tuple[Reply, float | None]] = {
    "seconds": (Reply(429, b"{}", (("Retry-After", "1200"),)), 1200.0),
    "date": (Reply(429, b"{}", (("Retry-After", format_datetime(NOW + DAY / 2, usegmt=True)),)), 43_200.0),
    "header": (Reply(429, b"{}", (("X-Ratelimit-Retry-At", "2026-06-02T10:37:00+02:00"),)), 1800.0),
    "body": (told({"message": {"ratelimit": {"retry-at": "2026-06-02T08:37:00Z"}}}, 429), 1800.0),
    "over": (Reply(429, b"{}", (("Retry-After", "2000-01-01T00:00:00Z"),)), 0.0),
    "never": (Reply(429, b"{}", (("Retry-After", "1e300"),)), 86_400.0),
    "nonsense": (Reply(429, b"{}", (("Retry-After", "soon"),)), None),
    "silent": (Reply(429, b"[]"), None),
}


@pytest.mark.parametrize("told_by", WAITS)
def test_how_long_to_stay_away_is_read_from_wherever_it_is_told(
    told_by: str, asked: Asked, token: str
) -> None:
    reply, seconds = WAITS[told_by]
    with served("forecast-solar", token) as server:
        server.replies.append(reply)
        error = refused(forecast_solar(server, token), asked)
    assert isinstance(error, Throttled)
    assert error.retry_after_s == seconds
    assert len(server.heard) == 1


def test_the_key_goes_over_the_wire_and_nowhere_else(asked: Asked, token: str) -> None:
    with served("forecast-solar", token) as server:
        fetched(forecast_solar(server, token), asked)
    assert all(heard.target.startswith("/CANARY%2B7%2F0427266767791%3DK/estimate/") for heard in server.heard)


def test_forecast_solar_is_asked_for_each_face_in_its_own_angles(asked: Asked, token: str) -> None:
    with served("forecast-solar", token) as server:
        web = Web(server.url)
        fetched(ForecastSolar(ROOF, web, keyed=False, **HOURLY), asked)
    assert [heard.path for heard in server.heard] == [
        "/estimate/52.0000/9.4000/35/0/6",
        "/estimate/52.0000/9.4000/35/90/3",
    ]
    assert all(("time", "utc") in heard.query for heard in server.heard)


def test_forecast_solar_does_not_give_more_than_the_inverter(asked: Asked, token: str) -> None:
    with served("forecast-solar", token) as server:
        roof = replace(ROOF, inverter_max_w=4000.0)
        provider = ForecastSolar(roof, Web(server.url), keyed=False, **HOURLY)
        forecast = asyncio.run(provider.fetch(asked))
    assert max(slot.p50_w for slot in forecast.slots) == 4000.0


def test_open_meteo_without_its_ensemble_is_still_a_forecast(asked: Asked, token: str) -> None:
    def only_the_forecast(payload: Any) -> Any:
        return Reply(500, b"") if "hourly" in payload else payload

    with served("open-meteo", token) as server:
        sure = fetched(open_meteo(server, token), asked)
        server.bend = only_the_forecast
        guessed = fetched(open_meteo(server, token), asked)
    assert [slot.p50_w for slot in sure.slots] == [slot.p50_w for slot in guessed.slots]
    assert [slot.p10_w for slot in sure.slots] != [slot.p10_w for slot in guessed.slots]


def test_solcast_adds_up_its_sites_and_asks_when_the_sun_is_high(asked: Asked, token: str) -> None:
    with served("solcast", token) as server:
        web = Web(server.url, key=lambda: token)
        provider = Solcast(ROOF, web, ("east", "we/st"), calls_per_day=10, stale_s=1.0)
        one = fetched(solcast(server, token), asked)
        both = asyncio.run(provider.fetch(asked))
    assert [heard.path for heard in server.heard][1:] == [
        "/rooftop_sites/east/forecasts",
        "/rooftop_sites/we%2Fst/forecasts",
    ]
    assert both.slots[10].p90_w == pytest.approx(2 * one.slots[10].p90_w, abs=1.0)
    assert provider.terms.calls == 2
    due = [NOW]
    for _ in range(15):
        due.append(provider.terms.next_after(due[-1]))
    assert due == sorted(due)
    assert all(sun_height_deg(at, 52.0, 9.4) > 5.0 for at in due[1:])
    assert sum(NOW < at <= NOW + DAY for at in due) == 5


def test_a_day_without_sun_is_asked_about_once() -> None:
    midwinter = datetime(2026, 12, 21, tzinfo=UTC)
    assert times_by_sun(midwinter, 78.0, 15.0, 10) == [midwinter + DAY / 2]
