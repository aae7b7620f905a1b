"""Reading the log from outside: frames with UTC times, the newest of everything, clear words if none."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from optimizer.clock import SystemClock
from optimizer.control.budget import Outcome, Priority
from optimizer.control.energy import EnergyRow
from optimizer.domain import Alternative, ChargerReading, ChargerStatus, Decision, Mode, Reason, SiteReading
from optimizer.errors import InputError
from optimizer.store.accounts import Accounts
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions
from optimizer.store.queries import TABLES, day_energy, decision_at, export_parquet, last_status, read_frame

T0 = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
CAR = ChargerReading(T0, Mode.GREEN, ChargerStatus.CHARGING, 2, 3000.0, 1.0)


def decision(minutes: int, mode: Mode) -> Decision:
    reason = Reason("surplus", "{surplus_w:.0f} W surplus", {"surplus_w": 2100.0})
    at = T0 + timedelta(minutes=minutes)
    return Decision(at, "car", mode, reason, mode, alternatives=(Alternative(Mode.STOP, 0.04),))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "log.db"
    store = Store.open(path, SystemClock(), inline=True, options=FileOptions(ballast_bytes=0))
    store.site_reading(SiteReading(T0, "2026-06-01 14:00:00", 4000.0, -500.0))
    store.charger_reading("car", CAR)
    store.decision(decision(0, Mode.GREEN), {"surplus_w": 2100.0}, {"max_power_w": 7360.0})
    store.decision(decision(10, Mode.STOP), {"surplus_w": 0.0})
    store.account(
        [
            EnergyRow(T0, None, pv_kwh=1.0, missing_s=60.0),
            EnergyRow(T0, "car", ev_kwh=0.75, ev_solar_kwh=0.5, ev_grid_kwh=0.25, missing_s=30.0),
            EnergyRow(T0 + timedelta(days=1), None, pv_kwh=5.0),
        ],
        {},
        Accounts(T0, {}, {}),
    )
    store.session_started("car", T0)
    store.event("started", "the service started", version="0.1.0")

    async def call_and_override() -> None:
        call_id = await store.ledger.reserve("pileCmd", "car", Priority.SAFETY)
        store.ledger.complete(call_id, Outcome.BANNED)
        await store.set_override("car", Mode.STOP, SystemClock().now() + timedelta(hours=1), "test")

    asyncio.run(call_and_override())
    store.close()
    return path


def test_a_frame_has_utc_times(path: Path) -> None:
    frame = read_frame(path, "decision")
    assert list(frame["mode"]) == [3, 0]
    assert frame["at"].iloc[0] == pd.Timestamp(T0)
    assert str(frame["at"].dt.tz) == "UTC"


def test_a_frame_of_a_query_takes_parameters(path: Path) -> None:
    frame = read_frame(path, "SELECT reason FROM decision WHERE mode = ?", [0])
    assert frame["reason"].tolist() == ["2100 W surplus"]


@pytest.mark.parametrize("source", TABLES)
def test_every_table_makes_a_frame_even_an_empty_one(path: Path, source: str) -> None:
    assert len(read_frame(path, source).columns) >= 2


def test_a_reader_cannot_write(path: Path) -> None:
    with pytest.raises(InputError, match="readonly"):
        read_frame(path, "DELETE FROM decision")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("none.db", None, "no such log"), ("text.db", "hello", "cannot be read"), ("empty.db", "", "not a log")],
)
def test_what_is_no_log_is_refused_in_clear_words(
    tmp_path: Path, name: str, content: str | None, words: str
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_text(content * 1000, encoding="utf-8")
    for ask in (
        lambda: read_frame(file, "decision"),
        lambda: last_status(file, T0),
        lambda: decision_at(file, T0),
    ):
        with pytest.raises(InputError, match=words) as refused:
            ask()
        assert name in str(refused.value)
    assert file.exists() is (content is not None)


def test_a_faulty_query_is_told(path: Path) -> None:
    with pytest.raises(InputError, match="no such column"):
        read_frame(path, "SELECT absent FROM decision")


def test_the_decision_that_stood_at_a_time_is_found_with_all_its_inputs(path: Path) -> None:
    assert decision_at(path, T0 - timedelta(seconds=1)) == {}
    first = decision_at(path, T0 + timedelta(minutes=9))["car"]
    assert (first.mode, first.reason, first.reason_code) == (Mode.GREEN, "2100 W surplus", "surplus")
    assert first.inputs == {"surplus_w": 2100.0}
    assert first.context == {"max_power_w": 7360.0}
    assert first.alternatives == ((Mode.STOP, 0.04),)
    second = decision_at(path, T0 + timedelta(minutes=10))["car"]
    assert (second.mode, second.context) == (Mode.STOP, {})


def test_the_status_is_the_newest_of_everything(path: Path) -> None:
    status = last_status(path, SystemClock().now())
    assert status.site is not None
    assert status.site.pv_w == 4000.0
    assert status.chargers == {"car": CAR}
    assert status.decisions["car"].mode is Mode.STOP
    assert [override.mode for override in status.overrides] == [Mode.STOP]
    assert (status.calls_last_minute, status.calls_last_day) == (1, 1)
    assert status.calls_held_until is not None
    assert status.events[0].kind == "started"
    assert list(status.sessions) == ["car"]
    assert status.size_bytes > 0


def test_the_energy_of_a_day_adds_house_and_chargers(path: Path) -> None:
    day = day_energy(path, T0.replace(hour=0), T0.replace(hour=0) + timedelta(days=1))
    assert (day.pv_kwh, day.ev_kwh, day.ev_solar_kwh, day.ev_grid_kwh, day.missing_s) == (
        1.0,
        0.75,
        0.5,
        0.25,
        60.0,
    )


def test_the_log_is_exported_table_by_table(path: Path, tmp_path: Path) -> None:
    files = export_parquet(path, tmp_path / "out")
    assert [file.stem for file in files] == list(TABLES)
    assert pd.read_parquet(tmp_path / "out" / "energy.parquet")["slot_start"].iloc[0] == pd.Timestamp(T0)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        export_parquet(path, tmp_path / "file" / "out")


def test_a_reader_sees_what_a_running_service_has_committed(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as service:
        service.execute("BEGIN IMMEDIATE")
        service.execute(
            "INSERT INTO event (at, level, kind, message) VALUES ('2026', 'info', 'x', 'uncommitted')"
        )
        assert "uncommitted" not in read_frame(path, "event")["message"].tolist()
        service.execute("COMMIT")
        service.execute("UPDATE event SET at = '2026-01-01T00:00:00.000Z' WHERE at = '2026'")
        assert "uncommitted" in read_frame(path, "event")["message"].tolist()
