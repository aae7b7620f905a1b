"""The shadow's part of the log: its table in older files, what is written, kept, found again, forgotten."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from log_rows import T0, HandClock, decision, opened, query

from optimizer.domain import Mode
from optimizer.runtime.replay import guard_inputs_from, situation_from
from optimizer.store.database import open_log
from optimizer.store.log import Store
from optimizer.store.queries import TABLES, decision_at, export_parquet, last_status, shadows_at
from optimizer.store.schema import APPLICATION_ID, SCHEMA_VERSION

VERSION_1 = Path(__file__).with_name("log_version_1.sql")
"""What sunmode 0.1 wrote in 25 minutes, before there were shadows."""

LATER = {"shadow_decision", "price", "experience", "goal"}
"""Tables that version 1 did not have."""

CONTEXT = {"strategy": "deadline"}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a log as it was left by a sunmode that knew no shadows."""
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.executescript(VERSION_1.read_text(encoding="utf-8"))
        conn.execute("PRAGMA user_version = 1")
        conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    return path


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    tables = query(path, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%sqlite%'")
    return {str(name): query(path, f"SELECT * FROM {name}") for (name,) in tables}  # noqa: S608 - its own names


def definitions(path: Path) -> set[tuple[object, ...]]:
    sql = "SELECT name, replace(sql, '\"', '') FROM sqlite_schema WHERE name NOT LIKE '%sqlite%'"
    return set(query(path, sql))


def test_a_log_of_version_1_is_copied_and_keeps_all_its_rows(old: Path) -> None:
    before = content(old)
    assert sum(map(len, before.values())) > 50
    open_log(old, durable=False, busy_ms=50).conn.close()
    after = content(old)
    assert all(after.pop(table) == [] for table in LATER)
    assert after == before
    assert content(old.with_name(f"log.db.before-{SCHEMA_VERSION}")) == before
    assert query(old, "PRAGMA user_version") == [(SCHEMA_VERSION,)]


def test_an_old_log_brought_up_to_date_is_made_as_a_new_one(old: Path, tmp_path: Path) -> None:
    released = definitions(old)
    new = tmp_path / "new.db"
    for path in (old, new):
        open_log(path, durable=False, busy_ms=50).conn.close()
    assert released < definitions(new), "a released migration was changed"
    assert definitions(old) == definitions(new)


def test_decisions_of_version_1_can_still_be_read_and_decided_again(old: Path) -> None:
    open_log(old, durable=False, busy_ms=50).conn.close()
    (found,) = decision_at(old, T0 + timedelta(days=1)).values()
    assert situation_from(found.inputs, found.context).charger.name == "garage"
    assert guard_inputs_from(found.inputs).current is Mode.STOP


def test_a_log_of_version_1_is_read_as_it_is(old: Path, tmp_path: Path) -> None:
    now = T0 + timedelta(days=1)
    assert last_status(old, now).shadows == shadows_at(old, now) == {}
    written = [path.stem for path in export_parquet(old, tmp_path / "out")]
    assert written == [table for table in TABLES if table not in LATER]
    assert query(old, "PRAGMA user_version") == [(1,)]


def shadow(store: Store, minutes: float, mode: Mode = Mode.GREEN, *, connected: bool = True) -> None:
    made = decision(minutes, mode)
    store.shadows.decision("deadline", made, {"minutes": minutes}, CONTEXT, connected=connected)


def test_a_decision_in_the_shadow_is_written_on_change_and_once_an_hour(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with opened(path, HandClock()) as store:
        for minute in range(150):
            shadow(store, minute, Mode.FAST if minute >= 100 else Mode.GREEN)
    rows = query(path, "SELECT strategy, mode, inputs FROM shadow_decision ORDER BY id")
    assert [row[:2] for row in rows] == [("deadline", 3), ("deadline", 3), ("deadline", 1)]
    assert [json.loads(str(row[2]))["minutes"] for row in rows] == [0, 60, 100]
    assert query(path, "SELECT * FROM decision") == []


def test_without_a_car_a_decision_in_the_shadow_is_written_every_six_hours(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with opened(path, HandClock()) as store:
        for minute in range(0, 24 * 60, 5):
            shadow(store, minute, connected=False)
    assert len(query(path, "SELECT 1 FROM shadow_decision")) == 4


def test_a_shadow_that_a_later_start_has_no_more_is_not_shown(tmp_path: Path) -> None:
    path, clock = tmp_path / "log.db", HandClock()
    with opened(path, clock) as store:
        shadow(store, 0)
        clock.at += timedelta(minutes=30)
        store.event("start", "sunmode starts with threshold")
    assert shadows_at(path, T0 + timedelta(minutes=29))["car"].mode is Mode.GREEN
    assert shadows_at(path, T0 + timedelta(minutes=31)) == {}


def test_a_shadow_is_shown_while_it_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with opened(path, HandClock()) as store:
        shadow(store, 0)
        shadow(store, 30, Mode.FAST)
    assert shadows_at(path, T0 - timedelta(minutes=1)) == {}
    assert shadows_at(path, T0 + timedelta(minutes=29))["car"].mode is Mode.GREEN
    at_the_end = shadows_at(path, T0 + timedelta(hours=6))["car"]
    assert (at_the_end.mode, at_the_end.strategy) == (Mode.FAST, "deadline")
    assert shadows_at(path, T0 + timedelta(hours=7)) == {}


def test_old_shadows_are_removed_and_their_contexts_with_them(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with opened(path, HandClock()) as store:
        shadow(store, 0)
        store.shadows.decision("timer", decision(90), {}, {"strategy": "timer"}, connected=True)
        assert asyncio.run(store.prune(T0 + timedelta(minutes=10))) == 1
    assert query(path, "SELECT strategy FROM shadow_decision") == [("timer",)]
    assert query(path, "SELECT content FROM context") == [('{"strategy":"timer"}',)]


def test_a_restart_finds_the_shadows_of_the_last_day_and_a_clean_stop_between(tmp_path: Path) -> None:
    path, clock = tmp_path / "log.db", HandClock()
    with opened(path, clock) as store:
        shadow(store, -1500)
        shadow(store, -60)
        store.event("stop", "sunmode stops")
        shadow(store, 5, Mode.FAST)
    clock.at += timedelta(minutes=10)
    with opened(path, clock) as store:
        found = asyncio.run(store.recover()).shadows
    assert [(past.mode, past.stands) for past in found] == [(Mode.GREEN, False), (Mode.FAST, True)]
