"""A loopback server that speaks the vendor's guide to the letter, or whatever a test makes it say.

It knows nothing of sunmode's own code, so the two can only agree through the guide.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PREFIX = "/proxyApp/proxy/api/"
TASK_ID = "4746ce28cf09464b85d5425606fc4f9c"


@dataclass(frozen=True)
class Heard:
    """One request as it came over the wire, and when it did, on a clock that is the server's own."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    port: int
    at_s: float = field(default_factory=time.perf_counter)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)


@dataclass(frozen=True)
class Reply:
    """What to say instead of the truth; `drip_s` is the pause after each byte, `cut` closes after so many."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    drip_s: float | None = None
    cut: int | None = None
    reason: str | None = None
    silent: bool = False


def told(payload: object, status: int = 200) -> Reply:
    """Return a reply that says `payload` in JSON."""
    return Reply(status, json.dumps(payload).encode())


@dataclass
class Guide:
    """The cloud's state: one charger and one inverter, served as in the guide's examples."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list, repr=False)  # a failing test shall not show the token
    replies: list[Reply] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    pile: dict[str, Any] = field(
        default_factory=lambda: {"chargerStatus": 0, "chargingMode": 0, "chargeEnergy": 0, "chargingPower": 6}
    )
    inverter: dict[str, Any] = field(
        default_factory=lambda: {
            "inverterSN": "NOTAREALSN4242",
            "sn": "NOTAREALSN",
            "acpower": 587.0,
            "yieldtoday": 4.2,
            "feedinpower": 0.0,
            "soc": 14.0,
            "uploadTime": "2023-10-18 21:25:38",
            "batPower": -576.0,
            "powerdc1": 0.0,
            "powerdc2": 1.0,
            "powerdc3": None,
            "powerdc4": None,
            "batStatus": "0",
        }
    )

    def answer(self, heard: Heard) -> Reply:
        """Answer as the guide says."""
        known = {
            ("GET", f"{PREFIX}getPileInfo"): {"exception": "query success", "result": self.pile},
            ("GET", f"{PREFIX}getRealtimeInfo.do"): {"exception": "Query success!", "result": self.inverter},
            ("POST", f"{PREFIX}pileCmd"): {"exception": "accept success", "result": {"taskId": TASK_ID}},
        }
        payload = known.get((heard.method, heard.path))
        return told({"success": True, **payload}) if payload else Reply(404, b"<html>no such page</html>")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: a request line holds the token."""

    def _serve(self) -> None:
        guide = self.server.guide
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        heard = Heard(self.command, self.path, dict(self.headers.items()), body, self.client_address[1])
        guide.heard.append(heard)
        guide.arrived.set()
        reply = guide.replies.pop(0) if guide.replies else guide.answer(heard)
        if reply.silent:
            guide.stop.wait(10)
            self.close_connection = True
        else:
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status, reply.reason)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.close_connection = reply.cut is not None or reply.drip_s is not None
        if reply.drip_s is None:
            self.wfile.write(reply.body[: reply.cut])
        else:
            self._drip(reply.body, reply.drip_s)

    def _drip(self, body: bytes, pause_s: float) -> None:
        for byte in body:
            if self.server.guide.stop.wait(pause_s):
                return
            self.wfile.write(bytes([byte]))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, guide: Guide) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.guide = guide

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what some tests are about."""


@contextmanager
def guide_server(guide: Guide | None = None) -> Iterator[Guide]:
    """Serve a `Guide` on a free loopback port."""
    guide = guide or Guide()
    with _Server(guide) as server:
        guide.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield guide
        guide.stop.set()
        server.shutdown()
        thread.join()
