"""Who stands in: the chain of providers, whatever is wrong with the first."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from desks import COUNT, HOUR, MINUTE, NOW, Scripted, Site, lived, run_through
from fake_forecast_servers import ForecastSolarServer, OpenMeteoServer, SolcastServer
from fake_guide_server import Reply, guide_server
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import AuthError, BadAnswer, CloudError, Unavailable
from optimizer.forecast.chain import Chain, ClearSky
from optimizer.forecast.desk import Desk, Rules
from optimizer.forecast.forecast_solar import ForecastSolar
from optimizer.forecast.offline import Offline
from optimizer.forecast.open_meteo import OpenMeteo
from optimizer.forecast.provider import DAY, Asked, Provider, Quota, Terms, every
from optimizer.forecast.reckoner import InlineReckoner
from optimizer.forecast.record import FIRST_WAIT_S, LONGEST_WAIT_S, Record
from optimizer.forecast.roof import Face, Powers, Roof, slot_of
from optimizer.forecast.solcast import Solcast
from optimizer.forecast.web import Web

ROOF = Roof(52.0, 9.4, (Face(6.0, 35.0, 180.0),))
HOURLY = {"refresh_s": 3600.0, "stale_s": 21_600.0}


@given(st.integers(0, 50), st.floats(0.0, 900.0), st.none() | st.floats(0.0, 86_400.0))
def test_after_a_failure_the_wait_lies_between_five_minutes_and_a_day(
    failures: int, delay_s: float, told_s: float | None
) -> None:
    record = Record(failures=failures).failed(NOW, delay_s, told_s)
    assert record.due_at is not None
    wait_s = (record.due_at - NOW).total_seconds()
    assert max(FIRST_WAIT_S, told_s or 0.0) <= wait_s + 1e-3
    assert wait_s <= max(LONGEST_WAIT_S + 900.0, told_s or 0.0) + 1e-3


def test_a_clock_that_was_years_ahead_does_not_silence_a_provider() -> None:
    terms = Terms(every(3600.0), 60.0, quotas=(Quota(10, DAY),))
    years = replace(Record(), due_at=NOW + 900 * DAY, calls=(NOW + 900 * DAY,) * 10)
    assert years.may_ask(NOW, terms)
    assert len(years.begun(NOW, terms).calls) == 1


def test_calls_after_a_clock_was_set_back_an_hour_still_count() -> None:
    terms = Terms(every(3600.0), 60.0, quotas=(Quota(2, DAY),))
    assert not Record(calls=(NOW + HOUR, NOW + HOUR), due_at=NOW).may_ask(NOW, terms)


@dataclass
class Street:
    """The three servers, each with a knob for what is wrong with it."""

    meteo: OpenMeteoServer
    solar: ForecastSolarServer
    cast: SolcastServer
    key: str = field(repr=False)

    def providers(self) -> list[Provider]:
        """All of them, and the offline one at the end."""

        async def nothing(now: datetime, length: timedelta) -> Powers:
            return Powers(slot_of(now), ())

        web = [Web(server.url, key=lambda: self.key, timeout_s=1.0) for server in (self.solar, self.cast)]
        meteo = Web(self.meteo.url, timeout_s=1.0)
        return [
            at_once(OpenMeteo(ROOF, InlineReckoner(), meteo, meteo, **HOURLY)),
            at_once(ForecastSolar(ROOF, web[0], keyed=True, **HOURLY)),
            at_once(Solcast(ROOF, web[1], ("site",), calls_per_day=10, stale_s=21_600.0)),
            Offline(nothing, **HOURLY),
        ]


def at_once(provider: Any) -> Provider:
    provider.terms = replace(provider.terms, jitter_s=0.0)
    return provider  # type: ignore[no-any-return]


@contextmanager
def street(token: str) -> Iterator[Street]:
    servers = [kind(now=NOW, key=token) for kind in (OpenMeteoServer, ForecastSolarServer, SolcastServer)]
    with guide_server(servers[0]), guide_server(servers[1]), guide_server(servers[2]):
        yield Street(*servers, key=token)  # type: ignore[arg-type]


def zero(payload: dict[str, Any]) -> Any:
    payload["minutely_15"]["shortwave_radiation"] = [0.0] * COUNT
    payload["minutely_15"]["direct_normal_irradiance"] = [0.0] * COUNT
    payload["minutely_15"]["diffuse_radiation"] = [0.0] * COUNT
    return payload


FAULTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "down": (lambda _: Reply(503, b""), "HTTP 503"),
    "slow": (lambda _: Reply(200, b"{}" * 99, drip_s=0.05), "no answer within"),
    "lying": (lambda payload: zero(payload) if "minutely_15" in payload else payload, "no sun at all"),
    "html": (lambda _: Reply(200, b"<html>"), "no JSON"),
    "shut": (lambda _: Reply(403, b""), "refuses the key"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_is_wrong_with_the_first_the_next_one_stands_in(
    fault: str, tmp_path: Path, token: str
) -> None:
    bend, words = FAULTS[fault]

    async def script(site: Site) -> None:
        (found,) = await run_through(site.chain(), [0])
        assert found is not None
        assert found.provider == "forecast-solar"

    with street(token) as three:
        three.meteo.bend = bend
        site = lived(tmp_path, three.providers(), script, roof=ROOF)
    assert len(site.told) == 2
    assert words in site.told[0]
    assert site.told[1] == "the forecast is forecast-solar's, in place of open-meteo"


def test_with_the_whole_world_down_the_offline_one_is_there(tmp_path: Path, token: str) -> None:
    async def script(site: Site) -> None:
        (found,) = await run_through(site.chain(), [0])
        assert found is not None
        assert found.provider == "offline"
        assert max(slot.p50_w for slot in found.slots) > 1000.0

    with street(token) as three:
        for server in (three.meteo, three.solar, three.cast):
            server.bend = lambda _: Reply(500, b"")
            server.key = "another"
        site = lived(tmp_path, three.providers(), script, roof=ROOF)
    assert site.told[-1] == "the forecast is offline's, in place of open-meteo, forecast-solar, solcast"


def test_solcast_is_not_asked_more_than_ten_times_a_day(tmp_path: Path, token: str) -> None:
    async def script(site: Site) -> None:
        # A restart every ten minutes; the server's clock goes along.
        for minute in range(0, 3 * 1440, 10):
            three.cast.now = NOW + minute * MINUTE
            await run_through(site.chain(), [minute])

    with street(token) as three:
        only = [p for p in three.providers() if p.name == "solcast"]
        lived(tmp_path, only, script, roof=ROOF)
    assert 20 <= len(three.cast.heard) <= 30


def test_without_physics_the_last_forecast_is_used_up_and_it_is_told(tmp_path: Path) -> None:
    class Broken(InlineReckoner):
        async def clear_sky(self, *_: Any) -> Powers:
            raise Unavailable("no process")

    first = Scripted("first", 1.0)

    async def script(site: Site) -> None:
        asked = Asked(NOW - HOUR, slot_of(NOW - HOUR), COUNT, Powers(slot_of(NOW), ()))
        site.store.forecasts.add(await first.fetch(asked))
        await site.store.flush()
        rules = Rules(site.store.forecasts, site._tell, random.Random(1), ROOF.peak_w)
        desk = Desk(first, rules, site.store.forecasts.newest("first"))
        chain = Chain([desk], ClearSky(ROOF, Broken(), 2 * DAY), COUNT, site._tell)
        found = [await chain.latest(NOW + n * HOUR) for n in (0, 0.5, 1.5)]
        assert [f is not None for f in found] == [True, True, False]

    site = lived(tmp_path, [first], script)
    assert site.told == [
        "the clear sky over the roof is not known: no process",
        "the forecast is first's",
        "there is no forecast of the sun: decisions go by what is measured",
    ]


@pytest.mark.parametrize("error", [BadAnswer("x"), AuthError("x"), Unavailable("x")])
def test_every_kind_of_failure_is_a_reason_to_wait(error: CloudError, tmp_path: Path) -> None:
    first = Scripted("first", error)

    async def script(site: Site) -> None:
        await run_through(site.chain(), range(60))

    lived(tmp_path, [first], script)
    assert [(at - NOW) / MINUTE for at in first.asked_at] == [0, 5, 15, 35]
