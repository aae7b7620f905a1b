"""A web service on the loopback that says what a test wants it to, over real HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One answer; `body` is sent as it is, or as JSON if it is no bytes, `drip_s` before each byte."""

    body: Any = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    drip_s: float = 0.0
    cut: bool = False


@dataclass
class WebService:
    """What is answered, the last one for ever, and what was asked: path with query, and headers."""

    replies: list[Reply] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/prices?key=s3cret"


@contextmanager
def web_service(*replies: Reply) -> Iterator[WebService]:
    """Serve while the block runs."""
    service = WebService(list(replies))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            service.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            reply = service.replies[0] if len(service.replies) == 1 else service.replies.pop(0)
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + (7 if reply.cut else 0)))
            self.end_headers()
            try:
                self._send(body, reply.drip_s)
            except OSError:
                return

        def _send(self, body: bytes, drip_s: float) -> None:
            if not drip_s:
                self.wfile.write(body)
                return
            for place in range(len(body)):
                time.sleep(drip_s)  # noqa: TID251 - real time passes here
                self.wfile.write(body[place : place + 1])

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
