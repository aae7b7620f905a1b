"""An asyncio event loop whose time jumps: whole years of a real service in minutes.

Nothing waits: as soon as no callback is ready, the loop's time leaps to the next timer.
Only timers and callbacks count; a socket or a thread has no place in virtual time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_RESOLUTION_S = 1e-6


class Deadlock(RuntimeError):  # noqa: N818 - the state, not the mishap
    """Every task waits and no timer is set: in virtual time nothing will ever happen again."""


class _JumpingSelector(selectors.DefaultSelector):
    """Polls without waiting; where it would have waited it moves the time forward instead."""

    def __init__(self, leap: Callable[[float], None]) -> None:
        super().__init__()
        self._leap = leap

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("every task waits for something that no timer will bring")
        if timeout > 0:
            self._leap(timeout)
            return []
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector loop on virtual seconds, starting at `start_s`."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s
        super().__init__(_JumpingSelector(self._advance))
        # A timer that lies less than this ahead is due; a nanosecond vanishes beside half a year of seconds.
        self._clock_resolution = _RESOLUTION_S

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def _advance(self, by_s: float) -> None:
        self._now_s += by_s


def run_virtual(main: Coroutine[Any, Any, T], start_s: float = 0.0) -> T:
    """Run `main` to its end in virtual time and return its result."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start_s)) as runner:
        return runner.run(main)
