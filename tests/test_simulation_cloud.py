"""The virtual cloud: the vendor's wire format, limits, telemetry, commands and callbacks, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from optimizer.clock import LoopClock
from optimizer.domain import ChargerSpec, ChargerStatus, Mode
from optimizer.plant.battery import BatteryLimits
from optimizer.simulation.cloud import VirtualCloud
from optimizer.simulation.faults import Fault, FaultKind
from optimizer.simulation.home import VirtualHome
from optimizer.simulation.quota import Quota, Verdict
from optimizer.simulation.series import house_series
from optimizer.simulation.settings import Quirk, VendorLimits, VirtualSettings
from optimizer.simulation.transport import VirtualTransport
from optimizer.simulation.virtual_time import run_virtual
from optimizer.simulation.world import build_cloud

START = datetime(2026, 6, 1, 4, tzinfo=UTC)
API = "https://cloud.invalid/proxyApp/proxy/api/"
LEFT, RIGHT = "LEFTEVC", "RIGHTEVC"
CHARGERS = (ChargerSpec("left", LEFT), ChargerSpec("right", RIGHT))
Scenario = Callable[["Session"], Awaitable[None]]


@pytest.fixture(autouse=True)
def _httpx_logs_no_urls(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="httpx")


class Session:
    """A client with the token, in front of a cloud in virtual time."""

    def __init__(self, cloud: VirtualCloud, clock: LoopClock, token: str) -> None:
        self.cloud, self.clock, self.token = cloud, clock, token
        self.callbacks: list[dict[str, Any]] = []
        self.http = httpx.AsyncClient(transport=VirtualTransport(cloud), base_url=API, timeout=15.0)

    async def inverter(self, sn: str = "VIRTUALINV", token: str | None = None) -> dict[str, Any]:
        query = {"tokenId": token or self.token, "sn": sn}
        return (await self.http.get("getRealtimeInfo.do", params=query)).json()

    async def charger(self, sn: str = LEFT) -> dict[str, Any]:
        return (await self.http.get("getPileInfo", params={"tokenId": self.token, "pileSn": sn})).json()

    async def command(
        self, mode: Mode, serials: Iterable[str] = (LEFT,), **changes: object
    ) -> dict[str, Any]:
        body: dict[str, object] = {
            "tokenId": self.token,
            "rwType": "2",
            "cmdType": "1",
            "cmdValue": str(int(mode)),
            "sns": list(serials),
            "callbackUrl": "http://client.invalid/callback",
            **changes,
        }
        return (await self.http.post("pileCmd", json=body)).json()


def live(scenario: Scenario, token: str, schedule: Iterable[Fault] = (), **changes: Any) -> VirtualCloud:
    """Run a scenario against a sunny home (5 kW, base load 0.4 kW) and return its cloud."""
    settings = VirtualSettings(token=token, start=START, chargers=CHARGERS, **changes)

    async def main() -> VirtualCloud:
        import numpy as np

        ones = np.ones(1440, dtype=np.float32)
        series = house_series(START, 60.0, ones * np.float32(5000.0), ones * np.float32(400.0))
        clock = LoopClock(START)
        home = VirtualHome(settings, series)

        async def post(url: str, body: bytes) -> None:
            assert url == "http://client.invalid/callback"
            session.callbacks.append(json.loads(body))

        session = Session(build_cloud(home, clock, schedule, post), clock, token)
        await scenario(session)
        await session.http.aclose()
        await session.cloud.aclose()
        return session.cloud

    return run_virtual(main())


def test_the_inverter_answers_in_the_vendors_format_and_signs(token: str) -> None:
    async def scenario(session: Session) -> None:
        session.cloud.advance()
        await session.clock.sleep(3600.0)
        answer = await session.inverter()
        assert (answer["success"], answer["exception"], answer["code"]) == (True, "Query success!", 0)
        result = answer["result"]
        assert result["feedinpower"] == 0.0
        assert result["batPower"] == 4600.0
        assert result["acpower"] == 400.0
        assert result["powerdc1"] == 5000.0
        assert (result["powerdc2"], result["peps2"]) == (None, None)
        assert (result["inverterType"], result["inverterStatus"], result["batStatus"]) == ("15", "102", "0")
        assert 90.0 <= result["soc"] <= 100.0

    live(scenario, token, battery=BatteryLimits(), battery_soc=0.5)


def test_a_home_without_battery_has_nulls_for_it(token: str) -> None:
    async def scenario(session: Session) -> None:
        result = (await session.inverter())["result"]
        assert (result["soc"], result["batPower"], result["batStatus"]) == (None, None, None)
        assert result["feedinpower"] == 4600.0

    live(scenario, token)


def test_telemetry_is_frozen_between_uploads_and_its_stamp_ignores_daylight_saving(token: str) -> None:
    async def scenario(session: Session) -> None:
        stamps = []
        for _ in range(40):
            stamps.append((await session.inverter())["result"]["uploadTime"])
            await session.clock.sleep(30.0)
        changes = [stamp for earlier, stamp in itertools.pairwise(stamps) if stamp != earlier]
        assert 3 <= len(changes) <= 4
        times = [datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) for stamp in changes]
        assert all(b - a == timedelta(seconds=300) for a, b in itertools.pairwise(times))
        assert stamps[0] == "2026-06-01 05:00:00"  # 04:00 UTC is 06:00 in Berlin's summer

    live(scenario, token)


def test_a_command_is_accepted_then_carried_out_then_visible(token: str) -> None:
    async def scenario(session: Session) -> None:
        session.cloud.home.plug(LEFT, 20.0)
        answer = await session.command(Mode.FAST)
        assert (answer["success"], answer["exception"]) == (True, "accept success")
        assert len(answer["result"]["taskId"]) == 32
        int(answer["result"]["taskId"], 16)
        await session.clock.sleep(140.0)
        assert (await session.charger())["result"] == {
            "chargerStatus": 2,
            "chargingMode": 1,
            "chargeEnergy": pytest.approx(0.1, abs=0.1),
            "chargingPower": 7360.0,
        }
        assert (await session.charger(RIGHT))["result"]["chargingMode"] == 0
        assert [change.cause for change in session.cloud.home.mode_changes] == ["command"]

    cloud = live(scenario, token)
    first = cloud.calls[0]
    assert (first.endpoint, first.subject, first.mode, first.outcome) == ("pileCmd", LEFT, Mode.FAST, "ok")


def test_one_command_reaches_many_chargers_and_all_three_callbacks_follow(token: str) -> None:
    async def scenario(session: Session) -> None:
        task_id = (await session.command(Mode.GREEN, (LEFT, RIGHT)))["result"]["taskId"]
        await session.clock.sleep(90.0)
        session.cloud.advance()
        assert {body["taskId"] for body in session.callbacks} == {task_id}
        assert [body["rspType"] for body in session.callbacks] in ([1, 2, 2, 3], [1, 2, 3, 2])
        assert {body["code"] for body in session.callbacks} == {"0"}
        assert {b["result"]["sn"] for b in session.callbacks if b["rspType"] == 2} == {LEFT, RIGHT}
        assert all(session.cloud.home.charger(sn).mode is Mode.GREEN for sn in (LEFT, RIGHT))

    live(scenario, token)


@pytest.mark.parametrize("quirks", [frozenset[Quirk](), frozenset({Quirk.CALLBACK_LISTS_OUTSIDE})])
def test_callbacks_name_who_could_not_be_told_and_who_stayed_silent(
    token: str, quirks: frozenset[Quirk]
) -> None:
    lost = Fault(FaultKind.LOST_COMMAND, 0.0, 10.0, LEFT)
    offline = Fault(FaultKind.CHARGER_OFFLINE, 0.0, 10.0, RIGHT)

    async def scenario(session: Session) -> None:
        await session.command(Mode.FAST, (LEFT, RIGHT))
        await session.clock.sleep(90.0)
        issued, completed = session.callbacks
        outside = bool(quirks)
        assert (issued["rspType"], issued["code"], issued["success"]) == (1, "1", False)
        assert (issued if outside else issued["result"])["failureList"] == [RIGHT]
        assert (completed["rspType"], completed["code"], completed["success"]) == (3, "1", False)
        assert (completed if outside else completed["result"])["timeoutList"] == [LEFT]
        assert session.cloud.home.mode_changes == []

    live(scenario, token, [lost, offline], quirks=quirks)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"cmdValue": "4"}, "cmdValue"),
        ({"cmdValue": 1}, "cmdValue"),
        ({"rwType": "1"}, "rwType"),
        ({"rwType": 2}, "rwType"),
        ({"cmdType": "2"}, "cmdType"),
        ({"callbackUrl": None}, "callbackUrl"),
        ({"sns": []}, "sns"),
        ({"sns": "LEFTEVC"}, "sns"),
        ({"sns": [7]}, "sns"),
        ({"sns": [f"S{n}" for n in range(101)]}, "sns"),
    ],
)
def test_a_malformed_command_is_refused_and_counted(
    token: str, changes: Mapping[str, object], name: str
) -> None:
    async def scenario(session: Session) -> None:
        answer = await session.command(Mode.FAST, **changes)
        assert (answer["success"], answer["code"]) == (False, 1002)
        assert name in answer["exception"]

    assert [call.outcome for call in live(scenario, token).calls] == ["parameter"]


def test_wrong_tokens_and_serials_get_the_vendors_errors(token: str) -> None:
    async def scenario(session: Session) -> None:
        refused = await session.inverter(token="stale")  # noqa: S106 - no password, a wrong one
        assert refused == {"exception": "token invalid!", "code": 103, "tokenId": "stale", "success": False}
        assert (await session.inverter("SOMEBODYS"))["code"] == 1003
        assert (await session.inverter(LEFT))["result"] == "this sn did not access!"
        assert (await session.charger("SOMEBODYS"))["exception"] == "no auth!"
        assert (await session.command(Mode.FAST, ["SOMEBODYS"]))["code"] == 1003

    outcomes = [call.outcome for call in live(scenario, token).calls]
    assert outcomes == ["token", "serial", "serial", "serial", "serial"]


def test_unknown_paths_and_methods_are_not_found(token: str) -> None:
    async def scenario(session: Session) -> None:
        assert (await session.http.get("nonsense")).status_code == 404
        assert (await session.http.get("pileCmd")).status_code == 404

    assert [call.outcome for call in live(scenario, token).calls] == ["not_found", "not_found"]


def test_the_tenth_call_in_a_minute_is_refused_and_several_more_bring_the_ban(token: str) -> None:
    async def scenario(session: Session) -> None:
        codes = [(await session.charger()).get("code") for _ in range(12)]
        assert codes == [None] * 9 + [104, 104, 1]
        await session.clock.sleep(3500.0)
        assert (await session.charger())["code"] == 1
        await session.clock.sleep(120.0)
        assert (await session.charger())["success"] is True

    cloud = live(scenario, token)
    assert cloud.worst_minute() == 12
    assert cloud.worst_day() == 14


def test_calls_exactly_a_minute_apart_do_not_share_it() -> None:
    quota = Quota(VendorLimits())
    assert {quota.count(float(t_s)) for t_s in range(0, 7200, 7)} == {Verdict.ALLOWED}
    assert quota.worst_minute == 9
    assert [Quota(VendorLimits()).count(60.0 * n) for n in range(2)] == [Verdict.ALLOWED] * 2


def test_the_ten_thousandth_call_of_a_day_is_refused() -> None:
    quota = Quota(VendorLimits())
    verdicts = [quota.count(8.0 * n) for n in range(10_000)]
    assert verdicts[-2:] == [Verdict.ALLOWED, Verdict.DAY]
    assert quota.worst_day == 10_000


@pytest.mark.parametrize("quirk", list(Quirk))
def test_each_quirk_keeps_the_facts(token: str, quirk: Quirk) -> None:
    async def scenario(session: Session) -> None:
        result = (await session.charger())["result"]
        result = json.loads(result) if isinstance(result, str) else result
        power = result.get("chargingPower", result.get("ChargingPower"))
        assert [float(result["chargerStatus"]), float(power)] == [0.0, 0.0]

    live(scenario, token, quirks=frozenset({quirk}))


def test_a_new_status_is_reported_at_once_not_after_the_interval(token: str) -> None:
    async def scenario(session: Session) -> None:
        session.cloud.advance()
        session.cloud.home.plug(LEFT, 5.0)
        await session.clock.sleep(12.0)
        assert (await session.charger())["result"]["chargerStatus"] == ChargerStatus.PREPARING

    live(scenario, token, charger_telemetry_s=3600.0)


def test_the_clock_of_the_client_does_not_move_the_cloud(token: str) -> None:
    async def scenario(session: Session) -> None:
        await session.charger()
        session.clock.step(timedelta(days=-2))
        before = session.cloud.now()
        await session.clock.sleep(60.0)
        assert session.cloud.now() - before == timedelta(seconds=60)

    live(scenario, token)


def test_the_state_shows_the_truth_but_not_the_token(token: str) -> None:
    async def scenario(session: Session) -> None:
        await session.charger()
        text = json.dumps(session.cloud.state())
        assert token not in text
        assert json.loads(text)["home"]["pv_w"] == 5000.0
        assert token not in repr(session.cloud.settings)

    live(scenario, token)


def life(token: str, seed: int) -> list[str]:
    """Poll and command for a day under random faults; return all that was seen."""
    from optimizer.simulation.faults import random_schedule

    seen: list[str] = []

    async def scenario(session: Session) -> None:
        session.cloud.home.plug(LEFT, 30.0)
        for turn in range(600):
            try:
                if turn % 20 == 0:
                    seen.append(str(await session.command(Mode(turn // 20 % 4))))
                else:
                    seen.append(str(await (session.charger() if turn % 2 else session.inverter())))
            except (httpx.HTTPError, ValueError) as error:
                seen.append(type(error).__name__)
            await session.clock.sleep(145.0)
        seen.extend(map(str, session.cloud.calls))

    import random

    rng = random.Random(seed)
    live(scenario, token, random_schedule(rng, 0.0, 80_000.0, (LEFT, RIGHT)), seed=seed)
    return seen


def test_equal_seeds_give_equal_lives_and_others_do_not(token: str) -> None:
    assert life(token, 5) == life(token, 5)
    assert life(token, 5) != life(token, 6)


def test_a_week_polled_every_five_minutes_passes_in_seconds(token: str) -> None:
    async def scenario(session: Session) -> None:
        session.cloud.home.plug(LEFT, 30.0)
        for turn in range(7 * 288):
            reading = await (session.charger() if turn % 2 else session.inverter())
            assert reading["success"] is True
            await session.clock.sleep(300.0)

    began = time.process_time()
    cloud = live(scenario, token)
    assert time.process_time() - began < 6.0  # 1 s on an idle machine
    assert cloud.worst_minute() == 1
    assert cloud.home.truth().pv_kwh == pytest.approx(7 * 120.0, rel=0.02)


def test_closing_the_cloud_stops_its_callbacks(token: str) -> None:
    async def scenario(session: Session) -> None:
        await session.command(Mode.FAST)
        await session.cloud.aclose()
        await session.clock.sleep(100.0)
        assert session.callbacks == []
        assert len(asyncio.all_tasks()) == 1

    live(scenario, token)
