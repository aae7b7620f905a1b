"""The whole service in virtual time against the server that knows only the guide: hours in seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fake_guide_server import Heard
from guide_home import FAST, GARAGE, GREEN, STOP, GuideHome, Pile
from sunmode_process import Site, site_of

from optimizer.clock import LoopClock
from optimizer.config import load_settings
from optimizer.domain import Mode
from optimizer.runtime.calendar import ClockCalendar
from optimizer.runtime.notify import Notifier
from optimizer.service import Ports, Service
from optimizer.simulation.virtual_time import run_virtual
from optimizer.store.logfile import FileOptions

START = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
CYCLE_S = 60.0
AS_SHIPPED = (
    ("cycle_s = 1", "cycle_s = 60"),
    ("poll = { charger_active_s = 60, charger_idle_s = 60 }\n", ""),
    ("[budget]\ncalls_per_minute = 9\n", ""),
)
BY_THE_SUN = (('name = "fixed"', 'name = "threshold"'), ('[strategy.fixed]\nmode = "fast"\n', ""))


@dataclass
class GuideTransport(httpx.AsyncBaseTransport):
    """Hands requests to the server's brain, without sockets."""

    home: GuideHome

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode()
        heard = Heard(request.method, target, {}, await request.aread(), 0, self.home.now_s())
        self.home.heard.append(heard)
        await asyncio.sleep(0.2)
        reply = self.home.answer(heard)
        return httpx.Response(reply.status, content=reply.body)


@dataclass
class Days:
    """One site's service in virtual time, as often as it is started."""

    home: GuideHome
    site: Site
    clock: LoopClock = field(default_factory=lambda: LoopClock(START))
    service: Service = field(init=False)
    running: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        settings = load_settings(self.site.config, {"SUNMODE_SOLAX__TOKEN": self.home.token})
        ports = Ports(
            clock=self.clock,
            network=GuideTransport(self.home),
            calendar=lambda on_failure: ClockCalendar(self.clock, on_failure),
            notifier=Notifier({}),
            inline=True,
            file=FileOptions(durable=False, ballast_bytes=0),
        )
        self.service = Service(settings, ports, base_url="http://127.0.0.1:9")
        await self.service.start()
        self.running = asyncio.create_task(self.service.run(asyncio.Event()))

    async def die(self) -> None:
        """End as by a power cut: nothing more is sent."""
        assert self.running is not None
        self.running.cancel()
        await asyncio.wait({self.running})
        await self.service.close()

    async def until(self, seen: Callable[[], bool], within_s: float) -> float:
        """Let time pass until `seen`; return how long it took."""
        assert self.running is not None
        began_s = self.clock.monotonic_s()
        while not seen():
            assert self.clock.monotonic_s() - began_s <= within_s, f"not within {within_s:g} s"
            await asyncio.sleep(1.0)
            if self.running.done():
                self.running.result()
        return self.clock.monotonic_s() - began_s


def lived(
    folder: Path,
    token: str,
    story: Callable[[Days], Coroutine[None, None, None]],
    *changes: tuple[str, str],
    connected: bool = True,
) -> Days:
    """Run `story` with a service as shipped that has started; return what is left."""

    async def main() -> Days:
        clock = LoopClock(START)
        home = GuideHome("http://127.0.0.1:9", token=token, telemetry_s=300.0, first_sample_s=100.0)
        home.now_s, home.piles[GARAGE].connected = clock.monotonic_s, connected
        days = Days(home, site_of(home, folder, *AS_SHIPPED, *changes), clock)
        await days.begin()
        try:
            await story(days)
        finally:
            await days.die()
        return days

    return run_virtual(main())


def test_the_service_as_shipped_gets_the_charger_going_and_keeps_far_from_the_limits(
    tmp_path: Path, token: str
) -> None:
    async def story(days: Days) -> None:
        await days.until(lambda: days.home.settled() == FAST, 700)
        await asyncio.sleep(6 * 3600)

    days = lived(tmp_path, token, story)
    assert days.home.modes() == [FAST]
    assert days.home.most_in_a_minute() <= 6
    assert len(days.home.calls()) < 6 * 60, "less than one call a minute"


def test_without_a_car_nothing_is_commanded(tmp_path: Path, token: str) -> None:
    async def story(days: Days) -> None:
        await asyncio.sleep(6 * 3600)

    days = lived(tmp_path, token, story, connected=False)
    assert days.home.modes() == []
    assert len(days.home.calls()) < 6 * 45, "a tenth of a day's calls"


def test_a_lost_command_is_noticed_and_repeated(tmp_path: Path, token: str) -> None:
    async def story(days: Days) -> None:
        days.home.lost_commands = 2
        await days.until(lambda: days.home.modes() == [FAST], 700)
        await days.until(lambda: days.home.settled() == FAST, 180 + 2 * CYCLE_S)
        confirmed = "SELECT 1 FROM command WHERE attempt = 3 AND state = 'confirmed'"
        await days.until(lambda: bool(days.site.rows(confirmed)), 2 * CYCLE_S)

    days = lived(tmp_path, token, story)
    assert days.home.modes() == [FAST, FAST, FAST]


def test_a_command_lost_with_a_power_cut_is_repeated_after_the_restart(tmp_path: Path, token: str) -> None:
    async def story(days: Days) -> None:
        days.home.lost_commands = 1
        await days.until(lambda: days.home.modes() == [FAST], 700)
        await days.die()
        await asyncio.sleep(20.0)
        await days.begin()
        await days.until(lambda: days.home.settled() == FAST, 90 + 2 * CYCLE_S)

    days = lived(tmp_path, token, story)
    first, second = (call.at_s for call in days.home.calls("pileCmd"))
    assert second - first > 85.0, "not at once after the restart"
    assert days.home.modes() == [FAST, FAST]


def test_a_command_that_arrived_before_a_power_cut_is_not_repeated(tmp_path: Path, token: str) -> None:
    async def story(days: Days) -> None:
        await days.until(lambda: days.home.modes() == [FAST], 700)
        await days.die()
        await days.begin()
        await asyncio.sleep(3600)

    days = lived(tmp_path, token, story)
    assert days.home.modes() == [FAST]
    assert days.site.rows("SELECT state FROM command") == [("confirmed",)]


def test_a_stop_right_after_a_restart_rests_what_the_run_before_left_in_fast(
    tmp_path: Path, token: str
) -> None:
    async def story(days: Days) -> None:
        await days.until(lambda: days.home.settled() == FAST, 700)
        await days.die()
        await days.begin()
        assert days.running is not None
        days.running.cancel()
        await days.service.stop()
        await asyncio.sleep(1.0)
        assert days.home.settled() == STOP

    lived(tmp_path, token, story)


def test_a_stop_right_after_a_restart_leaves_what_the_owner_ordered(tmp_path: Path, token: str) -> None:
    async def story(days: Days) -> None:
        await days.service.store.set_override(None, Mode.FAST, days.clock.now() + timedelta(hours=2), "test")
        await days.until(lambda: days.home.settled() == FAST, 700)
        await days.die()
        await days.begin()
        assert days.running is not None
        days.running.cancel()
        await days.service.stop()

    assert lived(tmp_path, token, story).home.modes() == [FAST]


@pytest.mark.parametrize(
    ("changes", "rest"), [((), STOP), ((("cycle_s = 60", "cycle_s = 60\ngreen_commissioned = true"),), GREEN)]
)
def test_a_frozen_upload_time_ends_grid_power_within_15_minutes_and_a_cycle(
    tmp_path: Path, token: str, changes: tuple[tuple[str, str], ...], rest: int
) -> None:
    async def story(days: Days) -> None:
        await days.until(lambda: days.home.settled() == FAST, 700)
        days.home.frozen = True
        await days.until(lambda: days.home.settled() == rest, 900 + CYCLE_S)
        await asyncio.sleep(3600)
        assert days.home.settled() == rest
        days.home.frozen = False
        await days.until(lambda: days.home.settled() == FAST, 3600)

    lived(tmp_path, token, story, *changes)


def test_the_threshold_follows_the_sun(tmp_path: Path, token: str) -> None:
    async def story(days: Days) -> None:
        days.home.pv_w = 100.0
        await asyncio.sleep(1800)
        assert days.home.modes() == []
        days.home.pv_w = 1250.0
        await days.until(lambda: days.home.settled() == GREEN, 1200)
        days.home.pv_w = 100.0
        await days.until(lambda: days.home.settled() == STOP, 1500)

    days = lived(tmp_path, token, story, *BY_THE_SUN)
    assert len(days.home.modes()) <= 4


def test_the_owners_hand_holds_three_hours_and_then_automation_is_back(tmp_path: Path, token: str) -> None:
    async def story(days: Days) -> None:
        await days.until(lambda: days.home.settled() == FAST, 700)
        await days.until(lambda: bool(days.site.rows("SELECT 1 FROM command WHERE state = 'confirmed'")), 400)
        days.home.piles[GARAGE] = Pile(mode=GREEN)
        await days.until(lambda: bool(days.site.rows("SELECT 1 FROM override")), 600)
        await asyncio.sleep(3 * 3600 - 60)
        assert days.home.settled() == GREEN
        await days.until(lambda: days.home.settled() == FAST, 900)

    lived(tmp_path, token, story)


def test_no_minute_of_an_impatient_configuration_has_ten_calls(tmp_path: Path, token: str) -> None:
    impatient = (
        ("cycle_s = 60", "cycle_s = 1\npoll = { charger_active_s = 1, charger_idle_s = 1 }"),
        ("telemetry_interval_s = 300", "telemetry_interval_s = 1"),
        ("[store]", "[budget]\ncalls_per_minute = 9\nreserved_per_minute = 0\n\n[store]"),
    )

    async def story(days: Days) -> None:
        days.home.telemetry_s, days.home.first_sample_s = 1.0, 1.0
        for _ in range(3):
            await asyncio.sleep(200)
            await days.die()
            await days.begin()

    days = lived(tmp_path, token, story, *impatient)
    assert 7 <= days.home.most_in_a_minute() <= 9
    assert len(days.home.calls()) > 60
