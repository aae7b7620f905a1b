"""Who writes: a thread of its own in the service, the caller itself in virtual time.

- telemetry (`post`) never waits and may be dropped, oldest first; what was dropped is counted
- posts are gathered for a moment, for to wake a thread takes longer than to write a row, and what is vital
  goes into the transaction of the next call; a process that is killed meanwhile has not written them
- what must be known to be written (`call`) goes first and is either committed within its time or not at all
- the event loop never waits for a lock: the thread does, in short tries
- giving up: a call after its time-out; posts marked vital are kept and tried again
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import structlog

from optimizer.errors import SunmodeError
from optimizer.store.batches import all_of, in_order
from optimizer.store.job import Job
from optimizer.store.logfile import Abandoned, LogFile, Work
from optimizer.store.sqlite import StoreLocked, StoreUnavailable

T = TypeVar("T")

QUEUE_LENGTH = 1000
"""Telemetry rows that may wait for the disk."""
_BATCH = 50
_GATHER_S = 0.02
"""For how long posts are gathered before the thread is woken for them."""
_PAUSE_S = 0.5
_CLOSE_S = 3.0

_log = structlog.stdlib.get_logger("sunmode.store")


class Journal(Protocol):
    """Where rows are handed in."""

    dropped: int
    """Rows that were given up since the start: the queue was full, or a row was refused."""

    def post(self, work: Work[Any], *, vital: bool = False, at_once: bool = False) -> None:
        """Write when there is time.  Vital work is not dropped for telemetry, and done before later calls.

        `at_once` starts the writing now: nothing is gathered.
        """
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

    def post(self, work: Work[Any], *, vital: bool = False, at_once: bool = False) -> None:  # noqa: ARG002 - one lane keeps all in order
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
        return self._transact(work, certain=True)

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
        self.dropped += self._transact(all_of(tuple(self._posts)), certain=False)
        self._posts.clear()
        self._due = _BATCH

    def _transact(self, work: Work[T], *, certain: bool) -> T:
        result = self._file.transact(work, certain=certain)
        if self._file.is_upkeep_due:
            self._file.upkeep()
        return result


class Writer:
    """Writes in a thread of its own; `start` it once, `close` it once."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._jobs: deque[Job] = deque()
        self._posts: deque[Work[Any]] = deque(maxlen=QUEUE_LENGTH)
        self._wake = threading.Condition()
        self._jobs_due = False
        self._all_due = False
        self._rousing: asyncio.AbstractEventLoop | None = None
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

    def post(self, work: Work[Any], *, vital: bool = False, at_once: bool = False) -> None:
        """Queue and return; a full queue loses its oldest telemetry."""
        with self._wake:
            if vital:
                self.dropped += self._shed_job()
                self._jobs.append(Job(work, awaited=False))
            else:
                self.dropped += len(self._posts) == QUEUE_LENGTH
                self._posts.append(work)
            many = len(self._jobs) >= _BATCH or len(self._posts) >= _BATCH
        if at_once or many or not self._rouse_soon():
            self._rouse()

    async def call(self, work: Work[T], *, timeout_s: float = 2.0) -> T:
        """Queue before all telemetry and wait for the commit, without holding up the event loop."""
        result: T = await self._result_of(Job(work, awaited=True, certain=True), timeout_s)
        return result

    async def _result_of(self, job: Job, timeout_s: float) -> Any:
        with self._wake:
            self._jobs.append(job)
            self._jobs_due = True
            self._wake.notify()
        try:
            return await job.result(timeout_s)
        except TimeoutError as late:
            raise StoreUnavailable(f"{self._file.path}: not written within {timeout_s:g} s") from late

    async def flush(self) -> None:
        """Wait for a call that found the queues empty: what the thread had in hand is done before it.

        Upkeep that is due is done as well.
        """
        waiting = True
        while waiting:
            self._rouse()
            waiting = bool(self._posts or self._jobs or self._file.is_upkeep_due)
            await self._result_of(Job(lambda _: None, awaited=True), _CLOSE_S)

    def close(self) -> None:
        """Let the thread write what waits, for at most 3 s."""
        self._closing = True
        self._rouse()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)

    def _shed_job(self) -> int:
        """Keep vital work from growing without end while the disk refuses it."""
        if len(self._jobs) < QUEUE_LENGTH or self._jobs[0].awaited:
            return 0
        self._jobs.popleft()
        return 1

    def _rouse_soon(self) -> bool:
        """Let the caller's event loop wake the thread in a moment; False if there is no such loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if self._rousing is not loop:
            self._rousing = loop
            loop.call_later(_GATHER_S, self._rouse)
        return True

    def _rouse(self) -> None:
        """Let the thread write all that waits, and see to its file."""
        self._rousing = None
        with self._wake:
            self._all_due = True
            self._wake.notify()

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
                self._wake.wait_for(lambda: self._jobs_due or self._all_due)
                vital, call = self._take_jobs()
                posts = [] if vital or call else self._take_posts()
                stop = self._closing and not (vital or call or posts)
            if stop:
                break
            if vital or call:
                self._rest(self._do(vital, call))
            elif posts:
                self._rest(self._do_posts(posts))
            elif self._file.is_upkeep_due:
                self._file.upkeep()

    def _take_jobs(self) -> tuple[list[Job], Job | None]:
        """Take the first call with all vital work before it."""
        vital: list[Job] = []
        call = None
        while self._jobs and call is None and len(vital) < _BATCH:
            job = self._jobs.popleft()
            if job.awaited:
                call = job
            else:
                vital.append(job)
        self._jobs_due = bool(self._jobs)
        return vital, call

    def _take_posts(self) -> list[Work[Any]]:
        posts = [self._posts.popleft() for _ in range(min(_BATCH, len(self._posts)))] if self._all_due else []
        self._all_due = self._closing or bool(posts)
        return posts

    def _rest(self, pause_s: float) -> None:
        if pause_s and not self._closing:
            with self._wake:
                self._wake.wait(pause_s)

    def _do(self, vital: Sequence[Job], call: Job | None) -> float:
        """Do vital work and the call after it in one transaction; return how long to rest if that failed."""
        if call is not None and call.future.cancelled():
            call = None
        if not vital and call is None:
            return 0.0
        work = in_order([job.work for job in vital], None if call is None else call.work)
        may_commit = _always if call is None else call.may_commit
        certain = call is not None and call.certain
        try:
            refused, result = self._file.transact(work, may_commit, certain=certain)
        except StoreUnavailable as error:
            return self._put_off(vital, call, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to whoever waits
            self._refuse(vital, call, error)
            return 0.0
        with self._wake:
            self.dropped += refused
        if call is not None:
            call.future.set_result(result)
        self._tell(well=True)
        return 0.0

    def _refuse(self, vital: Sequence[Job], call: Job | None, error: Exception) -> None:
        """Hand the call's fault over; the vital work that was undone with it is done again without it."""
        if call is not None:
            self._put_back_jobs(vital)
            call.fail(error)
            return
        with self._wake:
            self.dropped += len(vital)
        _log.warning("rows were refused", rows=len(vital), error=str(error))

    def _put_off(self, vital: Sequence[Job], call: Job | None, error: StoreUnavailable) -> float:
        """Keep what is tried again: vital work always, a call while somebody else writes."""
        if not isinstance(error, Abandoned):
            self._tell(well=False, error=str(error))
        again = list(vital)
        if call is not None and isinstance(error, StoreLocked) and not self._closing:
            again.append(call)
        elif call is not None and not isinstance(error, Abandoned):
            call.fail(error)
        self._put_back_jobs(() if self._closing else again)
        # A lock was waited for inside SQLite already.
        return _PAUSE_S if vital and not isinstance(error, StoreLocked | Abandoned) else 0.0

    def _put_back_jobs(self, jobs: Sequence[Job]) -> None:
        with self._wake:
            self._jobs.extendleft(reversed(jobs))
            self._jobs_due = bool(self._jobs)

    def _do_posts(self, posts: Sequence[Work[Any]]) -> float:
        try:
            refused = self._file.transact(all_of(posts), certain=False)
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


def _always() -> bool:
    return True
