"""The transport below the client: whom it talks to, and what it never does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from fake_guide_server import Guide, Reply, guide_server

from optimizer.errors import AuthError, ConfigError
from optimizer.solax.transport import open_http

PILE = "/proxyApp/proxy/api/getPileInfo"


@pytest.fixture
def guide() -> Iterator[Guide]:
    with guide_server() as served:
        yield served


def _get(base_url: str, token: str, url: str = PILE) -> httpx.Response:
    async def run() -> httpx.Response:
        async with open_http(base_url, lambda: token) as http:
            return await http.get(url)

    return asyncio.run(run())


def test_a_path_in_base_url_stays_in_front(guide: Guide, token: str) -> None:
    for base_url in (f"{guide.url}/mirror", f"{guide.url}/mirror/"):
        assert _get(base_url, token).status_code == 404
        assert guide.heard.pop().path == f"/mirror{PILE}"


def test_the_token_comes_before_what_was_asked(guide: Guide, token: str) -> None:
    _get(guide.url, token, f"{PILE}?pileSn=a+b%26c")
    assert guide.heard[0].query == [("tokenId", token), ("pileSn", "a b&c")]


def test_one_connection_serves_many_calls_and_a_new_token_works_at_once(guide: Guide) -> None:
    tokens = ["first-token-000000000001", "other-token-000000000002"]
    asked = iter(tokens)

    async def run() -> None:
        async with open_http(guide.url, lambda: next(asked)) as http:
            for _ in tokens:
                await http.get(PILE)

    asyncio.run(run())
    assert [heard.query[0][1] for heard in guide.heard] == tokens
    assert len({heard.port for heard in guide.heard}) == 1


def test_a_transport_in_this_process_serves_as_well(token: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.params["tokenId"] == token
        return httpx.Response(200, json={"success": True})

    async def run() -> httpx.Response:
        inner = httpx.MockTransport(answer)
        async with open_http("https://virtual.invalid", lambda: token, inner=inner) as http:
            return await http.get(PILE)

    assert asyncio.run(run()).json() == {"success": True}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(guide: Guide, token: str, status: int) -> None:
    with guide_server() as other:
        guide.replies.append(Reply(status, headers=(("Location", f"{other.url}/x"),)))
        response = _get(guide.url, token)
        assert not other.heard
    assert (response.status_code, response.next_request) == (status, None)


def test_no_cookie_is_kept(guide: Guide, token: str) -> None:
    guide.replies.append(Reply(headers=(("Set-Cookie", "session=1; Path=/"),)))

    async def run() -> None:
        async with open_http(guide.url, lambda: token) as http:
            await http.get(PILE)
            await http.get(PILE)

    asyncio.run(run())
    assert "Cookie" not in guide.heard[1].headers


def test_proxies_of_the_environment_are_ignored(
    guide: Guide, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with guide_server() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        _get(guide.url, token)
        assert not proxy.heard
    assert len(guide.heard) == 1


def test_a_plain_server_behind_https_is_refused(guide: Guide, token: str) -> None:
    with pytest.raises(httpx.ConnectError):
        _get(guide.url.replace("http://", "https://"), token)
    assert not guide.heard


def test_without_a_token_nothing_is_sent(guide: Guide) -> None:
    with pytest.raises(AuthError, match="no token"):
        _get(guide.url, "")
    assert not guide.heard


@pytest.mark.parametrize("trouble", [ConfigError("its file is gone"), PermissionError("its file is locked")])
def test_a_token_that_cannot_be_read_is_for_the_human(guide: Guide, trouble: Exception) -> None:
    def source() -> str:
        raise trouble

    async def run() -> None:
        async with open_http(guide.url, source) as http:
            await http.get(PILE)

    with pytest.raises(AuthError, match="no token: its file is"):
        asyncio.run(run())
    assert not guide.heard


@pytest.mark.parametrize(
    "url",
    [
        "http://www.solaxcloud.com",
        "http://127.0.0.1.example.com",
        "http://10.0.0.1",
        "ftp://127.0.0.1",
        "https://user:pass@www.solaxcloud.com",
        "https://www.solaxcloud.com/?tokenId=1",
        "https://www.solaxcloud.com/#x",
        "https://",
        "www.solaxcloud.com",
        "",
        "https://www.solaxcloud.com:port",
    ],
)
def test_a_base_url_that_would_give_the_token_away_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        open_http(url, lambda: "")


@pytest.mark.parametrize("url", ["https://www.solaxcloud.com", "http://localhost:1", "http://[::1]:1"])
def test_https_and_the_loopback_are_allowed(url: str) -> None:
    asyncio.run(open_http(url, lambda: "").aclose())


def test_another_host_is_never_sent_the_token(guide: Guide, token: str) -> None:
    async def run() -> None:
        async with open_http("https://www.solaxcloud.com", lambda: token) as http:
            for url in (guide.url, "https://www.solaxcloud.com:444/", "http://www.solaxcloud.com/"):
                with pytest.raises(httpx.UnsupportedProtocol):
                    await http.get(url)

    asyncio.run(run())
    assert not guide.heard
