"""The service: puts the parts together, starts them, runs the cycle, and stops them cleanly."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import structlog

from optimizer.clock import Clock, SystemClock
from optimizer.config import Settings
from optimizer.control.budget import Limits, Priority
from optimizer.control.guards import GuardPolicy
from optimizer.control.polling import PollPolicy
from optimizer.errors import Unavailable
from optimizer.forecast.reckoner import Reckoner
from optimizer.goals import Given
from optimizer.runtime.calendar import Calendar, Job, OnFailure, SystemCalendar, cron
from optimizer.runtime.commander import Commander
from optimizer.runtime.cycle import Cycle, Parts, first_of
from optimizer.runtime.decider import Decider
from optimizer.runtime.learning import Learning, honoured
from optimizer.runtime.looking_ahead import Ground, forecast_jobs, habit_jobs
from optimizer.runtime.notify import Notifier
from optimizer.runtime.outside import Outside, serve_goals
from optimizer.runtime.owner import Owner
from optimizer.runtime.reader import Reader
from optimizer.runtime.recorder import Recorder
from optimizer.runtime.replay import Contexts
from optimizer.runtime.rules import HomeBattery, Rules
from optimizer.runtime.scoring import TIMEOUT_S, Scorer
from optimizer.runtime.shadow import Shadow
from optimizer.runtime.takeover import take_over
from optimizer.runtime.world import World
from optimizer.solax.client import SolaxClient
from optimizer.solax.transport import open_http
from optimizer.store.commands import Callback
from optimizer.store.experience import Known, known_at
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions
from optimizer.store.recovery import NOTHING, Recovered
from optimizer.store.sqlite import StoreUnavailable

if TYPE_CHECKING:  # it brings a web server along, which only callbacks need
    from optimizer.solax.callbacks import CallbackEvent

GRACE_S = 1.0
"""How long a cycle that is under way at a stop may take to end by itself."""

STOP_S = 3.0
"""How long a clean stop may then spend on bringing the chargers to rest."""

_DEVICE_ANSWER = 2
CALLS_KEPT = timedelta(days=14)
"""How long the ledger keeps calls; the limits ask for a day of them."""

_log = structlog.stdlib.get_logger("sunmode.service")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the service touches the world; each can be replaced, so that a whole life can be replayed.

    `network` None is the real way to the SolaX cloud, `web` that to all others; `inline` writes the log in
    the loop's own thread (virtual time).  Without a `scorer` no day is scored, without a
    `reckoner` forecasts are worked out in this process.
    """

    clock: Clock = field(default_factory=SystemClock)
    network: httpx.AsyncBaseTransport | None = None
    web: httpx.AsyncBaseTransport | None = None
    calendar: Callable[[OnFailure], Calendar] = SystemCalendar
    notifier: Notifier = field(default_factory=Notifier)
    inline: bool = False
    file: FileOptions = field(default_factory=FileOptions)
    scorer: Scorer | None = None
    reckoner: Reckoner | None = None
    new_secret: Callable[[], str] = lambda: secrets.token_urlsafe(24)


def rules_from(settings: Settings, *, dry_run: bool = False) -> Rules:
    """Return what the owner has settled, in the words of the core."""
    control, battery = settings.control, settings.battery
    return Rules(
        chargers=settings.charger_specs(),
        tariff_at=lambda _: settings.flat_tariff(),
        guard=GuardPolicy(
            fresh_s=control.fresh_s,
            stale_s=control.stale_s,
            lease_s=control.lease_s,
            green_commissioned=bool(control.green_commissioned),
            dwell_s=control.dwell_s.by_mode(),
            max_changes_per_day=control.max_changes_per_day,
            switch_cost_eur=control.switch_cost_eur,
        ),
        poll=PollPolicy(
            site_interval_s=settings.solax.telemetry_interval_s,
            charger_active_s=control.poll.charger_active_s,
            charger_idle_s=control.poll.charger_idle_s,
            night_factor=control.poll.night_factor,
        ),
        battery=None if battery is None else HomeBattery(battery.first_until_soc, battery.max_charge_w),
        goal_for=settings.goal_for,
        cycle_s=control.cycle_s,
        override_hold_s=control.override_hold_s,
        reads_per_minute=limits_from(settings).minute_capacity(Priority.READ),
        dry_run=dry_run,
    )


def limits_from(settings: Settings) -> Limits:
    """Return the call budget."""
    budget = settings.budget
    return Limits(
        per_minute=budget.calls_per_minute,
        per_day=budget.calls_per_day,
        reserved_per_minute=budget.reserved_per_minute,
        call_timeout_s=settings.solax.call_timeout_s,
    )


class Service:
    """One site under control; `start`, then `run`, then `stop`.

    `base_url` is where the cloud is when the settings say "virtual".
    """

    def __init__(
        self,
        settings: Settings,
        ports: Ports,
        *,
        base_url: str | None = None,
        token: Callable[[], str] | None = None,
        dry_run: bool = False,
    ) -> None:
        self.settings = settings
        self.outside = Outside(settings, ports.clock)
        self.rules = replace(
            rules_from(settings, dry_run=dry_run),
            tariff_at=self.outside.prices.tariff_at,
            goal_for=self.outside.goals.goal_for,
        )
        self.world = World(self.rules.chargers, self.rules.poll.site_interval_s, self.rules.guard.fresh_s)
        self.strategy = settings.build_strategy()
        self.tried = settings.build_shadow()
        self._ports = ports
        self._base_url = base_url or settings.solax.base_url
        self._token = token or settings.token
        self._stack = AsyncExitStack()
        self._faulty: set[str] = set()
        self._calendar = ports.calendar(self._job_failed)

    async def start(self) -> None:
        """Open the log, take over from the run before, open the ways in and out.

        A log that cannot be written now does not keep the house without control.

        Raises:
            InputError: a newer sunmode has written the log.
            ConfigError: the callback listener cannot have its address, or the cloud's is not allowed.

        """
        clock, settings = self._ports.clock, self.settings
        self.store = Store.open(
            settings.store.path,
            clock,
            limits=limits_from(settings),
            inline=self._ports.inline,
            options=self._ports.file,
        )
        self._stack.callback(self.store.close)
        past = await self._past()
        self._go_by(known_at(settings.store.path))
        take_over(self.world, past, clock.now(), clock.monotonic_s())
        self.outside.open(self._stack, self._ports.web, self.store, self.world, past.prices)
        self.client = await self._open_client()
        self.cycle = self._wired()
        self._recorder.take_over(past)
        self._commander.take_over(past.interrupted)
        if self._shadow is not None:
            self._shadow.take_over(past.shadows, clock.now(), clock.monotonic_s())
        await serve_goals(self._stack, settings, clock, self._take_goal)
        self._calendar.start(self._jobs())
        self._stack.push_async_callback(self._calendar.stop)
        self._tell_start()
        self._ports.notifier.ready()

    def _go_by(self, known: Mapping[str, Known]) -> None:
        """Take over what experience tells where the owner has said nothing."""
        self.rules = honoured(self.rules, known, self.settings.control.green_commissioned)
        for spec in self.rules.chargers:
            self.world.chargers[spec.name].spec = spec

    def _tell_start(self) -> None:
        name, tried = self.strategy.name, "" if self.tried is None else self.tried.name
        beside = tried and f", and {tried} as its shadow"
        self.store.event("start", f"sunmode starts with {name}{beside}")
        _log.info("started", strategy=name, shadow=tried or None, chargers=len(self.rules.chargers))

    async def _past(self) -> Recovered:
        try:
            return await self.store.recover()
        except StoreUnavailable as error:
            _log.error("the log cannot be read: starting without a past", error=str(error))
            return NOTHING

    def forbid_grid_modes(self) -> None:
        """Give no lease for FAST and ECO, whatever the data says; to be called before `start`."""
        self.rules = replace(self.rules, guard=replace(self.rules.guard, lease_s=0.0))

    async def run(self, stop: asyncio.Event) -> None:
        """Cycle until `stop` is set; what is not expected to happen comes out as an exception.

        A cycle that waits for a silent cloud must not hold up the stop: it is broken off.
        """
        cycling = asyncio.create_task(self.cycle.run(stop), name="cycle")
        asked = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait({cycling, asked}, return_when=asyncio.FIRST_COMPLETED)
            self.cycle.wake()
            await asyncio.wait({cycling}, timeout=GRACE_S)
        finally:
            for task in (cycling, asked):
                task.cancel()
            await asyncio.gather(cycling, asked, return_exceptions=True)
        if not cycling.cancelled():
            cycling.result()

    async def stop(self) -> None:
        """Leave the chargers as the owner wants them, write what is known, close; 5 s with the last cycle.

        Raises:
            Unavailable: a charger may go on drawing from the grid; all else is done.

        """
        self._ports.notifier.stopping()
        left = await self._left_drawing()
        self.settle()
        self.store.event("stop", "sunmode stops")
        _log.info("stopped")
        await self.close()
        if left:
            raise Unavailable(left)

    async def _left_drawing(self) -> str:
        """Bring the chargers to rest; return what must be said if one may go on drawing."""
        if self.settings.control.stop_mode == "keep" or self.rules.dry_run:
            return ""
        await first_of(self.cycle.rest_all(), self._ports.clock.sleep(STOP_S))
        return self.tell_left_drawing()

    def tell_left_drawing(self) -> str:
        """Return what must be said of chargers that may go on drawing, and log it; nothing where none may."""
        names = ", ".join(self.cycle.left_drawing())
        left = names and f"{names} may go on drawing from the grid: the cloud did not take the last command"
        if left:
            self.store.event("left_drawing", left, level="error")
        return left

    def settle(self) -> None:
        """Account for all energy up to now."""
        self._recorder.drain(self._ports.clock.now())

    async def close(self) -> None:
        """Close what is open, whatever the state."""
        await self._stack.aclose()

    async def _open_client(self) -> SolaxClient:
        settings = self.settings
        callback_url = await self._listen()
        client = SolaxClient(
            open_http(self._base_url, self._token, inner=self._ports.network),
            self.store.ledger,
            self._ports.clock,
            inverter=settings.inverter,
            callback_url=callback_url,
            call_timeout_s=settings.solax.call_timeout_s,
            status_map=settings.solax.status_map,
            cars_w=sum(spec.max_power_w for spec in settings.charger_specs()),
        )
        self._stack.push_async_callback(client.aclose)
        return client

    async def _listen(self) -> str:
        """Open the callback receiver if there is an address for it; return what to tell the cloud."""
        callback = self.settings.callback
        if not callback.url:
            return ""
        from optimizer.solax.callbacks import callback_app
        from optimizer.solax.listener import serve_callbacks

        secret = self._ports.new_secret()
        app = callback_app(secret, self._called_back, self._ports.clock)
        await self._stack.enter_async_context(
            serve_callbacks(app, callback.listen_host, callback.listen_port)
        )
        return f"{callback.url.rstrip('/')}/callback/{secret}"

    async def _take_goal(self, given: Given) -> None:
        await self.store.goals.give(given, self._ports.clock.now())
        self.cycle.wake()

    def _wired(self) -> Cycle:
        """Put the cycle together."""
        world, rules, clock = self.world, self.rules, self._ports.clock
        contexts = Contexts(rules, self.strategy)
        recorder = Recorder(self.store, world, rules, contexts, clock.now(), self._calendar.rearm)
        owner = Owner(world, rules, self.store, recorder, self.outside.goals)
        parts = Parts(
            reader=Reader(self.client, world, rules, owner, recorder, clock),
            owner=owner,
            decider=Decider(world, rules, self.strategy, self._strategy_failed),
            commander=Commander(self.client, world, self.store, recorder, clock, rules.readable_s),
            recorder=recorder,
            shadow=None if self.tried is None else Shadow(self.tried, rules, self.store),
        )
        self._recorder, self._commander, self._shadow = recorder, parts.commander, parts.shadow
        return Cycle(world, rules, parts, self.store, clock, self._ports.notifier)

    def _jobs(self) -> list[Job]:
        scorer = self._ports.scorer
        scoring = [] if scorer is None else [Job("score", cron(hour=3, minute=30), scorer, TIMEOUT_S)]
        return [
            *scoring,
            *self.outside.jobs,
            *forecast_jobs(self.settings, self._ground(), (self.strategy, self.tried)),
            *habit_jobs(self.settings, self._ground(), (self.strategy, self.tried)),
            Job("learning", cron(hour=3, minute=20), self._learning().run, timeout_s=600.0),
            Job("energy", cron(minute="*/15", second=5), self._settle),
            Job("retention", cron(hour=2, minute=40), self._prune, timeout_s=600.0),
            Job("backup", cron(hour=3, minute=10), self._backup, timeout_s=600.0),
        ]

    def _ground(self) -> Ground:
        ports = self._ports
        return Ground(ports.clock, self.store, self.world, ports.reckoner, ports.web, ports.inline)

    def _learning(self) -> Learning:
        ports, specs = self._ports, self.settings.charger_specs()
        return Learning(self.store, self.world, specs, ports.clock, ports.inline)

    async def _settle(self) -> None:
        self.settle()

    async def _prune(self) -> None:
        now = self._ports.clock.now()
        before = now - timedelta(days=self.settings.store.keep_days)
        await self.store.prune(before, max(before, now - CALLS_KEPT))
        await self.store.forecasts.thin(now)

    async def _backup(self) -> None:
        if self.settings.store.backup is not None:
            await self.store.backup(self.settings.store.backup)

    def _called_back(self, event: CallbackEvent) -> None:
        """Take a callback as a reason to look, never as the truth."""
        task = asyncio.create_task(self._note_callback(event), name="callback")
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _note_callback(self, event: CallbackEvent) -> None:
        try:
            chargers = await self.store.callback(_logged(event))
        except StoreUnavailable as error:
            _log.warning("a callback could not be looked up", error=str(error))
            return
        if self.world.look_soon(chargers, self._ports.clock.monotonic_s()):
            self.cycle.wake()

    def _strategy_failed(self, charger: str, fault: Exception) -> None:
        kind = type(fault).__name__
        if f"{charger} {kind}" in self._faulty:
            return
        self._faulty.add(f"{charger} {kind}")
        _log.error("the strategy failed", charger=charger, fault=kind, exc_info=fault)
        self.store.event("strategy_failed", f"the strategy failed: {kind}", charger=charger, level="error")

    def _job_failed(self, job: str, error: BaseException) -> None:
        _log.error("a calendar job failed", job=job, error=repr(error))
        self.store.event("job_failed", f"the job {job} failed: {type(error).__name__}", level="error")


def _logged(event: CallbackEvent) -> Callback:
    """Return the callback as the log keeps it; kind 2 is a device's own answer, code 0 means done."""
    detail = {
        "success": event.success,
        "code": event.code,
        "failed": event.serials_failed,
        "timed_out": event.serials_timed_out,
        "text": event.text,
    }
    done = event.kind == _DEVICE_ANSWER and event.success is not False and event.code == 0
    serial = event.serial if event.kind == _DEVICE_ANSWER else None
    return Callback(event.task_id, f"callback_{event.kind}", detail, serial, acknowledges=done)
