"""The planner: what it chooses where the right choice is plain, how exact it is, and what it says."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_cases import SPEC, best_eur, cost_eur, instance, planned

from optimizer.domain import (
    ChargerStatus,
    Forecast,
    ForecastSlot,
    Goal,
    Habit,
    Mode,
    PriceStep,
    SiteReading,
    Situation,
    Tariff,
)
from optimizer.planning import itinerary
from optimizer.planning.lookahead import FIRST
from optimizer.planning.sky import sky_of
from strategies.planner import Planner, PlannerParams

NOON = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def forecast(of_hour: dict[int, float], spread: float = 0.1, provider: str = "told") -> Forecast:
    """The power from each hour (UTC) of today and tomorrow on, 0 W before the first."""
    start = NOON.replace(hour=0)
    power = [of_hour.get(slot // 4 % 24, 0.0) for slot in range(192)]
    slots = (
        ForecastSlot(start + QUARTER * n, (1.0 - spread) * w, w, (1.0 + spread) * w)
        for n, w in enumerate(power)
    )
    return Forecast(NOON, provider, tuple(slots))


SUNNY = forecast(dict.fromkeys(range(6, 18), 6000.0))
DARK = forecast({})
LOAD = forecast(dict.fromkeys(range(24), 400.0))


def situation(surplus_w: float, goal: Goal | None = None, **known: object) -> Situation:
    reading = SiteReading(NOON, "x", surplus_w + 400.0, -surplus_w)
    there = Situation(
        now=NOON,
        charger=SPEC,
        status=ChargerStatus.PREPARING,
        mode=Mode.STOP,
        ev_w=0.0,
        session_kwh=0.0,
        surplus_w=surplus_w,
        site=reading,
        data_age_s=60.0,
        elapsed_s=60.0,
        goal=goal,
        tariff=Tariff(0.30, 0.08),
        forecast=SUNNY,
        load_forecast=LOAD,
    )
    return replace(there, **known)  # type: ignore[arg-type]


def due(kwh: float, hours: float) -> Goal:
    return Goal(NOON + timedelta(hours=hours), kwh)


CHEAP_AT_NIGHT = Tariff(
    0.40,
    0.08,
    (
        PriceStep(NOON - timedelta(days=1), 0.40),
        PriceStep(NOON + timedelta(hours=12), 0.15),
        PriceStep(NOON + timedelta(hours=18), 0.40),
    ),
)


SUN, REST = {Mode.GREEN, Mode.ECO}, {Mode.STOP, Mode.GREEN}
PAID = Tariff(0.30, 0.08, (PriceStep(NOON, -0.05), PriceStep(NOON + QUARTER, 0.30)))
NIGHT = situation(-400.0, due(10.0, 20.0), forecast=DARK, tariff=CHEAP_AT_NIGHT)
FULL = situation(5600.0, due(10.0, 8.0), status=ChargerStatus.SUSPENDED_EV)


@pytest.mark.parametrize(
    ("why", "seen", "modes"),
    [
        ("the sun gives enough until then", situation(5600.0, due(10.0, 8.0)), SUN),
        ("there is no time for anything else", situation(-400.0, due(14.0, 2.0)), {Mode.FAST}),
        ("more than can be met is served as well as can be", situation(5600.0, due(60.0, 6.0)), {Mode.FAST}),
        ("the night is cheap", NIGHT, REST),
        ("importing is paid for", situation(-400.0, due(10.0, 20.0), tariff=PAID), {Mode.FAST}),
        ("the goal is four days away", situation(-400.0, due(10.0, 96.0), forecast=DARK), REST),
        ("the goal is four days away, the sun is here", situation(5600.0, due(10.0, 96.0)), SUN),
        ("without a goal only the sun is taken", situation(-400.0), REST),
        ("without a goal the sun is taken", situation(5600.0), SUN),
        ("nobody forecasts, and there is time", situation(5600.0, due(10.0, 10.0), forecast=None), SUN),
        ("the car is full", FULL, {Mode.GREEN}),
        ("nobody is there", situation(5600.0, status=ChargerStatus.AVAILABLE), {Mode.GREEN}),
    ],
)
def test_the_choice_is_right_where_it_is_plain(why: str, seen: Situation, modes: set[Mode]) -> None:
    assert Planner(PlannerParams()).propose(seen).mode in modes, why


def test_of_two_nights_the_cheap_one_is_charged_in() -> None:
    seen = situation(-400.0, due(10.0, 20.0), forecast=DARK, tariff=CHEAP_AT_NIGHT)
    steps = Planner(PlannerParams()).steps(seen)
    fast = [step for step in steps if step.mode is not Mode.STOP and step.kwh > 0.1]
    assert sum(step.kwh for step in fast) == pytest.approx(10.0, abs=0.05)
    assert {step.price_eur_per_kwh for step in fast} == {0.15}


def test_a_habit_stands_in_where_there_is_no_goal() -> None:
    leaves_soon = Habit((0.9, 0.5, 0.1, 0.01, *(0.001,) * 188), (*(1.0,) * 40, *(0.0,) * 361))
    stays = Habit((*(1.0,) * 40, *(0.5,) * 8, *(0.001,) * 144), (*(1.0,) * 40, *(0.0,) * 361))
    planner = Planner(PlannerParams())
    assert planner.propose(situation(-400.0, habit=leaves_soon)).mode is Mode.FAST
    patient = planner.propose(situation(5600.0, habit=stays, stayed_s=120.0))
    assert patient.mode in {Mode.GREEN, Mode.ECO}
    assert "by habit up to 10.0 kWh" in str(patient.reason)


@pytest.mark.parametrize("wrong", [forecast(dict.fromkeys(range(24), 60_000.0)), None])
def test_a_forecast_that_lies_draws_nothing_from_the_grid_while_the_sun_suffices(
    wrong: Forecast | None,
) -> None:
    seen = situation(6000.0, due(10.0, 9.0), forecast=wrong)
    assert Planner(PlannerParams()).propose(seen).mode in {Mode.GREEN, Mode.ECO}


def test_each_mode_has_its_price_and_the_reason_tells_it() -> None:
    proposal = Planner(PlannerParams()).propose(situation(2100.0, due(6.0, 8.0)))
    costs = {one.mode: one.cost_eur for one in proposal.alternatives}
    assert set(costs) == set(Mode)
    assert min(costs.values()) == 0.0
    said = str(proposal.reason)
    assert said.startswith(f"{proposal.mode.name}: 6.0 kWh are due in 8.0 h. ")
    assert all(f"{mode.name} +" in said or f"{mode.name} -" in said for mode in Mode if mode != proposal.mode)
    assert "Next: " in said


def test_a_surplus_beyond_the_edge_that_is_told_changes_the_mode() -> None:
    planner, seen = Planner(PlannerParams(sky_levels=5, energy_levels=121)), situation(2100.0, due(6.0, 8.0))
    said = str(planner.propose(seen).reason)
    below = said.partition("below ")[2].split()
    edge_w, mode = float(below[0]) * 1000.0, below[2].strip(".,")
    assert planner.propose(situation(edge_w - 150.0, due(6.0, 8.0))).mode.name == mode


@given(seed=st.integers(0, 10_000))
@settings(max_examples=6, deadline=None)
def test_a_plan_made_before_and_one_made_anew_decide_the_same(seed: int) -> None:
    one = instance(seed, 96)
    used, fresh = Planner(PlannerParams()), Planner(PlannerParams())
    first = situation(float(one.surplus_w[0]), due(one.need_kwh, 20.0))
    used.propose(first)
    later = replace(first, now=NOON + timedelta(minutes=50), session_kwh=one.need_kwh / 3.0)
    assert used.propose(later) == fresh.propose(later)


CHANGES = {
    "forecast": {"forecast": DARK},
    "load": {"load_forecast": forecast(dict.fromkeys(range(24), 3000.0))},
    "prices": {"tariff": CHEAP_AT_NIGHT},
    "all of them": {"forecast": None, "load_forecast": None, "tariff": PAID},
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_newly_known_is_planned_with_at_once(change: str) -> None:
    used, first = Planner(PlannerParams()), situation(2100.0, due(10.0, 20.0))
    before = used.propose(first)
    later = replace(first, now=NOON + timedelta(minutes=2), **CHANGES[change])  # type: ignore[arg-type]
    assert used.propose(later) == Planner(PlannerParams()).propose(later)
    assert used.propose(later).alternatives != before.alternatives


@pytest.mark.parametrize("tariff", [Tariff(0.30, 0.08), CHEAP_AT_NIGHT])
@given(surplus_w=st.floats(-3000.0, 9000.0), kwh=st.floats(0.5, 25.0), hours=st.floats(0.5, 30.0))
@settings(max_examples=10, deadline=None)
def test_no_change_is_expected_after_the_car_has_all_that_it_may_take(
    tariff: Tariff, surplus_w: float, kwh: float, hours: float
) -> None:
    seen = situation(surplus_w, due(kwh, hours), tariff=tariff)
    said = str(Planner(PlannerParams()).propose(seen).reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(itinerary, "_NOTHING_KWH", -math.inf)
        assert str(Planner(PlannerParams()).propose(seen).reason) == said


WORTH = [
    ("the goal cannot be met", situation(3000.0, due(60.0, 5.0)), 0.60),
    ("the goal is met from the grid", situation(-400.0, due(10.0, 5.0), forecast=DARK), 0.30),
    ("the night is cheap", NIGHT, 0.15),
    ("there is sun for all", situation(5600.0, due(10.0, 8.0)), 0.08),
    ("there is no goal, and sun for all", situation(5600.0), 0.08),
    ("the car is full", FULL, 0.0),
    ("nobody is there", situation(5600.0, status=ChargerStatus.AVAILABLE), 0.0),
]


@pytest.mark.parametrize(("why", "seen", "eur_per_kwh"), WORTH)
def test_a_kwh_is_worth_what_the_next_best_way_to_it_costs(
    why: str, seen: Situation, eur_per_kwh: float
) -> None:
    worth = Planner(PlannerParams()).worth_eur_per_kwh(seen)
    assert worth == pytest.approx(eur_per_kwh, abs=0.02), why


@given(kwh=st.floats(1.0, 40.0), more_kwh=st.floats(0.0, 20.0), hours=st.floats(1.0, 12.0))
@settings(max_examples=10, deadline=None)
def test_of_two_goals_for_the_same_time_a_kwh_is_worth_more_in_the_larger_one(
    kwh: float, more_kwh: float, hours: float
) -> None:
    planner = Planner(PlannerParams())
    smaller, larger = (situation(2000.0, due(one, hours)) for one in (kwh, kwh + more_kwh))
    assert planner.worth_eur_per_kwh(larger) >= planner.worth_eur_per_kwh(smaller) - 0.02


def test_a_plan_stands_as_long_as_nothing_it_was_made_from_changes() -> None:
    planner, first = Planner(PlannerParams()), situation(2100.0, due(6.0, 8.0))
    planner.propose(first)
    begins = planner.setting(SPEC).tables.span[FIRST]
    planner.propose(replace(first, now=NOON + timedelta(hours=2), surplus_w=500.0))
    assert planner.setting(SPEC).tables.span[FIRST] == begins
    planner.propose(replace(first, now=NOON + timedelta(hours=2), goal=due(7.0, 8.0)))
    assert planner.setting(SPEC).tables.span[FIRST] == begins + 8


def test_the_chain_of_the_sky_is_one_and_comes_back() -> None:
    for levels in range(1, 9):
        sky = sky_of(levels, 3.0)
        assert all(sum(row) == pytest.approx(1.0) for row in sky.moves)
        assert sky.scores == pytest.approx([-score for score in reversed(sky.scores)])
        for score, row in zip(sky.scores, sky.moves, strict=True):
            ahead = sum(chance * other for chance, other in zip(row, sky.scores, strict=True))
            assert ahead == pytest.approx(0.9200444146293233 * score, abs=1e-9), "exp(-0.25 / 3)"


@pytest.mark.parametrize("seed", [2, 5])
def test_a_certain_plan_is_as_cheap_as_the_best_row_of_modes(seed: int) -> None:
    """Two of many: `python benchmarks/exact.py` asks HiGHS about as many as wanted."""
    one = instance(seed, 96)
    steps = planned(one)
    assert cost_eur(one, [step.mode for step in steps]) == pytest.approx(best_eur(one), abs=0.01)
