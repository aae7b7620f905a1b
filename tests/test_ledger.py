"""The ledger over its table, in virtual time: windows, boots, clock steps, breaker, a log out of reach."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.clock import LoopClock
from optimizer.control.budget import Gate, Limits, Outcome, Priority
from optimizer.errors import RateLimited
from optimizer.simulation.virtual_time import run_virtual
from optimizer.store.ledger import Ledger
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions

START = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
VIRTUAL = FileOptions(durable=False, busy_ms=5, ballast_bytes=0)
RNG = random.Random(1)
READ, RISE, SAFETY = Priority
UP_S = 1000.0
"""How long the virtual machine has been up when a test begins."""


@contextmanager
def opened(path: Path, clock: LoopClock, limits: Limits | None = None) -> Iterator[Store]:
    store = Store.open(path, clock, limits=limits, rng=RNG, inline=True, options=VIRTUAL)
    try:
        yield store
    finally:
        store.close()


def virtual(main: Callable[[LoopClock], Awaitable[None]]) -> None:
    """Run `main` on a clock that has been up for a while."""

    async def started() -> None:
        await main(LoopClock(START - timedelta(seconds=UP_S)))

    run_virtual(started(), start_s=UP_S)


async def call(gate: Gate, clock: LoopClock, lasting_s: float = 0.5, priority: Priority = RISE) -> None:
    call_id = await gate.reserve("getPileInfo", "C1", priority)
    await clock.sleep(lasting_s)
    gate.complete(call_id, Outcome.OK, http_status=200)


async def waits_s(gate: Gate, clock: LoopClock, priority: Priority = RISE) -> float:
    """Return for how long a call would be refused; 0 when it was granted."""
    try:
        await gate.reserve("getPileInfo", "C1", priority)
    except RateLimited as error:
        return error.retry_at_s - clock.monotonic_s()
    return 0.0


def test_the_ledger_is_a_gate(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        with opened(tmp_path / "log.db", clock) as store:
            gate: Gate = store.ledger
            await call(gate, clock)

    virtual(main)


def test_reading_leaves_a_slot_for_a_rise_and_both_leave_two_for_safety(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        with opened(tmp_path / "log.db", clock) as store:
            for _ in range(3):
                await call(store.ledger, clock, priority=READ)
            assert await waits_s(store.ledger, clock, priority=READ) == pytest.approx(61 - 2 * 0.5)
            await call(store.ledger, clock)
            assert await waits_s(store.ledger, clock) == pytest.approx(61 - 3 * 0.5)
            assert await waits_s(store.ledger, clock, priority=SAFETY) == 0
            assert await waits_s(store.ledger, clock, priority=SAFETY) == 0
            assert await waits_s(store.ledger, clock, priority=SAFETY) > 0

    virtual(main)


def test_a_call_is_granted_at_the_instant_that_was_promised(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        with opened(tmp_path / "log.db", clock) as store:
            for _ in range(4):
                await call(store.ledger, clock)
            promised_s = await store.ledger.free_at_s(RISE)
            await clock.sleep(promised_s - clock.monotonic_s())
            await call(store.ledger, clock)

    virtual(main)


def test_a_row_tells_the_whole_story_of_a_call(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        with opened(tmp_path / "log.db", clock) as store:
            call_id = await store.ledger.reserve("pileCmd", "C1,C2", SAFETY)
            await clock.sleep(1.25)
            store.ledger.complete(call_id, Outcome.REFUSED, http_status=200, code=103)

    virtual(main)
    with closing(sqlite3.connect(tmp_path / "log.db")) as conn:
        row = conn.execute(
            "SELECT endpoint, subject, toward_safety, reserved_at, completed_at,"
            " outcome, http_status, code, ms"
            " FROM call"
        ).fetchone()
    assert row == (
        *("pileCmd", "C1,C2", 1, "2026-06-01T12:00:00.000Z", "2026-06-01T12:00:01.250Z"),
        *("refused", 200, 103, 1250),
    )


def test_a_restart_forgets_no_call(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        for _ in range(4):
            with opened(tmp_path / "log.db", clock) as store:
                await call(store.ledger, clock)
        with opened(tmp_path / "log.db", clock) as store:
            assert await waits_s(store.ledger, clock) > 55

    virtual(main)


def test_a_call_whose_end_was_lost_counts_until_its_time_out_and_a_window(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        with opened(tmp_path / "log.db", clock) as store:
            for _ in range(4):
                await store.ledger.reserve("getPileInfo", "C1", RISE)
        with opened(tmp_path / "log.db", clock) as store:
            assert 15 + 61 <= await waits_s(store.ledger, clock) <= 15 + 61 + 4

    virtual(main)


@pytest.mark.parametrize("hours", [-25, -1, 1, 25])
def test_a_step_of_the_wall_clock_changes_nothing_within_a_boot(tmp_path: Path, hours: int) -> None:
    async def main(clock: LoopClock) -> None:
        with opened(tmp_path / "log.db", clock) as store:
            for _ in range(4):
                await call(store.ledger, clock)
        clock.step(timedelta(hours=hours))
        with opened(tmp_path / "log.db", clock) as store:
            assert await waits_s(store.ledger, clock) == pytest.approx(61 - 1.5)

    virtual(main)


@pytest.mark.parametrize(("hours", "longest_s"), [(-1, 61), (0, 55), (1, 55)])
def test_after_a_reboot_a_wrong_wall_clock_neither_forgets_nor_mutes(
    tmp_path: Path, hours: int, longest_s: float
) -> None:
    path = tmp_path / "log.db"

    async def before(clock: LoopClock) -> None:
        with opened(path, clock) as store:
            for _ in range(4):
                await call(store.ledger, clock)

    async def after() -> None:
        clock = LoopClock(START + timedelta(seconds=2, hours=hours), boot_id="rebooted")
        await clock.sleep(6)
        with opened(path, clock) as store:
            wait_s = await waits_s(store.ledger, clock)
            assert 50 < wait_s <= longest_s, "the calls were made up to 6 s ago, whatever the clock says"
            await clock.sleep(wait_s)
            await call(store.ledger, clock)

    virtual(before)
    run_virtual(after())


def test_after_a_long_time_off_nothing_is_held(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    async def before(clock: LoopClock) -> None:
        with opened(path, clock) as store:
            for _ in range(4):
                await call(store.ledger, clock)

    async def after() -> None:
        clock = LoopClock(START + timedelta(hours=9), boot_id="rebooted")
        with opened(path, clock) as store:
            assert await waits_s(store.ledger, clock) == 0

    virtual(before)
    run_virtual(after())


def test_the_day_is_a_rolling_window_with_a_reserve_for_safety(tmp_path: Path) -> None:
    limits = Limits(per_minute=9, per_day=40, reserved_per_minute=1)

    async def main(clock: LoopClock) -> None:
        with opened(tmp_path / "log.db", clock, limits) as store:
            begun_s = clock.monotonic_s()
            for _ in range(32):
                await call(store.ledger, clock, priority=READ)
                await clock.sleep(20)
            assert await waits_s(store.ledger, clock, priority=READ) > 80_000
            for _ in range(4):
                await call(store.ledger, clock)
                await clock.sleep(20)
            assert await waits_s(store.ledger, clock) == pytest.approx(
                begun_s + 0.5 + 86_401 - clock.monotonic_s()
            )
            for _ in range(4):
                await call(store.ledger, clock, priority=SAFETY)
                await clock.sleep(20)
            assert await waits_s(store.ledger, clock, priority=SAFETY) > 80_000
            await clock.sleep(await waits_s(store.ledger, clock))
            await call(store.ledger, clock)

    virtual(main)


def test_a_throttle_opens_the_breaker_for_every_process_and_survives_a_restart(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        with opened(tmp_path / "log.db", clock) as one, opened(tmp_path / "log.db", clock) as other:
            call_id = await one.ledger.reserve("pileCmd", "C1")
            one.ledger.complete(call_id, Outcome.THROTTLED, http_status=429, retry_after_s=300)
            await one.flush()
            assert await waits_s(other.ledger, clock, priority=SAFETY) == pytest.approx(300)
        with opened(tmp_path / "log.db", clock) as store:
            assert await waits_s(store.ledger, clock, priority=SAFETY) == pytest.approx(300)
            await clock.sleep(300)
            await call(store.ledger, clock)

    virtual(main)


def test_the_breaker_survives_a_reboot_by_wall_time(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    async def before(clock: LoopClock) -> None:
        with opened(path, clock) as store:
            call_id = await store.ledger.reserve("pileCmd", "C1")
            store.ledger.complete(call_id, Outcome.BANNED)

    async def after() -> None:
        clock = LoopClock(START + timedelta(minutes=20), boot_id="rebooted")
        with opened(path, clock) as store:
            assert await waits_s(store.ledger, clock) == pytest.approx(40 * 60)

    virtual(before)
    run_virtual(after())


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
