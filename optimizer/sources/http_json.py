"""One JSON document by HTTP GET, from a service that owes us nothing.

- stale: nothing is kept here
- who retries: the caller, not before `Throttled.retry_after_s`
- giving up: after 20 s, or after 1 MiB; redirects are not followed
- what the human sees: the host, the status and what was wrong; never the address, which may hold a key
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any, NoReturn

import httpx

from optimizer.errors import AuthError, BadAnswer, CloudError, Throttled, Unavailable

DEADLINE_S = 20.0
BODY_CAP_BYTES = 1024 * 1024
_REFUSED = {401, 403}
_BUSY = {429, 503}


def open_web(network: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """Return a client for services of strangers; `network` replaces the real one."""
    return httpx.AsyncClient(
        transport=network or httpx.AsyncHTTPTransport(trust_env=False, retries=0),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(DEADLINE_S, connect=10.0),
        headers={"User-Agent": f"sunmode/{version('sunmode')}", "Accept": "application/json"},
    )


class JsonSource:
    """A service at one address; `token` gives what is sent as `Authorization: Bearer`, None for nothing."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        token: Callable[[], str] | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._client = client
        self._url = url
        self._token = token
        self._deadline_s = deadline_s
        self.host = httpx.URL(url).host

    async def get(self, now: datetime, params: Mapping[str, str] | None = None) -> Any:
        """Return the document, decoded.

        Raises:
            AuthError: it wants a token, or another one.
            Throttled: it wants to be left alone, for a time that it may name.
            Unavailable: no answer, or one that says to come later.
            BadAnswer: what came is not JSON, or too long.

        """
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._exchange(now, params)
        except TimeoutError:
            raise Unavailable(f"{self.host}: no answer within {self._deadline_s:g} s") from None
        except httpx.HTTPError as trouble:
            # Not chained and not quoted: the address is in there.
            raise Unavailable(f"{self.host}: {type(trouble).__name__}") from None

    async def _exchange(self, now: datetime, params: Mapping[str, str] | None) -> Any:
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token()}"}
        url = httpx.URL(self._url)
        url = url.copy_merge_params(params) if params else url
        async with self._client.stream("GET", url, headers=headers) as answer:
            if answer.status_code != httpx.codes.OK:
                self._refuse(answer, now)
            body = bytearray()
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > BODY_CAP_BYTES:
                    raise BadAnswer(f"{self.host}: the answer is longer than {BODY_CAP_BYTES} bytes")
        return self._decoded(bytes(body))

    def _refuse(self, answer: httpx.Response, now: datetime) -> NoReturn:
        """Turn a status that is no success into an error."""
        told = f"{self.host}: HTTP {answer.status_code}"
        error: CloudError = Unavailable(told)
        if answer.status_code in _REFUSED:
            error = AuthError(told)
        elif answer.status_code in _BUSY:
            error = Throttled(told, retry_after_s=retry_after_s(answer.headers.get("retry-after"), now))
        raise error

    def _decoded(self, body: bytes) -> Any:
        try:
            return json.loads(body, parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise BadAnswer(f"{self.host}: the answer is not JSON") from None


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` asks for (RFC 9110, 10.2.3): a number of them, or a date."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
