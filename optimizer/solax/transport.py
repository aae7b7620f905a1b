"""Where the token meets the request, and the only place that ever holds both.

`TokenTransport` sits below the HTTP client.  Above it there is no token: not in a URL, a body, an exception,
a log line or an echo of the cloud.  Below it a signed request lives for one exchange.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import httpx
from typing_extensions import override

from optimizer.errors import AuthError, ConfigError
from optimizer.solax.redact import Redactor

BODY_CAP_BYTES = 256 * 1024
"""The longest decoded answer that is read; the vendor's own are below 1 KiB."""

TokenSource = Callable[[], str]

_LET_THROUGH = ("content-type", "retry-after")
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_TALKATIVE = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
)


def open_http(
    base_url: str, token_source: TokenSource, *, inner: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """Return a client for the cloud at `base_url` that signs its requests below itself.

    `token_source` is asked before every call, so a replaced token works at once; it must not log.
    `inner` replaces the network (the virtual cloud, a test).

    Raises:
        ConfigError: `base_url` is not https (plain http is for the loopback) or has more than a path.

    """
    origin = _checked(base_url)
    redactor = Redactor()
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(redactor)
    network = inner or httpx.AsyncHTTPTransport(
        trust_env=False,
        retries=0,
        limits=httpx.Limits(max_connections=4, max_keepalive_connections=2, keepalive_expiry=30.0),
    )
    return _PlainClient(
        TokenTransport(network, token_source, origin, redactor),
        base_url=origin,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(15.0, connect=10.0),
        headers={
            "User-Agent": f"sunmode/{version('sunmode')}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        },
    )


_ADDRESSES_KEPT = 256


class _PlainClient(httpx.AsyncClient):
    """Hands requests to its transport as they are: no redirect, cookie, authentication or hook.

    The cloud needs none of them, and httpx takes longer over them than the service over a decision.
    """

    def __init__(self, transport: TokenTransport, **options: Any) -> None:
        super().__init__(transport=transport, **options)
        self._plain = transport

    @override
    async def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
        """Exchange one request; raises as its transport does."""
        if self.is_closed:
            raise RuntimeError("the client is closed")
        response = await self._plain.handle_async_request(request)
        response.request = request
        return response


class TokenTransport(httpx.AsyncBaseTransport):
    """Adds the token to requests for one origin and lets only status, two headers and a clean body back up.

    A GET gets `tokenId` as its first query parameter, any other request as the first key of its JSON body.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        token_source: TokenSource,
        origin: httpx.URL,
        redactor: Redactor,
    ) -> None:
        self._inner = inner
        self._token_source = token_source
        self._origin = _origin(origin)
        self._redactor = redactor
        self._signed: dict[httpx.URL, httpx.URL] = {}
        self._signed_with = ""

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Exchange one request.

        Raises:
            AuthError: there is no token, or it cannot be read.
            httpx.RequestError: the exchange failed, or the request was for somebody else.

        """
        if _origin(request.url) != self._origin:
            raise httpx.UnsupportedProtocol(f"only {self._origin[1]} is called from here")
        answer = await self._exchange(request)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def _exchange(self, request: httpx.Request) -> httpx.Response | BaseException:
        """Return failures as values: a traceback through the frames below would hold the signed request."""
        try:
            return await self._signed_exchange(request)
        except asyncio.CancelledError as stop:
            return asyncio.CancelledError(*stop.args)
        except httpx.RequestError as trouble:
            return type(trouble)(self._redactor.text(str(trouble)))

    async def _signed_exchange(self, request: httpx.Request) -> httpx.Response:
        token = self._token()
        self._redactor.learn(token)
        answer = await self._inner.handle_async_request(
            await _sign(request, token, self._url(request, token))
        )
        try:
            body = await _read_capped(answer)
        finally:
            await answer.aclose()
        # No Location, no cookie, no reason phrase: each could carry the token back into a log.
        headers = {name: answer.headers[name] for name in _LET_THROUGH if name in answer.headers}
        return httpx.Response(answer.status_code, headers=headers, content=self._redactor.body(body))

    def _url(self, request: httpx.Request, token: str) -> httpx.URL:
        """Return where the request goes, the token in it where it belongs there.

        The few addresses are always the same, and to build one takes longer than to decide.
        """
        if request.method != "GET":
            return request.url
        if token != self._signed_with or len(self._signed) > _ADDRESSES_KEPT:
            self._signed, self._signed_with = {}, token
        signed = self._signed.get(request.url)
        if signed is None:
            query = b"tokenId=" + quote(token, safe="").encode()
            query = query + b"&" + request.url.query if request.url.query else query
            signed = self._signed[request.url] = request.url.copy_with(query=query)
        return signed

    def _token(self) -> str:
        try:
            token = self._token_source()
        except (ConfigError, OSError) as trouble:
            # A file that is being replaced, or was taken away, must not end the service.
            raise AuthError(f"no token: {trouble}") from trouble
        if not token:
            raise AuthError("no token: it is on the cloud's API page")
        return token

    @override
    async def aclose(self) -> None:
        """Close the connections."""
        for name in _TALKATIVE:
            logging.getLogger(name).removeFilter(self._redactor)
        await self._inner.aclose()


def _checked(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        raise ConfigError("base_url is not a URL") from None
    if not url.host or url.userinfo or url.query or url.fragment:
        raise ConfigError("base_url must be scheme, host, and at most a port and a path")
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(url.host)):
        raise ConfigError("base_url must begin with https:// (http:// is for 127.0.0.1, ::1 and localhost)")
    return url


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


async def _sign(request: httpx.Request, token: str, url: httpx.URL) -> httpx.Request:
    headers, content = request.headers, await request.aread()
    if content:
        headers = headers.copy()
        headers.pop("Content-Length", None)
    if request.method != "GET":
        content = json.dumps({"tokenId": token, **json.loads(content)}).encode()
    return httpx.Request(request.method, url, headers=headers, content=content, extensions=request.extensions)


async def _read_capped(answer: httpx.Response) -> bytes:
    """Return the decoded body.

    Raises:
        httpx.DecodingError: it is longer than the cap, encoded in an unknown way, or its encoding is broken.

    """
    coding = answer.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise httpx.DecodingError("the answer has an unknown content encoding")
    inflate = None if coding in ("", "identity") else zlib.decompressobj(_GZIP_OR_ZLIB)
    body = bytearray()
    with _zlib_errors():
        async for chunk in _raw_chunks(answer):
            body += chunk if inflate is None else inflate.decompress(chunk, BODY_CAP_BYTES + 1 - len(body))
            if len(body) > BODY_CAP_BYTES:
                raise httpx.DecodingError(f"the answer is longer than {BODY_CAP_BYTES} bytes")
    if inflate is not None and not inflate.eof:
        raise httpx.DecodingError("the answer's encoding ends early")
    return bytes(body)


def _raw_chunks(answer: httpx.Response) -> httpx.AsyncByteStream:
    # Not `aiter_raw`: an answer that was made in this process counts as read already.
    if not isinstance(answer.stream, httpx.AsyncByteStream):
        raise TypeError("the inner transport is not an asynchronous one")
    return answer.stream


@contextmanager
def _zlib_errors() -> Iterator[None]:
    try:
        yield
    except zlib.error:
        raise httpx.DecodingError("the answer's encoding is broken") from None
