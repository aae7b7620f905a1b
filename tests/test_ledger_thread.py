"""The ledger over the writer's thread: what of a call's end may wait for the next call, and what may not."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from optimizer.clock import SystemClock
from optimizer.control.budget import Limits, Outcome
from optimizer.store.ledger import Ledger
from optimizer.store.logfile import FileOptions, LogFile
from optimizer.store.writer import Writer

OPTIONS = FileOptions(durable=False, ballast_bytes=0)


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[tuple[Ledger, Writer]]:
    writer = Writer(LogFile(path, OPTIONS, lambda *_: None))
    writer.start()
    try:
        yield Ledger(writer, SystemClock(), limits, random.Random(1), commit_timeout_s=0.5), writer
    finally:
        writer.close()


def outcomes(path: Path) -> list[str | None]:
    with closing(sqlite3.connect(path)) as conn:
        return [outcome for (outcome,) in conn.execute("SELECT outcome FROM call ORDER BY id")]


def after_one_call(
    path: Path, outcome: Outcome, *, lasting_s: float = 0.0, counted_s: float = 15.0
) -> list[str | None]:
    """End one call and return what the log says of it while the event loop has not gone on."""

    async def main() -> list[str | None]:
        with opened(path, Limits(call_timeout_s=counted_s)) as (ledger, _):
            call_id = await ledger.reserve("getPileInfo", "C1")
            await asyncio.sleep(lasting_s)
            ledger.complete(call_id, outcome)
            time.sleep(0.2)  # noqa: TID251, ASYNC251 - only the thread goes on
            return outcomes(path)

    return asyncio.run(main())


def test_a_good_end_in_time_waits_for_the_next_transaction(tmp_path: Path) -> None:
    assert after_one_call(tmp_path / "log.db", Outcome.OK) == [None]
    assert outcomes(tmp_path / "log.db") == ["ok"], "the latest is the end of the service"


@pytest.mark.parametrize("outcome", set(Outcome) - {Outcome.OK})
def test_any_other_end_is_written_at_once(tmp_path: Path, outcome: Outcome) -> None:
    assert after_one_call(tmp_path / "log.db", outcome) == [outcome.value]


def test_an_end_that_is_later_than_an_unfinished_call_counts_is_written_at_once(tmp_path: Path) -> None:
    late = after_one_call(tmp_path / "log.db", Outcome.OK, lasting_s=0.3, counted_s=-0.8)
    assert late == ["ok"]


def test_the_end_is_written_a_moment_later_where_no_call_follows(tmp_path: Path) -> None:
    async def main() -> list[str | None]:
        with opened(tmp_path / "log.db", Limits()) as (ledger, _):
            ledger.complete(await ledger.reserve("getPileInfo", "C1"), Outcome.OK)
            await asyncio.sleep(0.5)
            return outcomes(tmp_path / "log.db")

    assert asyncio.run(main()) == ["ok"]


def test_the_end_is_in_the_log_when_the_next_call_is_reserved(tmp_path: Path) -> None:
    async def main() -> list[str | None]:
        with opened(tmp_path / "log.db", Limits()) as (ledger, _):
            ledger.complete(await ledger.reserve("getPileInfo", "C1"), Outcome.OK)
            await ledger.reserve("getPileInfo", "C2")
            return outcomes(tmp_path / "log.db")

    assert asyncio.run(main()) == ["ok", None]


def test_a_reservation_that_is_refused_does_not_lose_the_end_before_it(tmp_path: Path) -> None:
    async def main() -> list[str | None]:
        with opened(tmp_path / "log.db", Limits()) as (ledger, writer):
            ledger.complete(await ledger.reserve("getPileInfo", "C1"), Outcome.OK)
            with pytest.raises(ZeroDivisionError):
                await writer.call(lambda _: 1 / 0)
            await writer.flush()
            return outcomes(tmp_path / "log.db")

    assert asyncio.run(main()) == ["ok"]
