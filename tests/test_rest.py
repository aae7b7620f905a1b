"""`sunmode rest`: what a log says that a dead service may have left, before a cloud that speaks the guide."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from command_line import call
from fake_guide_server import Guide, guide_server, told
from sunmode_process import Site

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
Work = Callable[[Store], Coroutine[None, None, None]]


@pytest.fixture
def guide() -> Iterator[Guide]:
    with guide_server() as served:
        yield served


@pytest.fixture
def site(tmp_path: Path, guide: Guide, token: str) -> Site:
    return furnished(tmp_path, guide, token)


def furnished(folder: Path, guide: Guide, token: str, control: str = "") -> Site:
    site = Site(folder, token)
    site.config.write_text(CONFIG.format(url=guide.url, control=control), encoding="utf-8")
    return site


def logged(site: Site, work: Work) -> None:
    """Write into the log what a service would have written."""
    store = Store.open(site.database, CLOCK, inline=True, options=FileOptions(ballast_bytes=0))
    try:
        asyncio.run(work(store))
    finally:
        store.close()


def sent(guide: Guide) -> list[tuple[str, list[str]]]:
    """Mode and serials of each command that the cloud heard."""
    bodies = [json.loads(heard.body) for heard in guide.heard if heard.path.endswith("pileCmd")]
    return [(body["cmdValue"], body["sns"]) for body in bodies]


def states(site: Site) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(site.database)) as conn:
        return conn.execute("SELECT charger, state FROM command ORDER BY id").fetchall()


def seen(**modes: Mode) -> Work:
    async def write(store: Store) -> None:
        for name, mode in modes.items():
            reading = ChargerReading(CLOCK.now(), mode, ChargerStatus.CHARGING, 2, 7000.0, 1.0)
            store.charger_reading(name, reading)

    return write


def test_chargers_last_seen_in_fast_or_eco_are_sent_to_rest_in_one_call(site: Site, guide: Guide) -> None:
    logged(site, seen(garage=Mode.FAST, yard=Mode.ECO))
    done = call(site, "rest")
    assert done.code == 0, done.err
    assert "garage, yard: STOP was sent and accepted" in done.out
    assert sent(guide) == [("0", ["SQNOTREAL1", "SQNOTREAL2"])]
    assert states(site) == [("garage", "accepted"), ("yard", "accepted")]


def test_the_resting_mode_is_green_where_it_was_commissioned(
    tmp_path: Path, guide: Guide, token: str
) -> None:
    site = furnished(tmp_path, guide, token, "green_commissioned = true")
    logged(site, seen(garage=Mode.FAST, yard=Mode.GREEN))
    assert call(site, "rest").code == 0
    assert sent(guide) == [("3", ["SQNOTREAL1"])]


def test_a_charger_that_does_not_draw_from_the_grid_costs_no_call(site: Site, guide: Guide) -> None:
    logged(site, seen(garage=Mode.GREEN, yard=Mode.STOP))
    done = call(site, "rest")
    assert done.code == 0
    assert "garage: not in FAST or ECO" in done.out
    assert guide.heard == []


def test_a_command_that_may_still_arrive_counts_as_its_mode(site: Site, guide: Guide) -> None:
    async def work(store: Store) -> None:
        ids = await store.intend(
            [Intent("garage", "SQNOTREAL1", Mode.FAST, CLOCK.now(), 1, toward_safety=False, reason="goal")]
        )
        await store.mark(ids, CommandState.SENT)
        await seen(garage=Mode.STOP)(store)

    logged(site, work)
    assert call(site, "rest").code == 0
    assert sent(guide) == [("0", ["SQNOTREAL1"])]


def test_a_mode_set_by_hand_stands(site: Site, guide: Guide) -> None:
    async def work(store: Store) -> None:
        await seen(garage=Mode.FAST, yard=Mode.FAST)(store)
        await store.set_override("garage", Mode.FAST, CLOCK.now() + timedelta(hours=1), "command line")

    logged(site, work)
    done = call(site, "rest")
    assert "garage: set by hand" in done.out
    assert sent(guide) == [("0", ["SQNOTREAL2"])]


@pytest.mark.parametrize("ordered", [Mode.STOP, Mode.GREEN])
def test_an_order_by_hand_that_was_not_reached_leaves_no_charger_drawing(
    site: Site, guide: Guide, ordered: Mode
) -> None:
    async def work(store: Store) -> None:
        await seen(garage=Mode.FAST)(store)
        await store.set_override("garage", ordered, CLOCK.now() + timedelta(hours=1), "command line")

    logged(site, work)
    assert call(site, "rest").code == 0
    assert sent(guide) == [("0", ["SQNOTREAL1"])]


@pytest.mark.parametrize(("result", "calls"), [("success", 0), ("watchdog", 1), ("signal", 1)])
def test_after_a_service_it_acts_only_if_that_ended_badly(
    site: Site, guide: Guide, result: str, calls: int
) -> None:
    site.env["SERVICE_RESULT"] = result
    logged(site, seen(garage=Mode.FAST))
    assert call(site, "rest").code == 0
    assert len(sent(guide)) == calls


def test_a_cloud_that_refuses_is_told_with_exit_code_1_after_one_attempt(site: Site, guide: Guide) -> None:
    logged(site, seen(garage=Mode.FAST))
    guide.replies = [told({"success": False, "exception": "no auth!", "code": 1003})]
    done = call(site, "rest")
    assert done.code == 1
    assert "garage: STOP was not accepted" in done.err
    assert len(guide.heard) == 1


def test_while_a_service_runs_it_keeps_its_hands_off(site: Site, guide: Guide) -> None:
    logged(site, seen(garage=Mode.FAST))
    with database_lock(site.database):
        done = call(site, "rest")
    assert done.code == 75
    assert guide.heard == []


def test_without_a_log_there_is_nothing_to_do(site: Site, guide: Guide) -> None:
    done = call(site, "rest")
    assert done.code == 0
    assert "nothing to do" in done.out
    assert not site.database.exists()
