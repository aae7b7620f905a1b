"""Prices over real HTTP and out of files: every answer, good and bad, and what the service makes of it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest
from command_line import call
from living import START, Life, live
from scored_day import site_with, write_day
from sunmode_process import Site
from web_service import Reply, WebService, web_service

from optimizer.clock import SystemClock
from optimizer.config.loading import load_settings
from optimizer.control.guards import guard
from optimizer.domain import Mode
from optimizer.errors import AuthError, BadAnswer, CloudError, ConfigError, Throttled, Unavailable
from optimizer.report.day import LocalDay
from optimizer.report.prices import read_in_force
from optimizer.report.score import score_day
from optimizer.runtime.price_feeds import feeds_from
from optimizer.runtime.prices import MARKET, Prices
from optimizer.runtime.replay import guard_inputs_from, policy_from, situation_from
from optimizer.sources.http_json import BODY_CAP_BYTES, JsonSource, open_web, retry_after_s
from optimizer.sources.prices import Asked, FilePrices, awattar, energy_charts
from optimizer.store.instants import to_text
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions
from optimizer.tariffs.slots import NEVER, SLOT, day_slots, midnight

BERLIN = ZoneInfo("Europe/Berlin")
DAY = date(2026, 6, 1)
NOON = datetime(2026, 6, 1, 10, tzinfo=UTC)
AFTERNOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
T = TypeVar("T")


def awattar_day(day: date, price: float = 80.0, hours: int = 24) -> dict[str, Any]:
    start_ms = int(midnight(day, BERLIN).timestamp() * 1000)
    rows = [
        {
            "start_timestamp": start_ms + hour * 3_600_000,
            "end_timestamp": start_ms + (hour + 1) * 3_600_000,
            "marketprice": price + hour,
            "unit": "Eur/MWh",
        }
        for hour in range(hours)
    ]
    return {"object": "list", "data": rows, "url": "/de/v1/marketdata"}


def charts_day(day: date) -> dict[str, Any]:
    slots = day_slots(day, BERLIN)
    return {
        "license_info": "CC BY 4.0 (creativecommons.org/licenses/by/4.0) from Bundesnetzagentur | SMARD.de",
        "unix_seconds": [int(slot.timestamp()) for slot in slots],
        "price": [round(-5 + number / 2, 2) for number in range(len(slots))],
        "unit": "EUR / MWh",
        "deprecated": False,
    }


def get(service: WebService, token: str | None = None, deadline_s: float = 5.0) -> Any:
    """Ask the service once, as sunmode does."""

    async def ask() -> Any:
        async with open_web() as client:
            give = None if token is None else (lambda: token)
            return await JsonSource(client, service.url, give, deadline_s).get(NOON, {"start": "1"})

    return asyncio.run(ask())


# One exchange.


def test_a_question_says_who_asks_and_goes_to_the_address_as_it_stands() -> None:
    with web_service(Reply({"a": 1})) as service:
        assert get(service) == {"a": 1}
    ((path, headers),) = service.asked
    assert path == "/prices?key=s3cret&start=1"
    assert headers["user-agent"].startswith("sunmode/")
    assert "authorization" not in headers


def test_a_token_goes_along_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    with web_service(Reply({}, status=401)) as service, pytest.raises(AuthError) as told:
        get(service, token="tok-123")  # noqa: S106 - it opens nothing
    assert service.asked[0][1]["authorization"] == "Bearer tok-123"
    assert "tok-123" not in str(told.value) + repr(told.value) + caplog.text
    assert str(told.value) == "127.0.0.1: HTTP 401"


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        (Reply(b"<html>"), BadAnswer, "not JSON"),
        (Reply(b""), BadAnswer, "not JSON"),
        (Reply(b'{"a": NaN}'), BadAnswer, "not JSON"),
        (Reply(b"\xff\xfe"), BadAnswer, "not JSON"),
        (Reply(b"[" * 100_000), BadAnswer, "not JSON"),
        (Reply(b'"' + b"x" * BODY_CAP_BYTES + b'"'), BadAnswer, "longer than"),
        (Reply(b"{}", status=500), Unavailable, "HTTP 500"),
        (Reply(b"{}", status=404), Unavailable, "HTTP 404"),
        (Reply(b"{}", status=204), Unavailable, "HTTP 204"),
        (Reply(status=302, headers=(("Location", "http://192.0.2.1/"),)), Unavailable, "HTTP 302"),
        (Reply(b'{"a": 1}', cut=True), Unavailable, "RemoteProtocolError"),
        (Reply(b'{"a": 1}', headers=(("Content-Encoding", "gzip"),)), Unavailable, "DecodingError"),
        (Reply(b'{"a": 1}', drip_s=0.2), Unavailable, "no answer within"),
    ],
)
def test_what_is_no_answer_is_told_by_host_alone(
    reply: Reply, error: type[CloudError], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    with web_service(reply) as service, pytest.raises(error, match=says) as told:
        get(service, deadline_s=0.5)
    assert "s3cret" not in str(told.value) + repr(told.value.__cause__) + repr(told.value.__context__)


def test_nobody_there_is_told_too() -> None:
    with web_service() as service:
        pass
    with pytest.raises(Unavailable, match="ConnectError"):
        get(service)


@pytest.mark.parametrize("status", [429, 503])
def test_a_service_that_is_too_busy_says_when_to_come_back(status: int) -> None:
    reply = Reply(b"{}", status=status, headers=(("Retry-After", "120"),))
    with web_service(reply) as service, pytest.raises(Throttled) as told:
        get(service)
    assert told.value.retry_after_s == 120.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Mon, 01 Jun 2026 10:05:00 GMT", 300.0),
        ("Mon, 01 Jun 2026 09:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("²", None),
        (None, None),
    ],
)
def test_a_time_to_wait_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOON) == seconds


# The two services.


def test_awattar_is_asked_for_today_and_tomorrow_in_milliseconds() -> None:
    with web_service(Reply(awattar_day(DAY))) as service:
        found = asyncio.run(_prices(lambda client: awattar(JsonSource(client, service.url))))
    assert service.asked[0][0] == "/prices?key=s3cret&start=1780264800000&end=1780437600000"
    assert len(found) == 96
    assert found[midnight(DAY, BERLIN)] == 0.08


def test_energy_charts_is_asked_for_today_and_tomorrow_in_words() -> None:
    with web_service(Reply(charts_day(DAY))) as service:
        found = asyncio.run(_prices(lambda client: energy_charts(JsonSource(client, service.url))))
    asked = service.asked[0][0]
    assert asked == "/prices?key=s3cret&start=2026-05-31T22%3A00%3A00Z&end=2026-06-02T21%3A59%3A59Z"
    assert list(found) == list(day_slots(DAY, BERLIN))
    assert found[midnight(DAY, BERLIN)] == -0.005


async def _prices(make: Callable[[Any], Any]) -> Any:
    async with open_web() as client:
        return await make(client).prices(Asked(NOON, BERLIN))


# Files.


def read_file(path: Path, text: str | bytes) -> Any:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return asyncio.run(FilePrices(path).prices(Asked(NOON, BERLIN)))


def test_a_files_prices_around_today_are_read_whatever_the_offset(tmp_path: Path) -> None:
    found = read_file(
        tmp_path / "prices.csv",
        "time,eur_per_kwh\n2020-01-01T00:00Z,0.9\n2026-06-01T00:00+02:00,0.1\n2026-05-31T23:00,0.2\n"
        "2026-06-01T00:00Z,\n",
    )
    assert found == {
        **{midnight(DAY, BERLIN) + number * SLOT: 0.1 for number in range(4)},
        **{midnight(DAY, BERLIN) + number * SLOT: 0.2 for number in range(4, 8)},
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("time,price\n", "no column eur_per_kwh"),
        ("", "no column time and eur_per_kwh"),
        ("time,eur_per_kwh\n", "no prices"),
        ("time,eur_per_kwh\nnoon,1\n", "line 2: needs a time and a number"),
        ("time,eur_per_kwh\n2026-06-01T00:00Z,0.1\n2026-06-01T01:00Z,dear\n", "line 3"),
        ("time,eur_per_kwh\n2026-06-01T00:00Z,87\n", "another unit"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_bad_file_is_told_with_its_line(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(CloudError, match=says) as told:
        read_file(tmp_path / "prices.csv", text)
    assert "prices.csv" in str(told.value)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(Unavailable, match="No such file"):
        asyncio.run(FilePrices(Path("/nowhere/prices.csv")).prices(Asked(NOON, BERLIN)))


# What is made of it: asking, keeping, telling.


class HandClock:
    """A clock that stands until it is moved."""

    boot_id = "boot"

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return (self.at - NEVER).total_seconds()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class House:
    """The tariff of a configuration with a log, asked every five minutes while a hand moves the clock."""

    def __init__(self, folder: Path, source: str, at: datetime) -> None:
        self.folder, self.source, self.clock = folder, source, HandClock(at)
        (folder / "config.toml").write_text(
            f"[tariff]\nprice_factor = 2\nprice_adder_eur_per_kwh = 0.1\n{source}\n"
            '[store]\npath = "log.db"\n',
            encoding="utf-8",
        )
        self.settings = load_settings(folder / "config.toml", {})

    def lives(self, minutes: int, until: Callable[[Prices], T]) -> T:
        """Run for some minutes, as a process that begins and ends; return what is true at its end."""
        return asyncio.run(self._lives(minutes, until))

    async def _lives(self, minutes: int, until: Callable[[Prices], T]) -> T:
        store = Store.open(
            self.settings.store.path,
            self.clock,
            inline=True,
            options=FileOptions(durable=False, ballast_bytes=0),
        )
        try:
            past = await store.recover()
            prices = Prices(self.settings.price_plan(), timedelta())
            async with open_web() as client:
                prices.open(feeds_from(self.settings, client), past.prices)
                for _ in range(0, minutes, 5):
                    await prices.refresh(self.clock.now, store)
                    self.clock.at += timedelta(minutes=5)
            return until(prices)
        finally:
            store.close()

    def price(self, minutes: int) -> tuple[float, bool]:
        def now(prices: Prices) -> tuple[float, bool]:
            tariff = prices.tariff_at(self.clock.at)
            return tariff.price_eur_per_kwh(self.clock.at), tariff.is_known(self.clock.at)

        return self.lives(minutes, now)

    def events(self) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(self.folder / "log.db")) as conn:
            return conn.execute("SELECT kind, message FROM event ORDER BY id").fetchall()


def source_of(service: WebService) -> str:
    return f'[tariff.source]\nkind = "awattar"\nurl = "{service.url}"'


@pytest.fixture
def service() -> Iterator[WebService]:
    with web_service(Reply(awattar_day(DAY))) as service:
        yield service


def test_a_day_is_asked_once_and_tomorrow_when_it_comes_out(tmp_path: Path, service: WebService) -> None:
    house = House(tmp_path, source_of(service), NOON)
    assert house.price(60) == (pytest.approx(2 * 0.093 + 0.1), True)
    assert len(service.asked) == 1
    service.replies = [Reply(awattar_day(DAY, hours=24) | {"data": awattar_day(DAY, hours=48)["data"]})]
    house.clock.at = AFTERNOON
    assert house.lives(600, lambda one: one.tariff_at(house.clock.at).known_until) == midnight(
        DAY + timedelta(days=2), BERLIN
    )
    assert len(service.asked) == 2
    assert house.events() == []


def test_a_restart_goes_on_with_what_the_log_has_and_asks_nobody(tmp_path: Path, service: WebService) -> None:
    house = House(tmp_path, source_of(service), NOON)
    before = house.price(5)
    for _ in range(10):
        assert house.price(5)[1] == before[1]
    assert len(service.asked) == 1


def test_a_crash_loop_does_not_ask_a_dead_service_again_and_again(
    tmp_path: Path, service: WebService
) -> None:
    service.replies = [Reply(b"{}", status=500)]
    house = House(tmp_path, source_of(service), NOON)
    for _ in range(12):
        house.lives(5, lambda _: None)
    assert len(service.asked) == 3


def test_another_source_does_not_get_the_prices_of_the_one_before(
    tmp_path: Path, service: WebService
) -> None:
    assert House(tmp_path, source_of(service), NOON).price(5)[1]
    with web_service(Reply(b"{}", status=500)) as other:
        assert House(tmp_path, source_of(other), NOON).price(5) == (0.3, False)


def test_missing_prices_are_told_once_and_so_is_their_return(tmp_path: Path, service: WebService) -> None:
    house = House(tmp_path, source_of(service), AFTERNOON)
    assert house.price(30)[1]
    assert house.events() == []  # half past two: tomorrow may still come
    service.replies = [Reply(b"{}", status=503, headers=(("Retry-After", "60"),))]
    house.clock.at = AFTERNOON + timedelta(hours=2)
    house.lives(180, lambda _: None)
    ((kind, message),) = house.events()
    assert kind == "prices_missing"
    assert "prices from Tue 00:00 on are not known (127.0.0.1: HTTP 503)" in message
    assert "the newest known day's stand in" in message
    service.replies = [Reply({"data": awattar_day(DAY, hours=48)["data"]})]
    house.lives(180, lambda _: None)
    assert [kind for kind, _ in house.events()] == ["prices_missing", "prices_missing", "prices_back"]


def test_with_a_source_that_never_answered_the_flat_price_stands_and_that_is_told(
    tmp_path: Path, service: WebService
) -> None:
    service.replies = [Reply(b"<html>")]
    house = House(tmp_path, source_of(service), NOON)
    assert house.price(5) == (0.3, False)
    assert "tariff.import_eur_per_kwh stands in" in house.events()[0][1]


def test_earnings_may_have_a_source_of_their_own(tmp_path: Path, service: WebService) -> None:
    with web_service(Reply(charts_day(DAY))) as other:
        own = f'[tariff.feed_in.source]\nkind = "energy_charts"\nurl = "{other.url}"'
        house = House(tmp_path, f"{source_of(service)}\n[tariff.feed_in]\nfactor = 0.5\n{own}", NOON)
        tariff = house.lives(5, lambda one: one.tariff_at(house.clock.at))
    assert tariff.price_eur_per_kwh(NOON) == pytest.approx(2 * 0.092 + 0.1)
    assert tariff.earned_eur_per_kwh(NOON) == pytest.approx(0.5 * 0.019)


def test_the_address_is_in_no_row_of_the_log(tmp_path: Path, service: WebService) -> None:
    service.replies = [Reply(b"<html>"), Reply(b"{}", status=500), Reply(awattar_day(DAY))]
    House(tmp_path, source_of(service), NOON).lives(60, lambda _: None)
    assert len(service.asked) == 3
    assert b"s3cret" not in (tmp_path / "log.db").read_bytes()


# The service in virtual time, with prices out of a file.


def dear_until(hour: float) -> str:
    lines = ["time,eur_per_kwh"]
    for number in range(-24, 72):
        at = START.replace(minute=0) + timedelta(hours=number)
        lines.append(f"{at:%Y-%m-%dT%H:%M}Z,{0.5 if number < hour else 0.05}")
    return "\n".join(lines) + "\n"


MARKET_CONFIG = """\
[tariff]
feed_in_eur_per_kwh = 0.08
[tariff.source]
kind = "file"
file = "prices.csv"
[strategy]
name = "fixed"
[strategy.fixed]
mode = "fast"
"""


async def _two_hours(life: Life) -> None:
    await life.begin()
    await life.passes(2 * 3600.0)
    await life.ends()


def test_the_accounts_reckon_with_the_price_in_force_and_the_log_keeps_it(tmp_path: Path, token: str) -> None:
    (tmp_path / "prices.csv").write_text(dear_until(1), encoding="utf-8")
    live(tmp_path, token, _two_hours, sky=lambda _: (0.0, 300.0), config=MARKET_CONFIG)
    with closing(sqlite3.connect(tmp_path / "sunmode.db")) as conn:
        dear, cheap = (
            conn.execute(
                "SELECT sum(cost_eur), sum(ev_grid_kwh) FROM energy"  # noqa: S608 - a sign
                f" WHERE charger != '' AND slot_start {sign} ?",
                ("2026-06-02T09:00:00.000Z",),
            ).fetchone()
            for sign in ("<", ">=")
        )
    assert dear[0] == pytest.approx(0.5 * dear[1])
    assert cheap[0] == pytest.approx(0.05 * cheap[1])
    assert min(dear[1], cheap[1]) > 3.0
    entries = read_in_force(tmp_path / "sunmode.db", START, START + timedelta(hours=2))
    assert [(one.slot, one.import_eur_per_kwh, one.known) for one in entries] == [
        (START, 0.5, True),
        (START + timedelta(hours=1), 0.05, True),
    ]


def test_decisions_are_replayed_with_the_prices_that_they_saw(tmp_path: Path, token: str) -> None:
    (tmp_path / "prices.csv").write_text(dear_until(1), encoding="utf-8")
    live(tmp_path, token, _two_hours, sky=lambda _: (0.0, 300.0), config=MARKET_CONFIG)
    with closing(sqlite3.connect(tmp_path / "sunmode.db")) as conn:
        rows = conn.execute(
            "SELECT inputs, content FROM decision d JOIN context c ON c.id = d.context_id ORDER BY d.id"
        ).fetchall()
        (contexts,) = conn.execute("SELECT count(*) FROM context").fetchone()
    last = situation_from(*(json.loads(part) for part in rows[-1]))
    assert last.tariff.price_eur_per_kwh(START) == 0.5
    assert last.tariff.price_eur_per_kwh(START + timedelta(hours=1)) == 0.05
    assert last.tariff.known_until == midnight(date(2026, 6, 4), BERLIN)
    assert contexts <= 2


@pytest.mark.parametrize("strategy", ["deadline", "threshold", "timer"])
def test_every_decision_under_moving_prices_can_be_decided_again(
    tmp_path: Path, token: str, strategy: str
) -> None:
    async def script(life: Life) -> list[tuple[Any, ...]]:
        await life.begin()
        await life.passes(20 * 3600.0)
        await life.ends()
        return life.rows(
            "SELECT proposed, mode, inputs, content FROM decision d JOIN context c ON c.id = d.context_id"
        )

    (tmp_path / "prices.csv").write_text(moving(), encoding="utf-8")
    goal = 'goal = [{ by = "07:00", energy_kwh = 8 }]\n'
    config = f'{goal}{MARKET_CONFIG.partition("[strategy]")[0]}[strategy]\nname = "{strategy}"\n'
    rows = live(tmp_path, token, script, sky=lambda _: (0.0, 300.0), config=config)
    again = load_settings(tmp_path / "config.toml", {}).build_strategy()
    assert len(rows) > 30
    for proposed, mode, *parts in rows:
        inputs, context = (json.loads(part) for part in parts)
        proposal = again.propose(situation_from(inputs, context))
        ruling = guard(proposal, guard_inputs_from(inputs), policy_from(context))
        assert (proposal.mode, ruling.mode) == (Mode(proposed), Mode(mode))


def moving() -> str:
    """Quarter-hourly prices for today alone, no two alike, some below zero."""
    start = midnight(START.astimezone(BERLIN).date(), BERLIN)
    rows = (
        f"{start + number * SLOT:%Y-%m-%dT%H:%M}Z,{(number * 37 % 96) / 300 - 0.05:.5f}"
        for number in range(96)
    )
    return "time,eur_per_kwh\n" + "\n".join(rows) + "\n"


def test_a_day_is_scored_at_the_prices_that_were_in_force(tmp_path: Path) -> None:
    site = site_with(tmp_path)
    day = LocalDay(date(2026, 6, 1), BERLIN)
    write_day(site, day.start, 24, pv_w=0.0, load_w=1000.0)
    before = score_day(site, day.date).rows[0].cost_eur
    with closing(sqlite3.connect(site.path)) as conn, conn:
        conn.executemany(
            "INSERT INTO price VALUES (?,?,0.08,1)",
            [(to_text(day.start - timedelta(days=9)), 0.5), (to_text(day.start + timedelta(hours=12)), 0.1)],
        )
    assert before == pytest.approx(24 * 0.3)
    assert score_day(site, day.date).rows[0].cost_eur == pytest.approx(12 * 0.5 + 12 * 0.1)


NIGHT_IS_CHEAP = "time,eur_per_kwh\n" + "".join(
    f"{START.replace(hour=0) + timedelta(hours=hour - 26):%Y-%m-%dT%H:%M}Z,{0.1 if hour % 24 < 5 else 0.3}\n"
    for hour in range(48)
)
"""Yesterday and today in Berlin: 10 ct until 05:00, then 30 ct; nothing of tomorrow."""


def test_nothing_is_drawn_in_the_evening_because_the_nights_prices_are_missing(
    tmp_path: Path, token: str
) -> None:
    async def script(life: Life) -> tuple[list[Mode], list[Mode]]:
        await life.begin()
        evening, night = [], []
        while life.clock.now() < START.replace(hour=0) + timedelta(hours=29):
            await life.passes(1800.0)
            (evening if life.clock.now().astimezone(BERLIN).day == START.day else night).append(life.mode())
        await life.ends()
        return evening, night

    (tmp_path / "prices.csv").write_text(NIGHT_IS_CHEAP, encoding="utf-8")
    goal = 'goal = [{ by = "07:00", energy_kwh = 14 }]\n'
    market = MARKET_CONFIG.partition("[strategy]")[0]
    evening, night = live(
        tmp_path, token, script, sky=lambda _: (0.0, 300.0),
        config=f'{goal}{market}[strategy]\nname = "deadline"\n[strategy.deadline]\ncheapest = true\n',
    )  # fmt: skip
    assert Mode.FAST not in evening
    assert Mode.FAST in night


async def _hours_without(life: Life) -> list[Mode]:
    await life.begin()
    modes = []
    for _ in range(8):
        await life.passes(1800.0)
        modes.append(life.mode())
    await life.ends()
    return modes


@pytest.mark.parametrize("strategy", ["deadline", "threshold", "timer"])
def test_missing_prices_draw_nothing_from_the_grid(tmp_path: Path, token: str, strategy: str) -> None:
    config = MARKET_CONFIG.partition("[strategy]")[0] + f'[strategy]\nname = "{strategy}"\n'
    goal = 'goal = [{ by = "23:45", energy_kwh = 10 }]\n'
    modes = live(
        tmp_path, token, _hours_without, sky=lambda _: (0.0, 300.0),
        config=f"{goal}\n[control]\ngreen_commissioned = true\n{config}",
    )  # fmt: skip
    assert Mode.FAST not in modes
    assert Mode.ECO not in modes


# The command line and the configuration.

NIGHT = '[[tariff.window]]\nfrom = "22:00"\nto = "06:00"\nimport_eur_per_kwh = 0.2\n'


def test_check_tells_the_price_or_what_is_done_without(tmp_path: Path, service: WebService) -> None:
    today = SystemClock().now().astimezone(BERLIN).date()
    service.replies = [Reply(awattar_day(today)), Reply(b"{}", status=500)]
    site = Site(tmp_path, "")
    site.config.write_text(source_of(service), encoding="utf-8")
    good, bad = call(site, "check"), call(site, "check")
    assert good.code == 0, good
    assert "ok    prices" in good.out
    assert "EUR per kWh now, known until" in good.out
    assert bad.code == 1
    assert (
        "fault prices     the market's prices are not known (127.0.0.1: HTTP 500); tariff.import_eur"
        in bad.out
    )
    assert "s3cret" not in bad.out + bad.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            '[tariff.source]\nkind = "file"',
            'tariff.source.file: missing: kind = "file" needs it',
        ),
        ('[tariff.source]\nkind = "json"', 'tariff.source.url: missing: kind = "json" needs it'),
        ('[tariff.source]\nkind = "awattar"\nfile = "x"', "tariff.source.file: does not belong to"),
        ('[tariff.source]\nkind = "tibber"', "tariff.source.kind: 'tibber' is not one of"),
        ('[tariff.source]\nkind = "json"\nurl = "ftp://x/"', "needs a URL that begins with https://"),
        ('[tariff.source]\nkind = "json"\nurl = "http://me:pw@x/"', "must not hold a user name"),
        ('[tariff.source]\nkind = "json"\nurl = "http://x/"\nunit = "EUR"', "is not one of"),
        ("[tariff.feed_in]\nfactor = 1", "tariff.feed_in: needs a source of its own"),
        (
            '[[tariff.window]]\nfrom = "22:10"\nto = "06:00"\nimport_eur_per_kwh = 0.2',
            "tariff.window[0].from: needs a quarter hour",
        ),
        (
            '[[tariff.window]]\nfrom = "22:00"\nimport_eur_per_kwh = 0.2',
            "tariff.window[0].to: missing",
        ),
        (
            '[[tariff.window]]\nfrom = "22:00"\nto = "06:00"\nimport_eur_per_kwh = 22',
            "tariff.window[0].import_eur_per_kwh: 22 is more than allowed (-1 to 5)",
        ),
        (
            NIGHT
            + '[[tariff.window]]\ndays = ["sun"]\nfrom = "05:00"\nto = "07:00"\nimport_eur_per_kwh = 0.2',
            "tariff.window[1]: overlaps with window[0]",
        ),
        (
            NIGHT + '[tariff.source]\nkind = "awattar"',
            "windows and tariff.source exclude each other",
        ),
        ("[tariff]\nprice_factor = 11", "tariff.price_factor: 11 is more than allowed (-10 to 10)"),
    ],
)
def test_a_tariff_that_cannot_be_is_refused_at_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as told:
        load_settings(tmp_path / "config.toml", {})
    assert says in str(told.value)


def test_names_of_files_are_relative_to_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[tariff.source]\nkind = "file"\nfile = "p.csv"\n'
        '[tariff.feed_in.source]\nkind = "file"\nfile = "f.csv"',
        encoding="utf-8",
    )
    tariff = load_settings(tmp_path / "config.toml", {}).tariff
    assert tariff.source is not None
    assert tariff.feed_in is not None
    assert tariff.feed_in.source is not None
    assert (tariff.source.file, tariff.feed_in.source.file) == (tmp_path / "p.csv", tmp_path / "f.csv")


def test_the_market_is_named_in_a_variable_too(tmp_path: Path) -> None:
    env = {"SUNMODE_TARIFF__SOURCE__KIND": "awattar"}
    assert load_settings(None, env).price_plan().market is not None
    assert MARKET in feeds_from(load_settings(None, env), open_web())
