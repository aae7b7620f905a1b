"""How a provider is asked over HTTP: bounded, once, and without a secret where one could be seen.

- one exchange per call, no redirect followed, no retry: who asks again, and when, is the desk's business
- a body is read up to 1 MiB; an answer that is no JSON object is a `BadAnswer`
- a key is put in below the client: no URL, log line or exception above has it
- no message repeats what came over the wire
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import httpx
from typing_extensions import override

from optimizer.errors import AuthError, BadAnswer, CloudError, SunmodeError, Throttled, Unavailable

BODY_CAP_BYTES = 1024 * 1024
"""The longest answer that is read; three days of an ensemble of 40 take 40 kB."""
TIMEOUT_S = 30.0
KEY_MARK = "~key~"
"""Stands in a path for the key."""

_OK, _CLIENT_ERROR, _SERVER_ERROR = 200, 400, 500
_TOO_MANY = 429
_NOT_ALLOWED = frozenset({401, 402, 403})
_LONGEST_WAIT_S = 86_400.0

Key = Callable[[], str]


class Web:
    """One provider's address.  `key` is asked for each call, `inner` replaces the network."""

    def __init__(
        self,
        base_url: str,
        *,
        key: Key | None = None,
        inner: httpx.AsyncBaseTransport | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = key
        self._inner = inner
        self._timeout_s = timeout_s

    async def get(self, path: str, params: Mapping[str, str], now: datetime) -> dict[str, Any]:
        """Return the JSON object at `path`; `now` is for waits that are told as a date.

        Raises:
            Unavailable, Throttled, AuthError, BadAnswer: as in `Provider.fetch`.

        """
        try:
            async with asyncio.timeout(self._timeout_s):
                status, headers, body = await self._exchanged(path, params)
        except TimeoutError:
            raise Unavailable(f"no answer within {self._timeout_s:g} s") from None
        except httpx.RequestError as trouble:
            raise Unavailable(f"no connection ({type(trouble).__name__})") from None
        if status != _OK:
            raise _refusal(status, headers, body, now)
        return _object_in(body)

    async def _exchanged(self, path: str, params: Mapping[str, str]) -> tuple[int, httpx.Headers, bytes]:
        network = self._inner or httpx.AsyncHTTPTransport(trust_env=False, retries=0)
        agent = {"User-Agent": f"sunmode/{version('sunmode')}", "Accept": "application/json"}
        async with (
            httpx.AsyncClient(
                transport=_Keyed(network, self._key, owned=self._inner is None),
                trust_env=False,
                follow_redirects=False,
                timeout=self._timeout_s,
                headers=agent,
            ) as client,
            client.stream("GET", self._base_url + path, params=params) as answer,
        ):
            return answer.status_code, answer.headers, await _capped(answer)


class _Keyed(httpx.AsyncBaseTransport):
    """Puts the key into the path, where it is marked, or else into the header."""

    def __init__(self, network: httpx.AsyncBaseTransport, key: Key | None, *, owned: bool) -> None:
        self._network = network
        self._key = key
        self._owned = owned

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        outcome = await self._outcome(request)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _outcome(self, request: httpx.Request) -> httpx.Response | Exception:
        """Return failures as values: a traceback through the frames below would hold the key."""
        try:
            return await self._network.handle_async_request(self._signed(request))
        except httpx.RequestError as trouble:
            return type(trouble)("the exchange failed")
        except AuthError as trouble:
            return AuthError(str(trouble))

    def _signed(self, request: httpx.Request) -> httpx.Request:
        if self._key is None:
            return request
        try:
            key = self._key()
        except SunmodeError as trouble:
            raise AuthError(str(trouble)) from None
        url, headers = request.url, request.headers.copy()
        if KEY_MARK in url.path:
            raw = url.raw_path.replace(quote(KEY_MARK).encode(), quote(key, safe="").encode())
            url = url.copy_with(raw_path=raw)
        else:
            headers["Authorization"] = f"Bearer {key}"
        return httpx.Request(request.method, url, headers=headers, extensions=request.extensions)

    @override
    async def aclose(self) -> None:
        if self._owned:
            await self._network.aclose()


async def _capped(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_bytes(65_536):
        body += chunk
        if len(body) > BODY_CAP_BYTES:
            raise BadAnswer(f"its answer is longer than {BODY_CAP_BYTES} bytes")
    return bytes(body)


def _refusal(status: int, headers: httpx.Headers, body: bytes, now: datetime) -> CloudError:
    wait_s = _wait_s(headers, body, now)
    if status == _TOO_MANY:
        return Throttled("it was asked too often (HTTP 429)", retry_after_s=wait_s)
    if status in _NOT_ALLOWED:
        return AuthError(f"it refuses the key (HTTP {status})")
    if status >= _SERVER_ERROR and wait_s is not None:
        return Throttled(f"it is closed (HTTP {status})", retry_after_s=wait_s)
    if status >= _SERVER_ERROR:
        return Unavailable(f"it has a fault (HTTP {status})")
    return BadAnswer(f"it does not take the question (HTTP {status})")


def _wait_s(headers: httpx.Headers, body: bytes, now: datetime) -> float | None:
    """Return how long to stay away, by either of two headers or by what Forecast.Solar says in the body."""
    told = headers.get("retry-after") or headers.get("x-ratelimit-retry-at") or _retry_at(body)
    if told is None:
        return None
    seconds = _seconds(told.strip(), now)
    return None if seconds is None else max(0.0, min(seconds, _LONGEST_WAIT_S))


def _retry_at(body: bytes) -> str | None:
    try:
        told = json.loads(body)["message"]["ratelimit"]["retry-at"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return told if isinstance(told, str) else None


def _seconds(told: str, now: datetime) -> float | None:
    try:
        seconds = float(told)
        return seconds if math.isfinite(seconds) else None
    except ValueError:
        at = _date(told)
    return None if at is None or at.tzinfo is None else (at - now).total_seconds()


def _date(told: str) -> datetime | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return read(told)
        except (ValueError, OverflowError):
            continue
    return None


def _object_in(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise BadAnswer("its answer is no JSON") from None
    if not isinstance(found, dict):
        raise BadAnswer("its answer is no JSON object")
    return found
