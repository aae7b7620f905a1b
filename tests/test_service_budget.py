"""The call budget under strain, in closed loop: who is served when there are fewer calls than wishes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from living import HOUR, MINUTE, Life, live

from optimizer.domain import ChargerSpec, Mode
from optimizer.simulation.faults import Fault, FaultKind

SUN = "[strategy.threshold]\neco_by_surplus = false\n"
FAST = '[strategy]\nname = "fixed"\n[strategy.fixed]\nmode = "fast"\n'
STOP = FAST.replace("fast", "stop")
EVERY_SECOND = (
    "[solax]\ntelemetry_interval_s = 1\n[control]\ncycle_s = 1\n"
    "[control.poll]\ncharger_active_s = 1\ncharger_idle_s = 1\n"
)


def fleet(size: int) -> tuple[ChargerSpec, ...]:
    return tuple(ChargerSpec(f"car{i:02}", f"SQ{i:02}") for i in range(size))


def age_s(life: Life) -> float:
    age_s = life.service.world.site.age_s(life.clock.monotonic_s())
    return 0.0 if age_s is None else age_s


def states(life: Life) -> list[tuple[int, str]]:
    life.service.settle()
    return life.rows("SELECT mode, state FROM command")


@pytest.mark.parametrize("measured_s", [1.0, 300.0])
def test_reading_every_second_does_not_keep_a_car_from_charging(
    tmp_path: Path, token: str, measured_s: float
) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.GREEN, 3 * MINUTE + measured_s)
        await life.passes(3 * MINUTE)
        await life.service.store.flush()
        assert states(life) == [(Mode.GREEN, "confirmed")]
        assert life.cloud.worst_minute() <= 6

    world = {"telemetry_interval_s": measured_s}
    live(tmp_path, token, script, config=EVERY_SECOND + SUN, world=world)


def test_thirty_chargers_on_one_account_all_charge_and_the_house_is_read(tmp_path: Path, token: str) -> None:
    chargers = fleet(30)

    async def script(life: Life) -> None:
        await life.begin()
        oldest_s = 0.0
        for _ in range(60):
            await life.passes(MINUTE)
            oldest_s = max(oldest_s, age_s(life))
        assert {life.mode(charger.serial) for charger in chargers} == {Mode.FAST}
        assert oldest_s < 7 * MINUTE
        assert life.cloud.worst_minute() <= 6

    live(tmp_path, token, script, config=FAST, chargers=chargers)


def test_a_rise_is_not_held_up_by_a_round_of_reading_longer_than_ten_minutes(
    tmp_path: Path, token: str
) -> None:
    chargers = fleet(60)

    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(HOUR)
        until = life.clock.now() + timedelta(hours=2)
        await life.service.store.set_override(None, Mode.GREEN, until, "test")
        await life.until(lambda: {life.mode(one.serial) for one in chargers} == {Mode.GREEN}, 3 * MINUTE)

    live(tmp_path, token, script, config=STOP, chargers=chargers)


def test_a_charger_may_be_called_site(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.GREEN, 15 * MINUTE)
        assert {call.endpoint for call in life.cloud.calls} >= {"getPileInfo", "getRealtimeInfo.do"}

    live(tmp_path, token, script, config=SUN, chargers=[ChargerSpec("site", "SQ1")])


@dataclass
class Account(httpx.AsyncBaseTransport):
    """The cloud of an account that `foreign` devices are not part of, for some time."""

    inner: httpx.AsyncBaseTransport
    foreign: tuple[str, ...]
    asked: list[str] = field(default_factory=list)
    commanded: list[str] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = request.content.decode()
        names = (request.url.params.get("pileSn", ""), request.url.params.get("sn", ""))
        asked = [serial for serial in self.foreign if serial in names]
        commanded = [serial for serial in self.foreign if serial in body]
        self.asked += asked
        self.commanded += commanded
        if asked or commanded:
            return httpx.Response(200, json={"success": False, "exception": "no auth!", "code": 1003})
        return await self.inner.handle_async_request(request)


def joined(life: Life, *foreign: str) -> Account:
    """Put the account between the service and the cloud."""
    assert life.ports.network is not None
    account = Account(life.ports.network, foreign)
    life.ports = replace(life.ports, network=account)
    return account


def test_wrong_serials_disturb_nobody_else(tmp_path: Path, token: str) -> None:
    wrong = [ChargerSpec(f"wrong{i}", f"OF{i}") for i in range(4)]

    async def script(life: Life) -> None:
        account = joined(life, *[spec.serial for spec in wrong])
        await life.begin()
        await life.until(lambda: life.mode() is Mode.FAST, 15 * MINUTE)
        await life.passes(3 * HOUR)
        await life.service.store.flush()
        assert [mode for mode, _ in life.commands()] == [Mode.FAST]
        assert account.commanded == []
        for spec in wrong:
            assert account.asked.count(spec.serial) == pytest.approx(3 * 4 + 1, abs=2)
        assert life.rows("SELECT charger, count(*) FROM event WHERE kind = 'refused' GROUP BY 1") == [
            (spec.name, 1) for spec in wrong
        ]
        assert life.rows("SELECT * FROM event WHERE kind = 'auth'") == []

    live(tmp_path, token, script, config=FAST, chargers=[ChargerSpec("garage", "SQ1"), *wrong])


def test_a_wrong_inverter_is_told_once_and_the_chargers_are_still_read(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        account = joined(life, life.settings.inverter)
        await life.begin()
        await life.passes(HOUR)
        await life.service.store.flush()
        assert len(account.asked) == pytest.approx(5, abs=1)
        assert len(life.rows("SELECT * FROM event WHERE kind = 'refused'")) == 1
        assert sum(call.endpoint == "getPileInfo" for call in life.cloud.calls) > 10

    live(tmp_path, token, script, config=FAST)


def test_a_charger_that_has_left_the_account_does_not_keep_the_others_from_a_stop(
    tmp_path: Path, token: str
) -> None:
    chargers = fleet(2)

    async def script(life: Life) -> None:
        account = joined(life)
        await life.begin()
        await life.until(lambda: {life.mode(one.serial) for one in chargers} == {Mode.FAST}, 15 * MINUTE)
        await life.passes(10 * MINUTE)
        account.foreign = ("SQ01",)
        await life.passes(10 * MINUTE)
        until = life.clock.now() + timedelta(hours=2)
        await life.service.store.set_override(None, Mode.STOP, until, "test")
        await life.until(lambda: life.mode("SQ00") is Mode.STOP, 5 * MINUTE)
        assert "SQ01" in account.commanded
        await life.dies()

    live(tmp_path, token, script, config=FAST, chargers=chargers)


def test_while_the_door_is_shut_no_intent_is_written(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.FAST, 15 * MINUTE)
        await life.passes(65 * MINUTE)
        await life.service.store.flush()
        assert life.rows("SELECT count(*) FROM command WHERE sent_at IS NULL") == [(0,)]
        assert life.service.world.chargers["garage"].current is Mode.STOP, "the lease has run out"
        await life.dies()

    throttled = Fault(FaultKind.THROTTLED, start_s=10 * MINUTE, duration_s=3 * HOUR)
    live(tmp_path, token, script, config=f"{FAST}[control]\ncycle_s = 1\n", faults=[throttled])


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        yield
        conn.execute("ROLLBACK")


def cloudy(hours: float) -> tuple[float, float]:
    """Sun for the first hour."""
    return (4000.0 if hours < 1.0 else 0.0), 500.0


def test_while_the_log_is_locked_the_house_is_read_and_a_car_goes_on_charging(
    tmp_path: Path, token: str
) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.GREEN, 15 * MINUTE)
        await life.passes(5 * MINUTE)
        calls, sent = len(life.cloud.calls), life.commands()
        with locked(life.settings.store.path):
            for _ in range(120):
                await life.passes(MINUTE)
                assert age_s(life) < 7 * MINUTE
            assert life.mode() is Mode.GREEN
            assert life.commands() == sent
            assert len(life.cloud.calls) - calls > 60
        await life.passes(MINUTE)
        await life.service.store.flush()
        written = life.rows("SELECT count(*) FROM call WHERE outcome = 'ok'")
        assert written == [(len(life.cloud.calls),)]
        assert life.cloud.worst_minute() <= 6

    live(tmp_path, token, script, config=SUN)


def test_a_stop_sent_while_the_log_is_locked_is_confirmed_and_not_repeated(
    tmp_path: Path, token: str
) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.GREEN, 15 * MINUTE)
        await life.passes(50 * MINUTE - life.clock.monotonic_s())
        sent = len(life.commands())
        with locked(life.settings.store.path):
            await life.until(lambda: life.mode() is Mode.STOP, 60 * MINUTE)
            await life.passes(30 * MINUTE)
            assert [mode for mode, _ in life.commands()][sent:] == [Mode.STOP]
            assert life.service.world.chargers["garage"].pursuit is None

    live(tmp_path, token, script, config=SUN, sky=cloudy)
