"""The client against a server that speaks the guide, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, TypeVar

import pytest
from fake_guide_server import TASK_ID, Guide, Reply, guide_server, told

from optimizer.clock import SystemClock
from optimizer.control.budget import Outcome, Priority
from optimizer.domain import ChargerStatus, Mode
from optimizer.errors import (
    AuthError,
    BadAnswer,
    CloudError,
    RateLimited,
    Refused,
    Throttled,
    Unavailable,
)
from optimizer.solax.client import SolaxClient, in_batches
from optimizer.solax.transport import open_http

T = TypeVar("T")


@dataclass
class Ledger:
    """A budget that lets everything pass and writes it down."""

    reserved: list[tuple[str, str, Priority]] = field(default_factory=list)
    completed: list[tuple[int, Outcome, int | None, int | None]] = field(default_factory=list)
    retry_after_s: float | None = None
    full: bool = False

    async def reserve(self, endpoint: str, subject: str, priority: Priority = Priority.READ) -> int:
        if self.full:
            raise RateLimited("no slot", retry_at_s=1.0)
        self.reserved.append((endpoint, subject, priority))
        return len(self.reserved)

    def complete(
        self,
        call_id: int,
        outcome: Outcome,
        *,
        http_status: int | None = None,
        code: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.completed.append((call_id, outcome, http_status, code))
        self.retry_after_s = retry_after_s


@pytest.fixture
def guide() -> Iterator[Guide]:
    with guide_server() as served:
        yield served


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@dataclass(frozen=True)
class Home:
    """How a test calls the cloud: `ask(lambda client: client.read_site())`."""

    url: str
    token: str = field(repr=False)
    ledger: Ledger

    def ask(self, what: Callable[[SolaxClient], Awaitable[T]], **options: Any) -> T:
        async def asked() -> T:
            http = open_http(self.url, lambda: self.token)
            options.setdefault("inverter", "NOTAREALSN")
            client = SolaxClient(http, self.ledger, SystemClock(), **options)
            try:
                return await what(client)
            finally:
                await client.aclose()

        return asyncio.run(asked())


@pytest.fixture
def home(guide: Guide, token: str, ledger: Ledger) -> Home:
    return Home(guide.url, token, ledger)


def _site(client: SolaxClient) -> Awaitable[Any]:
    return client.read_site()


def _charger(client: SolaxClient) -> Awaitable[Any]:
    return client.read_charger("MC206TEST45678")


def _stop(client: SolaxClient) -> Awaitable[Any]:
    return client.set_mode(Mode.STOP, ["SMARTARMXINPIA"])


def test_a_charger_is_asked_as_in_the_guide(home: Home, guide: Guide, token: str) -> None:
    home.ask(_charger)
    [heard] = guide.heard
    assert (heard.method, heard.path) == ("GET", "/proxyApp/proxy/api/getPileInfo")
    assert heard.query == [("tokenId", token), ("pileSn", "MC206TEST45678")]
    assert heard.headers["User-Agent"] == f"sunmode/{version('sunmode')}"
    assert heard.headers["Accept-Encoding"] == "identity"


def test_the_house_is_asked_by_the_registration_number(home: Home, guide: Guide, token: str) -> None:
    home.ask(_site)
    [heard] = guide.heard
    assert (heard.method, heard.path) == ("GET", "/proxyApp/proxy/api/getRealtimeInfo.do")
    assert heard.query == [("tokenId", token), ("sn", "NOTAREALSN")]


@pytest.mark.parametrize("mode", Mode)
def test_a_mode_is_sent_as_in_the_guide(home: Home, guide: Guide, token: str, mode: Mode) -> None:
    callback = "https://home.example/callback/x?y=1&z=2"
    accepted = home.ask(lambda client: client.set_mode(mode, ["A1", "B2"]), callback_url=callback)
    assert (accepted.task_id, accepted.text) == (TASK_ID, "accept success")
    [heard] = guide.heard
    assert (heard.method, heard.target) == ("POST", "/proxyApp/proxy/api/pileCmd")
    assert heard.headers["Content-Type"] == "application/json"
    assert list(json.loads(heard.body).items()) == [
        ("tokenId", token),
        ("rwType", "2"),
        ("cmdType", "1"),
        ("cmdValue", str(mode.value)),
        ("sns", ["A1", "B2"]),
        ("callbackUrl", callback),
    ]


def test_no_callback_is_an_empty_string(home: Home, guide: Guide) -> None:
    home.ask(_stop)
    assert json.loads(guide.heard[0].body)["callbackUrl"] == ""


def test_the_guides_example_becomes_a_reading(home: Home, guide: Guide) -> None:
    before = datetime.now(UTC)  # noqa: TID251 - compared with the system's clock, which the client was given
    reading = home.ask(_charger)
    assert before <= reading.received_at
    assert (reading.mode, reading.status, reading.ev_w) == (Mode.STOP, ChargerStatus.AVAILABLE, 6.0)
    assert reading.session_kwh == 0.0


def test_the_houses_signs_are_turned_once(home: Home, guide: Guide) -> None:
    guide.inverter |= {"feedinpower": 1500.0, "batPower": 800, "powerdc1": 3000.0, "powerdc2": "400"}
    reading = home.ask(_site)
    assert (reading.grid_w, reading.battery_w, reading.pv_w) == (-1500.0, -800.0, 3400.0)
    assert reading.load_w == 1100.0
    assert (reading.battery_soc, reading.stamp) == (0.14, "2023-10-18 21:25:38")


@pytest.mark.parametrize("count", [0, 101])
def test_a_command_carries_one_to_a_hundred_serials(home: Home, ledger: Ledger, count: int) -> None:
    with pytest.raises(ValueError, match="1 to 100"):
        home.ask(lambda client: client.set_mode(Mode.STOP, ["S"] * count))
    assert not ledger.reserved


def test_more_serials_go_in_batches() -> None:
    serials = [f"S{i}" for i in range(250)]
    batches = list(in_batches(serials))
    assert [len(batch) for batch in batches] == [100, 100, 50]
    assert [serial for batch in batches for serial in batch] == serials
    assert not list(in_batches([]))


def test_every_call_is_reserved_and_told_back(home: Home, ledger: Ledger) -> None:
    home.ask(_site)
    home.ask(_charger)
    home.ask(lambda client: client.set_mode(Mode.STOP, ["A1", "B2"], toward_safety=True))
    home.ask(lambda client: client.set_mode(Mode.FAST, ["A1"]))
    assert ledger.reserved == [
        ("getRealtimeInfo", "NOTAREALSN", Priority.READ),
        ("getPileInfo", "MC206TEST45678", Priority.READ),
        ("pileCmd", "A1,B2", Priority.SAFETY),
        ("pileCmd", "A1", Priority.RISE),
    ]
    assert ledger.completed == [(i, Outcome.OK, 200, None) for i in (1, 2, 3, 4)]


def test_without_a_slot_nothing_is_sent(home: Home, guide: Guide, ledger: Ledger) -> None:
    ledger.full = True
    with pytest.raises(RateLimited):
        home.ask(_site)
    assert not guide.heard
    assert not ledger.completed


def test_the_caller_is_told_between_the_slot_and_the_sending(
    home: Home, guide: Guide, ledger: Ledger
) -> None:
    seen: list[tuple[int, int]] = []

    async def leaving() -> None:
        seen.append((len(ledger.reserved), len(guide.heard)))

    home.ask(lambda client: client.set_mode(Mode.STOP, ["A1"], leaving=leaving))
    assert seen == [(1, 0)]
    assert len(guide.heard) == 1


@pytest.mark.parametrize("trouble", [OSError("disk full"), Unavailable("later"), asyncio.CancelledError()])
def test_a_caller_who_cannot_write_it_down_sends_nothing(
    home: Home, guide: Guide, ledger: Ledger, trouble: BaseException
) -> None:
    async def leaving() -> None:
        raise trouble

    with pytest.raises(type(trouble)):
        home.ask(lambda client: client.set_mode(Mode.STOP, ["A1"], leaving=leaving))
    assert not guide.heard
    assert ledger.completed == [(1, Outcome.NOT_SENT, None, None)]


def test_the_budget_learns_when_to_come_back(home: Home, guide: Guide, ledger: Ledger) -> None:
    guide.replies.append(Reply(429, headers=(("Retry-After", "120"),)))
    with pytest.raises(Throttled):
        home.ask(_site)
    assert ledger.retry_after_s == 120.0


HTML = b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"
BOMB = gzip.compress(bytes(30_000_000), compresslevel=1)


def _gzipped(body: bytes) -> Reply:
    return Reply(body=body, headers=(("Content-Encoding", "gzip"),))


Trouble = tuple[str, Reply, type[CloudError], Outcome, int | None]
TROUBLES: list[Trouble] = [
    ("html", Reply(body=HTML), Unavailable, Outcome.UNAVAILABLE, 200),
    ("empty", Reply(), Unavailable, Outcome.UNAVAILABLE, 200),
    ("500", Reply(500, HTML), Unavailable, Outcome.UNAVAILABLE, 500),
    ("503 that says no", told({"success": False}, 503), Unavailable, Outcome.UNAVAILABLE, 503),
    ("404", Reply(404, HTML), BadAnswer, Outcome.BAD_ANSWER, 404),
    ("401", Reply(401, b"{}"), AuthError, Outcome.AUTH, 401),
    ("302", Reply(302, headers=(("Location", "/login"),)), BadAnswer, Outcome.BAD_ANSWER, 302),
    ("429", Reply(429, HTML, (("Retry-After", "120"),)), Throttled, Outcome.THROTTLED, 429),
    ("not json", Reply(body=b"Y:code"), BadAnswer, Outcome.BAD_ANSWER, 200),
    ("cut off json", Reply(body=b'{"success": true, "resu'), BadAnswer, Outcome.BAD_ANSWER, 200),
    ("cut off on the wire", Reply(body=b'{"success": true}', cut=9), Unavailable, Outcome.UNAVAILABLE, None),
    ("nested", Reply(body=b"[" * 100_000), BadAnswer, Outcome.BAD_ANSWER, 200),
    ("too long", Reply(body=b" " * 262_145), BadAnswer, Outcome.BAD_ANSWER, None),
    ("gzip bomb", _gzipped(BOMB), BadAnswer, Outcome.BAD_ANSWER, None),
    ("cut off gzip", _gzipped(gzip.compress(b"{}")[:-9]), BadAnswer, Outcome.BAD_ANSWER, None),
    ("gzip in name only", _gzipped(b"{}"), BadAnswer, Outcome.BAD_ANSWER, None),
    ("brotli", Reply(body=b"x", headers=(("Content-Encoding", "br"),)), BadAnswer, Outcome.BAD_ANSWER, None),
    ("no success", told({"result": {"chargerStatus": 1}}), BadAnswer, Outcome.BAD_ANSWER, 200),
    ("a list", told([1, 2]), BadAnswer, Outcome.BAD_ANSWER, 200),
    ("null result", told({"success": True, "result": None}), Unavailable, Outcome.UNAVAILABLE, 200),
    ("empty result", told({"success": True, "result": {}}), Unavailable, Outcome.UNAVAILABLE, 200),
    ("list result", told({"success": True, "result": [1]}), BadAnswer, Outcome.BAD_ANSWER, 200),
    ("other result", told({"success": True, "result": {"a": 1}}), BadAnswer, Outcome.BAD_ANSWER, 200),
    ("a sentence", told({"success": True, "result": "no such thing"}), Refused, Outcome.REFUSED, 200),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=[trouble[0] for trouble in TROUBLES])
def test_trouble_has_a_type_and_is_booked(home: Home, guide: Guide, ledger: Ledger, trouble: Trouble) -> None:
    _, reply, error, outcome, http_status = trouble
    guide.replies.append(reply)
    with pytest.raises(error) as caught:
        home.ask(_charger)
    assert type(caught.value) is error
    assert ledger.completed[0][1:3] == (outcome, http_status)
    assert len(guide.heard) == 1


def test_a_gzipped_answer_is_read_though_it_was_not_asked_for(home: Home, guide: Guide) -> None:
    guide.replies.append(_gzipped(gzip.compress(b'{"success": true, "result": {"chargingMode": 3}}')))
    assert home.ask(_charger).mode is Mode.GREEN


def test_a_gzip_bomb_is_never_unpacked(home: Home, guide: Guide) -> None:
    guide.replies.append(_gzipped(BOMB))
    tracemalloc.start()
    try:
        with pytest.raises(BadAnswer, match="longer than 262144 bytes"):
            home.ask(_site)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_a_dripping_answer_ends_with_the_whole_calls_time(home: Home, guide: Guide, ledger: Ledger) -> None:
    guide.replies.append(Reply(body=b" " * 1000, drip_s=0.05))
    started_s = time.perf_counter()
    with pytest.raises(Unavailable, match=r"within 0\.5 s"):
        home.ask(_site, call_timeout_s=0.5)
    assert time.perf_counter() - started_s < 3.0
    assert ledger.completed == [(1, Outcome.UNAVAILABLE, None, None)]


def test_silence_ends_with_the_whole_calls_time(home: Home, guide: Guide, ledger: Ledger) -> None:
    guide.replies.append(Reply(silent=True))
    with pytest.raises(Unavailable, match=r"within 0\.2 s"):
        home.ask(_stop, call_timeout_s=0.2)
    assert ledger.completed == [(1, Outcome.UNAVAILABLE, None, None)]


def test_nobody_there_is_unavailable(token: str, ledger: Ledger) -> None:
    with guide_server() as gone:
        url = gone.url
    with pytest.raises(Unavailable, match="ConnectError"):
        Home(url, token, ledger).ask(_site)
    assert ledger.completed == [(1, Outcome.UNAVAILABLE, None, None)]


@pytest.mark.parametrize("cancels", [1, 3])
def test_a_cancelled_call_is_booked_before_it_ends(
    guide: Guide, token: str, ledger: Ledger, cancels: int
) -> None:
    guide.replies.append(Reply(silent=True))

    async def run() -> None:
        client = SolaxClient(open_http(guide.url, lambda: token), ledger, SystemClock(), inverter="SN")
        call = asyncio.create_task(client.read_site())
        assert await asyncio.to_thread(guide.arrived.wait, 5)
        for _ in range(cancels):
            call.cancel()
            await asyncio.sleep(0.01)
        with pytest.raises(asyncio.CancelledError):
            await call
        assert ledger.completed == [(1, Outcome.UNAVAILABLE, None, None)]
        await client.aclose()

    asyncio.run(run())
