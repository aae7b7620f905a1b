"""`POST /api/goal` on a real socket: goals from this machine, and people who may not give any."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fake_guide_server import guide_server
from guide_home import GuideHome
from living import Life, dark, live
from sunmode_process import eventually, free_port, site_of

from optimizer.clock import SystemClock
from optimizer.config.loading import load_settings
from optimizer.errors import ConfigError
from optimizer.goals import Given
from optimizer.runtime.goal_api import GoalApi, goal_app
from optimizer.solax.listener import serve_callbacks
from optimizer.store.sqlite import StoreUnavailable

GOOD = {"charger": "garage", "energy_kwh": 20, "by": "tomorrow 06:30"}
JSON = {"Content-Type": "application/json"}


class Served:
    """The listener, and what was given through it."""

    def __init__(self, port: int, given: list[Given]) -> None:
        self.port, self.given = port, given

    async def post(
        self,
        body: object = GOOD,
        headers: dict[str, str] | None = None,
        method: str = "POST",
        path: str = "/api/goal",
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with httpx.AsyncClient(trust_env=False) as http:
            url = f"http://127.0.0.1:{self.port}{path}"
            return await http.request(
                method, url, content=content, headers=JSON if headers is None else headers
            )


def serving(test: Callable[[Served], Awaitable[None]], *, unwritable: bool = False) -> None:
    given: list[Given] = []

    async def give(one: Given) -> None:
        if unwritable:
            raise StoreUnavailable("no")
        given.append(one)

    async def run() -> None:
        app = goal_app(GoalApi(load_settings(None, {}), SystemClock(), give))
        async with serve_callbacks(app, "127.0.0.1", 0) as port:
            await test(Served(port, given))

    asyncio.run(run())


def test_a_goal_is_taken_and_told_back() -> None:
    async def test(served: Served) -> None:
        answer = await served.post()
        assert answer.status_code == 200
        told = answer.json()
        assert (told["charger"], told["energy_kwh"]) == ("garage", 20.0)
        (given,) = served.given
        assert given.origin == "http"
        assert datetime.fromisoformat(told["deadline"]) == given.goal.deadline > datetime.now(UTC)  # noqa: TID251, DTZ - real

    serving(test)


def test_the_only_charger_need_not_be_named_and_a_charset_may_stand() -> None:
    async def test(served: Served) -> None:
        body = {"energy_kwh": 7.5, "by": "fri 06:30"}
        answer = await served.post(body, {"Content-Type": "Application/JSON; charset=utf-8"})
        assert answer.status_code == 200
        assert served.given[0].charger == "garage"

    serving(test)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=application/json"}, 415),
        ({}, 415),
        ({**JSON, "Origin": "https://evil.example"}, 403),
        ({**JSON, "Origin": "null"}, 403),
        ({**JSON, "Origin": "http://127.0.0.1"}, 403),
        ({**JSON, "Origin": "http://localhost:1"}, 403),
        ({**JSON, "Host": "evil.example"}, 403),
        ({**JSON, "Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"}, 403),
        ({**JSON, "Host": "127.0.0.1.evil.example:{port}"}, 403),
        ({**JSON, "Host": "127.0.0.1"}, 403),
        ({**JSON, "Host": ""}, 403),
        ({**JSON, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**JSON, "Sec-Fetch-Site": "same-site"}, 403),
        ({**JSON, "Host": "localhost:{port}"}, 200),
        ({**JSON, "Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_only_this_machine_and_this_site_may_give_goals(headers: dict[str, str], status: int) -> None:
    async def test(served: Served) -> None:
        filled = {name: value.format(port=served.port) for name, value in headers.items()}
        answer = await served.post(headers=filled)
        assert answer.status_code == status
        assert ("error" in answer.json()) is (status != 200)
        assert len(served.given) == (status == 200)

    serving(test)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not a JSON object"),
        (b"[" * 10_000, "not a JSON object"),
        (b"\xff", "not a JSON object"),
        (b'{"energy_kwh": NaN, "by": "06:30"}', "not a JSON object"),
        (b'{"energy_kwh": 1, "energy_kwh": 200, "by": "06:30"}', "names a key twice"),
        ([1], "needs an object like"),
        ({}, "missing: by"),
        ({"by": "06:30"}, "missing: energy_kwh"),
        (GOOD | {"mode": "fast"}, "unknown: 'mode'"),
        (GOOD | {"x" * 300: 1}, "unknown: 'xxxx"),
        (GOOD | {"charger": "shed"}, "no charger is called 'shed'"),
        (GOOD | {"charger": 7}, "charger and by need text"),
        (GOOD | {"by": 7}, "charger and by need text"),
        (GOOD | {"by": "later"}, "is no time like"),
        (GOOD | {"by": "2020-01-01 06:30"}, "does not lie within the next 14 days"),
        (GOOD | {"energy_kwh": "20"}, "above 0 and up to 200"),
        (GOOD | {"energy_kwh": True}, "above 0 and up to 200"),
        (GOOD | {"energy_kwh": 0}, "above 0 and up to 200"),
        (GOOD | {"energy_kwh": 1e9}, "above 0 and up to 200"),
    ],
)
def test_a_goal_that_cannot_be_is_refused_with_a_sentence(body: object, says: str) -> None:
    async def test(served: Served) -> None:
        answer = await served.post(body)
        assert answer.status_code == 400
        assert says in answer.json()["error"]
        assert len(answer.content) < 400
        assert served.given == []

    serving(test)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/goal", 405),
        ("PUT", "/api/goal", 405),
        ("OPTIONS", "/api/goal", 405),
        ("POST", "/api/goal/", 404),
        ("POST", "/", 404),
    ],
)
def test_nothing_else_is_served(method: str, path: str, status: int) -> None:
    async def test(served: Served) -> None:
        answer = await served.post(method=method, path=path)
        assert answer.status_code == status
        assert "access-control-allow-origin" not in answer.headers

    serving(test)


def test_a_long_body_is_cut_off() -> None:
    async def test(served: Served) -> None:
        assert (await served.post(b" " * 20_000)).status_code == 413

    serving(test)


def test_a_log_that_cannot_be_written_is_told() -> None:
    async def test(served: Served) -> None:
        answer = await served.post()
        assert answer.status_code == 503
        assert "try again" in answer.json()["error"]

    serving(test, unwritable=True)


def test_a_running_service_takes_a_goal_and_works_with_it(tmp_path: Path, token: str) -> None:
    port = free_port()
    with guide_server(GuideHome(token=token)) as home:
        site = site_of(home, tmp_path, ("[log]", f"[web]\nlisten_port = {port}\n\n[log]"))  # type: ignore[arg-type]
        with site.running():
            eventually(lambda: site.rows("SELECT 1 FROM decision"), 20, "a decision")
            with httpx.Client(trust_env=False) as http:
                answer = http.post(f"http://127.0.0.1:{port}/api/goal", json=GOOD)
            assert answer.status_code == 200
    assert site.rows("SELECT charger, energy_kwh, origin FROM goal") == [("garage", 20.0, "http")]


def test_a_port_that_is_taken_is_a_mistake_of_the_configuration(tmp_path: Path, token: str) -> None:
    import socket

    async def script(life: Life) -> None:
        with pytest.raises(ConfigError, match="cannot listen on 127"):
            await life.begin()
        await life.service.close()

    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        live(tmp_path, token, script, sky=dark, config=f"[web]\nlisten_port = {port}\n")
