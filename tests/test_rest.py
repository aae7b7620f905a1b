"""`sunmode rest` as its users run it: a process of its own before a cloud that speaks the guide."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fake_guide_server import Guide, guide_server, told

from optimizer.clock import SystemClock
from optimizer.domain import ChargerReading, ChargerStatus, Mode
from optimizer.runtime.locks import database_lock
from optimizer.store.commands import CommandState, Intent
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions

CONFIG = """
[solax]
base_url = "{url}"
inverter = "SWNOTREAL1"

[[charger]]
name = "garage"
serial = "SQNOTREAL1"

[[charger]]
name = "yard"
serial = "SQNOTREAL2"

[control]
{control}

[store]
path = "sunmode.db"
"""
CLOCK = SystemClock()


@pytest.fixture
def guide() -> Iterator[Guide]:
    with guide_server() as served:
        yield served


class Site:
    """A config, a log as a service may have left it, and the command in front of both."""

    def __init__(self, folder: Path, guide: Guide, token: str, control: str = "") -> None:
        self.folder, self.guide = folder, guide
        self.env = {**os.environ, "SUNMODE_SOLAX__TOKEN": token, "XDG_RUNTIME_DIR": str(folder)}
        (folder / "config.toml").write_text(CONFIG.format(url=guide.url, control=control), encoding="utf-8")

    @property
    def database(self) -> Path:
        return self.folder / "sunmode.db"

    def log(self, work: Callable[[Store], Awaitable[None]]) -> None:
        """Write into the log what a service would have written."""
        store = Store.open(self.database, CLOCK, inline=True, options=FileOptions(ballast_bytes=0))
        try:
            asyncio.run(_awaited(work(store)))
        finally:
            store.close()

    def rest(self, **env: str) -> subprocess.CompletedProcess[str]:
        code = "from optimizer.cli import main; main()"
        command = [sys.executable, "-c", code, "rest", "--config", str(self.folder / "config.toml")]
        return subprocess.run(
            command, env={**self.env, **env}, capture_output=True, text=True, timeout=60, check=False
        )

    def sent(self) -> list[tuple[str, list[str]]]:
        """Mode and serials of each command that the cloud heard."""
        bodies = [json.loads(heard.body) for heard in self.guide.heard if heard.path.endswith("pileCmd")]
        return [(body["cmdValue"], body["sns"]) for body in bodies]

    def states(self) -> list[tuple[str, str]]:
        with sqlite3.connect(self.database) as conn:
            return conn.execute("SELECT charger, state FROM command ORDER BY id").fetchall()


async def _awaited(work: Awaitable[None]) -> None:
    await work


@pytest.fixture
def site(tmp_path: Path, guide: Guide, token: str) -> Site:
    return Site(tmp_path, guide, token)


def seen(**modes: Mode) -> Callable[[Store], Awaitable[None]]:
    async def write(store: Store) -> None:
        for name, mode in modes.items():
            reading = ChargerReading(CLOCK.now(), mode, ChargerStatus.CHARGING, 2, 7000.0, 1.0)
            store.charger_reading(name, reading)

    return write


def test_chargers_last_seen_in_fast_or_eco_are_sent_to_rest_in_one_call(site: Site) -> None:
    site.log(seen(garage=Mode.FAST, yard=Mode.ECO))
    done = site.rest()
    assert done.returncode == 0, done.stderr
    assert "garage, yard: STOP was sent and accepted" in done.stdout
    assert site.sent() == [("0", ["SQNOTREAL1", "SQNOTREAL2"])]
    assert site.states() == [("garage", "accepted"), ("yard", "accepted")]


def test_the_resting_mode_is_green_where_it_was_commissioned(
    tmp_path: Path, guide: Guide, token: str
) -> None:
    site = Site(tmp_path, guide, token, "green_commissioned = true")
    site.log(seen(garage=Mode.FAST, yard=Mode.GREEN))
    assert site.rest().returncode == 0
    assert site.sent() == [("3", ["SQNOTREAL1"])]


def test_a_charger_that_does_not_draw_from_the_grid_costs_no_call(site: Site) -> None:
    site.log(seen(garage=Mode.GREEN, yard=Mode.STOP))
    done = site.rest()
    assert done.returncode == 0
    assert "garage: not in FAST or ECO" in done.stdout
    assert site.guide.heard == []


def test_a_command_that_may_still_arrive_counts_as_its_mode(site: Site) -> None:
    async def work(store: Store) -> None:
        ids = await store.intend(
            [Intent("garage", "SQNOTREAL1", Mode.FAST, CLOCK.now(), 1, toward_safety=False, reason="goal")]
        )
        await store.mark(ids, CommandState.SENT)
        await seen(garage=Mode.STOP)(store)

    site.log(work)
    assert site.rest().returncode == 0
    assert site.sent() == [("0", ["SQNOTREAL1"])]


def test_a_mode_set_by_hand_stands(site: Site) -> None:
    async def work(store: Store) -> None:
        await seen(garage=Mode.FAST, yard=Mode.FAST)(store)
        await store.set_override("garage", Mode.FAST, CLOCK.now() + timedelta(hours=1), "command line")

    site.log(work)
    done = site.rest()
    assert "garage: set by hand" in done.stdout
    assert site.sent() == [("0", ["SQNOTREAL2"])]


@pytest.mark.parametrize(("result", "calls"), [("success", 0), ("watchdog", 1), ("signal", 1)])
def test_after_a_service_it_acts_only_if_that_ended_badly(site: Site, result: str, calls: int) -> None:
    site.log(seen(garage=Mode.FAST))
    assert site.rest(SERVICE_RESULT=result).returncode == 0
    assert len(site.sent()) == calls


def test_a_cloud_that_refuses_is_told_with_exit_code_1_after_one_attempt(site: Site) -> None:
    site.log(seen(garage=Mode.FAST))
    site.guide.replies = [told({"success": False, "exception": "no auth!", "code": 1003})]
    done = site.rest()
    assert done.returncode == 1
    assert "garage: STOP was not accepted" in done.stderr
    assert len(site.guide.heard) == 1


def test_while_a_service_runs_it_keeps_its_hands_off(site: Site) -> None:
    site.log(seen(garage=Mode.FAST))
    with database_lock(site.database):
        done = site.rest()
    assert done.returncode == 75
    assert site.guide.heard == []


def test_without_a_log_there_is_nothing_to_do(site: Site) -> None:
    done = site.rest()
    assert done.returncode == 0
    assert "nothing to do" in done.stdout
    assert not site.database.exists()
