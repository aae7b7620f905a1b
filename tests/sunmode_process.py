"""The program as its users run it: a folder with a `config.toml`, and `sunmode` as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guide_home import GARAGE, INVERTER, GuideHome

SUNMODE = Path(sys.executable).with_name("sunmode")
CONFIG = """\
[solax]
base_url = "{url}"
inverter = "{inverter}"
telemetry_interval_s = {telemetry_s:g}

[[charger]]
name = "garage"
serial = "{serial}"

[strategy]
name = "fixed"

[strategy.fixed]
mode = "fast"

[control]
cycle_s = 1
poll = {{ charger_active_s = 60, charger_idle_s = 60 }}
dwell_s = {{ stop = 0, fast = 0, eco = 0, green = 0 }}

[budget]
calls_per_minute = 9

[store]
path = "sunmode.db"

[log]
level = "debug"
"""


def pause(seconds: float) -> None:
    """Let real time pass."""
    threading.Event().wait(seconds)


def eventually(condition: Callable[[], Any], timeout_s: float, what: str = "it") -> Any:
    """Return the first true value of `condition`, or fail after `timeout_s`."""
    end_s = time.perf_counter() + timeout_s
    while time.perf_counter() < end_s:
        if value := condition():
            return value
        pause(0.05)
    raise AssertionError(f"{what} did not come true within {timeout_s:g} s")


def free_port() -> int:
    """Return a loopback port that nobody uses now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Ended:
    """A process that has ended: its exit code and what it said."""

    code: int
    out: str
    err: str


@dataclass
class Running:
    """A process that goes on; what it says on standard error is kept in a file."""

    process: subprocess.Popen[bytes]
    log: Path
    begin: int

    @property
    def said(self) -> str:
        """What was said since it was started."""
        return self.log.read_bytes()[self.begin :].decode()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log so far, each line read as JSON; the last may still be in the making."""
        return [json.loads(line) for line in self.said.splitlines(keepends=True) if line.endswith("\n")]

    def until_said(self, text: str, timeout_s: float = 10.0) -> None:
        eventually(
            lambda: text in self.said or self.process.poll() is not None, timeout_s, f"saying {text!r}"
        )
        assert text in self.said, self.said

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(5)

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 10.0) -> float:
        """Ask it to end; return the seconds that took."""
        began_s = time.perf_counter()
        self.process.send_signal(number)
        self.process.wait(timeout_s)
        return time.perf_counter() - began_s


@dataclass
class Site:
    """A folder as an owner has it: configuration, database, token in the environment."""

    folder: Path
    token: str = field(repr=False)
    env: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    @property
    def database(self) -> Path:
        return self.folder / "sunmode.db"

    def environment(self) -> dict[str, str]:
        """The environment of each process: ours, without what configures sunmode or systemd."""
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("SUNMODE_", "NOTIFY_"))
        }
        token = {"SUNMODE_SOLAX__TOKEN": self.token} if self.token else {}
        return {**kept, "XDG_RUNTIME_DIR": str(self.folder), **token, **self.env}

    def run(self, *args: str, timeout_s: float = 30.0) -> Ended:
        """Run one command to its end."""
        done = subprocess.run(
            [str(SUNMODE), *args],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    @contextmanager
    def running(self, *args: str) -> Iterator[Running]:
        """Run a command in the background; it is killed at the end if it still runs."""
        log = self.folder / "stderr.log"
        with log.open("ab") as sink:
            begin = sink.tell()
            process = subprocess.Popen(
                [str(SUNMODE), *(args or ("run",))],
                cwd=self.folder,
                env=self.environment(),
                stdout=subprocess.DEVNULL,
                stderr=sink,
            )
        try:
            yield Running(process, log, begin)
        finally:
            process.kill()
            process.wait(5)

    def rows(self, query: str, *params: object) -> list[tuple[Any, ...]]:
        """Return what the log says; nothing while there is none."""
        if not self.database.exists():
            return []
        location = f"{self.database.as_uri()}?mode=ro"
        with closing(sqlite3.connect(location, uri=True, timeout=2.0)) as conn:
            try:
                return conn.execute(query, params).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []  # it is being made
                raise


def site_of(home: GuideHome, folder: Path, *changes: tuple[str, str]) -> Site:
    """Return a site whose configuration points at `home`; `changes` replace text in it."""
    text = CONFIG.format(url=home.url, inverter=INVERTER, serial=GARAGE, telemetry_s=home.telemetry_s)
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    site = Site(folder, home.token)
    site.config.write_text(text)
    return site
