"""What each mode costs from here on, over all that sun, house and car may do; the cheapest is proposed.

The programme is `optimizer.planning.lookahead`.  This file gives it its parameters, chooses by its values,
and says in euros why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Ge, Gt, Le

from optimizer.ahead import NOTHING, Ahead
from optimizer.domain import Alternative, ChargerSpec, Mode, Proposal, Reason, Situation
from optimizer.params import doc
from optimizer.planning.choice import cheapest, value_modes, worth_eur_per_kwh
from optimizer.planning.expected import MOST_SLOTS, Costs, Task, taken_kwh, task_of
from optimizer.planning.itinerary import Start, Step, edges, hours_until, itinerary, next_change, start_of
from optimizer.planning.lookahead import Model, Weather, forget, tables_of
from optimizer.planning.outcome import Drive
from optimizer.planning.sky import sky_of
from optimizer.plant.charger import PILOT_MIN_A
from optimizer.sensed import Lookout, Sensed, sensed

Share = Annotated[float, Ge(0.0), Le(1.0)]

IDLE, GOAL, HABIT, SPARE = 0, 1, 2, 3
"""Reason codes of the kernel."""

_GREEN = int(Mode.GREEN)
_LOAD_SPREAD_W, _BASE_LOAD_W = 150.0, 400.0
"""What a house's load strays by within a quarter hour, and what stands in for one that nobody forecasts."""


@dataclass(frozen=True, slots=True)
class PlannerParams:
    """Parameters of `planner`."""

    switch_cost_eur: Annotated[float, Ge(0.0), Le(1.0)] = field(
        default=0.01, metadata=doc("what a change of modes must be worth at least, EUR")
    )
    unmet_eur_per_kwh: Annotated[float, Ge(0.0), Le(10.0)] = field(
        default=0.60, metadata=doc("what a kWh costs that a goal misses, EUR")
    )
    spare_eur_per_kwh: Annotated[float, Ge(0.0), Le(10.0)] = field(
        default=0.15, metadata=doc("what a kWh beyond the goal is worth, EUR: less than importing one costs")
    )
    spare_kwh: Annotated[float, Ge(0.0), Le(200.0)] = field(
        default=20.0, metadata=doc("how much more than the goal the car may take, kWh")
    )
    delay_eur_per_kwh_h: Annotated[float, Ge(0.0), Le(0.1)] = field(
        default=0.0005, metadata=doc("what it is worth to have a kWh in the car an hour earlier, EUR")
    )
    by_habit: bool = field(
        default=False,
        metadata=doc(
            "where no goal is set, let what earlier visits tell stand in, and draw from the grid for it"
        ),
    )
    sky_levels: Annotated[int, Ge(1), Le(31)] = field(
        default=3, metadata=doc("how many kinds of weather are told apart; 1 trusts the forecast")
    )
    sky_persistence_h: Annotated[float, Gt(0.0), Le(48.0)] = field(
        default=3.0, metadata=doc("how long the weather goes on deviating from the forecast, h")
    )
    energy_levels: Annotated[int, Ge(11), Le(2001)] = field(
        default=81, metadata=doc("how finely the energy in the car is told apart")
    )
    cloud_share: Share = field(
        default=0.4, metadata=doc("how much the sun comes and goes within a quarter hour")
    )
    green_share: Share = field(
        default=0.8, metadata=doc("what GREEN gets of a surplus that comes and goes about its gear")
    )


Memory = tuple[float]
Asked = tuple[int, Start, tuple[float, ...]]
Change = tuple[int, int]
"""Slot and mode."""


def kernel(seen: Sensed, ahead: Ahead, model: Model, memory: Memory) -> tuple[int, int, float, Memory]:
    """Return mode, reason code, how long they hold, and the memory."""
    task = task_of(seen, ahead, model.costs)
    if task.top_kwh <= 0.0:
        return _GREEN, IDLE, math.inf, memory
    value_modes(seen, ahead, task, model)
    code = HABIT if task.habit >= 0 else GOAL if task.goal_kwh > 0.0 else SPARE
    return cheapest(seen.mode, model.tables.eur, model.costs.switch_eur), code, 0.0, memory


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
        self._lookouts: dict[ChargerSpec, Lookout] = {}
        self._changes: dict[ChargerSpec, tuple[Asked, Change | None]] = {}

    @property
    def wants_habits(self) -> bool:
        """Whether the service shall learn habits for it."""
        return self.params.by_habit

    def setting(self, charger: ChargerSpec) -> Model:
        """Return the parameters and the room for a plan of this charger."""
        if charger not in self._settings:
            self._settings[charger] = model_of(self.params, charger)
        return self._settings[charger]

    def first_memory(self, mode: Mode) -> Memory:  # noqa: ARG002 - nothing is remembered
        """Return a memory that says nothing."""
        return (0.0,)

    def propose(self, situation: Situation) -> Proposal:
        """Return the mode that is cheapest in the long run, what the others would cost more, and why."""
        seen, ahead, model = self._asked(situation)
        mode, code, _, memory = kernel(seen, ahead, model, self.first_memory(Mode.STOP))
        if code == IDLE:
            return Proposal(Mode(mode), Reason.telling("planner.idle", _IDLE, {}), memory=memory)
        eur, task = list(model.tables.eur), task_of(seen, ahead, model.costs)
        alternatives = _alternatives(eur)
        told: dict[str, float | int | str] = {"mode": Mode(mode).name}
        told |= {**_due(seen, task), "change": self._change(mode, seen, ahead, task, situation.charger)}
        name, sentence = _SENTENCES[code]
        # What the others cost stands in the alternatives: not once more among the numbers of the reason.
        sentence = sentence.replace("{others}", others(mode, eur))
        return Proposal(Mode(mode), Reason.telling(f"planner.{name}", sentence, told), alternatives, memory)

    def steps(self, situation: Situation) -> tuple[Step, ...]:
        """Return how the plan goes on as far as can be expected; nothing without a car that wants energy."""
        seen, ahead, model = self._asked(situation)
        task = task_of(seen, ahead, model.costs)
        return tuple(itinerary(seen, ahead, task, model)) if task.top_kwh > 0.0 else ()

    def worth_eur_per_kwh(self, situation: Situation) -> float:
        """Return what the next kWh in this car saves later; nothing for a car that wants none."""
        seen, ahead, model = self._asked(situation)
        task = task_of(seen, ahead, model.costs)
        return worth_eur_per_kwh(seen, ahead, task, model) if task.top_kwh > 0.0 else 0.0

    def _change(self, mode: int, seen: Sensed, ahead: Ahead, task: Task, charger: ChargerSpec) -> str:
        """Return what surplus would change the mode, and when a change is expected.

        What is expected is looked for anew only where the plan or how the next slot begins have changed.
        """
        model = self.setting(charger)
        told = list(_edges_told(seen, ahead, task, model))
        start = start_of(mode, seen, ahead, task, model)
        asked = (ahead.origin, start, tuple(model.tables.key))
        if self._changes.get(charger, (None, None))[0] != asked:
            self._changes[charger] = asked, next_change(start, ahead, task, model)
        expected = self._changes[charger][1]
        if expected is not None:
            slot, other = expected
            told.append(f"{Mode(other).name} expected in {hours_until(slot, seen):.1f} h")
        return ", ".join(told) or "no change within a day"

    def _asked(self, situation: Situation) -> tuple[Sensed, Ahead, Model]:
        seen, model = sensed(situation), self.setting(situation.charger)
        if not situation.connected:
            return seen, NOTHING, model
        lookout = self._lookouts.setdefault(situation.charger, Lookout(MOST_SLOTS))
        ahead, is_news = lookout.ahead(situation)
        if is_news:
            forget(model.tables)
            self._changes.pop(situation.charger, None)
        return seen, ahead, model


def model_of(params: PlannerParams, charger: ChargerSpec) -> Model:
    """Return the parameters as the programme takes them, and the room for its plan."""
    p = params
    costs = Costs(
        p.unmet_eur_per_kwh, p.spare_eur_per_kwh, p.spare_kwh, p.switch_cost_eur, p.delay_eur_per_kwh_h
    )
    sky = sky_of(p.sky_levels, p.sky_persistence_h)
    weather = Weather(sky, p.cloud_share, _LOAD_SPREAD_W, _BASE_LOAD_W)
    return Model(costs, drive_of(charger, p.green_share), weather, tables_of(p.sky_levels, p.energy_levels))


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


def _alternatives(eur: Sequence[float]) -> tuple[Alternative, ...]:
    """Return what each mode costs more than the cheapest, to the millionth of a euro."""
    return tuple(Alternative(Mode(mode), round(cost - min(eur), 6)) for mode, cost in enumerate(eur))


def others(mode: int, eur: Sequence[float]) -> str:
    """Return what each other mode would cost more than this one, the cheapest first."""
    rest = sorted((cost - eur[mode], Mode(other).name) for other, cost in enumerate(eur) if other != mode)
    return ", ".join(f"{name} {more_eur:+.2f} EUR" for more_eur, name in rest)


def _edges_told(seen: Sensed, ahead: Ahead, task: Task, model: Model) -> Iterator[str]:
    at = edges(seen, ahead, task, model)
    for side, edge_w, mode in (("below", at.low_w, at.low_mode), ("above", at.high_w, at.high_mode)):
        if edge_w is not None:
            yield f"{side} {edge_w / 1000.0:.1f} kW {Mode(mode).name}"


def _due(seen: Sensed, task: Task) -> dict[str, float]:
    """Return what is due and when; what a habit lets expect is up to the most that it thinks of."""
    wanted_kwh = task.goal_kwh if task.habit < 0 else task.top_kwh
    return {"need_kwh": max(0.0, wanted_kwh - taken_kwh(seen)), "left_h": seen.left_s / 3600.0}


_IDLE = "GREEN waits: no car wants energy"
_SENTENCES = {
    GOAL: ("goal", "{mode}: {need_kwh:.1f} kWh are due in {left_h:.1f} h. {others}. Next: {change}"),
    HABIT: ("habit", "{mode}: by habit up to {need_kwh:.1f} kWh may be wanted. {others}. Next: {change}"),
    SPARE: ("spare", "{mode}: no goal, so the sun decides. {others}. Next: {change}"),
}
