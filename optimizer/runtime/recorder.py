"""Writes down what happens: readings, decisions, energy by the quarter hour, charging sessions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from optimizer.control.energy import ChargerSample, EnergyMeter, EnergyRow, SitePowers, advance
from optimizer.domain import SiteReading, Situation, Tariff
from optimizer.goals import reachable_kwh
from optimizer.runtime.decider import Deliberation
from optimizer.runtime.replay import Contexts, inputs_of
from optimizer.runtime.rules import Rules
from optimizer.runtime.world import ChargerView, Noticed, World
from optimizer.store.accounts import Accounts
from optimizer.store.log import Store
from optimizer.store.recovery import Recovered
from optimizer.tariffs.market import in_force

_DRAIN_S = 300.0
_SHORT_KWH = 0.5
"""What a goal misses by less than this is lost in the time that a command takes."""


class Recorder:
    """Keeps the energy meter and the open sessions, and hands everything to the store.

    `contexts` knows what seldom changes and belongs to each decision.
    """

    def __init__(
        self,
        store: Store,
        world: World,
        rules: Rules,
        contexts: Contexts,
        now: datetime,
        on_clock_step: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._world = world
        self._rules = rules
        self._contexts = contexts
        self._on_clock_step = on_clock_step
        self._meter = EnergyMeter(now)
        self._fresh_cars: dict[str, ChargerSample] = {}
        self._sessions: dict[str, EnergyRow] = {}
        self._drained_s: float | None = None
        self._tariff: Tariff | None = None
        self._out_of_reach: dict[str, datetime] = {}

    def take_over(self, past: Recovered) -> None:
        """Go on with the last run's accounts and open sessions, exactly from where they were written."""
        known = self._world.chargers
        if past.accounts is not None:
            # A wall clock that was set back since must not make the meter wait for its old time.
            self._meter = EnergyMeter(min(past.accounts.at, self._meter.at))
            for name, account in past.accounts.chargers.items():
                if name in known:
                    self._meter = self._meter.with_account(name, account)
        for name, session in past.sessions.items():
            if name in known:
                self._sessions[name] = EnergyRow(
                    session.started_at,
                    name,
                    ev_kwh=session.ev_kwh,
                    ev_solar_kwh=session.ev_solar_kwh,
                    ev_grid_kwh=session.ev_grid_kwh,
                    cost_eur=session.cost_eur,
                )

    def site(self, reading: SiteReading) -> None:
        """Note a new sample of the house."""
        self._store.site_reading(reading)

    def charger(self, view: ChargerView, noticed: Noticed) -> None:
        """Note a reading of a charger; a car that came or went begins or ends a session.

        What the counter tells of the time before belongs to the car that left; where another came meanwhile
        and the counter began anew, what stands on it is the new one's.
        """
        reading, name = view.reading, view.spec.name
        if reading is None:
            return
        self._store.charger_reading(name, reading)
        sample = ChargerSample(reading.ev_w, reading.session_kwh)
        if noticed.unplugged:
            if not noticed.plugged_in:
                self._fresh_cars[name] = sample
            elif self._began_anew(name, sample):
                self._fresh_cars[name] = ChargerSample(None, 0.0)
            self.drain(reading.received_at)
            self._store.session_ended(name, reading.received_at)
            self._sessions.pop(name, None)
        if noticed.plugged_in and name not in self._sessions:
            goal = self._rules.goal_for(name, reading.received_at)
            self._store.session_started(name, reading.received_at, goal)
            self._sessions[name] = EnergyRow(reading.received_at, name)
            self.drain(reading.received_at)
        self._fresh_cars[name] = sample

    def _began_anew(self, name: str, sample: ChargerSample) -> bool:
        """Tell whether a charger's counter has fallen."""
        account = self._meter.accounts.get(name)
        return (
            account is not None
            and sample.session_kwh is not None
            and sample.session_kwh < account.counter_kwh
        )

    def cycle(self, now: datetime, now_s: float, decided: Sequence[Deliberation]) -> None:
        """Note the decisions and account for the time up to what is new; without news the powers hold on."""
        for one in decided:
            self._store.decision(one.decision, inputs_of(one), self._contexts.of(one.situation))
            self._note_goal(one.situation)
        self._note_prices(now)
        if self._drained_s is None or now_s >= self._drained_s + _DRAIN_S:
            self._drained_s = now_s
            self.drain(now)
        elif self._fresh_cars or self._world.site.is_news:
            rows = self._advanced(now)
            if rows:
                self._write(rows)

    def _note_goal(self, situation: Situation) -> None:
        """Tell once of a goal that cannot be met in full; it is served as far as possible."""
        goal, name = situation.goal, situation.charger.name
        if goal is None or not situation.connected or self._out_of_reach.get(name) == goal.deadline:
            return
        left_s = (goal.deadline - situation.now).total_seconds()
        short_kwh = situation.need_kwh - reachable_kwh(situation.charger.max_power_w, left_s)
        if short_kwh > _SHORT_KWH:
            self._out_of_reach[name] = goal.deadline
            told = f"{name}: of {goal.energy_kwh:g} kWh at least {short_kwh:.1f} will be missing in time"
            self.event("goal_out_of_reach", told, charger=name, level="warning")

    def _note_prices(self, now: datetime) -> None:
        """Write what a kWh costs from now on, where that is not what was written last."""
        tariff = self._rules.tariff_at(now)
        if tariff != self._tariff:
            self._tariff = tariff
            self._store.prices.in_force(in_force(tariff, now, ZoneInfo(tariff.zone)))

    def drain(self, now: datetime) -> None:
        """Write all energy known so far; the store adds up what belongs to one quarter hour."""
        self._write(self._advanced(now))

    def event(
        self, kind: str, message: str, *, charger: str | None = None, level: str = "info", **detail: object
    ) -> None:
        """Note that something happened, in a sentence."""
        self._store.event(kind, message, charger=charger, level=level, **detail)

    def clock_stepped(self, step_s: float) -> None:
        """Note that somebody set the wall clock, and let the calendar look at it."""
        self.event("clock_step", f"the wall clock was set by {step_s:+.0f} s", level="warning", step_s=step_s)
        self._on_clock_step()

    def _advanced(self, now: datetime) -> tuple[EnergyRow, ...]:
        """Account for the time up to `now` and return the rows that are ready."""
        cars, self._fresh_cars = self._fresh_cars, {}
        self._meter, rows = advance(self._meter, now, self._rules.tariff_at(now), self._powers(), cars)
        return rows

    def _write(self, ready: tuple[EnergyRow, ...]) -> None:
        """Write what is ready and what is open, so that the rows tell exactly as much as the accounts say."""
        rows = (*ready, *self._meter.open_rows.values())
        self._meter = replace(self._meter, open_rows={})
        for row in rows:
            if row.charger in self._sessions:
                self._sessions[row.charger] = self._sessions[row.charger].plus(row)
        accounts = Accounts(self._meter.at, self._meter.accounts, self._bases_kwh())
        self._store.account(rows, self._sessions, accounts)

    def _bases_kwh(self) -> dict[str, float]:
        """Return what the counters had from before the cars that are there."""
        presences = ((name, view.presence) for name, view in self._world.chargers.items())
        return {
            name: presence.base_kwh
            for name, presence in presences
            if presence is not None and presence.base_kwh is not None
        }

    def _powers(self) -> SitePowers | None:
        """Return the house's powers if a new sample has been made sense of since the last call."""
        estimate, reading = self._world.site.take_news(), self._world.site.reading
        if estimate is None or estimate.base_load_w is None or reading is None or reading.pv_w is None:
            return None
        return SitePowers(reading.pv_w, estimate.base_load_w, reading.battery_w or 0.0)
