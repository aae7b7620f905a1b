"""The real HTTP face of the virtual cloud: Starlette on uvicorn, with real faults on real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from optimizer.simulation.answers import Answer, Shape
from optimizer.simulation.cloud import VirtualCloud
from optimizer.simulation.transport import DRIP_INTERVAL_S, SILENCE_S

MAX_BODY_BYTES = 64 * 1024
_Connections = dict[tuple[str, int], asyncio.Transport]


def virtual_app(cloud: VirtualCloud, connections: _Connections | None = None) -> Starlette:
    """Return the ASGI app: the vendor's paths, and `GET /virtual/state` for humans.

    `connections` are the server's open ones by peer; with them truncation and reset happen on the socket.
    """

    async def state(_request: Request) -> Response:
        return JSONResponse(cloud.state())

    return Starlette(
        routes=[
            Mount("/virtual", routes=[Route("/state", state, methods=["GET"])]),
            Route("/{path:path}", _VendorFace(cloud, {} if connections is None else connections)),
        ]
    )


class _VendorFace:
    """Everything that is not ours is the vendor's."""

    def __init__(self, cloud: VirtualCloud, connections: _Connections) -> None:
        self._cloud = cloud
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        body = await _body(request)
        if body is None:
            await PlainTextResponse("too large", 413)(scope, receive, send)
            return
        answer = await self._cloud.handle(request.method, request.url.path, request.query_params, body)
        await self._cloud.clock.sleep(answer.delay_s)
        if answer.shape in {Shape.WHOLE, Shape.DRIP}:
            await self._response(answer)(scope, receive, send)
        else:
            await self._break_off(answer, request, send)

    def _response(self, answer: Answer) -> Response:
        headers = {**answer.headers, "content-length": str(len(answer.body))}
        if answer.shape is Shape.DRIP:
            return StreamingResponse(self._drip(answer.body), answer.status, headers)
        return Response(answer.body, answer.status, headers)

    async def _drip(self, body: bytes) -> AsyncIterator[bytes]:
        for byte in body:
            await self._cloud.clock.sleep(DRIP_INTERVAL_S)
            yield bytes((byte,))

    async def _break_off(self, answer: Answer, request: Request, send: Send) -> None:
        """Send nothing or half an answer, then close the connection; a reset also says so."""
        if answer.shape is Shape.SILENT:
            await self._until_gone(request)
        if answer.shape is Shape.TRUNCATED:
            headers = {**answer.headers, "content-length": str(len(answer.body))}
            raw = [(name.encode(), value.encode()) for name, value in headers.items()]
            half = answer.body[: len(answer.body) // 2]
            await send({"type": "http.response.start", "status": answer.status, "headers": raw})
            await send({"type": "http.response.body", "body": half, "more_body": True})
        connection = (
            self._connections.get((request.client.host, request.client.port)) if request.client else None
        )
        if connection is None:
            return
        if answer.shape is Shape.RESET:
            _reset_on_close(connection)
        connection.close()
        await self._until_gone(request)

    async def _until_gone(self, request: Request) -> None:
        """Wait until the client has hung up, for as long as a silent server keeps a connection open."""
        gone = asyncio.ensure_future(_hung_up(request))
        patience = asyncio.ensure_future(self._cloud.clock.sleep(SILENCE_S))
        try:
            await asyncio.wait({gone, patience}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            patience.cancel()


async def _body(request: Request) -> bytes | None:
    """Return the request's body, or None if it is too large or the client went away."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return None
    except ClientDisconnect:
        return None
    return bytes(body)


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _reset_on_close(connection: asyncio.Transport) -> None:
    # Lingering for 0 s makes the kernel send RST instead of FIN.
    raw: socket.socket = connection.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class _EmbeddedServer(uvicorn.Server):
    """A server that leaves the signals to the program around it."""

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _remembering(connections: _Connections) -> type[H11Protocol]:
    """Return uvicorn's protocol with a memory of its open connections."""

    class Remembering(H11Protocol):
        @override
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._peer = transport.get_extra_info("peername")[:2]
            connections[self._peer] = transport

        @override
        def connection_lost(self, exc: Exception | None) -> None:
            connections.pop(self._peer, None)
            super().connection_lost(exc)

    return Remembering


def _config(cloud: VirtualCloud) -> uvicorn.Config:
    # No access log and no log set-up of its own: the token travels in the query.
    connections: _Connections = {}
    return uvicorn.Config(
        virtual_app(cloud, connections),
        http=_remembering(connections),
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=1,
    )


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening


@asynccontextmanager
async def running_server(cloud: VirtualCloud, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve the cloud in the running loop and yield its base URL; port 0 takes a free one."""
    server = _EmbeddedServer(_config(cloud))
    with _listen(host, port) as listening:
        bound_port: int = listening.getsockname()[1]
        cloud.elapsed_s()
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        try:
            yield f"http://{f'[{host}]' if ':' in host else host}:{bound_port}"
        finally:
            server.should_exit = True
            await serving
            await cloud.aclose()


async def serve_virtual(cloud: VirtualCloud, host: str = "127.0.0.1", port: int = 8411) -> None:
    """Serve the cloud until SIGINT or SIGTERM; raises `OSError` where the port is taken."""
    with _listen(host, port) as listening:
        cloud.elapsed_s()
        try:
            await uvicorn.Server(_config(cloud)).serve(sockets=[listening])
        finally:
            await cloud.aclose()
