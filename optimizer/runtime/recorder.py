"""Writes down what happens: readings, decisions, energy by the quarter hour, charging sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from optimizer.control.energy import ChargerSample, EnergyMeter, EnergyRow, SitePowers, advance
from optimizer.domain import SiteReading
from optimizer.runtime.decider import Deliberation
from optimizer.runtime.replay import inputs_of
from optimizer.runtime.rules import Rules
from optimizer.runtime.world import ChargerView, Noticed, World
from optimizer.store.log import Store
from optimizer.store.recovery import Recovered

_DRAIN_S = 300.0


class Recorder:
    """Keeps the energy meter and the open sessions, and hands everything to the store.

    `contexts` holds per charger what seldom changes and belongs to each decision.
    """

    def __init__(
        self,
        store: Store,
        world: World,
        rules: Rules,
        contexts: Mapping[str, Mapping[str, object]],
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

    def take_over(self, past: Recovered) -> None:
        """Go on with the sessions that were open when the last run ended."""
        for name, session in past.sessions.items():
            if name not in self._world.chargers:
                continue
            self._sessions[name] = EnergyRow(
                session.started_at,
                name,
                ev_kwh=session.ev_kwh,
                ev_solar_kwh=session.ev_solar_kwh,
                ev_grid_kwh=session.ev_grid_kwh,
                cost_eur=session.cost_eur,
            )
            reading = past.chargers.get(name)
            if reading is not None and reading.session_kwh is not None:
                self._meter = self._meter.counter_known(name, reading.session_kwh)

    def site(self, reading: SiteReading) -> None:
        """Note a new sample of the house."""
        self._store.site_reading(reading)

    def charger(self, view: ChargerView, noticed: Noticed) -> None:
        """Note a reading of a charger; a car that came or went begins or ends a session."""
        reading, name = view.reading, view.spec.name
        if reading is None:
            return
        self._store.charger_reading(name, reading)
        self._fresh_cars[name] = ChargerSample(reading.ev_w, reading.session_kwh)
        if noticed.unplugged:
            self.drain(reading.received_at)
            self._store.session_ended(name, reading.received_at)
            self._sessions.pop(name, None)
        if noticed.plugged_in and name not in self._sessions:
            goal = self._rules.goal_for(name, reading.received_at)
            self._store.session_started(name, reading.received_at, goal)
            self._sessions[name] = EnergyRow(reading.received_at, name)

    def cycle(self, now: datetime, now_s: float, decided: Sequence[Deliberation]) -> None:
        """Note the decisions and account for the time up to what is new; without news the powers hold on."""
        for one in decided:
            self._store.decision(one.decision, inputs_of(one), self._contexts[one.decision.charger])
        if self._drained_s is None or now_s >= self._drained_s + _DRAIN_S:
            self._drained_s = now_s
            self.drain(now)
        elif self._fresh_cars or self._world.site.is_news:
            self._advance(now)

    def drain(self, now: datetime) -> None:
        """Write all energy known so far; the store adds up what belongs to one quarter hour."""
        self._advance(now)
        rows = tuple(self._meter.open_rows.values())
        self._meter = replace(self._meter, open_rows={})
        self._add(rows)
        for name, sums in self._sessions.items():
            self._store.session_updated(
                name,
                ev_kwh=sums.ev_kwh,
                ev_solar_kwh=sums.ev_solar_kwh,
                ev_grid_kwh=sums.ev_grid_kwh,
                cost_eur=sums.cost_eur,
            )

    def event(
        self, kind: str, message: str, *, charger: str | None = None, level: str = "info", **detail: object
    ) -> None:
        """Note that something happened, in a sentence."""
        self._store.event(kind, message, charger=charger, level=level, **detail)

    def clock_stepped(self, step_s: float) -> None:
        """Note that somebody set the wall clock, and let the calendar look at it."""
        self.event("clock_step", f"the wall clock was set by {step_s:+.0f} s", level="warning", step_s=step_s)
        self._on_clock_step()

    def _advance(self, now: datetime) -> None:
        cars, self._fresh_cars = self._fresh_cars, {}
        self._meter, rows = advance(self._meter, now, self._rules.tariff, self._powers(), cars)
        self._add(rows)

    def _powers(self) -> SitePowers | None:
        """Return the house's powers if a new sample has been made sense of since the last call."""
        estimate, reading = self._world.site.take_news(), self._world.site.reading
        if estimate is None or estimate.base_load_w is None or reading is None or reading.pv_w is None:
            return None
        return SitePowers(reading.pv_w, estimate.base_load_w, reading.battery_w or 0.0)

    def _add(self, rows: Sequence[EnergyRow]) -> None:
        self._store.add_energy(rows)
        for row in rows:
            if row.charger in self._sessions:
                self._sessions[row.charger] = self._sessions[row.charger].plus(row)
