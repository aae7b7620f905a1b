"""Processes under measurement, and what the system tells of them."""

from __future__ import annotations

import os
import select
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import perf_counter

from places import BIN, SHIPPED

from optimizer.cli.virtual_home import VIRTUAL_TOKEN

SUNMODE = str(BIN / "sunmode")
WITH_TOKEN = {"SUNMODE_SOLAX__TOKEN": VIRTUAL_TOKEN}

READY = b"READY=1"
CYCLE_ENDED = b"WATCHDOG=1"
"""The service says that it is alive after each whole cycle."""

_PATIENCE_S = 60.0
_STOP_S = 15.0
_numbers = count()


@dataclass(frozen=True, slots=True)
class Daemon:
    """A started process with the socket that it notifies, as under systemd."""

    process: subprocess.Popen[bytes]
    began_s: float
    inbox: socket.socket

    def until(self, word: bytes) -> float:
        """Return the seconds from the start until a notification that holds `word`."""
        while word not in self.inbox.recv(65_536):
            pass
        return perf_counter() - self.began_s

    def cpu_s(self) -> float:
        """Return how long it has computed, on all cores."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        user, system = fields[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def watch(self, seconds: float) -> int:
        """Let that time pass and return how many cycles have ended in it."""
        ended, end_s = 0, perf_counter() + seconds
        while (left_s := end_s - perf_counter()) > 0.0:
            if self.process.poll() is not None:
                raise ChildProcessError(f"it ended by itself with code {self.process.returncode}")
            if select.select([self.inbox], [], [], left_s)[0]:
                ended += CYCLE_ENDED in self.inbox.recv(65_536)
        return ended

    def memory_mb(self, field: str) -> float:
        """Return VmRSS (now) or VmHWM (the most so far) in MB of 10^6 bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise LookupError(field)


@contextmanager
def daemon(arguments: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """Run a process that may notify; stop it at the end."""
    name = f"sunmode-bench-{os.getpid()}-{next(_numbers)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind(f"\0{name}")
        inbox.settimeout(_PATIENCE_S)
        surroundings = {**os.environ, **(env or {}), "NOTIFY_SOCKET": f"@{name}"}
        began_s = perf_counter()
        process = subprocess.Popen(
            arguments, env=surroundings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield Daemon(process, began_s, inbox)
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def sunmode_run(config: Path) -> AbstractContextManager[Daemon]:
    """Run the service."""
    return daemon([SUNMODE, "run", "--config", str(config)], WITH_TOKEN)


def virtual(port: int) -> list[str]:
    """Return the command of the virtual cloud in front of the shipped home."""
    return [SUNMODE, "virtual", "--port", str(port), "--config", str(SHIPPED)]


@contextmanager
def cloud_process(arguments: Sequence[str], port: int) -> Iterator[None]:
    """Run a virtual cloud in a process of its own, for as long as the block lasts."""
    with daemon(arguments) as cloud:
        while cloud.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
                break
            except OSError:
                continue
        yield


def free_port() -> int:
    """Return a port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
