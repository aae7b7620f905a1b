"""Goals in state of charge: what the car tells over real HTTP, and what counts while it tells nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from price_services import HandClock
from web_service import Reply, WebService, web_service

from optimizer.config.goals import wanted
from optimizer.config.loading import load_settings
from optimizer.config.sections import Charger
from optimizer.domain import ChargerReading, ChargerStatus, Mode
from optimizer.errors import BadAnswer
from optimizer.goals import Charge
from optimizer.runtime.cars import Cars, askings_from
from optimizer.runtime.goals import Goals
from optimizer.runtime.world import World
from optimizer.sources.car import CarSource
from optimizer.sources.http_json import JsonSource, open_web
from optimizer.store.goals import last_charges
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions

NOW = datetime(2026, 6, 1, 18, tzinfo=UTC)
UNKNOWN = "the car's state of charge is not known"
BERLIN = ZoneInfo("Europe/Berlin")
HOME_ASSISTANT = {"entity_id": "sensor.car", "state": "43", "attributes": {"unit_of_measurement": "%"}}


def charger(**car: Any) -> Charger:
    table = {"capacity_kwh": 60.0, "efficiency": 0.9, "soc_url": "http://127.0.0.1/x", **car}
    return Charger.model_validate({"goal": [{"by": "07:00", "energy_kwh": 10.0, "soc": 0.8}], "car": table})


# Reckoning.


@pytest.mark.parametrize(
    ("charge", "energy_kwh", "basis"),
    [
        (Charge(0.43, NOW, 0.0), 24.67, "80% of 60 kWh, 43% at 20:00"),
        (Charge(0.43, NOW, 2.5), 27.17, "80% of 60 kWh, 43% at 20:00"),
        (Charge(0.95, NOW, 2.5), 2.5, "80% of 60 kWh, 95% at 20:00"),
        (Charge(0.43, NOW - timedelta(hours=6), 0.0), 24.67, "80% of 60 kWh, 43% at 14:00"),
        (
            Charge(0.43, NOW - timedelta(hours=6, seconds=1), 0.0),
            10.0,
            "the car's state of charge is not known",
        ),
        (None, 10.0, "the car's state of charge is not known"),
    ],
)
def test_what_is_missing_to_the_wanted_charge_is_the_goal_as_long_as_it_is_known(
    charge: Charge | None, energy_kwh: float, basis: str
) -> None:
    found = wanted(charger(), None, charge, BERLIN, NOW)
    assert found is not None
    assert found.goal.energy_kwh == pytest.approx(energy_kwh, abs=0.006)
    assert (found.origin, found.basis) == ("weekly", basis)


# What the car tells.


def soc(reply: Reply, path: str = "state", unit: str = "percent") -> float:
    async def ask(service: WebService) -> float:
        async with open_web() as client:
            return await CarSource(JsonSource(client, service.url), path, unit).soc(NOW)

    with web_service(reply) as service:
        return asyncio.run(ask(service))


def test_a_charge_is_read_as_ratio_and_as_percent() -> None:
    assert soc(Reply(HOME_ASSISTANT)) == 0.43
    assert soc(Reply({"cars": [{"soc": 0.43}]}), "cars.0.soc", "ratio") == 0.43
    assert soc(Reply({"state": 0})) == 0.0


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"state": "unavailable"}, "not a number"),
        ({"state": None}, "not a number"),
        ({"state": True}, "not a number"),
        ({"state": 101}, "a state of charge of 101%"),
        ({"state": -1}, "a state of charge of -1%"),
        ({"state": 1e400}, "not JSON"),
        ({}, "'state' is missing"),
        ([], "'state' is missing"),
    ],
)
def test_a_charge_that_is_none_is_refused(answer: Any, says: str) -> None:
    with pytest.raises(BadAnswer, match=says):
        soc(Reply(answer))


# Asking.


class Garage:
    """A charger with a car that can be plugged in, its log, and a hand on the clock."""

    def __init__(self, folder: Path, url: str) -> None:
        (folder / "config.toml").write_text(
            '[store]\npath = "log.db"\n[[charger]]\nname = "garage"\n'
            'goal = [{ by = "07:00", energy_kwh = 10, soc = 0.8 }]\n'
            f'[charger.car]\ncapacity_kwh = 60\nsoc_url = "{url}"\nsoc = "state"\ntoken_file = "car.token"\n',
            encoding="utf-8",
        )
        (folder / "car.token").write_text("tok-456\n", encoding="utf-8")
        self.settings = load_settings(folder / "config.toml", {})
        self.clock = HandClock(NOW)
        self.world = World(self.settings.charger_specs(), 300.0, 420.0)
        self.goals = Goals(self.settings)

    def sees(self, status: ChargerStatus, session_kwh: float = 0.0) -> None:
        reading = ChargerReading(self.clock.at, Mode.GREEN, status, int(status), 0.0, session_kwh)
        self.world.chargers["garage"].absorb(reading, self.clock.monotonic_s())

    async def passes(self, minutes: int) -> None:
        store = Store.open(
            self.settings.store.path, self.clock, inline=True,
            options=FileOptions(durable=False, ballast_bytes=0),
        )  # fmt: skip
        try:
            async with open_web() as client:
                cars = Cars(askings_from(self.settings, client), self.goals, self.world, store, self.clock)
                for _ in range(0, minutes, 5):
                    await cars.refresh()
                    self.clock.at += timedelta(minutes=5)
        finally:
            store.close()

    def energy_kwh(self) -> float:
        found = self.goals.goal_for("garage", self.clock.at)
        assert found is not None
        return found.energy_kwh

    def events(self) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(self.settings.store.path)) as conn:
            return conn.execute("SELECT kind, message FROM event ORDER BY id").fetchall()


def test_a_car_is_asked_each_quarter_hour_while_it_is_there_and_its_charge_counts(tmp_path: Path) -> None:
    with web_service(Reply(HOME_ASSISTANT)) as service:
        garage = Garage(tmp_path, service.url)
        asyncio.run(garage.passes(30))
        assert service.asked == []
        assert garage.energy_kwh() == 10.0
        garage.sees(ChargerStatus.PREPARING)
        asyncio.run(garage.passes(60))
        assert len(service.asked) == 4
        assert service.asked[0][1]["authorization"] == "Bearer tok-456"
        assert garage.energy_kwh() == pytest.approx(24.67)
        assert last_charges(garage.settings.store.path)["garage"].soc == 0.43
        garage.sees(ChargerStatus.AVAILABLE)
        asyncio.run(garage.passes(5))
        assert garage.energy_kwh() == 10.0
        assert last_charges(garage.settings.store.path) == {}
    assert b"tok-456" not in (tmp_path / "log.db").read_bytes()


def test_a_car_that_tells_nothing_is_told_once_and_the_goals_own_energy_counts(tmp_path: Path) -> None:
    with web_service(Reply({"state": "unavailable"})) as service:
        garage = Garage(tmp_path, service.url)
        garage.sees(ChargerStatus.PREPARING)
        asyncio.run(garage.passes(60))
        assert garage.energy_kwh() == 10.0
        service.replies = [Reply(HOME_ASSISTANT)]
        (unknown,) = garage.events()
        asyncio.run(garage.passes(60))
    assert unknown[0] == "car_unknown"
    assert unknown[1].endswith("(127.0.0.1: not a number where one should be); without it energy_kwh counts")
    assert garage.energy_kwh() == pytest.approx(24.67)


def test_a_service_that_says_how_long_to_wait_is_left_alone(tmp_path: Path) -> None:
    busy = Reply(b"{}", status=429, headers=(("Retry-After", "3000"),))
    with web_service(busy) as service:
        garage = Garage(tmp_path, service.url)
        garage.sees(ChargerStatus.PREPARING)
        asyncio.run(garage.passes(60))
        assert len(service.asked) == 2


def test_a_token_that_cannot_be_read_is_told_and_ends_nothing(tmp_path: Path) -> None:
    with web_service(Reply(HOME_ASSISTANT)) as service:
        garage = Garage(tmp_path, service.url)
        (tmp_path / "car.token").unlink()
        garage.sees(ChargerStatus.PREPARING)
        asyncio.run(garage.passes(10))
        assert service.asked == []
    assert [kind for kind, _ in garage.events()] == ["car_unknown"]


def test_what_the_car_takes_meanwhile_is_not_wanted_again(tmp_path: Path) -> None:
    with web_service(Reply(HOME_ASSISTANT)) as service:
        garage = Garage(tmp_path, service.url)
        garage.sees(ChargerStatus.PREPARING)
        garage.sees(ChargerStatus.CHARGING, session_kwh=2.0)
        asyncio.run(garage.passes(5))
        first = garage.energy_kwh()
    garage.sees(ChargerStatus.CHARGING, session_kwh=5.0)
    assert garage.energy_kwh() == first == pytest.approx(24.67 + 2.0)
