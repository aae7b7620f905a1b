"""Who writes: a thread of its own in the service, the caller itself in virtual time.

- telemetry (`post`) never waits and may be dropped, oldest first; what was dropped is counted
- what must be known to be written (`call`) goes first and is either committed within its time or not at all
- the event loop never waits for a lock: the thread does, in short tries
- giving up: a call after its time-out; posts marked vital are kept and tried again
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import structlog

from optimizer.errors import SunmodeError
from optimizer.store.logfile import Abandoned, LogFile, Work
from optimizer.store.sqlite import StoreLocked, StoreUnavailable, trouble_of

T = TypeVar("T")

QUEUE_LENGTH = 1000
"""Telemetry rows that may wait for the disk."""
_BATCH = 50
_PAUSE_S = 0.5
_CLOSE_S = 3.0

_log = structlog.stdlib.get_logger("sunmode.store")


class Journal(Protocol):
    """Where rows are handed in."""

    dropped: int
    """Rows that were given up since the start: the queue was full, or a row was refused."""

    def post(self, work: Work[Any], *, vital: bool = False) -> None:
        """Write when there is time.  Vital work is not dropped for telemetry, and done before later calls."""
        ...

    async def call(self, work: Work[T], *, timeout_s: float = 2.0) -> T:
        """Write now and return the result after the commit.

        Raises:
            StoreUnavailable: not written in time, or the commit itself took twice as long.

        """
        ...

    async def flush(self) -> None:
        """Return when everything posted so far is written."""
        ...

    def close(self) -> None:
        """Write what waits, as far as possible within seconds, and close the file."""
        ...


class InlineWriter:
    """Writes in the caller's thread: for virtual time and for short-lived commands.

    Posts are collected and written together, at the latest before the next call.
    """

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._posts: deque[Work[Any]] = deque(maxlen=QUEUE_LENGTH)
        self._due = _BATCH
        self.dropped = 0

    def post(self, work: Work[Any], *, vital: bool = False) -> None:  # noqa: ARG002 - one lane keeps all in order
        """Collect; a full batch is written."""
        self.dropped += len(self._posts) == QUEUE_LENGTH
        self._posts.append(work)
        if len(self._posts) >= self._due:
            # Where it fails the posts are kept, with a wider gap: not each shall wait for the lock.
            self._due = len(self._posts) + _BATCH
            with suppress(StoreUnavailable):
                self._write_posts()

    async def call(self, work: Work[T], *, timeout_s: float = 2.0) -> T:  # noqa: ARG002 - the file's own wait bounds it
        """Write the posts and then `work`, at once."""
        self._write_posts()
        return self._file.transact(work)

    async def flush(self) -> None:
        """Write the posts."""
        self._write_posts()

    def close(self) -> None:
        """Write the posts and close the file."""
        with suppress(StoreUnavailable):
            self._write_posts()
        self._file.close()

    def _write_posts(self) -> None:
        if not self._posts:
            return
        self.dropped += self._file.transact(_all_of(tuple(self._posts)), certain=False)
        self._posts.clear()
        self._due = _BATCH


class _Job:
    """Urgent work; its future, while pending, can be cancelled by whoever waits for it."""

    def __init__(self, work: Work[Any], *, awaited: bool) -> None:
        self.work = work
        self.awaited = awaited
        self.future: Future[Any] = Future()

    def may_commit(self) -> bool:
        """Take the decision from the waiting side: after True it can no longer cancel."""
        return self.future.running() or self.future.set_running_or_notify_cancel()

    def fail(self, error: BaseException) -> None:
        """Hand the error over, unless nobody waits any more."""
        if self.may_commit():
            self.future.set_exception(error)


class Writer:
    """Writes in a thread of its own; `start` it once, `close` it once."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._jobs: deque[_Job] = deque()
        self._posts: deque[Work[Any]] = deque(maxlen=QUEUE_LENGTH)
        self._wake = threading.Condition()
        self._closing = False
        self._well = True
        self._opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="sunmode-store", daemon=True)
        self.dropped = 0

    def start(self) -> None:
        """Open the file in the thread and return when it is open.

        A file that cannot be opened now, on a full disk say, is opened by the first work that can.

        Raises:
            InputError: a newer sunmode has written it.

        """
        self._thread.start()
        self._opened.result()

    def post(self, work: Work[Any], *, vital: bool = False) -> None:
        """Queue and return; a full queue loses its oldest telemetry."""
        with self._wake:
            if vital:
                self.dropped += self._shed_job()
                self._jobs.append(_Job(work, awaited=False))
            else:
                self.dropped += len(self._posts) == QUEUE_LENGTH
                self._posts.append(work)
            self._wake.notify()

    async def call(self, work: Work[T], *, timeout_s: float = 2.0) -> T:
        """Queue before all telemetry and wait for the commit, without holding up the event loop."""
        job = _Job(work, awaited=True)
        with self._wake:
            self._jobs.append(job)
            self._wake.notify()
        answer: asyncio.Future[T] = asyncio.wrap_future(job.future)
        answer.add_done_callback(_retrieve)
        try:
            await asyncio.wait({answer}, timeout=timeout_s)
            if not answer.done() and not job.future.cancel():
                await asyncio.wait({answer}, timeout=timeout_s)  # it is committing: soon it is known
            if not answer.done() or answer.cancelled():
                raise StoreUnavailable(f"{self._file.path}: not written within {timeout_s:g} s")
            return answer.result()
        finally:
            job.future.cancel()

    async def flush(self) -> None:
        """Wait for a call that found the queues empty: what the thread had in hand is done before it."""
        waiting = True
        while waiting:
            waiting = bool(self._posts or self._jobs)
            await self.call(lambda _: None, timeout_s=_CLOSE_S)

    def close(self) -> None:
        """Let the thread write what waits, for at most 3 s."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)

    def _shed_job(self) -> int:
        """Keep vital work from growing without end while the disk refuses it."""
        if len(self._jobs) < QUEUE_LENGTH or self._jobs[0].awaited:
            return 0
        self._jobs.popleft()
        return 1

    def _run(self) -> None:
        if self._open():
            self._serve()
        self._file.close()

    def _open(self) -> bool:
        try:
            self._file.open()
        except StoreUnavailable as error:
            self._tell(well=False, error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to whoever waits
            self._opened.set_exception(error)
            return False
        self._opened.set_result(None)
        return True

    def _serve(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._jobs or self._posts or self._closing)
                job = self._jobs.popleft() if self._jobs else None
                posts = [] if job else [self._posts.popleft() for _ in range(min(_BATCH, len(self._posts)))]
                stop = self._closing and not job and not posts
            if stop:
                break
            pause_s = self._do(job) if job else self._do_posts(posts)
            self._rest(pause_s)

    def _rest(self, pause_s: float) -> None:
        if pause_s and not self._closing:
            with self._wake:
                self._wake.wait(pause_s)

    def _do(self, job: _Job) -> float:
        """Do one job; return how long to rest, which is not at all when it went well."""
        if job.future.cancelled():
            return 0.0
        try:
            result = self._file.transact(job.work, job.may_commit, certain=job.awaited)
        except StoreLocked as error:
            return self._put_back_or_fail(job, error, retry=True)
        except Abandoned:
            return 0.0
        except StoreUnavailable as error:
            return self._put_back_or_fail(job, error, retry=not job.awaited)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to whoever waits
            self._refuse(job, error)
            return 0.0
        job.future.set_result(result)
        self._tell(well=True)
        return 0.0

    def _refuse(self, job: _Job, error: Exception) -> None:
        if not job.awaited:
            with self._wake:
                self.dropped += 1
            _log.warning("a row was refused", error=str(error))
        job.fail(error)

    def _put_back_or_fail(self, job: _Job, error: StoreUnavailable, *, retry: bool) -> float:
        self._tell(well=False, error=str(error))
        if not retry or self._closing:
            job.fail(error)
            return 0.0
        with self._wake:
            self._jobs.appendleft(job)
        # A lock was waited for inside SQLite already.
        return 0.0 if isinstance(error, StoreLocked) else _PAUSE_S

    def _do_posts(self, posts: Sequence[Work[Any]]) -> float:
        try:
            refused = self._file.transact(_all_of(posts), certain=False)
        except SunmodeError as error:
            self._tell(well=False, error=str(error))
            self._put_back(posts)
            return 0.0 if isinstance(error, StoreLocked) else _PAUSE_S
        with self._wake:
            self.dropped += refused
        self._tell(well=True)
        return 0.0

    def _put_back(self, posts: Sequence[Work[Any]]) -> None:
        """Queue posts again, the newest of them where others have come meanwhile; closing, give them up."""
        with self._wake:
            room = 0 if self._closing else min(len(posts), QUEUE_LENGTH - len(self._posts))
            self._posts.extendleft(reversed(posts[len(posts) - room :]))
            self.dropped += len(posts) - room

    def _tell(self, *, well: bool, **detail: str) -> None:
        """Log once when lost, once when back."""
        if well is not self._well:
            self._well = well
            log = _log.info if well else _log.warning
            log("the log is written again" if well else "the log cannot be written", **detail)


def _all_of(posts: Sequence[Work[Any]]) -> Work[int]:
    """Return work that does all posts and counts those refused for a fault of their own."""

    def work(conn: sqlite3.Connection) -> int:
        return sum(not _done(conn, post) for post in posts)

    return work


def _done(conn: sqlite3.Connection, post: Work[Any]) -> bool:
    conn.execute("SAVEPOINT post")
    try:
        post(conn)
    except Exception as error:  # one bad row may not take the others along
        if isinstance(error, sqlite3.Error) and trouble_of(error) is not None:
            raise
        conn.execute("ROLLBACK TO post")
        _log.warning("a row was refused", error=str(error))
        return False
    finally:
        if conn.in_transaction:
            conn.execute("RELEASE post")
    return True


def _retrieve(answer: asyncio.Future[Any]) -> None:
    """Look at the error of an answer that comes too late, for asyncio complains about unseen ones."""
    if not answer.cancelled():
        answer.exception()
