"""The owner's own log as the house of a backtest: its readings by the minute, and the cars' sessions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from optimizer.backtest.assemble import CaseOptions, assemble
from optimizer.backtest.house_file import HouseColumns
from optimizer.backtest.own_log import read_own_house, read_own_sessions
from optimizer.errors import InputError
from optimizer.store.database import open_log
from optimizer.store.instants import to_text

START = datetime(2026, 6, 1, 8, tzinfo=UTC)
Insert = Callable[..., None]
CHARGING, PREPARING = 2, 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "sunmode.db"
    open_log(path, durable=False, busy_ms=0).conn.close()
    return path


@pytest.fixture
def conn(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as conn:
        yield conn


def at(minutes: float) -> str:
    return to_text(START + timedelta(minutes=minutes))


def site(conn: sqlite3.Connection, minutes: float, *powers: float | None) -> None:
    """A reading of the house: pv_w, grid_w, battery_w."""
    conn.execute(
        "INSERT INTO site_reading (received_at, pv_w, grid_w, battery_w) VALUES (?, ?, ?, ?)",
        (at(minutes), *powers),
    )
    conn.commit()


def charger(
    conn: sqlite3.Connection, minutes: float, ev_w: float | None, status: int = CHARGING, name: str = "garage"
) -> None:
    conn.execute(
        "INSERT INTO charger_reading (received_at, charger, status, ev_w) VALUES (?, ?, ?, ?)",
        (at(minutes), name, status, ev_w),
    )
    conn.commit()


def session(
    conn: sqlite3.Connection, begin: float, end: float | None, ev_kwh: float, name: str = "garage"
) -> None:
    conn.execute(
        "INSERT INTO session (charger, started_at, ended_at, ev_kwh) VALUES (?, ?, ?, ?)",
        (name, at(begin), None if end is None else at(end), ev_kwh),
    )
    conn.commit()


def every_five_minutes(conn: sqlite3.Connection, until: float, *powers: float) -> None:
    for minutes in range(0, int(until), 5):
        site(conn, minutes, *powers)


def test_the_base_load_is_what_the_house_took_without_cars_and_battery(
    path: Path, conn: sqlite3.Connection
) -> None:
    site(conn, 0, 3000.0, 500.0, 200.0)  # 3,700 W in all
    charger(conn, 2, 2000.0)
    charger(conn, 3, 1000.0, name="yard")
    site(conn, 5, 3000.0, 700.0, 0.0)
    site(conn, 10, 1000.0, 100.0, 0.0)  # less than the cars: the readings do not fit in time
    house = read_own_house(path)
    assert (house.start, len(house.pv_w)) == (START, 11)
    assert list(house.pv_w) == [3000.0] * 10 + [1000.0]
    assert list(house.load_w) == [3700.0] * 5 + [700.0] * 5 + [0.0]


def test_a_reading_is_held_until_the_next_one_whenever_in_the_minute_it_came(
    path: Path, conn: sqlite3.Connection
) -> None:
    site(conn, 0.5, 1000.0, 0.0, 0.0)
    site(conn, 6.2, 2000.0, 0.0, None)
    site(conn, 8.0, None, 0.0, 0.0)
    site(conn, 9.0, 500.0, None, 0.0)
    site(conn, 12.0, 3000.0, 0.0, 0.0)
    house = read_own_house(path)
    assert house.start == START + timedelta(minutes=1)
    assert list(house.pv_w) == [1000.0] * 6 + [2000.0] * 5 + [3000.0]


@pytest.mark.parametrize(("silence_min", "known"), [(15, True), (60, True), (61, False), (300, False)])
def test_a_silence_of_an_hour_is_bridged_and_a_longer_one_left_out_after_15_minutes(
    path: Path, conn: sqlite3.Connection, silence_min: int, known: bool
) -> None:
    site(conn, 0, 1000.0, 0.0, 0.0)
    site(conn, silence_min, 1000.0, 0.0, 0.0)
    house = read_own_house(path)
    assert house.known[:15].all()
    assert house.known[15:silence_min].all() == known
    assert house.known[-1]
    if not known:
        assert not house.known[15:silence_min].any()
        assert "are left out" in house.notes[0]


@pytest.mark.parametrize(
    ("ev_w", "status", "later_min", "base_w"),
    [
        (2000.0, CHARGING, 5, 1000.0),
        (2000.0, CHARGING, 44, 1000.0),
        (2000.0, CHARGING, 46, 3000.0),
        (None, PREPARING, 5, 3000.0),
    ],
)
def test_a_chargers_reading_stands_until_the_log_is_bound_to_have_the_next(
    path: Path, conn: sqlite3.Connection, ev_w: float | None, status: int, later_min: int, base_w: float
) -> None:
    charger(conn, 0, ev_w, status)
    site(conn, later_min, 3000.0, 0.0, 0.0)
    assert list(read_own_house(path).load_w) == [base_w]


def test_while_nobody_knows_what_a_car_draws_the_base_load_is_not_known(
    path: Path, conn: sqlite3.Connection
) -> None:
    charger(conn, 0, None, CHARGING)
    site(conn, 5, 3000.0, 0.0, 0.0)
    with pytest.raises(InputError, match="no row has both powers"):
        read_own_house(path)


def test_a_charger_that_was_not_there_yet_drew_nothing(path: Path, conn: sqlite3.Connection) -> None:
    site(conn, 0, 3000.0, 0.0, 0.0)
    charger(conn, 5, 2000.0)
    assert list(read_own_house(path).load_w) == [3000.0]


def test_sessions_are_those_that_have_ended_with_what_they_took(path: Path, conn: sqlite3.Connection) -> None:
    session(conn, 100, 200, 7.5)
    session(conn, 10, 50, 3.0)
    session(conn, 300, None, 1.0)
    found, notes = read_own_sessions(path)
    assert [(one.number, one.session.energy_kwh) for one in found] == [(1, 3.0), (0, 7.5)]
    assert found[0].session.departure == START + timedelta(minutes=50)
    assert notes == ("sunmode.db: the session that goes on is left out",)


def test_one_of_several_chargers_is_named(path: Path, conn: sqlite3.Connection) -> None:
    session(conn, 0, 60, 1.0)
    session(conn, 0, 60, 2.0, "yard")
    with pytest.raises(InputError, match=r"several chargers: name one with --user \(there are: garage, yard"):
        read_own_sessions(path)
    with pytest.raises(InputError, match="no charger 'gaarge'; did you mean 'garage'"):
        read_own_sessions(path, "gaarge")
    (one,), _ = read_own_sessions(path, "yard")
    assert one.session.energy_kwh == 2.0


def test_a_whole_case_comes_out_of_the_log(path: Path, conn: sqlite3.Connection) -> None:
    every_five_minutes(conn, 600, 2000.0, -1500.0, 0.0)
    session(conn, 30.5, 400.5, 8.0)
    case, notes = assemble(CaseOptions(path, columns=HouseColumns(pv_scale=2.0)))
    assert (case.minutes, notes) == (596, ())
    assert set(case.pv_w) == {4000.0}
    assert set(case.load_w) == {500.0}
    (visit,) = case.visits
    assert (visit.arrival, visit.departure, visit.energy_kwh) == (31, 400, 8.0)


def test_sessions_of_a_file_go_with_the_logs_house(path: Path, conn: sqlite3.Connection) -> None:
    every_five_minutes(conn, 600, 2000.0, -1500.0, 0.0)
    file = path.with_name("sessions.csv")
    file.write_text("arrival,departure,energy_kwh\n2026-06-01T09:00Z,2026-06-01T12:00Z,5\n")
    case, _ = assemble(CaseOptions(path, file))
    assert [visit.energy_kwh for visit in case.visits] == [5.0]


def test_the_log_is_only_read(path: Path, conn: sqlite3.Connection) -> None:
    every_five_minutes(conn, 60, 2000.0, 0.0, 0.0)
    session(conn, 5, 50, 1.0)
    conn.close()
    before = path.read_bytes()
    path.chmod(0o400)
    assemble(CaseOptions(path))
    assert path.read_bytes() == before


def test_a_log_without_what_is_needed_is_told(path: Path, conn: sqlite3.Connection) -> None:
    with pytest.raises(InputError, match=r"sunmode\.db: the log has no readings of the house yet"):
        assemble(CaseOptions(path))
    every_five_minutes(conn, 60, 2000.0, 0.0, 0.0)
    with pytest.raises(InputError, match=r"sunmode\.db: the log has no sessions yet"):
        assemble(CaseOptions(path))
    session(conn, 5, None, 1.0)
    with pytest.raises(InputError, match="the log has no session that has ended yet"):
        assemble(CaseOptions(path))


def test_another_database_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as made:
        made.execute("CREATE TABLE shopping (item TEXT)")
    with pytest.raises(InputError, match="not a log of sunmode"):
        assemble(CaseOptions(other))
