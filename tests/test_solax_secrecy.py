"""The token reaches the cloud and nothing else: no log, no exception, no object above the transport."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from urllib.parse import quote

import httpx
import pytest
from conftest import leaks
from fake_guide_server import Guide, Reply, guide_server, told
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.clock import SystemClock
from optimizer.errors import CloudError, ConfigError
from optimizer.solax.client import SolaxClient
from optimizer.solax.redact import HIDDEN, Redactor
from optimizer.solax.transport import open_http


class OpenGate:
    """A budget without limits."""

    async def reserve(self, *_: object, **__: object) -> int:
        return 1

    def complete(self, *_: object, **__: object) -> None:
        """Forget it."""


@pytest.fixture
def guide() -> Iterator[Guide]:
    with guide_server() as served:
        yield served


def _spellings(token: str) -> list[str]:
    quoted = quote(token, safe="")
    shifted = base64.b64encode(b"x" + token.encode()).decode()
    return [
        token,
        quoted,
        quoted.replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d"),
        quote(quoted),
        token.replace("/", "\\/"),
        json.dumps(token.replace("/", "\\/")),
        "".join(f"\\u{ord(char):04x}" for char in token),
        base64.b64encode(token.encode()).decode(),
        base64.urlsafe_b64encode(token.encode()).decode(),
        shifted,
    ]


def _all_frames(error: BaseException | None) -> str:
    """Everything a talkative formatter could print: causes, contexts, the locals of all frames but ours."""
    shown = ""
    while error is not None:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        outside = [frame.f_locals for frame in frames if frame.f_code.co_filename != __file__]
        shown += f"{error!r} {vars(error)!r} {outside!r}"
        error = error.__cause__ or error.__context__
    return shown


ECHOES: dict[str, Callable[[str], Reply]] = {
    "as the cloud does": lambda t: told({"exception": f"token invalid! {t}", "tokenId": t, "success": False}),
    "in an escaped sentence": lambda t: Reply(
        body=b'{"success": false, "exception": "%s"}' % "".join(f"\\u{ord(c):04x}" for c in t).encode()
    ),
    "in a redirect": lambda t: Reply(302, headers=(("Location", f"/login?tokenId={quote(t)}"),)),
    "in a cookie": lambda t: Reply(401, headers=(("Set-Cookie", f"tokenId={t}; Path=/"),)),
    "in the reason": lambda t: Reply(500, reason=f"no {t}"),
    "in a broken header": lambda t: Reply(200, headers=((f"X {t}", "x"),)),
    "in a page": lambda t: Reply(404, f"<p>{t}</p>".encode()),
    "in a task id": lambda t: told({"success": True, "result": {"taskId": t}}),
    "cut off": lambda t: Reply(200, t.encode() * 9, cut=30),
    "dripping": lambda t: Reply(200, t.encode() * 9, drip_s=0.1),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("endpoint", ["read_site", "set_mode"])
def test_an_echo_of_the_token_stays_below_the_transport(
    guide: Guide, token: str, echo: Callable[[str], Reply], endpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    guide.replies.append(echo(token))

    async def run() -> str:
        http = open_http(guide.url, lambda: token)
        client = SolaxClient(http, OpenGate(), SystemClock(), inverter="SN", call_timeout_s=0.5)
        found = ""
        try:
            found = repr(
                await (client.read_site() if endpoint == "read_site" else client.set_mode(0, ["A1"]))
            )
        except CloudError as error:
            found = str(error) + _all_frames(error)
        finally:
            found += f"{http.cookies!r} {vars(http)!r} {vars(client)!r}"
            await client.aclose()
        return found

    found = asyncio.run(run())
    assert len(guide.heard) == 1
    assert leaks(guide.heard[0].target.encode() + guide.heard[0].body)
    assert not leaks(found.encode())
    assert "httpcore" in " ".join(record.name for record in caplog.records)


def test_a_response_and_its_request_know_no_token(guide: Guide, token: str) -> None:
    guide.pile["owner"] = token

    async def run() -> str:
        async with open_http(guide.url, lambda: token) as http:
            response = await http.get("/proxyApp/proxy/api/getPileInfo", params={"pileSn": "A1"})
            with pytest.raises(httpx.HTTPStatusError) as caught:
                (await http.get("/nothing")).raise_for_status()
            return f"{response.request.url!r} {response.text} {vars(response)!r} {_all_frames(caught.value)}"

    found = asyncio.run(run())
    assert HIDDEN in found
    assert not leaks(found.encode())


def test_failed_connections_and_cancelled_calls_know_no_token(guide: Guide, token: str) -> None:
    guide.replies.append(Reply(silent=True))

    async def run() -> str:
        async with open_http("http://127.0.0.1:1", lambda: token) as http:
            with pytest.raises(httpx.ConnectError) as refused:
                await http.get("/x")
        async with open_http(guide.url, lambda: token) as http:
            call = asyncio.create_task(http.get("/x"))
            assert await asyncio.to_thread(guide.arrived.wait, 5)
            call.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await call
        return _all_frames(refused.value) + _all_frames(cancelled.value)

    assert not leaks(asyncio.run(run()).encode())


def test_no_request_with_the_token_outlives_its_call(guide: Guide, token: str) -> None:
    async def run() -> list[str]:
        async with open_http(guide.url, lambda: token) as http:
            await http.get("/proxyApp/proxy/api/getPileInfo", params={"pileSn": "A1"})
            gc.collect()
            requests = [thing for thing in gc.get_objects() if type(thing) is httpx.Request]
            return [str(request.url) for request in requests]

    assert not any(leaks(url.encode()) for url in asyncio.run(run()))


def test_closing_takes_the_log_filters_away(token: str) -> None:
    before = {name: list(logging.getLogger(name).filters) for name in ("httpx", "httpcore.http11")}
    asyncio.run(open_http("https://www.solaxcloud.com", lambda: token).aclose())
    assert {name: logging.getLogger(name).filters for name in before} == before


def test_every_spelling_is_hidden(token: str) -> None:
    redactor = Redactor()
    redactor.learn(token)
    for spelling in _spellings(token):
        hidden = redactor.text(f"before {spelling} after")
        assert not leaks(hidden.encode())
        assert HIDDEN in hidden
        assert hidden.startswith("before ")
        assert hidden.endswith(" after")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    token=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=24),
    before=st.binary(max_size=30),
    after=st.binary(max_size=30),
)
def test_a_token_is_found_wherever_it_stands(token: str, before: bytes, after: bytes) -> None:
    redactor = Redactor()
    redactor.learn(token)
    assert token.encode() not in redactor.body(before + token.encode() + after)
    coded = base64.b64encode(before + token.encode() + after).decode()
    assert HIDDEN in redactor.text(coded)
    assert HIDDEN in redactor.text(quote(before + token.encode() + after))


@given(st.text())
def test_text_without_a_token_stays_as_it_is(text: str) -> None:
    redactor = Redactor()
    assert redactor.text(text) == text
    redactor.learn("202304131045272667677913")
    assert redactor.text(text) == text


def test_a_short_token_tears_no_holes_into_text() -> None:
    assert Redactor(lambda: "a").text("a day") == "a day"


def _record(*, args: object = None, msg: str = "x", **extra: object) -> logging.LogRecord:
    record = logging.makeLogRecord({"msg": msg, "args": args, **extra})
    assert record.args is args
    return record


def test_a_log_record_is_cleaned_wherever_the_token_stands(token: str) -> None:
    redactor = Redactor(lambda: token)
    broke = RuntimeError(token)
    records = [
        _record(msg=f"sent {token}"),
        _record(msg="sent %s", args=(token,)),
        _record(msg="sent %s", args=(httpx.URL(f"https://x/?tokenId={quote(token)}"),)),
        _record(msg="sent %d", args=(token,)),
        _record(msg="it broke", exc_info=(RuntimeError, broke, None)),
        _record(msg="more", url=f"https://x/?tokenId={quote(token)}", headers={"token": token}),
    ]
    for record in records:
        assert redactor.filter(record)
        assert not leaks((logging.Formatter().format(record) + repr(vars(record))).encode())
    assert "RuntimeError" in str(records[4].exc_text)


def test_a_replaced_token_stays_hidden(token: str) -> None:
    tokens = [token]
    redactor = Redactor(lambda: tokens[-1])
    assert redactor.text(token) == HIDDEN
    tokens.append("another-token-0000000001")
    assert redactor.text(f"{token} another-token-0000000001") == f"{HIDDEN} {HIDDEN}"


@pytest.mark.parametrize("trouble", [FileNotFoundError(), ConfigError("no token")])
def test_logging_goes_on_when_the_source_fails(token: str, trouble: Exception) -> None:
    troubles: list[Exception] = []

    def source() -> str:
        if troubles:
            raise troubles[0]
        return token

    redactor = Redactor(source)
    assert redactor.text(token) == HIDDEN
    troubles.append(trouble)
    assert redactor.text(token) == HIDDEN
