"""Each fault of the virtual world does what its name says, on both faces of the cloud."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.clock import Clock, LoopClock, ScaledClock
from optimizer.domain import Mode
from optimizer.errors import InputError
from optimizer.simulation.answers import Answer, spoil
from optimizer.simulation.cloud import VirtualCloud
from optimizer.simulation.faults import (
    ANSWER_FAULTS,
    CALLBACK_FAULTS,
    COMMAND_FAULTS,
    DEVICE_FAULTS,
    HAPPENINGS,
    Fault,
    FaultKind,
    Faults,
    random_schedule,
)
from optimizer.simulation.home import VirtualHome
from optimizer.simulation.series import house_series
from optimizer.simulation.server import running_server
from optimizer.simulation.settings import Latencies, VirtualSettings
from optimizer.simulation.transport import VirtualTransport, http_callbacks
from optimizer.simulation.virtual_time import run_virtual
from optimizer.simulation.wire import encode, never_seen
from optimizer.simulation.world import build_cloud

START = datetime(2026, 6, 1, 4, tzinfo=UTC)
API = "/proxyApp/proxy/api/"
GARAGE = "VIRTUALEVC01"
AT_ONCE = Latencies((0.0, 0.0), (0.0, 0.0), (1.0, 1.0), (0.0, 0.0))


@pytest.fixture(autouse=True)
def _httpx_logs_no_urls(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="httpx")


def seeded(seed: int) -> random.Random:
    return random.Random(seed)


def cloud_of(
    token: str,
    clock: Clock,
    faults: Iterable[Fault],
    post: Callable[[str, bytes], Awaitable[None]] | None = None,
) -> VirtualCloud:
    ones = np.ones(1440, dtype=np.float32)
    series = house_series(START, 60.0, ones * np.float32(5000.0), ones * np.float32(400.0))
    home = VirtualHome(VirtualSettings(token=token, start=START, latencies=AT_ONCE), series)
    return build_cloud(home, clock, faults, post)


async def read(http: httpx.AsyncClient, token: str) -> httpx.Response:
    return await http.get(f"{API}getRealtimeInfo.do", params={"tokenId": token, "sn": "VIRTUALINV"})


async def command(http: httpx.AsyncClient, token: str, mode: Mode) -> dict[str, Any]:
    body = {"tokenId": token, "rwType": "2", "cmdType": "1", "cmdValue": str(int(mode)), "sns": [GARAGE]}
    answer = await http.post(f"{API}pileCmd", json={**body, "callbackUrl": "http://client.invalid/"})
    result: dict[str, Any] = answer.json()
    return result


def outcome_in_process(kind: FaultKind, token: str) -> httpx.Response | type[httpx.HTTPError]:
    async def main() -> httpx.Response | type[httpx.HTTPError]:
        clock = LoopClock(START)
        transport = VirtualTransport(cloud_of(token, clock, [Fault(kind, 0.0, 60.0)]))
        async with httpx.AsyncClient(transport=transport, base_url="https://x", timeout=15.0) as http:
            try:
                return await read(http, token)
            except httpx.HTTPError as error:
                return type(error)

    return run_virtual(main())


def outcome_on_sockets(kind: FaultKind, token: str) -> httpx.Response | type[httpx.HTTPError]:
    async def main() -> httpx.Response | type[httpx.HTTPError]:
        cloud = cloud_of(token, ScaledClock(START, 2000.0), [Fault(kind, 0.0, 6e4)])
        async with running_server(cloud) as url, httpx.AsyncClient(base_url=url, timeout=20.0) as http:
            try:
                return await read(http, token)
            except httpx.HTTPError as error:
                return type(error)

    return asyncio.run(main())


FACES = pytest.mark.parametrize("outcome_of", [outcome_in_process, outcome_on_sockets])
Face = Callable[[FaultKind, str], httpx.Response | type[httpx.HTTPError]]


@FACES
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FaultKind.RESET, httpx.ReadError),
        (FaultKind.TRUNCATED, httpx.RemoteProtocolError),
    ],
)
def test_broken_connections_are_the_errors_of_httpx(
    outcome_of: Face, kind: FaultKind, error: type[httpx.HTTPError], token: str
) -> None:
    assert outcome_of(kind, token) is error


def test_silence_ends_in_the_clients_own_timeout(token: str) -> None:
    assert outcome_in_process(FaultKind.SILENT, token) is httpx.ReadTimeout


def test_a_silent_server_hangs_up_after_its_patience(token: str) -> None:
    assert outcome_on_sockets(FaultKind.SILENT, token) is httpx.RemoteProtocolError


@FACES
@pytest.mark.parametrize(
    ("kind", "statuses", "needle"),
    [
        (FaultKind.HTML, {200}, "<html>"),
        (FaultKind.TOO_MANY_REQUESTS, {429}, "Too Many"),
        (FaultKind.SERVER_ERROR, {500, 502, 503, 504}, "<html>"),
        (FaultKind.EMPTY_BODY, {200}, ""),
        (FaultKind.THROTTLED, {200}, '"code":104'),
        (FaultKind.AUTH_ERROR, {200}, '"code":103'),
        (FaultKind.DRIP, {200}, '"success":true'),
    ],
)
def test_spoilt_answers_arrive_as_they_are(
    outcome_of: Face, kind: FaultKind, statuses: set[int], needle: str, token: str
) -> None:
    answer = outcome_of(kind, token)
    assert isinstance(answer, httpx.Response)
    assert answer.status_code in statuses
    assert needle in answer.text
    assert (answer.text == "") == (kind is FaultKind.EMPTY_BODY)
    assert ("retry-after" in answer.headers) == (kind is FaultKind.TOO_MANY_REQUESTS)


def test_a_gzip_bomb_is_small_on_the_wire_and_huge_behind_it(token: str) -> None:
    answer = outcome_in_process(FaultKind.GZIP_BOMB, token)
    assert isinstance(answer, httpx.Response)
    assert answer.num_bytes_downloaded < 64 * 1024 < 16 * 1024 * 1024 < len(answer.content)


@pytest.mark.parametrize("kind", [FaultKind.NAN, FaultKind.NULL, FaultKind.WRONG_TYPES, FaultKind.LIE])
def test_spoilt_values_stay_inside_a_valid_envelope(kind: FaultKind, token: str) -> None:
    answer = outcome_in_process(kind, token)
    assert isinstance(answer, httpx.Response)
    payload = json.loads(answer.text)
    assert payload["success"] is True
    honest = {
        "acpower": 5000.0,
        "feedinpower": 4600.0,
        "powerdc1": 5000.0,
        "uploadTime": "2026-06-01 05:00:00",
    }
    assert kind is FaultKind.NULL or any(payload["result"][key] != value for key, value in honest.items())


@pytest.mark.parametrize("kind", [FaultKind.NULL, FaultKind.WRONG_TYPES])
def test_an_answer_without_values_is_spoilt_as_a_whole(kind: FaultKind) -> None:
    spoilt = json.loads(spoil(Answer(encode(never_seen()), 0.0), kind, seeded(1)).body)
    assert spoilt["success"] is False
    assert spoilt["result"] != "this sn did not access!"


def test_a_drip_takes_a_second_a_byte(token: str) -> None:
    async def main() -> float:
        clock = LoopClock(START)
        transport = VirtualTransport(cloud_of(token, clock, [Fault(FaultKind.DRIP, 0.0, 60.0)]))
        async with httpx.AsyncClient(transport=transport, base_url="https://x", timeout=5.0) as http:
            return len((await read(http, token)).content) - clock.monotonic_s()

    assert run_virtual(main()) == pytest.approx(0.0, abs=1.0)


def modes_after(token: str, fault: Fault, looks_s: Iterable[float]) -> list[Mode]:
    """Command ECO at 5 s and look at the charger's mode now and then."""

    async def main() -> list[Mode]:
        clock = LoopClock(START)
        cloud = cloud_of(token, clock, [fault])
        cloud.elapsed_s()
        modes = []
        async with httpx.AsyncClient(transport=VirtualTransport(cloud), base_url="https://x") as http:
            await clock.sleep(5.0)
            await command(http, token, Mode.ECO)
            for earlier_s, look_s in itertools.pairwise((5.0, *looks_s)):
                await clock.sleep(look_s - earlier_s)
                cloud.advance()
                modes.append(cloud.home.charger(GARAGE).mode)
        return modes

    return run_virtual(main())


def test_a_lost_command_changes_nothing(token: str) -> None:
    assert modes_after(token, Fault(FaultKind.LOST_COMMAND, 0.0, 60.0), [30.0, 600.0]) == [
        Mode.STOP,
        Mode.STOP,
    ]


def test_a_late_command_comes_within_minutes(token: str) -> None:
    assert modes_after(token, Fault(FaultKind.LATE_COMMAND, 0.0, 60.0), [7.0, 300.0]) == [Mode.STOP, Mode.ECO]


def test_a_charger_that_falls_back_does_so_by_itself(token: str) -> None:
    fault = Fault(FaultKind.FALLBACK_TO_FAST, 100.0)
    assert modes_after(token, fault, [90.0, 120.0]) == [Mode.ECO, Mode.FAST]


def test_the_owners_hand_is_seen_as_such(token: str) -> None:
    fault = Fault(FaultKind.MANUAL_CHANGE, 100.0, mode=Mode.GREEN)
    assert modes_after(token, fault, [90.0, 120.0]) == [Mode.ECO, Mode.GREEN]


def test_a_duplicated_command_comes_twice_and_undoes_what_happened_between(token: str) -> None:
    async def main() -> list[str]:
        clock = LoopClock(START)
        cloud = cloud_of(token, clock, [Fault(FaultKind.DUPLICATE_COMMAND, 0.0, 3.0)])
        async with httpx.AsyncClient(transport=VirtualTransport(cloud), base_url="https://x") as http:
            await command(http, token, Mode.FAST)
            await clock.sleep(5.0)
            await command(http, token, Mode.STOP)
            await clock.sleep(600.0)
        cloud.advance()
        return [change.mode.name for change in cloud.home.mode_changes]

    assert run_virtual(main()) == ["FAST", "STOP", "FAST"]


@pytest.mark.parametrize("kind", [FaultKind.INVERTER_FROZEN, FaultKind.INVERTER_OFFLINE])
def test_while_the_inverter_is_away_its_record_grows_old_and_then_young_again(
    kind: FaultKind, token: str
) -> None:
    async def main() -> tuple[float, float, Any]:
        clock = LoopClock(START)
        cloud = cloud_of(token, clock, [Fault(kind, 600.0, 3000.0)])
        cloud.elapsed_s()
        async with httpx.AsyncClient(transport=VirtualTransport(cloud), base_url="https://x") as http:
            await clock.sleep(3500.0)
            result = (await read(http, token)).json()["result"]
            old_s = cloud.source_age_s()
            await clock.sleep(500.0)
            await read(http, token)
        return old_s, cloud.source_age_s(), result

    old_s, young_s, result = run_virtual(main())
    assert 2900.0 <= old_s <= 3210.0
    assert young_s <= 310.0
    assert (result == "this sn did not access!") == (kind is FaultKind.INVERTER_OFFLINE)


@pytest.mark.parametrize("kind", [FaultKind.CHARGER_OFFLINE, FaultKind.CHARGER_FROZEN])
def test_a_charger_that_is_away_hears_nothing_and_says_nothing_new(kind: FaultKind, token: str) -> None:
    async def main() -> Any:
        clock = LoopClock(START)
        cloud = cloud_of(token, clock, [Fault(kind, 0.0, 1000.0, GARAGE)])
        async with httpx.AsyncClient(transport=VirtualTransport(cloud), base_url="https://x") as http:
            await command(http, token, Mode.FAST)
            cloud.home.plug(GARAGE, 5.0)
            await clock.sleep(300.0)
            query = {"tokenId": token, "pileSn": GARAGE}
            result = (await http.get(f"{API}getPileInfo", params=query)).json()["result"]
            assert cloud.home.charger(GARAGE).mode is Mode.STOP
            return result

    result = run_virtual(main())
    assert (result is None) == (kind is FaultKind.CHARGER_OFFLINE)
    assert result is None or result["chargerStatus"] == 0


@pytest.mark.parametrize(
    ("kind", "kinds_sent"),
    [
        (FaultKind.LOST_CALLBACK, []),
        (FaultKind.DUPLICATE_CALLBACK, [1, 1, 2, 2, 3, 3]),
        (FaultKind.LATE_CALLBACK, [1, 2, 3]),
        (FaultKind.REORDERED_CALLBACK, [1, 2, 3]),
    ],
)
def test_callbacks_get_lost_doubled_late_and_out_of_order(
    kind: FaultKind, kinds_sent: list[int], token: str
) -> None:
    sent: list[int] = []

    async def post(_url: str, body: bytes) -> None:
        sent.append(json.loads(body)["rspType"])

    async def main() -> None:
        clock = LoopClock(START)
        cloud = cloud_of(token, clock, [Fault(kind, 0.0, 60.0)], post)
        async with httpx.AsyncClient(transport=VirtualTransport(cloud), base_url="https://x") as http:
            await command(http, token, Mode.FAST)
            await clock.sleep(400.0)

    run_virtual(main())
    assert sorted(sent) == kinds_sent


def test_a_callback_to_nowhere_harms_nobody() -> None:
    async def main() -> None:
        async with httpx.AsyncClient(timeout=0.5) as http:
            await http_callbacks(http)("http://127.0.0.1:1/callback", b"{}")
            await http_callbacks(http)("not a url", b"{}")

    asyncio.run(main())


def test_the_server_shows_its_truth_to_humans_by_get_only(token: str) -> None:
    async def main() -> tuple[dict[str, Any], int, int]:
        cloud = cloud_of(token, ScaledClock(START, 100.0), [])
        async with running_server(cloud) as url, httpx.AsyncClient(base_url=url) as http:
            await read(http, token)
            state = (await http.get("/virtual/state")).json()
            posted = (await http.post("/virtual/state")).status_code
            too_large = (await http.post(f"{API}pileCmd", content=b" " * 70_000)).status_code
            return state, posted, too_large

    state, posted, too_large = asyncio.run(main())
    assert state["home"]["pv_w"] == 5000.0
    assert state["chargers"][0]["mode"] == "STOP"
    assert state["calls"] == {"kept": 1, "worst_minute": 1, "worst_day": 1}
    assert (posted, too_large) == (405, 413)


def test_the_server_stops_at_once_although_a_client_hangs_on_a_silent_call(token: str) -> None:
    async def main() -> float:
        cloud = cloud_of(token, LoopClock(START), [Fault(FaultKind.SILENT, 0.0, 6e4)])
        loop = asyncio.get_running_loop()
        async with running_server(cloud) as url, httpx.AsyncClient(base_url=url, timeout=60.0) as http:
            hanging = asyncio.ensure_future(read(http, token))
            await asyncio.sleep(0.1)
            hanging.cancel()
            began_s = loop.time()
        return loop.time() - began_s

    assert asyncio.run(main()) < 3.0


def test_every_fault_belongs_to_one_group() -> None:
    groups = [*ANSWER_FAULTS, *COMMAND_FAULTS, *CALLBACK_FAULTS, *DEVICE_FAULTS, *HAPPENINGS]
    assert groups == list(FaultKind)


@pytest.mark.parametrize(
    ("rates", "complaint"),
    [({FaultKind.CHARGER_OFFLINE: 0.1}, "schedule"), ({FaultKind.NAN: 1.5}, "between 0 and 1")],
)
def test_impossible_rates_are_refused(rates: dict[FaultKind, float], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        Faults(seeded(1), (), rates)


def test_rates_hit_as_often_as_they_say() -> None:
    faults = Faults(seeded(1), (), {FaultKind.HTML: 0.2})
    hits = sum(faults.answer_fault(float(t_s), "pileCmd") is FaultKind.HTML for t_s in range(5000))
    assert 850 < hits < 1150


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 1e6), st.floats(300.0, 2e5))
def test_a_random_schedule_is_over_in_time(seed: int, start_s: float, duration_s: float) -> None:
    faults = Faults(seeded(seed), random_schedule(seeded(seed), start_s, duration_s, ("A", "B")))
    assert (
        faults.schedule
        == Faults(seeded(seed), random_schedule(seeded(seed), start_s, duration_s, ("A", "B"))).schedule
    )
    assert 3 <= len(faults.schedule) <= 12
    assert all(fault.start_s >= start_s for fault in faults.schedule)
    assert faults.last_end_s <= start_s + duration_s + 1e-6


def test_a_fault_ends_where_it_says() -> None:
    fault = Fault(FaultKind.NAN, 10.0, 5.0, "pileCmd")
    assert [fault.covers(t_s, "pileCmd") for t_s in (9.9, 10.0, 14.9, 15.0)] == [False, True, True, False]
    assert not fault.covers(12.0, "getPileInfo")
    assert Fault(FaultKind.LATE_COMMAND, 0.0, 10.0).end_s > 10.0
    assert START + timedelta(seconds=fault.end_s) == START + timedelta(seconds=15)
