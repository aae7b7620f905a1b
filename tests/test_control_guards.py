from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.control import guards
from optimizer.control.freshness import Band, Freshness
from optimizer.control.guards import GuardInputs, GuardPolicy, Override, guard
from optimizer.domain import Alternative, Guard, Mode, Proposal, Reason

STOP, FAST, ECO, GREEN = Mode
POLICY = GuardPolicy()
COMMISSIONED = GuardPolicy(green_commissioned=True)
NOW_S = 100_000.0
FRESH, HELD, STALE = 60.0, 600.0, 1000.0


def _proposal(mode: Mode, **costs_eur: float) -> Proposal:
    alternatives = tuple(Alternative(Mode[name], cost) for name, cost in costs_eur.items())
    return Proposal(mode, Reason("test", "a test wants it"), alternatives)


def _inputs(current: Mode | None = STOP, age_s: float = FRESH, **changes: object) -> GuardInputs:
    inputs = GuardInputs(
        now_s=NOW_S,
        current=current,
        changed_at_s=None,
        changes_24h=0,
        freshness=Freshness("stamp", NOW_S - age_s, proven=True),
        connected=True,
    )
    return replace(inputs, **changes)


AT_RISK = {"need_kwh": 7.36, "power_w": 7360.0, "goal_left_s": 3600.0 + 1800.0}


def test_the_codes_of_the_kernel_rank_modes_as_the_domain_does() -> None:
    for one, other in product(Mode, Mode):
        assert guards.draw_rank(int(one)) == one.draw_rank
        assert guards.draws_from_grid(int(one)) == one.draws_from_grid
        assert guards.lower_mode(int(one), int(other)) == min(one, other, key=lambda mode: mode.draw_rank)


@pytest.mark.parametrize("mode", Mode)
def test_fresh_data_leaves_every_proposal_as_it_is(mode: Mode) -> None:
    ruling = guard(_proposal(mode), _inputs(), POLICY)
    assert (ruling.mode, ruling.guard, ruling.reason) == (mode, None, None)


@pytest.mark.parametrize("mode", Mode)
def test_only_modes_that_draw_from_the_grid_carry_a_lease(mode: Mode) -> None:
    lease_until_s = guard(_proposal(mode), _inputs(), POLICY).lease_until_s
    assert lease_until_s == (NOW_S - FRESH + 900.0 if mode.draws_from_grid else None)


TABLE = [
    # what is on, what is wanted, age, what becomes of it, by whom (GREEN not commissioned)
    (STOP, FAST, HELD, STOP, "guard.data_held"),
    (STOP, GREEN, HELD, STOP, "guard.data_held"),
    (GREEN, ECO, HELD, GREEN, "guard.data_held"),
    (ECO, FAST, HELD, ECO, "guard.data_held"),
    (FAST, FAST, HELD, FAST, None),
    (FAST, GREEN, HELD, GREEN, None),
    (GREEN, STOP, HELD, STOP, None),
    (FAST, FAST, STALE, STOP, "guard.lease"),
    (FAST, GREEN, STALE, STOP, "guard.data_stale"),
    (ECO, ECO, STALE, STOP, "guard.lease"),
    (GREEN, GREEN, STALE, STOP, "guard.data_stale"),
    (GREEN, FAST, STALE, STOP, "guard.data_stale"),
    (STOP, GREEN, STALE, STOP, "guard.data_stale"),
    (STOP, FAST, STALE, STOP, "guard.lease"),
    (STOP, STOP, STALE, STOP, None),
]


@pytest.mark.parametrize(("current", "wanted", "age_s", "mode", "code"), TABLE)
def test_old_data_permits_nothing_that_draws_more(
    current: Mode, wanted: Mode, age_s: float, mode: Mode, code: str | None
) -> None:
    ruling = guard(_proposal(wanted), _inputs(current, age_s), POLICY)
    assert ruling.mode is mode
    assert (ruling.reason.code if ruling.reason else None) == code


COMMISSIONED_TABLE = [
    (FAST, FAST, GREEN),
    (ECO, FAST, GREEN),
    (GREEN, GREEN, GREEN),
    (GREEN, FAST, GREEN),
    (GREEN, STOP, STOP),
    (STOP, GREEN, STOP),
    (FAST, STOP, STOP),
]


@pytest.mark.parametrize(("current", "wanted", "mode"), COMMISSIONED_TABLE)
def test_a_commissioned_green_may_stand_unseen(current: Mode, wanted: Mode, mode: Mode) -> None:
    assert guard(_proposal(wanted), _inputs(current, STALE), COMMISSIONED).mode is mode


def test_the_safe_mode_holds_from_the_moment_the_lease_ends() -> None:
    at_the_end = _inputs(FAST, 900.0)
    assert guard(_proposal(FAST), replace(at_the_end, now_s=NOW_S - 0.1), POLICY).mode is FAST
    assert guard(_proposal(FAST), at_the_end, POLICY).mode is STOP


def test_a_shorter_lease_ends_grid_power_before_the_data_is_stale() -> None:
    short = replace(POLICY, lease_s=300.0)
    ruling = guard(_proposal(FAST), _inputs(FAST, 360.0), short)
    assert (ruling.mode, ruling.guard) == (STOP, Guard.LEASE)
    assert guard(_proposal(FAST), _inputs(GREEN, 360.0), short).mode is GREEN


@pytest.mark.parametrize(
    ("current", "wanted", "age_s", "mode"),
    [
        (GREEN, ECO, 420.0, ECO),
        (GREEN, ECO, 420.5, GREEN),
        (FAST, FAST, 899.5, FAST),
        (FAST, FAST, 900.0, STOP),
        (GREEN, GREEN, 900.0, GREEN),
        (GREEN, GREEN, 900.5, STOP),
    ],
)
def test_the_ages_as_shipped_are_seven_and_fifteen_minutes(
    current: Mode, wanted: Mode, age_s: float, mode: Mode
) -> None:
    assert guard(_proposal(wanted), _inputs(current, age_s), POLICY).mode is mode


@pytest.mark.parametrize("freshness", [None, Freshness("stamp", NOW_S, proven=False)])
def test_data_that_never_changed_gives_no_grid_power(freshness: Freshness | None) -> None:
    ruling = guard(_proposal(FAST), _inputs(FAST, freshness=freshness), POLICY)
    assert (ruling.mode, ruling.guard) == (STOP, Guard.LEASE)


def test_the_sentences_tell_how_old_the_data_is() -> None:
    said = [
        str(guard(_proposal(FAST), _inputs(STOP, freshness=freshness), POLICY).reason)
        for freshness in (
            None,
            Freshness("stamp", NOW_S - 60.0, proven=False),
            Freshness("stamp", NOW_S - 6000.0, proven=True),
        )
    ]
    start = "STOP instead of FAST, for grid power needs fresh data: "
    assert said == [
        start + "there is no data of the house yet",
        start + "the data is 1 min old, or older",
        start + "the data is 100 min old",
    ]


def test_what_the_owner_sets_stands_until_its_end() -> None:
    by_hand = Override(ECO, NOW_S + 600.0)
    ruling = guard(_proposal(GREEN), _inputs(STOP, override=by_hand), POLICY)
    assert (ruling.mode, ruling.guard, ruling.lease_until_s) == (ECO, Guard.OVERRIDE, NOW_S + 600.0)
    assert str(ruling.reason) == "set by hand to ECO for another 10 min"


def test_what_the_owner_sets_needs_no_data_no_car_no_dwell_and_no_slot() -> None:
    inputs = _inputs(
        STOP,
        STALE,
        override=Override(FAST, NOW_S + 1.0),
        connected=False,
        slot_free=False,
        changed_at_s=NOW_S,
    )
    assert guard(_proposal(STOP), inputs, POLICY).mode is FAST


def test_what_the_owner_set_ends() -> None:
    assert guard(_proposal(GREEN), _inputs(STOP, override=Override(ECO, NOW_S)), POLICY).mode is GREEN


def test_a_stop_by_hand_needs_no_lease() -> None:
    ruling = guard(_proposal(FAST), _inputs(FAST, override=Override(STOP, NOW_S + 1.0)), POLICY)
    assert (ruling.mode, ruling.lease_until_s) == (STOP, None)


def test_a_goal_at_risk_takes_over() -> None:
    ruling = guard(_proposal(GREEN), _inputs(GREEN, **AT_RISK), POLICY)
    assert (ruling.mode, ruling.guard) == (FAST, Guard.GOAL)
    assert str(ruling.reason) == "7.4 kWh are due in 1.5 h, so FAST can wait no longer"


def test_a_goal_does_not_wait_for_dwell_changes_or_gain() -> None:
    inputs = _inputs(GREEN, changed_at_s=NOW_S, changes_24h=99, **AT_RISK)
    assert guard(_proposal(GREEN, GREEN=0.0, FAST=9.0), inputs, POLICY).mode is FAST


@pytest.mark.parametrize(
    ("changes", "mode"),
    [
        ({"goal_left_s": 5401.0}, GREEN),  # a second of time is left
        ({"serves_goals": False}, GREEN),
        ({"connected": False}, GREEN),
        ({"need_kwh": 0.0}, GREEN),
        ({"goal_left_s": None}, GREEN),
        ({"goal_left_s": 0.0}, GREEN),  # over
        ({"slot_free": False}, GREEN),
        ({"freshness": None}, STOP),
    ],
)
def test_a_goal_waits_where_it_may(changes: dict[str, object], mode: Mode) -> None:
    assert guard(_proposal(GREEN), _inputs(GREEN, **(AT_RISK | changes)), POLICY).mode is mode


def test_a_goal_once_served_is_not_let_go_at_the_first_spare_minute() -> None:
    spare = AT_RISK | {"goal_left_s": 5400.0 + 600.0}
    assert guard(_proposal(GREEN), _inputs(GREEN, **spare), POLICY).mode is GREEN
    assert guard(_proposal(GREEN), _inputs(FAST, **spare), POLICY).mode is FAST
    spare["goal_left_s"] = 5400.0 + 901.0
    assert guard(_proposal(GREEN), _inputs(FAST, **spare), POLICY).mode is GREEN


HYSTERESIS = [
    ({"changed_at_s": NOW_S - 299.0}, "guard.dwell", "GREEN stays: on for 299 s of at least 300 s"),
    ({"changes_24h": 24}, "guard.changes", "GREEN stays: 24 changes in 24 h, 24 are allowed"),
    (
        {"slot_free": False},
        "guard.budget",
        "GREEN stays: the calls left now are kept for moves toward safety",
    ),
]


@pytest.mark.parametrize(("changes", "code", "sentence"), HYSTERESIS)
def test_a_rise_waits_for_hysteresis_and_budget(changes: dict[str, object], code: str, sentence: str) -> None:
    ruling = guard(_proposal(FAST), _inputs(GREEN, **changes), POLICY)
    assert ruling.mode is GREEN
    assert ruling.reason is not None
    assert (ruling.reason.code, str(ruling.reason)) == (code, sentence)


@pytest.mark.parametrize("changes", [changes for changes, _, _ in HYSTERESIS])
def test_a_mode_that_stays_needs_nobodys_leave(changes: dict[str, object]) -> None:
    ruling = guard(_proposal(GREEN), _inputs(GREEN, **changes), POLICY)
    assert (ruling.mode, ruling.guard) == (GREEN, None)


@pytest.mark.parametrize(("changes", "_code", "_sentence"), HYSTERESIS)
def test_moves_toward_safety_pass_hysteresis_and_budget(
    changes: dict[str, object], _code: str, _sentence: str
) -> None:
    assert guard(_proposal(STOP), _inputs(GREEN, **changes), POLICY).mode is STOP


@pytest.mark.parametrize(
    ("costs_eur", "mode"),
    [
        ({"GREEN": 1.0, "FAST": 0.99}, FAST),
        ({"GREEN": 1.0, "FAST": 0.995}, GREEN),
        ({"GREEN": 0.01, "FAST": 0.0}, FAST),  # just worth it
        ({"GREEN": 1.0, "FAST": 2.0}, GREEN),
        ({"FAST": 2.0}, FAST),  # nothing to compare with
        ({"GREEN": 1.0}, FAST),
    ],
)
def test_a_rise_has_to_be_worth_its_price_where_the_strategy_knows_it(
    costs_eur: dict[str, float], mode: Mode
) -> None:
    assert guard(_proposal(FAST, **costs_eur), _inputs(GREEN), POLICY).mode is mode


def test_the_dwell_is_that_of_the_mode_which_is_on() -> None:
    policy = replace(POLICY, dwell_s={STOP: 0.0, GREEN: 600.0, ECO: 0.0, FAST: 0.0})
    assert guard(_proposal(FAST), _inputs(GREEN, changed_at_s=NOW_S - 500.0), policy).mode is GREEN
    assert guard(_proposal(FAST), _inputs(STOP, changed_at_s=NOW_S), policy).mode is FAST


@pytest.mark.parametrize(
    ("current", "wanted", "mode", "guarded_by"),
    [
        (FAST, FAST, STOP, Guard.LEASE),
        (ECO, GREEN, STOP, Guard.LEASE),
        (FAST, STOP, STOP, None),
        (GREEN, FAST, GREEN, Guard.HYSTERESIS),
        (GREEN, STOP, GREEN, Guard.HYSTERESIS),
        (STOP, GREEN, STOP, Guard.HYSTERESIS),
        (STOP, STOP, STOP, None),
    ],
)
def test_without_a_car_nothing_changes_but_grid_power_ends(
    current: Mode, wanted: Mode, mode: Mode, guarded_by: Guard | None
) -> None:
    ruling = guard(_proposal(wanted), _inputs(current, connected=False), POLICY)
    assert (ruling.mode, ruling.guard) == (mode, guarded_by)


def test_a_mode_that_is_not_known_counts_as_the_resting_mode() -> None:
    assert guard(_proposal(FAST), _inputs(None, HELD), POLICY).mode is STOP
    assert guard(_proposal(FAST), _inputs(None, HELD), COMMISSIONED).mode is GREEN


def test_no_combination_draws_more_than_lease_and_age_permit() -> None:
    codes = (guards.PASSED, guards.DWELL, guards.BUDGET)
    grid = product(Mode, Mode, (STOP, GREEN), Band, *[(False, True)] * 3, codes)
    for proposed, current, resting, age, leased, connected, at_risk, veto in grid:
        number, code = guards.guard_mode(proposed, current, resting, age, leased, connected, at_risk, veto)
        mode = Mode(number)
        may_rise = age is Band.FRESH and connected
        assert mode.draw_rank <= max(current.draw_rank, resting.draw_rank) or may_rise
        assert leased or veto or not mode.draws_from_grid
        assert connected or not mode.draws_from_grid
        assert age is not Band.STALE or mode.draw_rank <= min(current.draw_rank, resting.draw_rank)
        assert age is not Band.HOLD or mode.draw_rank <= current.draw_rank
        assert veto == guards.PASSED or mode.draw_rank <= max(current.draw_rank, resting.draw_rank)
        assert code != guards.PASSED or mode is proposed


INPUTS = st.builds(
    GuardInputs,
    now_s=st.just(NOW_S),
    current=st.none() | st.sampled_from(Mode),
    changed_at_s=st.none() | st.floats(0.0, NOW_S),
    changes_24h=st.integers(0, 50),
    freshness=st.none()
    | st.builds(
        Freshness,
        st.just("stamp"),
        st.floats(NOW_S - 2000.0, NOW_S),
        proven=st.booleans(),
        repeats=st.just(0),
    ),
    connected=st.booleans(),
    slot_free=st.booleans(),
    serves_goals=st.booleans(),
    need_kwh=st.floats(0.0, 50.0),
    power_w=st.floats(0.0, 22_000.0),
    goal_left_s=st.none() | st.floats(-1000.0, 50_000.0),
)


@given(inputs=INPUTS, mode=st.sampled_from(Mode), green=st.booleans(), lease_s=st.floats(60.0, 900.0))
def test_grid_power_is_never_granted_without_a_running_lease(
    inputs: GuardInputs, mode: Mode, green: bool, lease_s: float
) -> None:
    policy = replace(POLICY, green_commissioned=green, lease_s=lease_s)
    ruling = guard(_proposal(mode), inputs, policy)
    assert (ruling.lease_until_s is not None) == ruling.mode.draws_from_grid
    assert ruling.lease_until_s is None or ruling.lease_until_s > inputs.now_s
    assert (ruling.guard is None) == (ruling.reason is None)
    assert ruling.reason is None or all(
        not isinstance(number, float) or math.isfinite(number) for number in ruling.reason.params.values()
    )
    assert ruling.reason is None or "{" not in str(ruling.reason)


@given(inputs=INPUTS, mode=st.sampled_from(Mode))
def test_a_decision_once_taken_is_kept_while_nothing_changes(inputs: GuardInputs, mode: Mode) -> None:
    first = guard(_proposal(mode), inputs, POLICY).mode
    settled = replace(inputs, current=first, changed_at_s=inputs.now_s)
    assert guard(_proposal(mode), settled, POLICY).mode.draw_rank <= first.draw_rank
