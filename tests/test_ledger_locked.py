"""The ledger while its table is out of reach, and what no life of it may do."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_files import READ, RISE, SAFETY, START, UP_S, call, opened, virtual, waits_s

from optimizer.clock import LoopClock
from optimizer.control.budget import Gate, Limits, Outcome, Priority
from optimizer.errors import RateLimited
from optimizer.simulation.virtual_time import run_virtual
from optimizer.store.ledger import Ledger


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        yield
        conn.execute("ROLLBACK")


def test_with_the_log_locked_few_calls_go_per_window_the_last_for_safety_and_are_written_later(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"

    async def main(clock: LoopClock) -> None:
        with opened(path, clock) as store:
            await call(store.ledger, clock)
            with locked(path):
                assert await waits_s(store.ledger, clock) == pytest.approx(10)
                assert await store.ledger.free_at_s(RISE) == pytest.approx(clock.monotonic_s() + 10)
                await call(store.ledger, clock, priority=READ)
                await call(store.ledger, clock, priority=READ)
                wait_s = await waits_s(store.ledger, clock, priority=READ)
                assert wait_s == pytest.approx(61 - 0.5)
                await call(store.ledger, clock, priority=SAFETY)
                assert await waits_s(store.ledger, clock, priority=SAFETY) == pytest.approx(60)
                await clock.sleep(wait_s)
                assert await store.ledger.free_at_s(READ) == clock.monotonic_s()
                await call(store.ledger, clock, priority=READ)
            await store.flush()

    virtual(main)
    with closing(sqlite3.connect(path)) as conn:
        rows = conn.execute("SELECT toward_safety, outcome FROM call ORDER BY id").fetchall()
    assert rows == [(0, "ok"), (0, "ok"), (0, "ok"), (1, "ok"), (0, "ok")]


def test_with_the_log_locked_from_the_start_a_window_passes_first(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    async def main(clock: LoopClock) -> None:
        with opened(path, clock) as store, locked(path):
            assert await waits_s(store.ledger, clock, priority=SAFETY) == pytest.approx(61)
            await clock.sleep(61)
            for _ in range(3):
                await call(store.ledger, clock, priority=SAFETY)
            assert await waits_s(store.ledger, clock, priority=SAFETY) == pytest.approx(61 - 1)

    virtual(main)


def test_a_log_that_was_locked_is_tried_again_after_five_seconds(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    async def main(clock: LoopClock) -> None:
        with opened(path, clock) as store:
            await call(store.ledger, clock)
            with locked(path):
                assert await waits_s(store.ledger, clock, priority=SAFETY) == 0
            assert store.ledger.is_blind
            assert await waits_s(store.ledger, clock) > 0
            await clock.sleep(5)
            assert not store.ledger.is_blind
            await call(store.ledger, clock)

    virtual(main)


@pytest.mark.parametrize("seed", range(4))
def test_two_programs_on_a_log_that_is_locked_now_and_then_stay_below_the_vendors_limit(
    tmp_path: Path, seed: int
) -> None:
    path, rng, arrivals_s = tmp_path / "log.db", random.Random(seed), list[float]()

    async def busy(gates: list[Gate], clock: LoopClock, seconds: int) -> None:
        for _ in range(seconds):
            for gate in gates:
                if await waits_s(gate, clock, priority=rng.choice(list(Priority))) == 0:
                    arrivals_s.append(clock.monotonic_s())
            await clock.sleep(1)

    async def main(clock: LoopClock) -> None:
        with opened(path, clock) as one, opened(path, clock) as other:
            gates: list[Gate] = [one.ledger, other.ledger]
            for _ in range(12):
                await busy(gates, clock, rng.randint(1, 90))
                with locked(path):
                    await busy(gates, clock, rng.randint(1, 200))

    virtual(main)
    assert most_in_window(arrivals_s, 60.0) < 10
    assert len(arrivals_s) > 30


def test_with_the_log_locked_an_open_breaker_still_holds(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    async def main(clock: LoopClock) -> None:
        with opened(path, clock) as store:
            call_id = await store.ledger.reserve("pileCmd", "C1")
            store.ledger.complete(call_id, Outcome.BANNED)
            with locked(path):
                assert await waits_s(store.ledger, clock, priority=SAFETY) == pytest.approx(3600)

    virtual(main)


def most_in_window(arrivals_s: list[float], window_s: float) -> int:
    arrivals_s = sorted(arrivals_s)
    first, worst = 0, 0
    for last, at_s in enumerate(arrivals_s):
        while at_s - arrivals_s[first] >= window_s:
            first += 1
        worst = max(worst, last - first + 1)
    return worst


@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 2**32), per_minute=st.integers(2, 9))
def test_no_window_ever_holds_more_through_restarts_reboots_steps_and_slow_answers(
    tmp_path_factory: pytest.TempPathFactory, seed: int, per_minute: int
) -> None:
    rng = random.Random(seed)
    arrivals_s = life_of_a_ledger(tmp_path_factory.mktemp("ledger") / "log.db", rng, per_minute, calls=100)
    assert most_in_window(arrivals_s, 60.0) <= per_minute


def life_of_a_ledger(path: Path, rng: random.Random, per_minute: int, calls: int) -> list[float]:
    """Live through `calls` calls with every mishap there is; return when the server saw each."""
    limits = Limits(per_minute=per_minute, per_day=2000, reserved_per_minute=1)
    arrivals_s: list[float] = []

    async def attempt(ledger: Ledger, clock: LoopClock) -> None:
        try:
            call_id = await ledger.reserve("x", "y", rng.choice(list(Priority)))
        except RateLimited as error:
            await clock.sleep(rng.choice([error.retry_at_s - clock.monotonic_s(), rng.uniform(0, 30)]))
            return
        latency_s = rng.choice([0.05, 0.5, rng.uniform(0, 15)])
        arrivals_s.append(clock.monotonic_s() + rng.uniform(0, latency_s))
        await clock.sleep(latency_s)
        if rng.random() < 0.8:  # else the process dies before it is told
            ledger.complete(call_id, Outcome.OK)

    async def main() -> None:
        clock = LoopClock(START)
        while len(arrivals_s) < calls:
            with opened(path, clock, limits) as store:
                for _ in range(rng.randint(1, 12)):
                    await attempt(store.ledger, clock)
            if rng.random() < 0.2:
                clock.step(timedelta(seconds=rng.choice([-3600, 3600, rng.uniform(-100, 100)])))

    run_virtual(main(), start_s=UP_S)
    return arrivals_s
