from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from optimizer.clock import LoopClock, ScaledClock, SystemClock
from optimizer.simulation.virtual_time import Deadlock, run_virtual

START = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)


def test_a_month_of_minutes_passes_at_once_and_exactly() -> None:
    async def minutes() -> tuple[int, float]:
        clock, count = LoopClock(START), 0
        while clock.now() < START + timedelta(days=30):
            await clock.sleep(60)
            count += 1
        return count, clock.monotonic_s()

    assert run_virtual(minutes()) == (30 * 1440, 30 * 86400.0)


def test_sleepers_wake_in_the_order_of_their_times() -> None:
    async def race() -> list[str]:
        order: list[str] = []

        async def sleeper(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            order.append(name)

        await asyncio.gather(sleeper("late", 9000), sleeper("soon", 0.001), sleeper("middle", 70))
        return order

    assert run_virtual(race()) == ["soon", "middle", "late"]


def test_a_timeout_fires_in_virtual_time() -> None:
    async def wait() -> float:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(15):
                await asyncio.sleep(3600)
        return loop.time()

    assert run_virtual(wait(), start_s=100.0) == pytest.approx(115.0)


def test_waiting_for_what_can_never_come_is_an_error() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run_virtual(hang())


def test_a_step_of_the_wall_leaves_the_monotonic_scale_alone() -> None:
    async def step() -> tuple[datetime, float]:
        clock = LoopClock(START)
        await clock.sleep(10)
        clock.step(timedelta(hours=-1))
        return clock.now(), clock.monotonic_s()

    assert run_virtual(step()) == (START + timedelta(seconds=10, hours=-1), 10.0)


def test_a_scaled_clock_runs_faster_than_its_base() -> None:
    async def scaled() -> tuple[datetime, float]:
        base = LoopClock(START)
        clock = ScaledClock(START, speed=600, base=base)
        await clock.sleep(6000)
        return clock.now(), base.monotonic_s()

    assert run_virtual(scaled()) == (START + timedelta(seconds=6000), 10.0)


def test_the_system_clock_is_aware_and_goes_on() -> None:
    clock = SystemClock()
    first = clock.monotonic_s()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic_s() >= first
    assert clock.boot_id == SystemClock().boot_id


def test_a_timer_goes_off_in_the_tenth_year_as_in_the_first() -> None:
    async def naps() -> float:
        for _ in range(100):
            await asyncio.sleep(1.1)
        return asyncio.get_running_loop().time()

    ten_years_s = 10 * 365 * 86_400.0
    assert run_virtual(naps(), ten_years_s) == pytest.approx(ten_years_s + 110.0, abs=1e-3)
