from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.domain import (
    ChargerSpec,
    ChargerStatus,
    Goal,
    Mode,
    Proposal,
    Situation,
    Strategy,
    Tariff,
)
from strategies.fixed import Fixed, FixedParams
from strategies.threshold import Law, Threshold, ThresholdParams, band, integrated_s

STOP, FAST, ECO, GREEN = Mode
NOW = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)
CHARGER = ChargerSpec("home", "C1")
GREEN_ONLY = ThresholdParams(eco_by_surplus=False)
ALL_BANDS = ThresholdParams(
    fast_by_surplus=True,
    eco_start_factor=1.2,
    eco_stop_factor=0.8,
    fast_start_factor=0.9,
    fast_stop_factor=0.7,
    start_delay_s=120.0,
    stop_delay_s=120.0,
)
SITUATION = Situation(
    now=NOW,
    charger=CHARGER,
    status=ChargerStatus.CHARGE_PAUSE,
    mode=STOP,
    ev_w=0.0,
    session_kwh=0.0,
    surplus_w=0.0,
    site=None,
    data_age_s=30.0,
    elapsed_s=60.0,
    goal=None,
    tariff=Tariff(0.30, 0.08),
)


def _modes(
    strategy: Threshold, surpluses_w: list[float | None], start: Situation = SITUATION
) -> tuple[list[Mode], Proposal]:
    """Propose minute after minute."""
    modes, memory, proposal = [], start.memory, None
    for minute, surplus_w in enumerate(surpluses_w):
        now = NOW + timedelta(minutes=minute)
        proposal = strategy.propose(replace(start, now=now, surplus_w=surplus_w, memory=memory))
        memory = proposal.memory
        modes.append(proposal.mode)
    assert proposal is not None
    return modes, proposal


@pytest.mark.parametrize("mode", Mode)
def test_fixed_proposes_its_mode_whatever_happens(mode: Mode) -> None:
    proposal = Fixed(FixedParams(mode)).propose(replace(SITUATION, surplus_w=9000.0))
    assert proposal.mode is mode
    assert str(proposal.reason) == f"{mode.name} is set to stand always"


@pytest.mark.parametrize("strategy", [Fixed(FixedParams()), Threshold(ThresholdParams())])
def test_what_we_ship_is_a_strategy(strategy: Strategy) -> None:
    assert isinstance(strategy, Strategy)


@pytest.mark.parametrize("params", [FixedParams, ThresholdParams])
def test_every_parameter_is_documented_typed_and_has_a_default(params: type) -> None:
    hints = get_type_hints(params, include_extras=True)
    for field in fields(params):
        assert field.metadata["doc"]
        assert field.name in hints
    params()


def test_only_fixed_stands_against_a_goal() -> None:
    assert (Fixed.serves_goals, Threshold.serves_goals) == (False, True)


LADDER = [
    (0.0, STOP),
    (500.0, STOP),  # below GREEN's start: 0.5 of 1,380 W
    (1000.0, GREEN),
    (1600.0, GREEN),
    (2000.0, ECO),  # above 1.2 of its floor
    (6500.0, ECO),
    (7000.0, FAST),  # above 0.9 of 7,360 W
]


@pytest.mark.parametrize(("surplus_w", "mode"), LADDER)
def test_each_band_of_surplus_has_its_mode(surplus_w: float, mode: Mode) -> None:
    modes, _ = _modes(Threshold(ALL_BANDS), [surplus_w] * 10)
    assert modes[-1] is mode


@pytest.mark.parametrize(
    ("surplus_w", "mode"), [(1500.0, STOP), (3000.0, GREEN), (5500.0, ECO), (11_000.0, FAST)]
)
def test_the_same_bands_fit_a_three_phase_charger(surplus_w: float, mode: Mode) -> None:
    start = replace(SITUATION, charger=replace(CHARGER, phases=3, max_current_a=16.0))
    modes, _ = _modes(Threshold(ALL_BANDS), [surplus_w] * 10, start)
    assert modes[-1] is mode


def test_without_eco_surplus_alone_never_imports() -> None:
    modes, _ = _modes(Threshold(GREEN_ONLY), [20_000.0] * 30)
    assert set(modes) == {STOP, GREEN}


def test_as_shipped_fast_is_kept_for_goals() -> None:
    modes, _ = _modes(Threshold(ThresholdParams()), [20_000.0] * 30)
    assert set(modes) == {STOP, ECO}


def test_a_start_waits_for_its_delay() -> None:
    modes, _ = _modes(Threshold(ALL_BANDS), [1200.0] * 4)
    assert modes == [STOP, GREEN, GREEN, GREEN]


def test_a_surplus_just_beyond_the_edge_takes_longer() -> None:
    modes, _ = _modes(Threshold(ALL_BANDS), [690.0 + 150.0] * 6)
    assert modes == [STOP, STOP, STOP, GREEN, GREEN, GREEN]


def test_a_short_dip_drains_the_start_delay_and_does_not_reset_it() -> None:
    params = replace(ALL_BANDS, start_delay_s=240.0)
    steady, _ = _modes(Threshold(params), [1200.0] * 4)
    dipped, _ = _modes(Threshold(params), [1200.0, 1200.0, 1200.0, 600.0, 1200.0, 1200.0])
    assert steady.index(GREEN) == 3
    assert dipped.index(GREEN) == 5


def test_a_cloud_shorter_than_the_stop_delay_stops_nothing() -> None:
    modes, _ = _modes(Threshold(GREEN_ONLY), [2000.0] * 5 + [0.0] * 4 + [2000.0] * 5)
    assert modes[3:] == [GREEN] * 11


def test_dusk_ends_green() -> None:
    modes, proposal = _modes(Threshold(GREEN_ONLY), [2000.0] * 5 + [0.0] * 11)
    assert modes[-1] is STOP
    assert str(proposal.reason) == "STOP at 0 W surplus; next change above 690 W for 120 s"


def test_the_sentence_tells_what_would_change_the_mode() -> None:
    _, proposal = _modes(Threshold(GREEN_ONLY), [2000.0] * 5 + [0.0])
    assert proposal.reason.code == "threshold.surplus"
    assert str(proposal.reason) == "GREEN at 0 W surplus; next change below 276 W for 395 s"


def test_an_unknown_surplus_holds_what_is_on() -> None:
    modes, proposal = _modes(Threshold(GREEN_ONLY), [2000.0] * 5 + [None] * 60)
    assert set(modes[3:]) == {GREEN}
    assert str(proposal.reason) == "the surplus is not known, so GREEN goes on"


def test_a_long_gap_counts_for_one_sample_only() -> None:
    params = replace(ALL_BANDS, start_delay_s=600.0)
    modes, _ = _modes(Threshold(params), [5000.0], replace(SITUATION, elapsed_s=36_000.0))
    assert modes == [STOP]


def test_the_idle_mode_may_be_green() -> None:
    modes, proposal = _modes(Threshold(ThresholdParams(idle_mode=GREEN)), [-500.0] * 5)
    assert set(modes) == {GREEN}
    assert proposal.reason.code == "threshold.idle"


@pytest.mark.parametrize(
    ("mode", "kept"), [(None, STOP), (STOP, STOP), (GREEN, GREEN), (ECO, ECO), (FAST, FAST)]
)
def test_after_a_start_the_charger_goes_on_as_it_was_found(mode: Mode | None, kept: Mode) -> None:
    found = replace(SITUATION, mode=mode, surplus_w=0.0)
    assert Threshold(ALL_BANDS).propose(found).mode is kept


def test_a_mode_found_on_that_has_no_band_falls_back_to_the_next() -> None:
    assert Threshold(GREEN_ONLY).propose(replace(SITUATION, mode=FAST)).mode is GREEN


def _due(in_h: float, energy_kwh: float) -> Situation:
    return replace(SITUATION, goal=Goal(NOW + timedelta(hours=in_h), energy_kwh))


def test_a_goal_at_its_latest_start_is_served_at_full_power() -> None:
    proposal = Threshold(ThresholdParams()).propose(_due(1.4, 7.36))
    assert proposal.mode is FAST
    assert str(proposal.reason) == "7.4 kWh are due in 1.4 h and take 1.0 h at full power"


@pytest.mark.parametrize(
    "situation",
    [
        _due(1.6, 7.36),  # there is time
        _due(-0.1, 7.36),  # it is over
        replace(_due(1.0, 7.36), session_kwh=7.36),  # it is met
        replace(_due(1.0, 7.36), status=ChargerStatus.AVAILABLE),  # nobody is there
        replace(_due(1.0, 7.36), status=ChargerStatus.SUSPENDED_EV),  # the car takes no more
        replace(_due(1.0, 7.36), status=None),
        SITUATION,
    ],
)
def test_a_goal_that_needs_no_full_power_changes_nothing(situation: Situation) -> None:
    assert Threshold(ThresholdParams()).propose(situation).mode is STOP


def test_a_slow_car_starts_earlier() -> None:
    due = _due(2.4, 7.36)
    slow = replace(due, charger=replace(due.charger, car_max_w=3680.0))
    assert Threshold(ThresholdParams()).propose(slow).mode is FAST


def test_a_goal_once_served_is_let_go_only_with_time_in_hand() -> None:
    strategy = Threshold(ThresholdParams())
    first = strategy.propose(_due(1.4, 7.36))
    for hours, mode in ((1.7, FAST), (1.8, STOP)):
        assert strategy.propose(replace(_due(hours, 7.36), memory=first.memory)).mode is mode


def test_a_goal_is_served_while_the_surplus_is_unknown() -> None:
    proposal = Threshold(ThresholdParams()).propose(replace(_due(1.0, 7.36), surplus_w=None))
    assert (proposal.mode, proposal.reason.code) == (FAST, "threshold.goal")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"green_start_factor": 0.1}, "green_start_factor 0.1 is below green_stop_factor 0.2"),
        ({"eco_stop_factor": 1.0}, "eco_start_factor 0.8 is below eco_stop_factor 1.0"),
        ({"fast_start_factor": 0.5}, "fast_start_factor 0.5 is below fast_stop_factor 0.8"),
        ({"idle_mode": ECO}, "idle_mode ECO draws from the grid: stop or green would do"),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ThresholdParams(**wrong)


@given(st.lists(st.none() | st.floats(-9000, 20_000), min_size=1, max_size=40))
def test_equal_situations_give_equal_proposals(surpluses_w: list[float | None]) -> None:
    assert _modes(Threshold(ALL_BANDS), surpluses_w) == _modes(Threshold(ALL_BANDS), surpluses_w)


@given(st.lists(st.floats(-9000, 20_000), min_size=2, max_size=60))
def test_a_band_does_not_change_faster_than_its_delays(surpluses_w: list[float]) -> None:
    modes, _ = _modes(Threshold(replace(GREEN_ONLY, start_delay_s=300.0)), surpluses_w)
    changes = [i for i in range(1, len(modes)) if modes[i] is not modes[i - 1]]
    assert all(two - one >= 5 for one, two in zip([-1, *changes], changes, strict=False))


@given(st.lists(st.floats(-3000, 3000), max_size=40), st.floats(1, 600))
def test_a_timer_stays_within_its_delay_and_counts_no_faster_than_time(
    excess_w: list[float], delay_s: float
) -> None:
    timer_s = 0.0
    for excess in excess_w:
        before_s, timer_s = timer_s, integrated_s(timer_s, excess, 300.0, delay_s, 60.0)
        assert 0.0 <= timer_s <= delay_s
        assert abs(timer_s - before_s) <= 60.0 + 1e-9


@given(
    surplus_w=st.floats(-5000, 5000),
    timer_s=st.floats(0, 120),
    on=st.sampled_from([0.0, 1.0]),
    parts=st.integers(2, 6),
)
def test_the_timer_does_not_care_how_the_time_is_cut(
    surplus_w: float, timer_s: float, on: float, parts: int
) -> None:
    law = Law(1000.0, 1000.0, 300.0)
    whole = band(on, timer_s, surplus_w, 1000.0, 500.0, 60.0, law)
    cut = (on, timer_s)
    for _ in range(parts):
        cut = band(*cut, surplus_w, 1000.0, 500.0, 60.0 / parts, law)
    assert cut == (whole[0], pytest.approx(whole[1], abs=1e-9))


def test_no_time_changes_nothing() -> None:
    assert band(0.0, 0.0, 9000.0, 1000.0, 500.0, 0.0, Law(0.0, 0.0, 300.0)) == (0.0, 0.0)


def test_without_delays_a_band_follows_at_once() -> None:
    law = Law(0.0, 0.0, 300.0)
    assert band(0.0, 0.0, 1001.0, 1000.0, 500.0, 1.0, law) == (1.0, 0.0)
    assert band(0.0, 0.0, 1000.0, 1000.0, 500.0, 1.0, law) == (0.0, 0.0)
    assert band(1.0, 0.0, 499.0, 1000.0, 500.0, 1.0, law) == (0.0, 0.0)
