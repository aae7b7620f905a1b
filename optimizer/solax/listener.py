"""The web server in the service's own event loop: few connections, short patience, a quick end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from optimizer.errors import ConfigError

CONNECTIONS = 20
"""How many may wait for an answer at once; more are told 503."""
CONNECTIONS_CAP = 50
"""How many may be open at once; more are cut, for each holds one of the process's file descriptors."""
HEAD_DEADLINE_S = 5.0
"""How long a connection may stand without a complete request head."""
HEAD_CAP_BYTES = 16 * 1024
KEEP_ALIVE_S = 5
GRACE_S = 2


class _ImpatientProtocol(H11Protocol):
    """Closes a connection that does not ask for anything; uvicorn alone waits for a request head forever."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._patience: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_CAP:
            transport.abort()
        else:
            self._wait_for_head()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_answering():
            self._stop_waiting()

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_answering():
            self._wait_for_head()

    def _is_answering(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(HEAD_DEADLINE_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class _Server(uvicorn.Server):
    """Leaves the process's signals alone and tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    def drop_connections(self) -> None:
        """Cut whoever is still there."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


@asynccontextmanager
async def serve_callbacks(app: Starlette, host: str, port: int) -> AsyncIterator[int]:
    """Serve `app` while the context is open; yields the port (that of the system's choice for 0).

    Leaving takes at most 3 s, however slow the other side is.

    Raises:
        ConfigError: the address cannot be listened on.

    """
    listening = _bound(host, port)
    server = _Server(_config(app))
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="callback server")
    try:
        await _until_listening(server, serving)
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait({serving}, timeout=GRACE_S / 4)
        server.drop_connections()
        await asyncio.wait({serving}, timeout=GRACE_S)
        serving.cancel()


async def _until_listening(server: _Server, serving: asyncio.Task[None]) -> None:
    ready = asyncio.create_task(server.listening.wait())
    await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    if serving.done():
        serving.result()


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_ImpatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        limit_concurrency=CONNECTIONS,
        backlog=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=HEAD_CAP_BYTES,
    )


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's 40 ms off only where the protocol is named; `create_server` does not name it.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(CONNECTIONS)
    except OSError as trouble:
        listening.close()
        raise ConfigError(f"cannot listen on {host} port {port}: {trouble.strerror}") from trouble
    return listening
