"""kill -9 while writing: nothing acknowledged is lost, nothing torn, no command leaves without intent."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from optimizer.clock import SystemClock
from optimizer.domain import Mode
from optimizer.store.commands import CommandState, Intent
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions

OPTIONS = FileOptions(ballast_bytes=0)


def intent(attempt: int = 1, charger: str = "car", mode: Mode = Mode.STOP) -> Intent:
    return Intent(charger, "C1", mode, datetime(2026, 6, 1, tzinfo=UTC), attempt, True, "the sun is gone")


def command_for_ever(path: str, cloud: str) -> None:
    """Recover, then intend, mark as sent and send, until killed; what is sent lands in the file `cloud`."""

    async def main() -> None:
        store = Store.open(Path(path), SystemClock(), options=OPTIONS)
        with Path(cloud).open("ab", buffering=0) as sent:  # noqa: ASYNC230 - a stand-in for the network
            await store.recover()
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            number = 0
            while True:
                number += 1
                store.event("test", "telemetry in between")
                (command_id,) = await store.intend([intent(number)])
                await store.mark([command_id], CommandState.SENT)
                sent.write(f"{command_id}\n".encode())
                await store.mark([command_id], CommandState.ACCEPTED, task_id=f"T{command_id}")
                await store.mark([command_id], CommandState.CONFIRMED)

    asyncio.run(main())


def campaign(folder: Path, *, kills: int, seed: int, longest_s: float) -> list[int]:
    """Kill the commanding process `kills` times; return the ids of what reached the cloud."""
    rng = random.Random(seed)
    program = (
        "import test_store_kills as t;"
        f" t.command_for_ever({os.fspath(folder / 'log.db')!r}, {os.fspath(folder / 'cloud')!r})"
    )
    environment = {**os.environ, "PYTHONPATH": os.fspath(Path(__file__).parent)}
    for _ in range(kills):
        with subprocess.Popen(
            [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(rng.uniform(0, longest_s))  # noqa: TID251 - real processes live in real time
            process.send_signal(signal.SIGKILL)
    lines = (folder / "cloud").read_bytes().splitlines(keepends=True)
    return [int(line) for line in lines if line.endswith(b"\n")]


def test_twenty_kills_lose_nothing_tear_nothing_and_forget_no_command(tmp_path: Path) -> None:
    sent = campaign(tmp_path, kills=20, seed=1, longest_s=0.15)
    with closing(sqlite3.connect(tmp_path / "log.db")) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        was_sent = {row[0] for row in conn.execute("SELECT id FROM command WHERE sent_at IS NOT NULL")}
        still_open = conn.execute(
            "SELECT count(*) FROM command WHERE state IN ('intent', 'sent', 'accepted')"
        )
        unknown = conn.execute("SELECT count(*) FROM command WHERE state = 'unknown'").fetchone()[0]
        lonely = conn.execute(
            "SELECT count(*) FROM command WHERE id NOT IN (SELECT command_id FROM command_event)"
        )
        assert lonely.fetchone() == (0,), "a command and its first event are one transaction"
        assert still_open.fetchone()[0] <= 1, (
            "only what the last kill interrupted, for nobody recovered after it"
        )
        assert conn.execute("SELECT count(*) FROM event WHERE kind = 'log_lost'").fetchone() == (0,)
    assert len(sent) == len(set(sent)) > 20
    assert set(sent) <= was_sent, "nothing left without a committed intent"
    assert unknown <= 19, "one for each kill that somebody recovered from"


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_a_crash_that_leaves_a_spoilt_journal_is_survived(tmp_path: Path, suffix: str) -> None:
    campaign(tmp_path, kills=1, seed=2, longest_s=0.2)
    (tmp_path / f"log.db{suffix}").write_bytes(b"garbage" * 1000)
    store = Store.open(tmp_path / "log.db", SystemClock(), options=OPTIONS)
    store.event("test", "alive")
    asyncio.run(store.flush())
    store.close()
    with closing(sqlite3.connect(tmp_path / "log.db")) as conn:
        assert conn.execute("SELECT count(*) FROM event WHERE message = 'alive'").fetchone() == (1,)
        assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
