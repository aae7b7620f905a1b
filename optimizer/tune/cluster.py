"""Trials on a Dask cluster by address.

- The problem is a task of its own, so that the scheduler makes it anew when no worker holds it any more.
- A worker that dies takes no trial with it: Dask hands its tasks on, and one that saw several workers die,
  or was cancelled, is handed over anew from here, `ATTEMPTS` times in all.
- Scheduler not reachable, or no worker within `PATIENCE_S`: an error says so at the start.  If all workers
  leave later on, the run waits for `WAIT_S` for another one and then ends; if the scheduler goes, at once.
  The study keeps what is done.
- Other versions there than here are a warning: results could differ.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from optimizer.clock import Clock, SystemClock
from optimizer.errors import InputError, StrategyFailed, SunmodeError
from optimizer.tune.evaluate import Problem, Score, Task, scores
from optimizer.tune.workers import Done

ATTEMPTS = 5
PATIENCE_S = 8.0
WAIT_S = 60.0
_LOOK_S = 1.0
_RETRIES = 3
_PACKAGES = ("distributed", "numba", "numpy", "sunmode")


class Cluster:
    """A Dask cluster as a pool."""

    def __init__(self, client: Any, problem: Problem, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._packed = zlib.compress(pickle.dumps(problem))
        self._key = problem.key
        self._copies = 0
        self._problem = self._sent()

    @property
    def width(self) -> int:
        """How many threads the workers have now, at least 1."""
        return max(1, self._threads())

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Yield each task's place and scores.

        Raises:
            SunmodeError: the workers are gone, or a task fails again and again.

        """
        under_way = {self._submitted(task): (place, 1) for place, task in enumerate(tasks)}
        while under_way:
            for future in self._finished(list(under_way)):
                place, attempt = under_way.pop(future)
                try:
                    found = future.result()
                except Exception as error:  # noqa: BLE001 - what the task raised, or Dask, whose errors share no root
                    self._checked(error, attempt)
                    under_way[self._submitted(tasks[place])] = (place, attempt + 1)
                else:
                    yield place, found

    def _threads(self) -> int:
        """Return how many threads there are.

        Raises:
            SunmodeError: the scheduler is gone.

        """
        # A client that lost its scheduler fails in many ways, none of them documented.
        with suppress(AttributeError, RuntimeError, OSError, TimeoutError):
            if self._client.status == "running":
                threads: dict[str, int] = self._client.nthreads()
                return sum(threads.values())
        raise SunmodeError("--dask: the scheduler is gone; the same command goes on where it was")

    def _submitted(self, task: Task) -> Any:
        return self._client.submit(_scores, self._problem, self._key, task, pure=False, retries=_RETRIES)

    def _sent(self) -> Any:
        """Return the problem as it will be on the workers."""
        self._copies += 1
        key = f"sunmode-tune-{self._key}-{self._copies}"
        return self._client.submit(_unpacked, self._packed, key=key, retries=_RETRIES)

    def _finished(self, futures: list[Any]) -> list[Any]:
        """Return those that are done, well or not; give up when nobody has worked for long."""
        import distributed

        wait: Any = distributed.wait

        seen_s = self._clock.monotonic_s()
        while not (done := [future for future in futures if future.status != "pending"]):
            with suppress(TimeoutError, CancelledError):
                wait(futures, timeout=_LOOK_S, return_when="FIRST_COMPLETED")
            if self._threads() > 0:
                seen_s = self._clock.monotonic_s()
            elif self._clock.monotonic_s() - seen_s > WAIT_S:
                raise SunmodeError(
                    f"--dask: no worker is left for {WAIT_S:.0f} s; the same command goes on where it was"
                )
        return done

    def _checked(self, error: Exception, attempt: int) -> None:
        """Raise what trying again would not mend."""
        if isinstance(error, SunmodeError):
            raise error
        self._threads()
        if not _is_of_the_cluster(error) or attempt >= ATTEMPTS:
            raise SunmodeError(f"--dask: a trial failed there: {type(error).__name__}: {error}") from error
        if self._problem.status in {"error", "lost", "cancelled"}:
            self._problem = self._sent()


@contextmanager
def cluster_pool(problem: Problem, address: str, warn: Any, clock: Clock | None = None) -> Iterator[Cluster]:
    """Open the cluster whose scheduler is at `address`; `warn` is told what differs there.

    Raises:
        InputError: distributed is not installed, or the address is none.
        SunmodeError: there is no scheduler, no worker, or no sunmode on a worker.

    """
    with _connected(address) as client:
        for told in differences(client):
            warn(told)
        yield Cluster(client, problem, clock or SystemClock())


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    client_class = _client_class()
    try:
        client = client_class(address, timeout=PATIENCE_S)
    except ValueError as error:
        raise InputError(f"--dask {address}: needs tcp://HOST:PORT ({error})") from error
    except (OSError, TimeoutError) as error:
        raise SunmodeError(f"--dask {address}: no scheduler answers there") from error
    try:
        _await_worker(client, address)
        yield client
    finally:
        with suppress(OSError, TimeoutError):
            client.close(timeout=PATIENCE_S)


def _client_class() -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError("--dask needs Dask's distributed: pip install 'sunmode[tune]'") from error
    return Client


def _await_worker(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=PATIENCE_S)
    except TimeoutError as error:
        raise SunmodeError(f"--dask {address}: the scheduler has no workers") from error


def versions_here() -> dict[str, str]:
    """Return what runs in this process: versions by name, and a hash of sunmode's sources."""
    found = {"Python": ".".join(str(part) for part in sys.version_info[:3])}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return {**found, "sunmode's sources": digest.hexdigest()[:12]}


def differences(client: Any) -> Iterator[str]:
    """Yield for each worker how it differs from this process.

    Raises:
        SunmodeError: a worker cannot run sunmode.

    """
    try:
        there: dict[str, dict[str, str]] = client.run(versions_here, on_error="raise")
    except Exception as error:
        # Whatever a worker that lacks sunmode, or has another one, makes of it.
        raise SunmodeError(
            f"--dask: a worker cannot run sunmode; is it installed there? {type(error).__name__}: {error}"
        ) from error
    here = versions_here()
    for worker, found in sorted(there.items()):
        other = [
            f"{name} {found.get(name, 'missing')}, here {value}"
            for name, value in here.items()
            if found.get(name) != value
        ]
        if other:
            yield f"{worker} has {'; '.join(other)}: results may differ"


def _is_of_the_cluster(error: Exception) -> bool:
    """Tell whether the cluster failed rather than the trial."""
    return not isinstance(error, StrategyFailed) and (
        type(error).__module__.partition(".")[0] in {"distributed", "dask"}
        or isinstance(error, OSError | TimeoutError)
        or type(error).__name__ == "CancelledError"
    )


def _unpacked(packed: bytes) -> Problem:
    problem: Problem = pickle.loads(zlib.decompress(packed))  # noqa: S301 - what this program packed itself
    return problem


def _scores(problem: Problem, key: str, task: Task) -> list[Score]:
    return scores(problem, key, task)
