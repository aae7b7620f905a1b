"""A decision's inputs as the log keeps them, and back: what was decided can be decided again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, fields
from datetime import datetime
from typing import Any

from optimizer.control.freshness import Freshness
from optimizer.control.guards import GuardInputs, GuardPolicy, Override, policy_for
from optimizer.domain import (
    ChargerSpec,
    ChargerStatus,
    Forecast,
    Goal,
    Habit,
    Mode,
    SiteReading,
    Situation,
    Strategy,
    Tariff,
)
from optimizer.runtime.decider import Deliberation
from optimizer.runtime.rules import Rules
from optimizer.runtime.written import from_today_on, tariff_from_json, tariff_to_json

Json = Mapping[str, Any]
Vintage = Callable[[str, datetime], Forecast | None]
"""Finds a forecast by its provider and its time of issue."""

_SITUATION = ("ev_w", "session_kwh", "surplus_w", "data_age_s", "elapsed_s")
_GUARDED = (
    "now_s",
    "changed_at_s",
    "changes_24h",
    "connected",
    "slot_free",
    "serves_goals",
    "need_kwh",
    "power_w",
    "goal_left_s",
)
_USUAL = {one.name: one.default for one in fields(GuardInputs) if one.default is not MISSING}
"""What need not be written."""


class Contexts:
    """What seldom changes, by charger; equal for all decisions until tariff, charger or habit is another."""

    def __init__(self, rules: Rules, strategy: Strategy) -> None:
        self._settled = {spec.name: _settled(spec, rules, strategy) for spec in rules.chargers}
        self._specs = {spec.name: spec for spec in rules.chargers}
        self._habits: dict[str, Habit | None] = {}
        self._tariff: Tariff | None = None
        self._of: dict[str, Json] = {}

    def of(self, situation: Situation) -> Json:
        """Return the charger, the tariff, the policy, and whose proposal it is."""
        spec = situation.charger
        if spec is not self._specs[spec.name]:  # more was learnt of it
            self._settled[spec.name] = {**self._settled[spec.name], "charger": asdict(spec)}
            self._specs[spec.name], self._tariff = spec, None
        if situation.habit is not self._habits.get(spec.name):
            self._habits[spec.name], self._tariff = situation.habit, None
            self._settled[spec.name] = {**self._settled[spec.name], **_written(situation.habit)}
        if situation.tariff is not self._tariff:
            self._tariff = situation.tariff
            written = tariff_to_json(from_today_on(self._tariff, situation.now))
            self._of = {name: {**settled, "tariff": written} for name, settled in self._settled.items()}
        return self._of[spec.name]


def _settled(spec: ChargerSpec, rules: Rules, strategy: Strategy) -> Json:
    params, guard = getattr(strategy, "params", None), policy_for(strategy, rules.guard)
    return {
        "charger": asdict(spec),
        "guard": {**asdict(guard), "dwell_s": {m.name: s for m, s in guard.dwell_s.items()}},
        "strategy": strategy.name,
        "params": {} if params is None else _plain(asdict(params)),
    }


def _written(habit: Habit | None) -> Json:
    """Return a habit as the log keeps it, without the zeros at its ends."""
    if habit is None:
        return {"habit": None}
    return {"habit": [_without_zeros(habit.stays), _without_zeros(habit.takes)]}


def _without_zeros(chances: tuple[float, ...]) -> list[object]:
    kept = list(chances)
    while kept and kept[-1] == 0.0:
        kept.pop()
    return [len(chances), *kept]


def _read(written: list[list[float]] | None) -> Habit | None:
    if written is None:
        return None
    stays, takes = ((*kept, *(0.0,) * (int(length) - len(kept))) for length, *kept in written)
    return Habit(stays, takes)


def inputs_of(one: Deliberation) -> dict[str, object]:
    """Return everything else that the strategy and the guards looked at."""
    situation, inputs = one.situation, one.inputs
    site, goal, fresh, owner = situation.site, situation.goal, inputs.freshness, inputs.override
    return {
        "now": situation.now.isoformat(),
        "status": None if situation.status is None else int(situation.status),
        "mode": None if situation.mode is None else int(situation.mode),
        **{name: getattr(situation, name) for name in _SITUATION},
        "memory": situation.memory,
        "site": None
        if site is None
        else [
            site.received_at.isoformat(),
            site.stamp,
            site.pv_w,
            site.grid_w,
            site.battery_w,
            site.battery_soc,
        ],
        "goal": None if goal is None else [goal.deadline.isoformat(), goal.energy_kwh],
        **_vintages(situation),
        **({} if situation.habit is None else {"stayed_s": situation.stayed_s}),
        "current": None if inputs.current is None else int(inputs.current),
        "fresh": None
        if fresh is None
        else [fresh.stamp, fresh.changed_at_s, fresh.proven, fresh.grid_w, fresh.pv_w, fresh.repeats],
        "override": None if owner is None else [int(owner.mode), owner.until_s],
        **{name: told for name in _GUARDED if (told := getattr(inputs, name)) != _USUAL.get(name, MISSING)},
    }


def _vintages(situation: Situation) -> dict[str, object]:
    """Return which forecasts there were; what they said stands in the log under these names."""
    said = {"forecast": situation.forecast, "load_forecast": situation.load_forecast}
    return {
        name: [vintage.provider, vintage.issued_at.isoformat()]
        for name, vintage in said.items()
        if vintage is not None
    }


def situation_from(inputs: Json, context: Json, vintage: Vintage = lambda *_: None) -> Situation:
    """Return the situation as the strategy saw it, with the forecasts that `vintage` finds."""
    site, goal, told = inputs["site"], inputs["goal"], _vintages_in(inputs, vintage)
    return Situation(
        now=datetime.fromisoformat(inputs["now"]),
        charger=ChargerSpec(**context["charger"]),
        status=None if inputs["status"] is None else ChargerStatus(inputs["status"]),
        mode=None if inputs["mode"] is None else Mode(inputs["mode"]),
        site=None if site is None else SiteReading(datetime.fromisoformat(site[0]), *site[1:]),
        goal=None if goal is None else Goal(datetime.fromisoformat(goal[0]), goal[1]),
        tariff=tariff_from_json(context["tariff"]),
        memory=tuple(inputs["memory"]),
        forecast=told.get("forecast"),
        load_forecast=told.get("load_forecast"),
        habit=_read(context.get("habit")) if "stayed_s" in inputs else None,
        stayed_s=inputs.get("stayed_s", 0.0),
        **{name: inputs[name] for name in _SITUATION},
    )


def _vintages_in(inputs: Json, vintage: Vintage) -> dict[str, Forecast | None]:
    named = {name: inputs[name] for name in ("forecast", "load_forecast") if name in inputs}
    return {name: vintage(by, datetime.fromisoformat(at)) for name, (by, at) in named.items()}


def guard_inputs_from(inputs: Json) -> GuardInputs:
    """Return what the guards looked at."""
    fresh, owner = inputs["fresh"], inputs["override"]
    return GuardInputs(
        current=None if inputs["current"] is None else Mode(inputs["current"]),
        freshness=None if fresh is None else Freshness(*fresh),
        override=None if owner is None else Override(Mode(owner[0]), owner[1]),
        **{name: inputs[name] for name in _GUARDED if name in inputs},
    )


def policy_from(context: Json) -> GuardPolicy:
    """Return the owner's settings that held."""
    policy = dict(context["guard"])
    policy["dwell_s"] = {Mode[name]: seconds for name, seconds in policy["dwell_s"].items()}
    return GuardPolicy(**policy)


def _plain(params: dict[str, Any]) -> dict[str, Any]:
    return {name: int(value) if isinstance(value, Mode) else value for name, value in params.items()}
