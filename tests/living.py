"""A home whose sun, load and cars a test chooses, with the real service in front of it, in virtual time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from optimizer.clock import LoopClock
from optimizer.config import load_settings
from optimizer.domain import ChargerSpec, Mode
from optimizer.runtime.calendar import ClockCalendar
from optimizer.runtime.notify import Notifier
from optimizer.service import Ports, Service
from optimizer.simulation.cloud import VirtualCloud
from optimizer.simulation.faults import Fault
from optimizer.simulation.home import VirtualHome
from optimizer.simulation.series import house_series
from optimizer.simulation.settings import VirtualSettings
from optimizer.simulation.transport import VirtualTransport
from optimizer.simulation.virtual_time import run_virtual
from optimizer.simulation.world import build_cloud
from optimizer.store.logfile import FileOptions

START = datetime(2026, 6, 2, 8, 0, tzinfo=UTC)
MINUTE, HOUR = 60.0, 3600.0
FAST_ALWAYS = '[strategy]\nname = "fixed"\n[strategy.fixed]\nmode = "fast"\n'
FOLLOW_THE_SUN = "[strategy.threshold]\neco_by_surplus = false\n"
T = TypeVar("T")
Powers = Callable[[float], tuple[float, float]]
"""PV and base load in W, `hours` after the start."""


def sunny(hours: float) -> tuple[float, float]:
    """A sun that never moves: 4 kW, of which the house takes 500 W."""
    return 4000.0, 500.0


def dark(hours: float) -> tuple[float, float]:
    """Night."""
    return 0.0, 300.0


@dataclass
class Life:
    """What a test looks at while the service runs."""

    clock: LoopClock
    home: VirtualHome
    cloud: VirtualCloud
    settings: Any
    ports: Ports
    token: str
    service: Service = field(init=False)
    running: asyncio.Task[None] | None = None
    stop_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self, *, dry_run: bool = False) -> None:
        """Start a service."""
        self.stop_asked = asyncio.Event()
        self.service = Service(
            self.settings,
            self.ports,
            base_url="http://127.0.0.1:9",
            token=lambda: self.token,
            dry_run=dry_run,
        )
        await self.service.start()
        self.running = asyncio.create_task(self.service.run(self.stop_asked))

    async def passes(self, seconds: float) -> None:
        """Let time pass; a service that fails fails the test."""
        sleeping = asyncio.create_task(asyncio.sleep(seconds))
        running = [] if self.running is None else [self.running]
        await asyncio.wait([sleeping, *running], return_when=asyncio.FIRST_COMPLETED)
        if self.running is not None and self.running.done():
            self.running.result()
        await sleeping
        self.cloud.advance()

    async def until(self, seen: Callable[[], bool], within_s: float) -> float:
        """Let time pass until `seen`; return how long it took."""
        began_s = self.clock.monotonic_s()
        while not seen():
            assert self.clock.monotonic_s() - began_s <= within_s, f"not seen within {within_s:g} s"
            await self.passes(1.0)
        return self.clock.monotonic_s() - began_s

    async def ends(self) -> None:
        """Stop the service cleanly."""
        self.stop_asked.set()
        self.service.cycle.wake()
        if self.running is not None:
            await self.running
        await self.service.stop()
        self.running = None

    async def dies(self) -> None:
        """Kill the service: nothing that was not committed reaches the log."""
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)
            self.running = None
        kill_store(self.service)
        await self.service.close()

    def mode(self, serial: str = "SQ1") -> Mode:
        """The charger's true mode."""
        self.cloud.advance()
        return self.home.charger(serial).mode

    def commands(self) -> list[tuple[Mode | None, str]]:
        """Mode and serials of every pileCmd that the cloud saw."""
        return [(call.mode, call.subject) for call in self.cloud.calls if call.endpoint == "pileCmd"]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Read the log."""
        with self.log() as conn:
            return conn.execute(query).fetchall()

    @contextmanager
    def log(self) -> Iterator[sqlite3.Connection]:
        """Open the log for reading."""
        conn = sqlite3.connect(f"file:{self.settings.store.path}?mode=ro", uri=True)
        try:
            yield conn
        finally:
            conn.close()


def kill_store(service: Service) -> None:
    """Drop what waits to be written and close the file without a word, as a kill does."""
    journal = service.store._journal
    journal._posts.clear()  # type: ignore[attr-defined]
    journal._file._forget()  # type: ignore[attr-defined]


def live(
    tmp_path: Path,
    token: str,
    script: Callable[[Life], Awaitable[T]],
    *,
    sky: Powers = sunny,
    chargers: Sequence[ChargerSpec] = (ChargerSpec("garage", "SQ1"),),
    config: str = "",
    faults: Iterable[Fault] = (),
    world: Mapping[str, Any] | None = None,
) -> T:
    """Run `script` in virtual time, with a car of 30 kWh plugged in at each charger; return its result."""
    path = tmp_path / "config.toml"
    path.write_text(_config(chargers, config), encoding="utf-8")
    settings = load_settings(path, {})

    async def play() -> T:
        clock = LoopClock(START)
        truth = {"chargers": tuple(chargers), **(world or {})}  # which may be other than is configured
        virtual = VirtualSettings(token=token, start=START, inverter=settings.inverter, **truth)
        home = VirtualHome(virtual, _series(sky))
        for charger in chargers:
            home.plug(charger.serial, 30.0)
        cloud = build_cloud(home, clock, faults)
        cloud.elapsed_s()
        ports = Ports(
            clock=clock,
            network=VirtualTransport(cloud),
            calendar=lambda on_failure: ClockCalendar(clock, on_failure),
            notifier=Notifier({}),
            inline=True,
            file=FileOptions(durable=False, busy_ms=5, ballast_bytes=0),
        )
        life = Life(clock, home, cloud, settings, ports, token)
        try:
            return await script(life)
        finally:
            if life.running is not None:
                await life.ends()

    return run_virtual(play())


def _series(sky: Powers) -> Any:
    minutes = [sky(minute / 60.0) for minute in range(3 * 1440)]
    pv_w, load_w = (np.array(column, dtype=np.float32) for column in zip(*minutes, strict=True))
    return house_series(START, timedelta(minutes=1).total_seconds(), pv_w, load_w)


def _config(chargers: Sequence[ChargerSpec], more: str) -> str:
    tables = [
        f'[[charger]]\nname = "{c.name}"\nserial = "{c.serial}"\n'
        f"phases = {c.phases}\npriority = {c.priority}\n"
        for c in chargers
    ]
    # Most lives are about guards, commands and calls: there the law is one that needs no forecast.
    law = "" if "[strategy]" in more else '[strategy]\nname = "threshold"\n'
    return "\n".join(['[store]\npath = "sunmode.db"', *tables, more, law])
