"""Several processes, killed without warning, on one ledger: a real server counts what arrives."""

from __future__ import annotations

import asyncio
import http.client
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from optimizer.clock import SystemClock
from optimizer.control.budget import Limits, Outcome, Priority
from optimizer.errors import RateLimited
from optimizer.store.ledger import Ledger
from optimizer.store.logfile import FileOptions, LogFile
from optimizer.store.writer import Writer

LIMITS = Limits(
    per_minute=9, per_day=100_000, reserved_per_minute=0, call_timeout_s=0.5, window_s=2.0, slack_s=0.15
)


class CountingServer(ThreadingHTTPServer):
    """Knows when each call arrived."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.arrivals_s: list[float] = []


class _Handler(BaseHTTPRequestHandler):
    server: CountingServer

    def do_GET(self) -> None:
        self.server.arrivals_s.append(time.perf_counter())
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@contextmanager
def serving() -> Iterator[CountingServer]:
    with CountingServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def hammer(path: str, port: int, seed: int) -> None:
    """Call as often as the ledger lets us, until killed; run in a process of its own."""
    rng = random.Random(seed)

    async def main() -> None:
        clock = SystemClock()
        writer = Writer(LogFile(Path(path), FileOptions(durable=False, ballast_bytes=0), lambda *_: None))
        writer.start()
        ledger = Ledger(writer, clock, LIMITS, rng, commit_timeout_s=0.5)
        while True:
            try:
                call_id = await ledger.reserve("getPileInfo", "C1", Priority.RISE)
            except RateLimited as error:
                await clock.sleep(min(0.2, error.retry_at_s - clock.monotonic_s()))
                continue
            await clock.sleep(rng.uniform(0, 0.1))
            await asyncio.to_thread(_get, port)
            await clock.sleep(rng.uniform(0, 0.1))
            ledger.complete(call_id, Outcome.OK)

    asyncio.run(main())


def _get(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.3)
    connection.request("GET", "/")
    connection.getresponse().read()
    connection.close()


def start(path: Path, port: int, seed: int) -> subprocess.Popen[bytes]:
    program = f"import test_ledger_processes as t; t.hammer({os.fspath(path)!r}, {port}, {seed})"
    environment = {**os.environ, "PYTHONPATH": os.fspath(Path(__file__).parent)}
    return subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL)


def campaign(path: Path, *, processes: int, kills: int, seed: int, life_s: float) -> list[float]:
    """Keep `processes` alive, kill one every `life_s` and start another; return the arrivals."""
    rng = random.Random(seed)
    with serving() as server:
        alive = [start(path, server.server_port, seed + number) for number in range(processes)]
        for number in range(kills):
            time.sleep(rng.uniform(0.5, 1.5) * life_s)  # noqa: TID251 - real processes live in real time
            victim = alive.pop(rng.randrange(len(alive)))
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            alive.append(start(path, server.server_port, seed + processes + number))
        for process in alive:
            process.kill()
            process.wait()
        return sorted(server.arrivals_s)


def test_three_processes_with_kills_in_between_never_exceed_the_window(tmp_path: Path) -> None:
    arrivals_s = campaign(tmp_path / "log.db", processes=3, kills=6, seed=1, life_s=1.0)
    worst = max(
        sum(begin_s <= at_s < begin_s + LIMITS.window_s for at_s in arrivals_s) for begin_s in arrivals_s
    )
    assert worst <= LIMITS.per_minute
    assert len(arrivals_s) >= 2 * LIMITS.per_minute, "the ledger lets calls through"
