from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from optimizer.clock import LoopClock
from optimizer.errors import AnotherInstance
from optimizer.runtime.calendar import ClockCalendar, Job, SystemCalendar, cron
from optimizer.runtime.locks import account_lock, database_lock
from optimizer.runtime.notify import Notifier
from optimizer.simulation.virtual_time import run_virtual

START = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)

HOLD = """
import sys
from pathlib import Path
from optimizer.runtime.locks import database_lock
with database_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_service_on_the_same_database_is_refused(tmp_path: Path) -> None:
    with database_lock(tmp_path / "sunmode.db"):
        with pytest.raises(AnotherInstance, match="same database"), database_lock(tmp_path / "sunmode.db"):
            pass
        with database_lock(tmp_path / "other.db"):
            pass


def test_a_killed_service_frees_its_lock_at_once(tmp_path: Path) -> None:
    database = tmp_path / "sunmode.db"
    command = [sys.executable, "-c", HOLD, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(AnotherInstance), database_lock(database):
            pass
        holder.kill()
        holder.wait()
    with database_lock(database):
        pass


def test_two_services_with_one_token_are_refused_and_the_lock_does_not_name_it(
    tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    here, there = "https://cloud.test", "https://elsewhere.test"
    with account_lock(here, token), account_lock(here, token + "x"), account_lock(there, token):
        with pytest.raises(AnotherInstance, match="same token"), account_lock(here, token):
            pass
        assert not [path for path in tmp_path.iterdir() if token in path.name]


def test_systemd_hears_ready_alive_and_stopping(tmp_path: Path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(address))
        notifier = Notifier({"NOTIFY_SOCKET": str(address)})
        notifier.ready()
        notifier.alive("GREEN, 2.1 kW surplus")
        notifier.stopping()
        heard = [systemd.recv(1024) for _ in range(3)]
    assert heard == [b"READY=1", b"WATCHDOG=1\nSTATUS=GREEN, 2.1 kW surplus", b"STOPPING=1"]


def test_without_systemd_nothing_is_sent() -> None:
    Notifier({}).ready()


def test_a_supervisor_that_does_not_listen_holds_nobody_up(tmp_path: Path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(address))
        notifier = Notifier({"NOTIFY_SOCKET": str(address)})
        queue = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text(encoding="ascii"))
        for _ in range(queue + 3):
            notifier.alive("nobody reads this")


def test_a_lost_notify_socket_does_not_hurt(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).alive("still here")


def test_quarter_hour_jobs_run_on_every_quarter_of_a_day_with_25_hours() -> None:
    async def day() -> list[datetime]:
        clock, seen = LoopClock(START + timedelta(minutes=7)), []

        async def note() -> None:
            seen.append(clock.now())

        calendar = ClockCalendar(clock, lambda name, error: pytest.fail(f"{name}: {error}"))
        calendar.start([Job("quarter", cron(minute="*/15"), note)])
        await clock.sleep(25 * 3600)
        await calendar.stop()
        return seen

    seen = run_virtual(day())
    assert len(seen) == 100
    assert all(at.minute % 15 == 0 and at.second == 0 for at in seen)


def test_a_job_that_raises_or_hangs_is_reported_and_comes_again() -> None:
    async def hours() -> list[str]:
        clock, failed = LoopClock(START + timedelta(minutes=1)), []

        async def broken() -> None:
            raise ValueError("bad day")

        async def hung() -> None:
            await asyncio.Event().wait()

        calendar = ClockCalendar(clock, lambda name, error: failed.append(f"{name} {type(error).__name__}"))
        jobs = [Job("broken", cron(minute=0), broken), Job("hung", cron(minute=30), hung, timeout_s=5)]
        calendar.start(jobs)
        await clock.sleep(2.9 * 3600)
        await calendar.stop()
        return failed

    assert run_virtual(hours()) == ["hung TimeoutError", "broken ValueError"] * 2 + ["hung TimeoutError"]


def test_the_system_calendar_runs_a_job_and_stops() -> None:
    async def tick() -> int:
        ran = asyncio.Event()

        async def note() -> None:
            ran.set()

        calendar = SystemCalendar(lambda name, error: pytest.fail(f"{name}: {error}"))
        calendar.start([Job("second", cron(second="*"), note)])
        calendar.rearm()
        async with asyncio.timeout(5):
            await ran.wait()
        await calendar.stop()
        return os.getpid()

    assert asyncio.run(tick()) == os.getpid()
