"""The plant's equations: invariants that no sequence of inputs may break."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.domain import ChargerStatus, Mode
from optimizer.plant.battery import WS_PER_KWH, BatteryLimits, battery_step
from optimizer.plant.car import CarLimits, car_demand_w, car_need_kwh
from optimizer.plant.charger import (
    UNPLUGGED,
    ChargerLimits,
    ChargerState,
    ChargerTimes,
    charger_moved,
    charger_step,
    is_at_rest,
    offered_a,
)
from optimizer.plant.house import grid_power_w, surplus_seen_w

ONE_PHASE = ChargerLimits()
TIMES = ChargerTimes()
POWER_W = st.floats(0.0, 15_000.0)
STEP_S = st.sampled_from((1.0, 10.0, 60.0, 900.0))
LIMITS = st.sampled_from(
    (ONE_PHASE, ChargerLimits(3, 16.0, 10.0, 3.0), ChargerLimits(1, 20.0, 16.0, 3.0), ChargerLimits(3, 32.0))
)
BATTERIES = st.sampled_from((BatteryLimits(), BatteryLimits(5.0, 2500.0, 3000.0, 0.85, 0.2, 0.95)))


def run(
    state: ChargerState,
    mode: Mode,
    seconds: float,
    *,
    surplus_w: float = 0.0,
    car_w: float = 7400.0,
    car_phases: int = 1,
    limits: ChargerLimits = ONE_PHASE,
    dt_s: float = 1.0,
) -> tuple[ChargerState, float]:
    energy_ws = 0.0
    for _ in range(round(seconds / dt_s)):
        state, ev_w = charger_step(state, int(mode), surplus_w, car_w, car_phases, dt_s, limits, TIMES)
        energy_ws += ev_w * dt_s
    return state, energy_ws


def charging(mode: Mode, surplus_w: float = 5000.0) -> ChargerState:
    state, _ = run(UNPLUGGED, mode, 300.0, surplus_w=surplus_w)
    assert state[0] == ChargerStatus.CHARGING
    return state


@settings(deadline=None)
@given(BATTERIES, st.floats(0.0, 1.0), st.floats(-15_000.0, 15_000.0), STEP_S)
def test_the_battery_keeps_its_limits_and_loses_nothing_but_its_losses(
    limits: BatteryLimits, fill: float, net_load_w: float, dt_s: float
) -> None:
    soc = limits.soc_min + fill * (limits.soc_max - limits.soc_min)
    after, battery_w = battery_step(soc, net_load_w, dt_s, limits)
    assert limits.soc_min - 1e-9 <= after <= limits.soc_max + 1e-9
    assert -limits.max_charge_w <= battery_w <= limits.max_discharge_w
    stored_ws = (after - soc) * limits.capacity_kwh * WS_PER_KWH
    kept = 1.0 if battery_w >= 0.0 else limits.efficiency
    assert stored_ws == pytest.approx(-battery_w * kept * dt_s, abs=1e-2)


@settings(deadline=None)
@given(BATTERIES, st.floats(0.0, 1.0), st.floats(-15_000.0, 15_000.0))
def test_the_battery_only_helps_the_house(limits: BatteryLimits, soc: float, net_load_w: float) -> None:
    _, battery_w = battery_step(soc, net_load_w, 60.0, limits)
    assert battery_w * net_load_w >= 0.0
    assert abs(battery_w) <= abs(net_load_w)


@settings(deadline=None)
@given(BATTERIES, st.floats(0.0, 1.0), st.floats(-8_000.0, 8_000.0))
def test_sixty_short_battery_steps_are_one_long_one(
    limits: BatteryLimits, fill: float, net_load_w: float
) -> None:
    soc = limits.soc_min + fill * (limits.soc_max - limits.soc_min)
    long_soc, long_w = battery_step(soc, net_load_w, 60.0, limits)
    short_soc, energy_ws = soc, 0.0
    for _ in range(60):
        short_soc, battery_w = battery_step(short_soc, net_load_w, 1.0, limits)
        energy_ws += battery_w
    assert short_soc == pytest.approx(long_soc, abs=1e-9)
    assert energy_ws / 60.0 == pytest.approx(long_w, abs=1e-3)


@settings(deadline=None)
@given(POWER_W, POWER_W, POWER_W, st.floats(-5000.0, 5000.0))
def test_the_grid_balances_the_house(pv_w: float, base_load_w: float, ev_w: float, battery_w: float) -> None:
    grid_w = grid_power_w(pv_w, base_load_w, ev_w, battery_w)
    assert pv_w + grid_w + battery_w == pytest.approx(base_load_w + ev_w, abs=1e-6)
    assert surplus_seen_w(pv_w, base_load_w, 0.0) == pytest.approx(ev_w - grid_w - battery_w, abs=1e-6)


@settings(deadline=None)
@given(st.floats(0.0, 60.0), STEP_S, st.floats(0.0, 5.0))
def test_a_car_never_takes_more_than_it_needs(need_kwh: float, dt_s: float, taper_kwh: float) -> None:
    limits = CarLimits(taper_kwh=taper_kwh)
    demand_w = car_demand_w(need_kwh, dt_s, limits)
    assert 0.0 <= demand_w <= limits.max_w
    assert demand_w * dt_s / WS_PER_KWH <= need_kwh * (1.0 + 1e-12)
    assert car_need_kwh(need_kwh, demand_w, dt_s) >= 0.0


def test_a_tapering_car_slows_down_towards_the_end() -> None:
    limits = CarLimits(max_w=7000.0, taper_kwh=4.0, taper_floor_w=1000.0)
    assert [car_demand_w(need, 1.0, limits) for need in (5.0, 4.0, 2.0, 0.0)] == [7000.0, 7000.0, 4000.0, 0.0]


@pytest.mark.parametrize(
    ("mode", "surplus_w", "limits", "current_a"),
    [
        (Mode.STOP, 9000.0, ONE_PHASE, 0.0),
        (Mode.FAST, -500.0, ONE_PHASE, 32.0),
        (Mode.ECO, -500.0, ONE_PHASE, 6.0),
        (Mode.ECO, 2500.0, ONE_PHASE, 10.0),
        (Mode.ECO, 2500.0, ChargerLimits(eco_gear_a=16.0), 16.0),
        (Mode.ECO, 9900.0, ONE_PHASE, 32.0),
        (Mode.GREEN, 1380.0, ONE_PHASE, 6.0),
        (Mode.GREEN, 1609.9, ONE_PHASE, 6.0),
        (Mode.GREEN, 1610.0, ONE_PHASE, 7.0),
        (Mode.GREEN, 800.0, ChargerLimits(green_gear_a=3.0), 6.0),
        (Mode.GREEN, 6900.0, ChargerLimits(phases=3, max_current_a=16.0), 10.0),
    ],
)
def test_the_offered_current_follows_mode_gear_and_surplus(
    mode: Mode, surplus_w: float, limits: ChargerLimits, current_a: float
) -> None:
    assert offered_a(int(mode), surplus_w, limits) == current_a


def test_fast_charges_after_seconds_of_charging_with_nothing() -> None:
    state, energy_ws = run(UNPLUGGED, Mode.FAST, 23.0)
    assert (state[0], energy_ws) == (ChargerStatus.PREPARING, 0.0)
    state, energy_ws = run(state, Mode.FAST, 30.0)
    assert (state[0], energy_ws) == (ChargerStatus.CHARGING, 0.0)
    state, _ = run(state, Mode.FAST, 40.0, car_w=99_000.0)
    assert state[2] == 32.0


def test_stop_goes_through_stopping_to_finishing() -> None:
    state, energy_ws = run(charging(Mode.FAST), Mode.STOP, 39.0)
    assert (state[0], energy_ws) == (ChargerStatus.STOPPING, 0.0)
    state, _ = run(state, Mode.STOP, 2.0)
    assert state[0] == ChargerStatus.FINISHING


def test_charging_starts_again_from_finishing_without_replugging() -> None:
    state, _ = run(charging(Mode.FAST), Mode.STOP, 60.0)
    state, energy_ws = run(state, Mode.ECO, 120.0)
    assert state[0] == ChargerStatus.CHARGING
    assert energy_ws > 0.0


def test_green_without_surplus_ends_in_a_pause_and_never_draws() -> None:
    state, _ = run(charging(Mode.FAST), Mode.STOP, 60.0)
    state, energy_ws = run(state, Mode.GREEN, 600.0, surplus_w=300.0)
    assert (state[0], energy_ws) == (ChargerStatus.CHARGE_PAUSE, 0.0)
    state, _ = run(state, Mode.STOP, 1.0)
    assert state[0] == ChargerStatus.FINISHING


def test_green_pauses_only_after_its_delay_and_resumes_after_another() -> None:
    state, _ = run(charging(Mode.GREEN), Mode.GREEN, 59.0, surplus_w=500.0)
    assert state[0] == ChargerStatus.CHARGING
    state, _ = run(state, Mode.GREEN, 2.0, surplus_w=500.0)
    assert state[0] == ChargerStatus.CHARGE_PAUSE
    state, _ = run(state, Mode.GREEN, 59.0, surplus_w=3000.0)
    assert state[0] == ChargerStatus.CHARGE_PAUSE
    state, _ = run(state, Mode.GREEN, 2.0, surplus_w=3000.0)
    assert state[0] == ChargerStatus.CHARGING


def test_a_cloud_shorter_than_the_delay_does_not_pause_green() -> None:
    state, _ = run(charging(Mode.GREEN), Mode.GREEN, 45.0, surplus_w=500.0)
    state, _ = run(state, Mode.GREEN, 5.0, surplus_w=3000.0)
    state, _ = run(state, Mode.GREEN, 45.0, surplus_w=500.0)
    assert state[0] == ChargerStatus.CHARGING


def test_eco_never_falls_below_its_gear_and_never_pauses() -> None:
    state, energy_ws = run(charging(Mode.ECO, 0.0), Mode.ECO, 3600.0, surplus_w=-2000.0)
    assert state[0] == ChargerStatus.CHARGING
    assert energy_ws / 3600.0 == pytest.approx(1380.0)


def test_a_full_car_suspends_and_an_unplugged_one_leaves_it_available() -> None:
    state, energy_ws = run(charging(Mode.FAST), Mode.FAST, 60.0, car_w=0.0)
    assert (state[0], energy_ws) == (ChargerStatus.SUSPENDED_EV, 0.0)
    state, _ = run(state, Mode.FAST, 1.0, car_phases=0)
    assert state == UNPLUGGED


def test_a_single_phase_car_at_a_three_phase_charger_waits_for_all_three() -> None:
    three = ChargerLimits(phases=3, max_current_a=16.0)
    state, energy_ws = run(UNPLUGGED, Mode.GREEN, 600.0, surplus_w=4000.0, limits=three)
    assert (state[0], energy_ws) == (ChargerStatus.CHARGE_PAUSE, 0.0)
    state, _ = run(state, Mode.GREEN, 600.0, surplus_w=4200.0, limits=three)
    _, energy_ws = run(state, Mode.GREEN, 60.0, surplus_w=4200.0, limits=three)
    assert energy_ws / 60.0 == pytest.approx(6 * 230.0)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(tuple(Mode)), st.floats(-4000.0, 12_000.0), st.booleans(), st.sampled_from((0, 1, 3))
    ),
    min_size=1,
    max_size=25,
)


@settings(deadline=None)
@given(EVENTS, LIMITS, STEP_S)
def test_the_charger_never_draws_what_it_must_not(
    events: list[tuple[Mode, float, bool, int]], limits: ChargerLimits, dt_s: float
) -> None:
    state, need_kwh = UNPLUGGED, 3.0
    for mode, surplus_w, hungry, phases in events:
        car_w = car_demand_w(need_kwh if hungry else 0.0, dt_s, CarLimits(phases=3))
        state, ev_w = charger_step(state, int(mode), surplus_w, car_w, phases, dt_s, limits, TIMES)
        assert 0.0 <= ev_w <= min(car_w, limits.max_current_a * limits.phases * 230.0) + 1e-6
        assert ev_w == 0.0 or (phases > 0 and mode is not Mode.STOP and hungry)
        assert ev_w * dt_s / WS_PER_KWH <= need_kwh + 1e-12
        assert ChargerStatus(state[0]) is not ChargerStatus.UNKNOWN
        assert (state[0] == ChargerStatus.AVAILABLE) == (phases == 0)
        need_kwh = car_need_kwh(need_kwh, ev_w, dt_s)


@settings(deadline=None)
@given(EVENTS, LIMITS)
def test_sixty_short_charger_steps_are_one_long_one(
    events: list[tuple[Mode, float, bool, int]], limits: ChargerLimits
) -> None:
    long, short = UNPLUGGED, UNPLUGGED
    for mode, surplus_w, _, phases in events:
        long, long_ws = run(
            long, mode, 60.0, surplus_w=surplus_w, car_phases=phases, limits=limits, dt_s=60.0
        )
        short, short_ws = run(
            short, mode, 60.0, surplus_w=surplus_w, car_phases=phases, limits=limits, dt_s=1.0
        )
        assert short[0] == long[0]
        assert short[1] == pytest.approx(long[1], abs=1e-6)
        assert short_ws == pytest.approx(long_ws, abs=1e-3)


def test_every_pair_of_modes_settles_within_two_minutes() -> None:
    for before, after in itertools.permutations(Mode, 2):
        state, _ = run(UNPLUGGED, before, 300.0, surplus_w=4000.0)
        state, _ = run(state, after, 120.0, surplus_w=4000.0)
        later, _ = run(state, after, 600.0, surplus_w=4000.0)
        assert later[0] == state[0]
        assert math.isclose(later[2], state[2])


AT_THE_CAR = (
    ChargerStatus.PREPARING,
    ChargerStatus.CHARGING,
    ChargerStatus.FINISHING,
    ChargerStatus.SUSPENDED_EV,
    ChargerStatus.CHARGE_PAUSE,
    ChargerStatus.STOPPING,
)


@settings(deadline=None)
@given(
    st.sampled_from(AT_THE_CAR),
    st.sampled_from(Mode),
    st.floats(-2000.0, 9000.0),
    st.sampled_from((0.0, 7400.0)),
    STEP_S,
    LIMITS,
)
def test_a_charger_that_takes_a_short_cut_arrives_where_the_long_way_leads(
    status: ChargerStatus, mode: Mode, surplus_w: float, car_w: float, dt_s: float, limits: ChargerLimits
) -> None:
    for current_a, timer_s in itertools.product((0.0, 9.5), (0.0, 20.0)):
        state: ChargerState = (int(status), timer_s, current_a if status == ChargerStatus.CHARGING else 0.0)
        arguments = (state, int(mode), surplus_w, car_w, 1, dt_s, limits, TIMES)
        assert charger_step(*arguments) == charger_moved(*arguments)
        if is_at_rest(state, int(mode), surplus_w, car_w <= 0.0, limits):
            assert charger_moved(*arguments) == (state, 0.0)
