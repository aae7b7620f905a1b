"""The log's file: made private, checked when opened, put aside when broken, noticed when it is gone."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from optimizer.clock import SystemClock
from optimizer.control.budget import Priority
from optimizer.errors import InputError, RateLimited
from optimizer.store.database import copy_to, open_log
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions
from optimizer.store.schema import APPLICATION_ID, SCHEMA_VERSION
from optimizer.store.sqlite import StoreUnavailable

SMALL = FileOptions(ballast_bytes=0)


@contextmanager
def opened(path: Path, options: FileOptions = SMALL) -> Iterator[Store]:
    store = Store.open(path, SystemClock(), options=options)
    try:
        yield store
    finally:
        store.close()


def events(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as conn:
        return conn.execute("SELECT kind, message FROM event ORDER BY id").fetchall()


def fill(path: Path, count: int = 400) -> None:
    with opened(path) as store:
        for number in range(count):
            store.event("test", f"event number {number} " + "x" * 100)
        asyncio.run(store.flush())


def test_a_new_log_is_ours_strict_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "log.db"
    with opened(path) as store:
        store.event("test", "x")
        asyncio.run(store.flush())
        files = sorted(path.parent.iterdir())
        assert {file.name for file in files} == {"log.db", "log.db-shm", "log.db-wal"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert conn.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert conn.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        lax = "SELECT name FROM pragma_table_list WHERE strict = 0 AND name NOT LIKE '%sqlite%'"
        assert conn.execute(lax).fetchall() == []


def test_all_tables_of_the_contract_exist(tmp_path: Path) -> None:
    wanted = (
        "site_reading charger_reading decision command command_event call forecast energy session score event"
    )
    with opened(tmp_path / "log.db"):
        pass
    with closing(sqlite3.connect(tmp_path / "log.db")) as conn:
        tables = {row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert set(wanted.split()) <= tables


def _random_header(path: Path) -> None:
    path.write_bytes(bytes(range(100)) + path.read_bytes()[100:])


def _torn_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xaa" * 64
    path.write_bytes(data)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096])


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _a_text_file(path: Path) -> None:
    path.write_text("this is my shopping list\n" * 100, encoding="utf-8")


def _someone_elses_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE recipe (name TEXT)")


BREAKAGES = (_random_header, _torn_page, _truncated, _emptied, _a_text_file, _someone_elses_database)


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda breakage: breakage.__name__.strip("_"))
def test_a_file_that_cannot_be_used_is_put_aside_and_a_new_one_started(
    tmp_path: Path, breakage: Callable[[Path], None]
) -> None:
    path = tmp_path / "log.db"
    fill(path)
    breakage(path)
    broken = path.read_bytes()
    with opened(path) as store, pytest.raises(RateLimited) as held:
        asyncio.run(store.ledger.reserve("getPileInfo", "x", Priority.SAFETY))
    assert 50 < held.value.retry_at_s - SystemClock().monotonic_s() <= 61, "no call while history is unknown"
    with opened(path) as store:
        store.event("test", "lives")
        asyncio.run(store.flush())
    aside = list(tmp_path.glob("log.db.corrupt-*Z"))
    assert [file.read_bytes() for file in aside] == ([broken] if broken else [])
    assert "lives" in [message for _, message in events(path)]


def test_the_loss_is_told_in_the_new_log(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    _a_text_file(path)
    with opened(path):
        pass
    ((kind, message),) = events(path)
    assert kind == "log_lost"
    assert "log.db.corrupt-" in message


def test_two_losses_in_one_second_are_both_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    for _ in range(2):
        _a_text_file(path)
        with opened(path):
            pass
    assert len(list(tmp_path.glob("log.db.corrupt-*"))) >= 1
    assert all("shopping" in file.read_text() for file in tmp_path.glob("log.db.corrupt-*"))


def test_a_header_without_a_table_is_taken_as_a_start_that_was_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
    with opened(path):
        pass
    assert events(path) == []


def test_the_log_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with opened(path):
        pass
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(InputError, match="newer"):
        Store.open(path, SystemClock(), options=SMALL)
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_an_older_log_is_copied_before_it_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.db"
    fill(path, 5)
    monkeypatch.setattr("optimizer.store.database.SCHEMA_VERSION", SCHEMA_VERSION + 1)
    open_log(path, durable=True, busy_ms=50).conn.close()
    copy = tmp_path / f"log.db.before-{SCHEMA_VERSION + 1}"
    assert len(events(copy)) == len(events(path)) == 5
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


@pytest.mark.parametrize("replaced", [False, True])
def test_a_log_deleted_or_replaced_under_the_service_is_noticed(tmp_path: Path, replaced: bool) -> None:
    path, other = tmp_path / "log.db", tmp_path / "other.db"
    if replaced:
        fill(other, 3)
    with opened(path) as store:
        store.event("test", "goes with the old file")
        asyncio.run(store.flush())
        for suffix in ("-wal", "-shm", ""):
            (tmp_path / f"log.db{suffix}").unlink()
        if replaced:
            other.rename(path)
        store.event("test", "lands in the new file")
        asyncio.run(store.flush())
    told = events(path)
    assert ("test", "lands in the new file") in told
    assert "log_lost" in [kind for kind, _ in told]
    assert len(told) == (5 if replaced else 2)


def test_a_log_that_breaks_while_in_use_is_replaced_and_the_service_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    fill(path)
    with opened(path) as store:
        with path.open("r+b") as file:  # in place: the same inode, torn pages
            size = path.stat().st_size
            for page in range(size // 4096):
                file.seek(page * 4096)
                file.write(b"\xaa" * 100)
        with closing(sqlite3.connect(path)) as conn, pytest.raises(sqlite3.DatabaseError):
            conn.execute("SELECT * FROM event").fetchall()
        for attempt in range(20):
            store.event("test", f"after the breakage {attempt}", level="warning")
        asyncio.run(_until_flushed(store))
    assert "log_lost" in [kind for kind, _ in events(path)]
    assert list(tmp_path.glob("log.db.corrupt-*"))


async def _until_flushed(store: Store) -> None:
    for _ in range(20):
        try:
            await store.flush()
        except StoreUnavailable:
            await asyncio.sleep(0.05)
        else:
            return


def test_a_copy_is_whole_private_and_openable(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    fill(path, 50)
    with closing(sqlite3.connect(path)) as conn:
        copy_to(conn, tmp_path / "copy.db")
    assert len(events(tmp_path / "copy.db")) == 50
    assert not (tmp_path / "copy.db.part").exists()


def test_a_place_that_cannot_be_written_is_told_to_a_command_and_retried_by_the_service(
    tmp_path: Path,
) -> None:
    path = tmp_path / "place" / "log.db"
    path.parent.write_text("a file in the way")
    with pytest.raises(StoreUnavailable):
        Store.open(path, SystemClock(), options=SMALL, inline=True)
    with opened(path) as store:
        with pytest.raises(StoreUnavailable):
            asyncio.run(store.recover())
        store.event("test", "kept until there is room", level="warning")
        path.parent.unlink()
        asyncio.run(store.flush())
        asyncio.run(store.recover())
    assert events(path) == [("test", "kept until there is room")]


def test_opening_the_log_leaves_pandas_alone(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, resource\n"
        "from optimizer.clock import SystemClock\n"
        "from optimizer.store.log import Store\n"
        f"Store.open(pathlib.Path({str(tmp_path / 'log.db')!r}), SystemClock()).close()\n"
        "assert 'sqlite_utils' in sys.modules\n"
        "assert not {'pandas', 'numpy'} & sys.modules.keys()\n"
        "import pandas, sqlite_utils\n"
        "sqlite_utils.Database(memory=True)['t'].insert({'a': 1})\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
