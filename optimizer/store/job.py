"""Urgent work for the writer's thread, and the event loop that waits for it."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from optimizer.store.logfile import Work


class Job:
    """One piece of work; its future, while pending, can be cancelled by whoever waits for it.

    A `certain` one is on the disk when it is done.
    """

    def __init__(self, work: Work[Any], *, awaited: bool, certain: bool = False) -> None:
        self.work = work
        self.awaited = awaited
        self.certain = certain
        self.future: Future[Any] = Future()

    def may_commit(self) -> bool:
        """Take the decision from the waiting side: after True it can no longer cancel."""
        return self.future.running() or self.future.set_running_or_notify_cancel()

    def fail(self, error: BaseException) -> None:
        """Hand the error over, unless nobody waits any more."""
        if self.may_commit():
            self.future.set_exception(error)

    async def result(self, timeout_s: float) -> Any:
        """Wait for the end of the work, with fewer turns of the loop than asyncio's own means take.

        Raises:
            TimeoutError: it was not done in time, and never will be, or its commit took as long again.

        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self.future.add_done_callback(partial(_hand_over, answer))
        late = loop.call_later(timeout_s, self._give_up, answer, timeout_s)
        try:
            return await answer
        finally:
            late.cancel()
            self.future.cancel()

    def _give_up(self, answer: asyncio.Future[Any], timeout_s: float) -> None:
        """Cancel what is not committing yet; for what is, wait as long again: soon it is known."""
        if self.future.cancel():
            _fail(answer)
        elif not self.future.done():
            answer.get_loop().call_later(timeout_s, _fail, answer)


def _hand_over(answer: asyncio.Future[Any], done: Future[Any]) -> None:
    """Tell the loop that waits for `answer`, from whatever thread; it may be closed."""
    with suppress(RuntimeError):
        answer.get_loop().call_soon_threadsafe(_settle, answer, done)


def _settle(answer: asyncio.Future[Any], done: Future[Any]) -> None:
    """Copy how the work ended, unless nobody waits any more."""
    if answer.done() or done.cancelled():
        return
    error = done.exception()
    if error is None:
        answer.set_result(done.result())
    else:
        answer.set_exception(error)


def _fail(answer: asyncio.Future[Any]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
