"""What each mode costs from here on, over all that sun, house and car may do; the cheapest is proposed.

The programme is `optimizer.planning.lookahead`.  This file gives it its parameters, chooses by its values,
and says in euros why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Ge, Gt, Le

from optimizer.ahead import Ahead
from optimizer.domain import ChargerSpec, Mode, Proposal, Reason, Situation
from optimizer.planning.choice import value_modes
from optimizer.planning.expected import MOST_SLOTS, task_of
from optimizer.planning.lookahead import MODES, Costs, Model, Weather, tables_of
from optimizer.planning.outcome import Drive
from optimizer.planning.sky import Floats, sky_of
from optimizer.plant.charger import PILOT_MIN_A
from optimizer.sensed import Sensed, ahead_of, sensed

Share = Annotated[float, Ge(0.0), Le(1.0)]

IDLE, PLANNED, UNKNOWN = 0, 1, 2
"""Reason codes of the kernel."""

_GREEN = int(Mode.GREEN)


def _doc(text: str) -> dict[str, str]:
    return {"doc": text}


@dataclass(frozen=True, slots=True)
class PlannerParams:
    """Parameters of `planner`."""

    switch_cost_eur: Annotated[float, Ge(0.0), Le(1.0)] = field(
        default=0.02, metadata=_doc("what a change of modes must be worth at least, EUR")
    )
    unmet_eur_per_kwh: Annotated[float, Ge(0.0), Le(10.0)] = field(
        default=0.60, metadata=_doc("what a kWh costs that a goal misses, EUR")
    )
    spare_eur_per_kwh: Annotated[float, Ge(0.0), Le(10.0)] = field(
        default=0.15, metadata=_doc("what a kWh beyond the goal is worth, EUR: less than importing one costs")
    )
    spare_kwh: Annotated[float, Ge(0.0), Le(200.0)] = field(
        default=20.0, metadata=_doc("how much more than the goal the car may take, kWh")
    )
    sky_levels: Annotated[int, Ge(1), Le(31)] = field(
        default=5, metadata=_doc("how many kinds of weather are told apart; 1 trusts the forecast")
    )
    sky_persistence_h: Annotated[float, Gt(0.0), Le(48.0)] = field(
        default=6.0, metadata=_doc("how long the weather goes on deviating from the forecast, h")
    )
    energy_levels: Annotated[int, Ge(11), Le(2001)] = field(
        default=81, metadata=_doc("how finely the energy in the car is told apart")
    )
    cloud_share: Share = field(
        default=0.4, metadata=_doc("how much the sun comes and goes within a quarter hour")
    )
    green_share: Share = field(
        default=0.8, metadata=_doc("what GREEN gets of a surplus that comes and goes about its gear")
    )


Memory = tuple[float]


def kernel(seen: Sensed, ahead: Ahead, model: Model, memory: Memory) -> tuple[int, int, float, Memory]:
    """Return mode, reason code, how long they hold, and the memory."""
    if not seen.connected or seen.full:
        return _GREEN, IDLE, math.inf, memory
    task = task_of(seen, ahead, model.costs.spare_kwh)
    if task.top_kwh <= 0.0:
        return _GREEN, IDLE, math.inf, memory
    value_modes(seen, ahead, task, model)
    return cheapest(seen.mode, model.tables.eur, model.costs.switch_eur), PLANNED, 0.0, memory


def cheapest(mode: int, eur: Floats, switch_eur: float) -> int:
    """Return the mode that costs least, a change included."""
    best, best_eur = mode, eur[mode]
    for other in range(MODES):
        if eur[other] + switch_eur < best_eur:
            best, best_eur = other, eur[other] + switch_eur
    return best


class Planner:
    """Knows the weather, the house and the prices as far as they can be known, and what it costs not to."""

    name = "planner"
    serves_goals = True
    wants_forecast = True
    plans_goals = True
    Params = PlannerParams
    kernel = staticmethod(kernel)

    def __init__(self, params: PlannerParams) -> None:
        self.params = params
        self._settings: dict[ChargerSpec, Model] = {}

    def setting(self, charger: ChargerSpec) -> Model:
        """Return the parameters and the room for a plan of this charger."""
        if charger not in self._settings:
            p = self.params
            costs = Costs(p.unmet_eur_per_kwh, p.spare_eur_per_kwh, p.spare_kwh, p.switch_cost_eur)
            weather = Weather(sky_of(p.sky_levels, p.sky_persistence_h), p.cloud_share, 150.0, 400.0)
            drive = drive_of(charger, p.green_share)
            self._settings[charger] = Model(costs, drive, weather, tables_of(p.sky_levels, p.energy_levels))
        return self._settings[charger]

    def first_memory(self, mode: Mode) -> Memory:  # noqa: ARG002 - nothing is remembered
        """Return a memory that says nothing."""
        return (0.0,)

    def propose(self, situation: Situation) -> Proposal:
        """Return the mode that is cheapest in the long run."""
        seen, setting = sensed(situation), self.setting(situation.charger)
        ahead = ahead_of(situation, MOST_SLOTS)
        mode, _, _, _ = kernel(seen, ahead, setting, (0.0,))
        return Proposal(
            Mode(mode), Reason("planner.idle", "{mode}", {"mode": Mode(mode).name}), memory=(0.0,)
        )


def drive_of(charger: ChargerSpec, green_share: float) -> Drive:
    """Return what a charger makes of its modes."""
    green_a = max(PILOT_MIN_A, charger.green_gear_a)
    return Drive(
        max_w=charger.max_power_w,
        eco_floor_w=charger.eco_floor_w,
        green_floor_w=charger.power_w(green_a),
        green_gear_w=charger.green_floor_w,
        step_w=charger.power_w(1.0),
        green_share=green_share,
    )
