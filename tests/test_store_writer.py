"""The writer: never in the loop's way, certain about commits, calm when the disk is full or locked."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from optimizer.store.logfile import FileOptions, LogFile, Mishap
from optimizer.store.sqlite import StoreUnavailable
from optimizer.store.writer import QUEUE_LENGTH, InlineWriter, Writer

Insert = Callable[[sqlite3.Connection], object]


def row(text: str) -> Insert:
    return lambda conn: conn.execute(
        "INSERT INTO event (at, level, kind, message) VALUES ('', 'info', 'test', ?)", (text,)
    )


def messages(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as conn:
        return [text for (text,) in conn.execute("SELECT message FROM event ORDER BY id")]


def tell(conn: sqlite3.Connection, mishap: Mishap) -> None:
    conn.execute(
        "INSERT INTO event (at, level, kind, message) VALUES ('', 'error', 'mishap', ?)", (mishap.message,)
    )


def log_file(path: Path, ballast_bytes: int = 0) -> LogFile:
    return LogFile(path, FileOptions(ballast_bytes=ballast_bytes), tell)


@contextmanager
def started(path: Path, ballast_bytes: int = 0) -> Iterator[Writer]:
    writer = Writer(log_file(path, ballast_bytes))
    writer.start()
    try:
        yield writer
    finally:
        writer.close()


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """A notebook with an uncommitted write."""
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        yield conn
        conn.execute("ROLLBACK")


def test_a_call_returns_its_result_after_the_commit(tmp_path: Path) -> None:
    async def main() -> None:
        with started(tmp_path / "log.db") as writer:
            answer = await writer.call(lambda conn: (row("called")(conn), 42)[1])
            assert answer == 42
            assert messages(tmp_path / "log.db") == ["called"]

    asyncio.run(main())


def test_what_is_waited_for_survives_a_power_cut_and_telemetry_waits_for_no_disk(tmp_path: Path) -> None:
    levels: dict[str, int] = {}

    def note(what: str) -> Insert:
        return lambda conn: levels.update({what: conn.execute("PRAGMA synchronous").fetchone()[0]})

    async def main() -> None:
        with started(tmp_path / "log.db") as writer:
            writer.post(note("telemetry"))
            writer.post(note("vital telemetry"), vital=True)
            await writer.flush()
            await writer.call(note("waited for"))

    asyncio.run(main())
    normal, full = 1, 2
    assert levels == {"telemetry": normal, "vital telemetry": normal, "waited for": full}


def test_a_call_that_raises_writes_nothing_and_raises_the_same(tmp_path: Path) -> None:
    def work(conn: sqlite3.Connection) -> None:
        row("half")(conn)
        raise KeyError("no")

    async def main() -> None:
        with started(tmp_path / "log.db") as writer:
            with pytest.raises(KeyError, match="no"):
                await writer.call(work)
            assert await writer.call(lambda _: "alive") == "alive"

    asyncio.run(main())
    assert messages(tmp_path / "log.db") == []


def test_calls_go_before_waiting_telemetry_and_vital_posts_before_later_calls(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "log.db"
        with started(path) as writer:
            with locked(path):
                writer.post(row("telemetry"))
                await asyncio.sleep(0.1)
                writer.post(row("vital"), vital=True)
                call = asyncio.create_task(writer.call(row("call")))
                await asyncio.sleep(0.1)
            await call
            await writer.flush()
        assert messages(path) == ["vital", "call", "telemetry"]

    asyncio.run(main())


def test_the_loop_does_not_feel_a_locked_database_and_the_call_fails_in_time(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    async def main() -> None:
        with started(path) as writer:
            lags = asyncio.create_task(_worst_lag_s(1.2))
            with locked(path):
                begun = time.perf_counter()
                with pytest.raises(StoreUnavailable):
                    await writer.call(row("intent"), timeout_s=0.8)
                assert 0.7 < time.perf_counter() - begun < 1.5
                for number in range(100):
                    writer.post(row(f"telemetry {number}"))
                worst_s = await lags
            await writer.flush()
            assert worst_s < 0.25
            assert writer.dropped == 0

    asyncio.run(main())
    written = messages(path)
    assert "intent" not in written, "what was given up is never written later"
    assert len(written) == 100


async def _worst_lag_s(for_s: float) -> float:
    worst_s, end_s = 0.0, time.perf_counter() + for_s
    while time.perf_counter() < end_s:
        before_s = time.perf_counter()
        await asyncio.sleep(0.005)
        worst_s = max(worst_s, time.perf_counter() - before_s - 0.005)
    return worst_s


def test_a_full_queue_drops_the_oldest_telemetry_and_counts_it(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    async def main() -> int:
        with started(path) as writer:
            with locked(path):
                for number in range(QUEUE_LENGTH + 100):
                    writer.post(row(str(number)))
                writer.post(row("vital"), vital=True)
            await writer.flush()
            return writer.dropped

    dropped = asyncio.run(main())
    written = messages(path)
    numbers = [int(text) for text in written if text != "vital"]
    assert "vital" in written
    assert 0 < dropped <= 100
    assert len(numbers) + dropped == QUEUE_LENGTH + 100
    assert numbers == sorted(numbers)
    assert numbers[-900:] == list(range(200, QUEUE_LENGTH + 100)), "the newest are all there"


def test_a_cancelled_call_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    async def main() -> None:
        with started(path) as writer:
            with locked(path):
                task = asyncio.create_task(writer.call(row("cancelled"), timeout_s=5))
                await asyncio.sleep(0.1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await writer.flush()

    asyncio.run(main())
    assert messages(path) == []


def test_one_bad_row_does_not_take_the_others_along(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    def bad(conn: sqlite3.Connection) -> None:
        row("half of a bad one")(conn)
        conn.execute("INSERT INTO event (at) VALUES (NULL)")

    async def main() -> None:
        for writer in (Writer(log_file(path)), InlineWriter(log_file(path))):
            if isinstance(writer, Writer):
                writer.start()
            for work in (row("good"), bad, row("also good")):
                writer.post(work)
            writer.post(bad, vital=True)
            await writer.flush()
            assert writer.dropped == 2
            writer.close()

    asyncio.run(main())
    assert messages(path) == ["good", "also good"] * 2


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    with started(tmp_path / "log.db") as writer:
        for number in range(200):
            writer.post(row(str(number)))
    assert len(messages(tmp_path / "log.db")) == 200
    assert not (tmp_path / "log.db-wal").exists()


def test_closing_does_not_wait_for_a_lock_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    writer = Writer(log_file(path))
    writer.start()
    with locked(path):
        writer.post(row("lost"))
        begun = time.perf_counter()
        writer.close()
        assert time.perf_counter() - begun < 4


def test_the_inline_writer_commits_posts_in_batches_and_before_every_call(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    async def main() -> None:
        writer = InlineWriter(log_file(path))
        await writer.call(lambda _: None)
        for number in range(49):
            writer.post(row(str(number)))
        assert messages(path) == []
        writer.post(row("49"))
        assert len(messages(path)) == 50
        writer.post(row("50"))
        await writer.call(lambda _: None)
        assert len(messages(path)) == 51
        writer.close()

    asyncio.run(main())


def test_the_inline_writer_keeps_posts_while_locked(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    async def main() -> None:
        writer = InlineWriter(log_file(path))
        await writer.call(lambda _: None)
        with locked(path):
            for number in range(120):
                writer.post(row(str(number)))
            with pytest.raises(StoreUnavailable):
                await writer.call(row("call"))
        await writer.flush()
        writer.close()

    asyncio.run(main())
    assert messages(path) == [str(number) for number in range(120)]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB, where mounting one is permitted."""
    place = tmp_path / "tiny"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode != 0:
        pytest.skip("mounting a small file system is not permitted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill_up(hog: Path) -> None:
    with hog.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


async def _written_until_refused(writer: Writer) -> int:
    written = 0
    with suppress(StoreUnavailable):
        while True:
            await writer.call(row("x" * 2000))
            written += 1
    return written


def test_a_full_disk_is_survived_and_recovered_from_when_there_is_room_again(tiny_disk: Path) -> None:
    path, hog = tiny_disk / "log.db", tiny_disk / "hog"

    async def main() -> None:
        with started(path, ballast_bytes=400_000) as writer:
            assert (tiny_disk / "log.db.ballast").stat().st_size == 400_000
            fill_up(hog)
            written = await _written_until_refused(writer)
            assert written > 20, "the ballast gave room"
            assert not (tiny_disk / "log.db.ballast").exists()
            hog.unlink()
            for _ in range(80):
                await writer.call(row("room again"))
            await writer.flush()
            assert (tiny_disk / "log.db.ballast").exists(), "the ballast is back"

    asyncio.run(main())
    written = messages(path)
    assert written.count("room again") == 80
    assert any("ballast" in text for text in written)


def test_a_file_that_may_not_grow_is_survived(tmp_path: Path) -> None:
    """`RLIMIT_FSIZE` shows as an I/O error, as a failing card does."""
    program = f"""
import asyncio, resource, signal, sys
sys.path.insert(0, {os.fspath(Path(__file__).parent)!r})
from pathlib import Path
from test_store_writer import started, row, StoreUnavailable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
async def main():
    with started(Path({os.fspath(tmp_path / "log.db")!r})) as writer:
        await writer.call(row("before"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
        try:
            for _ in range(500):
                await writer.call(row("x" * 4000))
        except StoreUnavailable:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            await writer.call(row("after"))
            print("survived")
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert "survived" in done.stdout
    assert messages(tmp_path / "log.db")[-1] == "after"


def test_the_journal_stays_small_while_much_is_written(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    largest = 0

    async def main() -> None:
        nonlocal largest
        with started(path) as writer:
            for _ in range(300):
                await writer.call(lambda conn: [row("x" * 1000)(conn) for _ in range(40)])
                largest = max(largest, (tmp_path / "log.db-wal").stat().st_size)

    asyncio.run(main())
    assert largest <= 8 * 1024 * 1024
