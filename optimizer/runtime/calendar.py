"""Jobs that belong to the calendar, not to the safety cycle: accounting, retention, backup.

Two calendars over the same APScheduler triggers: `SystemCalendar` for real life, `ClockCalendar`
wherever time runs differently (the demo, virtual time), since APScheduler reads the machine's clock.
A job that fails or hangs is reported and comes again at its next time; it never stops another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger

from optimizer.clock import Clock


@dataclass(frozen=True, slots=True)
class Job:
    """`run` at every fire time of `trigger` (UTC), given up after `timeout_s` real seconds."""

    name: str
    trigger: BaseTrigger
    run: Callable[[], Awaitable[None]]
    timeout_s: float = 60.0


OnFailure = Callable[[str, BaseException], None]


class Calendar(Protocol):
    """Runs jobs until it is stopped."""

    def start(self, jobs: Sequence[Job]) -> None:
        """Begin; needs a running loop."""
        ...

    def rearm(self) -> None:
        """Work out all next times anew: the wall clock was set."""
        ...

    async def stop(self) -> None:
        """Cancel what runs and forget the rest."""
        ...


def cron(**fields: Any) -> CronTrigger:
    """Build a cron trigger in UTC."""
    return CronTrigger(timezone=UTC, **fields)


def once(at: datetime) -> DateTrigger:
    """Build a trigger for one instant."""
    return DateTrigger(at, UTC)


async def _run(job: Job, on_failure: OnFailure) -> None:
    try:
        async with asyncio.timeout(job.timeout_s):
            await job.run()
    except Exception as error:  # noqa: BLE001 - whatever a job raises is reported, the next one still runs
        on_failure(job.name, error)


class SystemCalendar:
    """APScheduler 3 in the service's own loop, on the machine's clock, with nothing kept on disk."""

    def __init__(self, on_failure: OnFailure) -> None:
        self._on_failure = on_failure
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    def start(self, jobs: Sequence[Job]) -> None:
        """Schedule `jobs`."""
        for job in jobs:
            self._scheduler.add_job(
                _run, job.trigger, args=(job, self._on_failure), id=job.name, name=job.name
            )
        self._scheduler.start()

    def rearm(self) -> None:
        """Set every next time from the clock as it stands: APScheduler sleeps through a step back."""
        for job in self._scheduler.get_jobs():
            job.reschedule(job.trigger)

    async def stop(self) -> None:
        """Shut the scheduler down; a job that runs is cancelled by the loop's end."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


class ClockCalendar:
    """The same jobs on an injected clock: one task per job."""

    def __init__(self, clock: Clock, on_failure: OnFailure) -> None:
        self._clock = clock
        self._on_failure = on_failure
        self._jobs: Sequence[Job] = ()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, jobs: Sequence[Job]) -> None:
        """Begin a task per job."""
        self._jobs = jobs
        self._tasks = [asyncio.create_task(self._keep(job), name=job.name) for job in jobs]

    def rearm(self) -> None:
        """Start over from the clock as it stands."""
        for task in self._tasks:
            task.cancel()
        self.start(self._jobs)

    async def stop(self) -> None:
        """Cancel all tasks and wait for their end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _keep(self, job: Job) -> None:
        last: datetime | None = None
        while (at := job.trigger.get_next_fire_time(last, self._clock.now())) is not None:
            await self._clock.sleep((at - self._clock.now()).total_seconds())
            last = at
            await _run(job, self._on_failure)
