"""Whole lives of the whole service in virtual time: each seed is a site, an owner, and a series of mishaps.

The service is the real one with its real log; the house, the cloud and the clock are virtual.  A life is
judged by `campaign_oracles` and `campaign_audit`; equal seeds give equal traces.
`python tests/campaign.py --seeds 2000 --days 3` lives as many as one likes, `--seed 17` lives one of them
again, `--year` lives an ordinary year in one go.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import logging
import os
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn

import httpx
import structlog
from campaign_audit import Boots, audit, foreseen, trace_rows
from campaign_oracles import Border, Watcher
from campaign_outside import KEY, Outside
from campaign_plan import DAY_S, SAMPLES, Break, End, Order, Outage, Plan, Shift, Trouble, draw, ordinary_year
from starlette.applications import Starlette
from typing_extensions import override

from optimizer.clock import LoopClock
from optimizer.errors import Unavailable
from optimizer.runtime.calendar import ClockCalendar
from optimizer.service import Ports, Service
from optimizer.simulation.home import VirtualHome
from optimizer.simulation.series import HouseSeries, read_house
from optimizer.simulation.virtual_time import run_virtual
from optimizer.simulation.world import build_cloud
from optimizer.solax.callbacks import callback_app
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions
from optimizer.store.sqlite import StoreUnavailable, connect_reader

MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory, where there is one
VIRTUAL_TOKEN = "20260101000000VIRTUAL000"  # noqa: S105 - of a cloud that is not there

_CLOUD = "https://cloud.example"
_FILE = FileOptions(durable=False, busy_ms=0, ballast_bytes=0)
_BOOT_S = 20.0
_STOP_S = 6.0
"""A clean stop is over by then, its last command included."""
_RESTART_S = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a life went: what was broken of the promises, and a fingerprint of all that happened."""

    seed: int
    violations: tuple[str, ...]
    trace: str
    calls: int
    decisions: int
    calm_minutes: int
    log_bytes: int


class Machine(LoopClock):
    """The clocks of the computer that the service runs on; the monotonic one begins with each boot."""

    def __init__(self, wall: datetime, boot: int, booted_s: float) -> None:
        self._booted_s = booted_s
        super().__init__(wall, f"boot-{boot}")

    @override
    def monotonic_s(self) -> float:
        return super().monotonic_s() - self._booted_s


class House(Service):
    """The service with its callback receiver reached in process instead of through a socket."""

    receiver: Starlette | None = None

    @override
    async def _listen(self) -> str:
        if not self.settings.callback.url:
            return ""
        secret = self._ports.new_secret()
        self.receiver = callback_app(secret, self._called_back, self._ports.clock)
        return f"{self.settings.callback.url}/callback/{secret}"


class _Dead:
    """What a killed process can still write: nothing."""

    def transact(self, *_: object, **_how: object) -> NoReturn:
        raise StoreUnavailable("killed")

    def close(self) -> None:
        return


@cache
def _series(pv_scale: float) -> HouseSeries:
    return read_house(SAMPLES / "house_ohrberg_2019.parquet", pv_scale)


class Life:
    """One life: `await live()` once, in virtual time."""

    def __init__(self, plan: Plan, log: Path) -> None:
        self.plan = plan
        self.log = log
        self.violations: list[str] = []
        self._boots = Boots({})
        self._service: House | None = None
        self._kills = 0

    async def live(self) -> Outcome:
        """Live to the end and be judged."""
        asyncio.get_running_loop().set_exception_handler(self._unhandled)
        plan = self.plan
        self._clock = self._booted(plan.virtual.start - timedelta(seconds=_BOOT_S))
        home = VirtualHome(plan.virtual, _series(plan.virtual.pv_scale), plan.sessions)
        self.cloud = build_cloud(home, LoopClock(plan.virtual.start), plan.faults, self._post)
        self.cloud.elapsed_s()
        self._outside = Outside(plan.spells, plan.virtual.start)
        self._border = Border(self.cloud, self.log, plan, self.violations)
        self._watcher = Watcher(plan, self.cloud, self.log, self.violations)
        fate = [asyncio.ensure_future(task) for task in self._fate()]
        await self._runs()
        for task in fate:
            task.cancel()
        for result in await asyncio.gather(*fate, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        await self.cloud.aclose()
        self._watcher.close()
        return self._judged()

    def _fate(self) -> list[Coroutine[Any, Any, None]]:
        """Return all that happens to the service from outside."""
        plan = self.plan
        return [
            self._watch(),
            *(_at(shift.at_s, partial(self._shift, shift)) for shift in plan.shifts),
            *(_at(order.at_s, partial(self._order, order)) for order in plan.orders),
            *(_at(outage.at_s, partial(self._suffer, outage)) for outage in plan.outages),
        ]

    async def _runs(self) -> None:
        """Run the service from break to break."""
        end = Break(self.plan.days * DAY_S, End.STOP, 0.0, reboot=False)
        for brk in (*self.plan.breaks, end):
            service = await self._started()
            stop = asyncio.Event()
            run = asyncio.ensure_future(service.run(stop))
            await asyncio.wait({run}, timeout=brk.at_s - asyncio.get_running_loop().time())
            if run.done():
                run.result()
            self._service = None
            if brk.end is End.KILL:
                await self._kill(service, run)
            else:
                await self._stop(service, run, stop)
            await asyncio.sleep(brk.down_s)
            if brk.reboot:
                self._clock = self._booted(self._clock.now() - timedelta(seconds=_BOOT_S))

    async def _started(self) -> House:
        """Start the service; where the log cannot be written its supervisor tries again."""
        while True:
            service = House(self.plan.settings(self.log), self._ports(), base_url=_CLOUD, token=self._token)
            self._border.begin()
            try:
                await service.start()
            except StoreUnavailable:
                await service.close()
                await asyncio.sleep(_RESTART_S)
            else:
                self._service = service
                return service

    def _token(self) -> str:
        return self.plan.virtual.token

    def _ports(self) -> Ports:
        clock = self._clock
        return Ports(
            clock=clock,
            network=self._border,
            web=self._outside,
            calendar=partial(ClockCalendar, clock),
            inline=True,
            file=_FILE,
            new_secret=lambda: "s" * 32,
        )

    def _booted(self, wall_at_boot: datetime) -> Machine:
        """Switch the machine on, some time before the service starts."""
        booted_s = asyncio.get_running_loop().time() - _BOOT_S
        clock = Machine(wall_at_boot, len(self._boots.began_s), booted_s)
        self._boots.began_s[clock.boot_id] = booted_s
        return clock

    async def _kill(self, service: House, run: asyncio.Future[None]) -> None:
        """Let the process die as it stands: what is not in the file is lost, what has left arrives."""
        self._kills += 1
        journal: Any = service.store._journal
        journal._file._conn.close()
        journal._file = _Dead()
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        await service.close()

    async def _stop(self, service: House, run: asyncio.Future[None], stop: asyncio.Event) -> None:
        began_s = asyncio.get_running_loop().time()
        stop.set()
        service.cycle.wake()
        await run
        with suppress(Unavailable):  # it could not be certain that nothing goes on drawing
            await service.stop()
        took_s = asyncio.get_running_loop().time() - began_s
        if took_s > _STOP_S:
            self.violations.append(f"the stop took {took_s:.0f} s")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.plan.look_s)
            self._watcher.look(self._service, self._clock)

    async def _shift(self, shift: Shift) -> None:
        self._clock.step(shift.by)

    async def _order(self, order: Order) -> None:
        """Do what `sunmode set` does in its own process."""
        try:
            store = Store.open(self.log, self._clock, inline=True, options=_FILE)
        except StoreUnavailable:
            return
        try:
            until = self._clock.now() + order.hold
            await store.set_override(order.charger, order.mode, until, "command line")
        except StoreUnavailable:
            return
        finally:
            store.close()

    async def _suffer(self, outage: Outage) -> None:
        """Keep the log from being written: another process holds its lock, or the disk is full."""
        if outage.trouble is Trouble.LOCKED:
            with closing(sqlite3.connect(self.log, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                await asyncio.sleep(outage.lasts_s)
                other.execute("ROLLBACK")
            return
        service = self._service
        conn: sqlite3.Connection | None = None if service is None else service.store._journal._file._conn
        if conn is None:
            return
        conn.execute("PRAGMA max_page_count = 1")
        await asyncio.sleep(outage.lasts_s)
        if service is self._service:
            conn.execute("PRAGMA max_page_count = 4294967294")

    async def _post(self, url: str, body: bytes) -> None:
        """Bring a callback to whoever listens now."""
        service = self._service
        if service is None or service.receiver is None:
            return
        transport = httpx.ASGITransport(app=service.receiver)
        async with httpx.AsyncClient(transport=transport) as client:
            await client.post(url, content=body)

    def _unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.violations.append(f"unhandled: {context.get('message')} {context.get('exception')!r}")

    def _judged(self) -> Outcome:
        written = self.log.read_bytes()
        if any(secret.encode() in written for secret in (self.plan.virtual.token, KEY)):
            self.violations.append("a secret is in the log")
        with closing(connect_reader(self.log)) as conn:
            self.violations += audit(conn, self.plan, self.cloud, self._boots, self._kills)
            self.violations += foreseen(conn, self.plan, self._outside)
            trace = hashlib.sha256()
            for row in trace_rows(conn, self.cloud):
                trace.update(repr(row).encode())
            decisions = int(conn.execute("SELECT count(*) FROM decision").fetchone()[0])
        return Outcome(
            self.plan.seed,
            tuple(self.violations),
            trace.hexdigest(),
            len(self.cloud.calls),
            decisions,
            self._watcher.calm_minutes,
            self.log.stat().st_size,
        )


async def _at(at_s: float, act: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(at_s - asyncio.get_running_loop().time())
    await act()


def live(plan: Plan, log: Path) -> Outcome:
    """Live a life with its log at `log`."""
    with _silence(), _rare_collections():
        return run_virtual(Life(plan, log).live())


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder for logs, in memory where there is some."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        yield Path(folder)


@contextmanager
def _silence() -> Iterator[None]:
    """Let nobody render or keep a year's worth of log lines."""
    httpx_log, config = logging.getLogger("httpx"), structlog.get_config()
    level = httpx_log.level
    httpx_log.setLevel(logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**config)
        httpx_log.setLevel(level)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for garbage less often: a life makes millions of short-lived objects and hardly a cycle."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def outcome_of(seed: int, days: float, token: str = VIRTUAL_TOKEN) -> Outcome:
    """Live the life of `seed` and leave nothing behind."""
    with scratch() as folder:
        return live(draw(seed, days, token), folder / "log.db")


def main(arguments: Sequence[str] | None = None) -> int:
    """Live many lives, on all processors; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--days", type=float, default=2.0)
    parser.add_argument("--seed", type=int, help="live this one only")
    parser.add_argument("--year", action="store_true", help="live an ordinary year instead")
    options = parser.parse_args(arguments)
    if options.year:
        return _year()
    seeds = range(options.seeds) if options.seed is None else (options.seed,)
    broken = 0
    with ProcessPoolExecutor() as pool:
        for outcome in pool.map(partial(outcome_of, days=options.days), seeds):
            broken += bool(outcome.violations)
            told(outcome, options.days)
    sys.stdout.write(f"{len(seeds)} lives of {options.days:g} days, {broken} with a broken promise\n")
    return 1 if broken else 0


def _year() -> int:
    """Live an ordinary year in one go; return 1 if a promise was broken."""
    with scratch() as folder:
        outcome = live(ordinary_year(VIRTUAL_TOKEN), folder / "log.db")
    told(outcome, 365.0)
    megabytes = outcome.log_bytes / 1e6
    sys.stdout.write(f"{megabytes:.1f} MB of log, {outcome.calls} calls, {outcome.decisions} decisions\n")
    return 1 if outcome.violations else 0


def told(outcome: Outcome, days: float) -> None:
    """Print what was broken, and how to see it again."""
    for violation in outcome.violations[:5]:
        sys.stdout.write(f"seed {outcome.seed}: {violation}\n")
    if outcome.violations:
        sys.stdout.write(f"  again: python tests/campaign.py --seed {outcome.seed} --days {days:g}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
