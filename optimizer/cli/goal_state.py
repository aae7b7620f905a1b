"""What each car needs, where that comes from, and whether it can still be had: for `status` and `goal`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from optimizer.config import Settings
from optimizer.config.goals import Wanted, wanted
from optimizer.goals import Charge, reachable_kwh
from optimizer.store.goals import last_charges, standing_goals
from optimizer.store.recovery import OpenSession


@dataclass(frozen=True, slots=True)
class GoalState:
    """One charger's goal; `short_kwh` is what it will miss at the best, None while no car is plugged in."""

    charger: str
    wanted: Wanted
    taken_kwh: float
    short_kwh: float | None


def goal_states(settings: Settings, sessions: Mapping[str, OpenSession], now: datetime) -> list[GoalState]:
    """Return the goals that stand now, in the order of the chargers."""
    path, powers_w = settings.store.path, {spec.name: spec.max_power_w for spec in settings.charger_specs()}
    there_is_a_log = path.is_file()  # before the first run nothing can have been given
    given = {one.charger: one for one in standing_goals(path, now)} if there_is_a_log else {}
    charges = last_charges(path) if there_is_a_log else {}
    states: list[GoalState] = []
    for charger in settings.charger:
        session = sessions.get(charger.name)
        charge = _of_this_stay(charges.get(charger.name), session)
        found = wanted(charger, given.get(charger.name), charge, settings.zone, now)
        if found is not None:
            states.append(_state(charger.name, found, session, powers_w[charger.name], now))
    return states


def _of_this_stay(charge: Charge | None, session: OpenSession | None) -> Charge | None:
    """Return what the car told if it is the one that is there."""
    is_hers = charge is not None and session is not None and charge.at >= session.started_at
    return charge if is_hers else None


def _state(name: str, found: Wanted, session: OpenSession | None, power_w: float, now: datetime) -> GoalState:
    if session is None:
        return GoalState(name, found, 0.0, None)
    need_kwh = found.goal.missing_kwh(session.ev_kwh)
    within_kwh = reachable_kwh(power_w, (found.goal.deadline - now).total_seconds())
    return GoalState(name, found, session.ev_kwh, max(0.0, need_kwh - within_kwh))


def goal_lines(states: list[GoalState], zone: ZoneInfo) -> Iterator[str]:
    """Yield a line for each goal."""
    for state in states:
        goal, basis = state.wanted.goal, state.wanted.basis
        where = state.wanted.origin + (f": {basis}" if basis else "")
        by = f"{goal.energy_kwh:g} kWh by {goal.deadline.astimezone(zone):%a %H:%M} ({where})"
        yield f"{state.charger}: {by}; {_prospect(state)}"


def _prospect(state: GoalState) -> str:
    """Return whether the goal can still be met, in words."""
    if state.short_kwh is None:
        return "no car is plugged in"
    taken = f"{state.taken_kwh:.1f} kWh taken"
    if state.taken_kwh >= state.wanted.goal.energy_kwh:
        return f"{taken}, met"
    if state.short_kwh > 0.0:
        return f"{taken}, out of reach: {state.short_kwh:.1f} kWh will be missing at the best"
    return f"{taken}, can be met"


def goal_documents(states: list[GoalState]) -> dict[str, Any]:
    """Return the goals for programs, by charger."""
    return {
        state.charger: {
            **asdict(state.wanted.goal),
            "origin": state.wanted.origin,
            "basis": state.wanted.basis or None,
            "taken_kwh": state.taken_kwh,
            "short_kwh": state.short_kwh,
        }
        for state in states
    }
