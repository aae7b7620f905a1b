"""Ledgers over a real table in virtual time."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from optimizer.clock import LoopClock
from optimizer.control.budget import Gate, Limits, Outcome, Priority
from optimizer.errors import RateLimited
from optimizer.simulation.virtual_time import run_virtual
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
