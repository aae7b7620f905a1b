"""When the service asks for prices: once a day, after a restart, after a failure."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from price_services import BERLIN, DAY, NOON, HandClock, awattar_day, charts_day, source_of
from web_service import Reply, WebService, web_service

from optimizer.config.loading import load_settings
from optimizer.runtime.price_feeds import feeds_from
from optimizer.runtime.prices import Prices
from optimizer.sources.http_json import open_web
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions
from optimizer.tariffs.slots import midnight

AFTERNOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
T = TypeVar("T")


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
