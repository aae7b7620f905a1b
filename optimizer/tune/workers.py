"""Where trials are run: in this process, or in several on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from optimizer.errors import SunmodeError
from optimizer.tune.evaluate import Problem, Score, Task, scores

Done = tuple[int, list[Score]]
"""The place of a task among those that were handed over, and what it came to."""


class Pool(Protocol):
    """Runs tasks; the answers come as they are ready, in any order."""

    @property
    def width(self) -> int:
        """How many tasks are worked on at once."""
        ...

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Yield each task's place and scores."""
        ...


class Here:
    """One task after the other, in this process."""

    width = 1

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Yield each task's place and scores."""
        for place, task in enumerate(tasks):
            yield place, scores(self._problem, self._problem.key, task)


class Processes:
    """joblib's processes; the house's columns are shared between them as a file in memory."""

    def __init__(self, problem: Problem, jobs: int, parallel: object) -> None:
        self._problem = problem
        self._parallel = parallel
        self.width = jobs

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Yield each task's place and scores.

        Raises:
            SunmodeError: a process was killed.

        """
        from joblib import delayed
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        problem, key = self._problem, self._problem.key
        calls = (delayed(_placed)(problem, key, place, task) for place, task in enumerate(tasks))
        try:
            yield from self._parallel(calls)  # type: ignore[operator]
        except TerminatedWorkerError as error:
            raise SunmodeError(
                "a worker process was killed (is memory short?); the same command goes on where it was"
            ) from error


@contextmanager
def local_pool(problem: Problem, jobs: int) -> Iterator[Pool]:
    """Open a pool of `jobs` processes on this machine; one job is this process."""
    if jobs == 1:
        yield Here(problem)
        return
    from joblib import Parallel

    with Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1, max_nbytes="1M") as parallel:
        yield Processes(problem, jobs, parallel)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _placed(problem: Problem, key: str, place: int, task: Task) -> Done:
    return place, scores(problem, key, task)
