"""The only place that reads a clock.

Intervals, leases and the call budget are measured on `monotonic_s`, which goes on through
suspend and never steps; `now` is for display, prices and the calendar.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Time as everything in sunmode sees it."""

    boot_id: str
    """Names the epoch of `monotonic_s`: values of two boots do not compare."""

    def now(self) -> datetime:
        """Wall time, aware UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since some start; never steps back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait until `monotonic_s` has grown by `seconds`."""
        ...


def _boot_id() -> str:
    try:
        return _BOOT_ID_FILE.read_text(encoding="ascii").strip()
    except OSError:
        # Without an id every process start counts as a boot: the ledger then falls back to wall time.
        return f"start-{time.time_ns()}"


class SystemClock:
    """The machine's clocks; `CLOCK_BOOTTIME` where there is one, for it counts through suspend."""

    def __init__(self) -> None:
        self.boot_id = _boot_id()
        self._id = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def now(self) -> datetime:
        """Wall time, aware UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Seconds since boot."""
        return time.clock_gettime(self._id)

    async def sleep(self, seconds: float) -> None:
        """Wait in real time."""
        await asyncio.sleep(max(0.0, seconds))


class ScaledClock:
    """Real time run `speed` times faster from `start` on: the demo's clock."""

    def __init__(self, start: datetime, speed: float, base: Clock | None = None) -> None:
        self._base = base or SystemClock()
        self._origin_s = self._base.monotonic_s()
        self._start = start
        self.speed = speed
        self.boot_id = f"scaled-{self._base.boot_id}-{self._origin_s}"

    def now(self) -> datetime:
        """`start` plus the scaled time since construction."""
        return self._start + timedelta(seconds=self.monotonic_s())

    def monotonic_s(self) -> float:
        """Scaled seconds since construction."""
        return (self._base.monotonic_s() - self._origin_s) * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait in scaled time."""
        await self._base.sleep(seconds / self.speed)


class LoopClock:
    """The clock of an event loop, virtual or not: `start` plus `loop.time()`; `step` shifts the wall."""

    def __init__(self, start: datetime, boot_id: str = "virtual") -> None:
        self._start = start
        self._offset = timedelta()
        self.boot_id = boot_id

    def now(self) -> datetime:
        """Wall time, with the steps that were made."""
        return self._start + self._offset + timedelta(seconds=self.monotonic_s())

    def monotonic_s(self) -> float:
        """The running loop's time."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait in the loop's time."""
        await asyncio.sleep(max(0.0, seconds))

    def step(self, by: timedelta) -> None:
        """Set the wall clock forward or back, as an operator or NTP would."""
        self._offset += by
