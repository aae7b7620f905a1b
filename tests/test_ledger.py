"""The ledger over its table, in virtual time: windows, boots, clock steps, breaker."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from ledger_files import READ, RISE, SAFETY, START, call, opened, virtual, waits_s

from optimizer.clock import LoopClock
from optimizer.control.budget import Gate, Limits, Outcome
from optimizer.simulation.virtual_time import run_virtual


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
