"""The callback receiver on a real socket, and people who are not the cloud."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from optimizer.clock import SystemClock
from optimizer.errors import ConfigError
from optimizer.solax.callbacks import CallbackEvent, callback_app
from optimizer.solax.listener import CONNECTIONS, CONNECTIONS_CAP, serve_callbacks

TASK = "c40c3d8d43684a74b275c645b69300c0"
SECRET = "0123456789abcdefghijkl"  # noqa: S105 - nobody's
PATH = f"/callback/{SECRET}"
DONE = {"success": True, "result": {"ack": "all handled"}, "rspType": 3, "taskId": TASK, "code": "0"}


@dataclass
class Served:
    """A receiver that listens, and what it took."""

    port: int
    events: list[CallbackEvent]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def post(self, path: str, content: bytes, method: str = "POST") -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await http.request(method, self.url + path, content=content)

    async def send(self, raw: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(raw)
        await writer.drain()
        return reader, writer


@asynccontextmanager
async def _served(body_deadline_s: float = 5.0) -> AsyncIterator[Served]:
    async def health(_: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    async def slow(_: Request) -> PlainTextResponse:
        await asyncio.sleep(0.6)
        return PlainTextResponse("at last")

    events: list[CallbackEvent] = []
    app = callback_app(
        SECRET,
        events.append,
        SystemClock(),
        body_deadline_s=body_deadline_s,
        extra_routes=[Route("/healthz", health), Route("/slow", slow)],
    )
    async with serve_callbacks(app, "127.0.0.1", 0) as port:
        yield Served(port, events)


def _with(test: Callable[[Served], Awaitable[None]], **options: float) -> None:
    async def run() -> None:
        async with _served(**options) as served:
            await test(served)

    asyncio.run(run())


async def _is_closed(reader: asyncio.StreamReader, within_s: float) -> bool:
    try:
        await asyncio.wait_for(reader.read(), within_s)
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def _head(path: str, length: int) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


def test_an_event_is_acknowledged_after_it_was_taken() -> None:
    async def test(served: Served) -> None:
        response = await served.post(PATH, json.dumps(DONE).encode())
        assert (response.status_code, response.json()) == (200, {"success": True})
        [event] = served.events
        assert (event.task_id, event.kind, event.received_at.tzinfo) == (TASK, 3, UTC)

    _with(test)


def test_an_event_that_nobody_took_is_not_acknowledged() -> None:
    def refuse(_: CallbackEvent) -> None:
        raise RuntimeError("the queue is full")

    async def run() -> None:
        app = callback_app(SECRET, refuse, SystemClock())
        async with serve_callbacks(app, "127.0.0.1", 0) as port:
            response = await Served(port, []).post(PATH, json.dumps(DONE).encode())
            assert response.status_code == 500

    asyncio.run(run())


def test_a_stranger_sees_the_same_as_anywhere() -> None:
    async def test(served: Served) -> None:
        body = json.dumps(DONE).encode()
        elsewhere = await served.post("/nothing/here", body)
        assert elsewhere.status_code == 404
        tries = [
            (method, path)
            for path in (
                "/callback/x",
                f"{PATH}x",
                PATH[:-1],
                f"{PATH}/",
                "/callback/",
                "/callback",
                "/callback/%ff",
            )
            for method in ("POST", "GET", "PUT", "OPTIONS", "BREW")
        ]
        tries += [(method, PATH) for method in ("GET", "PUT", "DELETE", "OPTIONS", "BREW")]
        for method, path in tries:
            response = await served.post(path, body, method)
            assert (response.status_code, response.content) == (404, elsewhere.content)
            assert response.headers == elsewhere.headers
        assert not served.events

    _with(test)


def test_the_services_own_pages_are_served_beside_it() -> None:
    async def test(served: Served) -> None:
        response = await served.post("/healthz", b"", "GET")
        assert (response.status_code, response.text) == (200, "ok")
        assert "server" not in response.headers

    _with(test)


@pytest.mark.parametrize("body", [b"", b"x", b"{}", b"[" * 16_384])
def test_what_is_no_callback_is_refused(body: bytes) -> None:
    async def test(served: Served) -> None:
        assert (await served.post(PATH, body)).status_code == 400
        assert not served.events

    _with(test)


def test_a_long_body_is_refused_before_it_is_read() -> None:
    async def test(served: Served) -> None:
        reader, writer = await served.send(_head(PATH, 200_000_000))
        answer = await asyncio.wait_for(reader.read(), 2)
        assert answer.startswith(b"HTTP/1.1 413 ")
        writer.close()

    _with(test)


def test_a_body_without_a_length_is_cut_at_the_cap() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(3000):
            yield bytes(65_536)

    async def test(served: Served) -> None:
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        async with httpx.AsyncClient(trust_env=False) as http:
            try:
                response = await http.post(served.url + PATH, content=endless())
                assert response.status_code == 413
            except (httpx.WriteError, httpx.ReadError):
                """The server hung up on us, which is as good."""
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
        assert grown_kib < 16 * 1024
        assert not served.events

    _with(test)


def test_a_dripping_body_is_given_up() -> None:
    async def test(served: Served) -> None:
        reader, writer = await served.send(_head(PATH, 100))
        answer = await asyncio.wait_for(reader.read(), 2)
        assert answer.startswith(b"HTTP/1.1 408 ")
        writer.close()

    _with(test, body_deadline_s=0.2)


def test_a_body_that_breaks_off_is_no_event_and_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async def test(served: Served) -> None:
        _, writer = await served.send(_head(PATH, 100) + b'{"rspType"')
        await asyncio.sleep(0.05)
        writer.close()
        await writer.wait_closed()
        assert (await served.post("/healthz", b"", "GET")).status_code == 200
        assert not served.events

    _with(test)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_sockets_that_ask_for_nothing_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizer.solax.listener.HEAD_DEADLINE_S", 0.3)

    async def test(served: Served) -> None:
        slow = [await served.send(b"POST /callback/x HT") for _ in range(10)]
        again = await served.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await again[0].readline()).startswith(b"HTTP/1.1 200 ")
        again[1].write(b"GET /healthz HT")
        for reader, writer in [*slow, again]:
            assert await _is_closed(reader, within_s=2.0)
            writer.close()
        assert (await served.post(PATH, json.dumps(DONE).encode())).status_code == 200

    _with(test)


def test_an_answer_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizer.solax.listener.HEAD_DEADLINE_S", 0.3)

    async def test(served: Served) -> None:
        assert (await served.post("/slow", b"", "GET")).text == "at last"

    _with(test)


def test_more_connections_than_the_service_can_spare_are_cut() -> None:
    async def test(served: Served) -> None:
        slow = [await served.send(b"P") for _ in range(200)]
        await asyncio.sleep(0.2)
        cut = [await _is_closed(reader, within_s=0.001) for reader, _ in slow]
        assert 200 - CONNECTIONS_CAP <= sum(cut) < 200
        for _, writer in slow:
            writer.close()

    assert CONNECTIONS < CONNECTIONS_CAP
    _with(test)


def test_a_flood_of_forged_callbacks_changes_nothing() -> None:
    async def test(served: Served) -> None:
        body = json.dumps(DONE).encode()
        async with httpx.AsyncClient(trust_env=False) as http:
            for i in range(500):
                response = await http.post(f"{served.url}/callback/{i:022}", content=body)
                assert response.status_code == 404
        assert not served.events

    _with(test)


@pytest.mark.parametrize("half", [b"POST /cal", _head(PATH, 100) + b"{"])
def test_it_stops_soon_though_a_request_is_half_sent(half: bytes) -> None:
    async def run() -> float:
        loop = asyncio.get_running_loop()
        async with _served() as served:
            _, writer = await served.send(half)
            await asyncio.sleep(0.05)
            started_s = loop.time()
        writer.close()
        return loop.time() - started_s

    assert asyncio.run(run()) < 1.5


def test_the_process_keeps_its_signals_and_the_port_is_free_again() -> None:
    app = callback_app(SECRET, print, SystemClock())

    async def run() -> int:
        before = signal.getsignal(signal.SIGTERM)
        async with _served() as served:
            assert signal.getsignal(signal.SIGTERM) is before
            with pytest.raises(ConfigError, match=f"port {served.port}"):
                async with serve_callbacks(app, "127.0.0.1", served.port):
                    """Never reached."""
        return served.port

    port = asyncio.run(run())
    socket.create_server(("127.0.0.1", port)).close()


def test_a_secret_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="22 or more"):
        callback_app("short", print, SystemClock())


def test_the_secret_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    async def test(served: Served) -> None:
        _, stranger = await served.send(b"nonsense\r\n\r\n")
        _, writer = await served.send(_head(PATH, len(json.dumps(DONE))) + json.dumps(DONE).encode())
        while not served.events:  # noqa: ASYNC110 - the receiver has no reason to tell us
            await asyncio.sleep(0.01)
        writer.close()
        stranger.close()

    _with(test)
    assert SECRET not in caplog.text
