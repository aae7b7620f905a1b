"""The in-process face of the virtual cloud: an httpx transport without sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NoReturn

import httpx
from typing_extensions import override

from optimizer.clock import Clock
from optimizer.simulation.answers import Answer, Shape
from optimizer.simulation.callbacks import PostCallback
from optimizer.simulation.cloud import VirtualCloud

DRIP_INTERVAL_S = 1.0
SILENCE_S = 120.0
"""How long a call that nobody answers stays open where the client has no time-out."""


class VirtualTransport(httpx.AsyncBaseTransport):
    """Hands requests to the cloud and answers on the cloud's clock, in virtual or real time."""

    def __init__(self, cloud: VirtualCloud) -> None:
        self._cloud = cloud

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request; raises the errors of httpx for faults of the connection."""
        body = await request.aread()
        url = request.url
        answer = await self._cloud.handle(request.method, url.path, url.params, body)
        await self._cloud.clock.sleep(answer.delay_s)
        if answer.shape is Shape.RESET:
            raise httpx.ReadError("connection reset by peer", request=request)
        if answer.shape is Shape.SILENT:
            await self._fall_silent(request)
        return httpx.Response(
            answer.status, headers=dict(answer.headers), stream=_Body(answer, self._cloud.clock)
        )

    async def _fall_silent(self, request: httpx.Request) -> NoReturn:
        limit_s: float | None = request.extensions.get("timeout", {}).get("read")
        await self._cloud.clock.sleep(SILENCE_S if limit_s is None else limit_s)
        raise httpx.ReadTimeout("no answer", request=request)


class _Body(httpx.AsyncByteStream):
    """The body as it travels: at once, byte by byte, or cut off."""

    def __init__(self, answer: Answer, clock: Clock) -> None:
        self._answer = answer
        self._clock = clock

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = self._answer.body
        if self._answer.shape is Shape.DRIP:
            for byte in body:
                await self._clock.sleep(DRIP_INTERVAL_S)
                yield bytes((byte,))
        elif self._answer.shape is Shape.TRUNCATED:
            yield body[: len(body) // 2]
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")
        else:
            yield body


def http_callbacks(client: httpx.AsyncClient) -> PostCallback:
    """Return a callback sender over HTTP; a receiver that refuses or is away is simply not told."""

    async def post(url: str, body: bytes) -> None:
        try:
            await client.post(url, content=body, headers={"content-type": "application/json"})
        except (httpx.HTTPError, httpx.InvalidURL):
            return

    return post
