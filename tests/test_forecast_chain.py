"""Who is asked, how often, and who stands in: records that outlive restarts, desks and the chain."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fake_forecast_servers import ForecastSolarServer, OpenMeteoServer, SolcastServer
from fake_guide_server import Reply, guide_server
from hypothesis import given
from hypothesis import strategies as st

from optimizer.domain import Forecast
from optimizer.errors import AuthError, BadAnswer, CloudError, Throttled, Unavailable
from optimizer.forecast.chain import Chain, ClearSky, NoSky
from optimizer.forecast.desk import Desk, Rules
from optimizer.forecast.forecast_solar import ForecastSolar
from optimizer.forecast.offline import Offline
from optimizer.forecast.open_meteo import OpenMeteo
from optimizer.forecast.provider import DAY, Asked, Provider, Quota, Terms, every, forecast_of
from optimizer.forecast.reckoner import InlineReckoner
from optimizer.forecast.record import FIRST_WAIT_S, LONGEST_WAIT_S, Record
from optimizer.forecast.roof import Face, Powers, Roof, slot_of
from optimizer.forecast.solcast import Solcast
from optimizer.forecast.web import Web
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions

NOW = datetime(2026, 6, 2, 8, 7, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ROOF = Roof(52.0, 9.4, (Face(6.0, 35.0, 180.0),))
COUNT = 192
HOURLY = {"refresh_s": 3600.0, "stale_s": 21_600.0}


@dataclass
class WallClock:
    """A clock that a test sets."""

    at: datetime = NOW
    boot_id: str = "test"

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return (self.at - NOW).total_seconds()

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """A real log, which is where records are kept."""
    options = FileOptions(durable=False, busy_ms=5, ballast_bytes=0)
    store = Store.open(path, WallClock(), inline=True, options=options)
    try:
        yield store
    finally:
        store.close()


class Scripted:
    """A provider that says what a test tells it to; its power is its number of kilowatts."""

    def __init__(self, name: str, *says: CloudError | float, terms: Terms | None = None) -> None:
        self.name = name
        self.terms = terms or Terms(every(3600.0), stale_s=7200.0, jitter_s=0.0)
        self.says = list(says)
        self.asked_at: list[datetime] = []

    async def fetch(self, asked: Asked) -> Forecast:
        self.asked_at.append(asked.now)
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, CloudError):
            raise said
        column = [1000.0 * said] * asked.count
        return forecast_of(self.name, asked, column, column, column)


class Remembering(InlineReckoner):
    """Works out each day's clear sky once for all tests."""

    known: ClassVar[dict[Any, Powers]] = {}

    async def clear_sky(self, roof: Roof, start: datetime, count: int) -> Powers:
        if (roof, start) not in self.known:
            self.known[roof, start] = await super().clear_sky(roof, start, count)
        return self.known[roof, start]


@dataclass
class Site:
    """A chain of providers over one log, with what it told."""

    store: Store
    providers: Sequence[Provider]
    told: list[str] = field(default_factory=list)
    seed: int = 1
    roof: Roof | None = None

    def chain(self) -> Chain:
        """The chain as a service would make it at its start."""
        peak_w = None if self.roof is None else self.roof.peak_w
        rules = Rules(self.store.forecasts, self._tell, random.Random(self.seed), peak_w)
        desks = [Desk(p, rules, self.store.forecasts.newest(p.name)) for p in self.providers]
        ahead = timedelta(hours=48)
        sky = NoSky() if self.roof is None else ClearSky(self.roof, Remembering(), ahead)
        return Chain(desks, sky, COUNT, self._tell)

    def _tell(self, *said: str) -> None:
        self.told.append(said[-1])


async def run_through(chain: Chain, minutes: Sequence[float]) -> list[Forecast | None]:
    return [await chain.latest(NOW + timedelta(minutes=at)) for at in minutes]


def lived(
    tmp_path: Path, providers: Sequence[Provider], script: Callable[[Site], Awaitable[Any]], **site: Any
) -> Site:
    with opened(tmp_path / "log.db") as store:
        made = Site(store, providers, **site)
        asyncio.run(script(made))  # type: ignore[arg-type]
    return made


DOWN, LATE = Unavailable("no answer within 30 s"), Throttled("too often", retry_after_s=7200.0)


def test_the_first_provider_that_delivers_is_believed_and_the_others_are_left_alone(tmp_path: Path) -> None:
    first, second = Scripted("first", 1.0), Scripted("second", 2.0)

    async def script(site: Site) -> None:
        (found,) = await run_through(site.chain(), [0])
        assert found is not None
        assert found.provider == "first"

    site = lived(tmp_path, [first, second], script)
    assert second.asked_at == []
    assert site.told == ["the forecast is first's"]


def test_a_provider_that_fails_hands_over_and_takes_back_and_it_is_told_once(tmp_path: Path) -> None:
    first, second = Scripted("first", DOWN, DOWN, 1.0), Scripted("second", 2.0)

    async def script(site: Site) -> None:
        found = await run_through(site.chain(), range(30))
        by = [forecast.provider for forecast in found if forecast is not None]
        assert by == ["second"] * 15 + ["first"] * 15

    site = lived(tmp_path, [first, second], script)
    assert [(at - NOW) / MINUTE for at in first.asked_at] == [0, 5, 15]
    assert site.told == [
        "first gives no forecast: no answer within 30 s",
        "the forecast is second's, in place of first",
        "first gives forecasts again",
        "the forecast is first's",
    ]


def test_a_fault_that_nobody_thought_of_hands_over_as_well(tmp_path: Path) -> None:
    class Faulty(Scripted):
        async def fetch(self, *_: Any) -> Forecast:
            raise ZeroDivisionError

    async def script(site: Site) -> None:
        (found,) = await run_through(site.chain(), [0])
        assert found is not None
        assert found.provider == "second"

    site = lived(tmp_path, [Faulty("faulty", 1.0), Scripted("second", 2.0)], script)
    assert site.told[0] == "faulty gives no forecast: its answer could not be read (ZeroDivisionError)"


def test_a_forecast_stands_until_it_is_stale(tmp_path: Path) -> None:
    first, second = Scripted("first", 1.0, DOWN), Scripted("second", 2.0)

    async def script(site: Site) -> None:
        found = await run_through(site.chain(), [0, 60, 119, 121])
        assert [f.provider for f in found if f] == ["first", "first", "first", "second"]

    lived(tmp_path, [first, second], script)


def test_where_nobody_delivers_there_is_no_forecast_and_it_is_told(tmp_path: Path) -> None:
    async def script(site: Site) -> None:
        assert await run_through(site.chain(), [0, 1]) == [None, None]

    site = lived(tmp_path, [Scripted("first", DOWN)], script)
    assert site.told == ["first gives no forecast: no answer within 30 s"]


def test_who_says_too_often_is_left_alone_as_long_as_it_says(tmp_path: Path) -> None:
    first = Scripted("first", LATE, 1.0)

    async def script(site: Site) -> None:
        await run_through(site.chain(), range(125))

    lived(tmp_path, [first], script)
    assert [(at - NOW) / MINUTE for at in first.asked_at] == [0, 120]


@pytest.mark.parametrize("told_s", [None, 0.0, 1.0])
def test_too_often_is_never_answered_by_asking_again_at_once(told_s: float | None, tmp_path: Path) -> None:
    first = Scripted("first", Throttled("too often", retry_after_s=told_s))

    async def script(site: Site) -> None:
        await run_through(site.chain(), range(5))

    lived(tmp_path, [first], script)
    assert len(first.asked_at) == 1


def test_a_restart_spends_no_call_and_forgets_no_forecast(tmp_path: Path) -> None:
    quota = Terms(every(3600.0), 7200.0, jitter_s=0.0, quotas=(Quota(10, DAY),))
    first = Scripted("first", 1.0, terms=quota)

    async def script(site: Site) -> None:
        for minute in range(60):
            (found,) = await run_through(site.chain(), [minute])
            assert found is not None
            site.store.forecasts.add(found)
            await site.store.flush()

    lived(tmp_path, [first], script)
    assert len(first.asked_at) == 1


def test_a_process_that_dies_of_the_answer_does_not_ask_again_at_once(tmp_path: Path) -> None:
    class Deadly(Scripted):
        async def fetch(self, asked: Asked) -> Forecast:
            self.asked_at.append(asked.now)
            raise KeyboardInterrupt

    deadly = Deadly("deadly", 1.0)

    async def script(site: Site) -> None:
        for minute in range(5):
            try:
                await run_through(site.chain(), [minute])
            except KeyboardInterrupt:
                continue

    lived(tmp_path, [deadly], script)
    assert len(deadly.asked_at) == 1


def test_calls_that_cannot_be_counted_are_not_made(tmp_path: Path) -> None:
    class Full:
        async def recall(self, *_: Any) -> Any:
            return None

        async def note(self, *_: Any) -> None:
            raise Unavailable("the disk is full")

    counted = Scripted("counted", 1.0, terms=Terms(every(1.0), 60.0, jitter_s=0.0, quotas=(Quota(10, DAY),)))
    free = Scripted("free", 1.0)
    asked = Asked(NOW, slot_of(NOW), COUNT, Powers(slot_of(NOW), ()))

    async def main() -> tuple[Forecast | None, ...]:
        rules = Rules(Full(), lambda *_: None, random.Random(1), None)
        return await Desk(counted, rules).latest(asked), await Desk(free, rules).latest(asked)

    without, found = asyncio.run(main())
    assert without is None
    assert found is not None
    assert counted.asked_at == []


def test_calls_that_may_have_been_made_are_not_forgotten_where_the_log_cannot_be_read() -> None:
    class Deaf:
        noted: ClassVar[list[Any]] = []
        is_deaf = True

        async def recall(self, *_: Any) -> Any:
            if self.is_deaf:
                raise Unavailable("locked")
            return Record(calls=(NOW,) * 10, due_at=NOW).to_json()

        async def note(self, *said: Any) -> None:
            self.noted.append(said)

    counted = Scripted("counted", 1.0, terms=Terms(every(1.0), 60.0, jitter_s=0.0, quotas=(Quota(10, DAY),)))
    asked = Asked(NOW, slot_of(NOW), COUNT, Powers(slot_of(NOW), ()))
    memory = Deaf()

    async def main() -> None:
        desk = Desk(counted, Rules(memory, lambda *_: None, random.Random(1), None))
        assert await desk.latest(asked) is None
        assert memory.noted == []
        memory.is_deaf = False
        assert await desk.latest(asked) is None

    asyncio.run(main())
    assert counted.asked_at == []


def test_a_first_asking_waits_up_to_a_quarter_of_an_hour_and_not_everywhere_as_long(tmp_path: Path) -> None:
    waits = set()
    for seed in range(8):
        first = Scripted("first", 1.0, terms=Terms(every(3600.0), 7200.0))

        async def script(site: Site) -> None:
            await run_through(site.chain(), range(16))

        (tmp_path / str(seed)).mkdir()
        lived(tmp_path / str(seed), [first], script, seed=seed)
        waits.add((first.asked_at[0] - NOW) / MINUTE)
    assert len(waits) > 4
    assert 0 <= min(waits) <= max(waits) <= 15


# Records


instants = st.integers(0, 7 * 1440).map(lambda minute: NOW + minute * MINUTE)
outcomes = st.lists(st.tuples(st.integers(1, 600), st.sampled_from(["good", "bad", "wait"])), max_size=200)


@given(outcomes, st.integers(1, 3), st.integers(3, 12))
def test_no_stretch_of_the_quota_has_more_calls_than_it_allows(
    steps: list[tuple[int, str]], calls: int, most: int
) -> None:
    terms = Terms(every(60.0), 60.0, calls=calls, quotas=(Quota(most, DAY),))
    record, now, made = Record(), NOW, list[datetime]()
    for minutes, outcome in steps:
        now += minutes * MINUTE
        record = Record.from_json(record.to_json())
        if record.may_ask(now, terms):
            record = record.begun(now, terms)
            made += [now] * calls
            record = (
                record.succeeded(now, terms, 0.0)
                if outcome == "good"
                else record.failed(now, 0.0, 30.0 if outcome == "wait" else None)
            )
    assert all(sum(at - DAY < other <= at for other in made) <= most for at in made)


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


# The real providers in a row, over the loopback


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
