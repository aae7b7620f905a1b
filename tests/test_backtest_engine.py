from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from backtest_cases import BUILT_IN, drawn_case
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.backtest.case import Home, Visit
from optimizer.backtest.control import Control, rules_of
from optimizer.backtest.minute import LONG_AGO, Sample, View, is_goal_at_risk, may_follow, permitted
from optimizer.backtest.runs import Run, RunTrace, run_strategy
from optimizer.control.freshness import Freshness
from optimizer.control.guards import GuardInputs, GuardPolicy, guard
from optimizer.domain import ChargerSpec, Mode, Proposal, Reason, Situation, Strategy
from optimizer.errors import StrategyFailed

SPEC = ChargerSpec("garage", "REFERENCE")


def _trace(run: Run) -> RunTrace:
    assert run.trace is not None
    return run.trace


def _same(one: Run, other: Run) -> bool:
    columns = asdict(_trace(one))
    return one.totals == other.totals and all(
        np.array_equal(values, getattr(_trace(other), name)) for name, values in columns.items()
    )


@pytest.mark.parametrize("name", BUILT_IN)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_compiled_and_plain_runs_are_equal_to_the_bit(name: str, seed: int) -> None:
    case = drawn_case(seed, days=2)
    compiled = run_strategy(case, BUILT_IN[name], trace=True)
    assert _same(compiled, run_strategy(case, BUILT_IN[name], compiled=False, trace=True))


class Stranger:
    """Decides like one of ours, but has no kernel: it is asked in plain Python, every minute."""

    name = "stranger"

    def __init__(self, inner: Strategy) -> None:
        self._inner = inner
        self.serves_goals = inner.serves_goals
        self.wants_forecast = getattr(inner, "wants_forecast", False)
        self.plans_goals = getattr(inner, "plans_goals", False)

    def propose(self, situation: Situation) -> Proposal:
        return self._inner.propose(situation)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", BUILT_IN)
def test_a_strategy_without_a_kernel_decides_the_same_from_the_situation_it_is_given(
    name: str, seed: int
) -> None:
    """Also: what a kernel says of how long its answer holds is true, for this one is asked every minute.

    And reads that cannot bring anything are counted as often as they are made.
    """
    case = drawn_case(seed)
    stranger = run_strategy(case, Stranger(BUILT_IN[name]), trace=True)
    ours = run_strategy(case, BUILT_IN[name], trace=True)
    assert np.array_equal(_trace(stranger).mode, _trace(ours).mode)
    assert stranger.totals.cost_eur == pytest.approx(ours.totals.cost_eur, abs=1e-9)
    assert stranger.totals.api_calls == ours.totals.api_calls


class Raising(Stranger):
    def propose(self, situation: Situation) -> Proposal:
        raise ZeroDivisionError(f"at {situation.charger.name}")


def test_a_strategy_that_raises_is_named_with_the_moment() -> None:
    with pytest.raises(
        StrategyFailed, match=r"'stranger' failed at 20\d\d-.* UTC: ZeroDivisionError: at garage"
    ):
        run_strategy(drawn_case(1), Raising(BUILT_IN["threshold"]))


@given(name=st.sampled_from(sorted(BUILT_IN)), seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_every_minute_balances_and_the_totals_follow_from_the_trace(name: str, seed: int) -> None:
    case = drawn_case(seed)
    run = run_strategy(case, BUILT_IN[name], trace=True)
    trace, totals = _trace(run), run.totals
    balance_w = case.pv_w + trace.grid_w + trace.battery_w - case.load_w - trace.ev_w
    assert np.abs(balance_w).max() < 1e-6
    slot = (np.arange(case.minutes) + case.slot_offset) // 15
    imported, exported = np.maximum(trace.grid_w, 0.0) / 60_000.0, np.maximum(-trace.grid_w, 0.0) / 60_000.0
    cost_eur = (imported * case.price_eur_per_kwh[slot]).sum()
    cost_eur -= (exported * case.feed_in_eur_per_kwh[slot]).sum()
    unmet_kwh = sum(v.energy_kwh - trace.ev_kwh[v.departure - 1] for v in case.visits)
    assert totals.unmet_kwh == pytest.approx(unmet_kwh, abs=1e-6)
    assert totals.cost_eur == pytest.approx(cost_eur + 0.60 * unmet_kwh, abs=1e-6)
    assert totals.import_kwh == pytest.approx(imported.sum(), abs=1e-6)
    assert totals.export_kwh == pytest.approx(exported.sum(), abs=1e-6)


def test_what_a_car_misses_counts_even_if_it_leaves_with_the_last_minute() -> None:
    case = drawn_case(3)
    last = replace(case, visits=(Visit(0, case.minutes - 30, case.minutes, 20.0),), goals=())
    assert run_strategy(last, BUILT_IN["stop"]).totals.unmet_kwh == 20.0


@given(name=st.sampled_from(sorted(BUILT_IN)), seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_no_car_draws_more_than_it_needs_or_while_it_is_away(name: str, seed: int) -> None:
    case = drawn_case(seed)
    trace = _trace(run_strategy(case, BUILT_IN[name], trace=True))
    assert not trace.ev_w[trace.visit < 0].any()
    for index, visit in enumerate(case.visits):
        assert (trace.visit[visit.arrival : visit.departure] == index).all()
        taken_kwh = trace.ev_w[visit.arrival : visit.departure].sum() / 60_000.0
        assert taken_kwh <= visit.energy_kwh + 1e-9
        assert taken_kwh == pytest.approx(trace.ev_kwh[visit.departure - 1], abs=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_green_imports_no_longer_than_it_takes_to_pause(seed: int) -> None:
    case = drawn_case(seed)
    gear_w = max(6.0, case.home.charger.green_gear_a) * case.home.charger.phases * 230.0
    trace = _trace(run_strategy(case, BUILT_IN["green"], trace=True))
    surplus_w = case.pv_w - case.load_w
    short = (trace.mode == Mode.GREEN) & (trace.ev_w > 1.0) & (surplus_w < min(gear_w, trace.ev_w.max()))
    short &= surplus_w < case.home.charger.green_floor_w
    run_length = 0
    for flag in short:
        run_length = run_length + 1 if flag else 0
        assert run_length <= 2


def test_the_past_never_knows_the_future() -> None:
    case = drawn_case(5, days=4)
    half = case.minutes // 2
    other = drawn_case(6, days=4)
    changed = replace(
        case,
        pv_w=np.concatenate([case.pv_w[:half], other.pv_w[half:]]),
        load_w=np.concatenate([case.load_w[:half], other.load_w[half:]]),
    )
    for strategy in BUILT_IN.values():
        one = _trace(run_strategy(case, strategy, trace=True))
        two = _trace(run_strategy(changed, strategy, trace=True))
        assert np.array_equal(one.ev_w[:half], two.ev_w[:half])
        # What is decided in the first minute after the change rests on samples from before it.
        assert one.mode[half] == two.mode[half]


def test_the_house_is_seen_minutes_late_and_commands_take_their_time() -> None:
    minutes = 240
    pv_w = np.where(np.arange(minutes) >= 100, 5000.0, 0.0)
    case = drawn_case(0)
    sunny = replace(
        case,
        pv_w=pv_w,
        load_w=np.zeros(minutes),
        known=np.ones(minutes, dtype=bool),
        visits=(Visit(0, 0, 230, 40.0),),
        goals=(),
        home=Home(),
    )
    trace = _trace(run_strategy(sunny, BUILT_IN["threshold"], trace=True))
    begins = int(np.flatnonzero(trace.ev_w)[0])
    assert 100 + 2 < begins <= 100 + 12


@given(
    st.sampled_from(Mode),
    st.sampled_from(Mode),
    st.integers(0, 40),
    st.integers(0, 600),
    st.floats(0.0, 30.0),
    st.sampled_from([0.0, -600.0, 600.0, 3600.0, 86_400.0]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 30),
    st.booleans(),
    st.booleans(),
)
def test_the_scalar_guards_rule_like_the_live_ones(  # noqa: PLR0917 - hypothesis hands over what it has drawn
    proposed: Mode,
    current: Mode,
    age_min: int,
    since_min: int,
    need_kwh: float,
    left_s: float,
    connected: bool,
    full: bool,
    changes: int,
    slot_free: bool,
    commissioned: bool,
) -> None:
    policy = GuardPolicy(green_commissioned=commissioned)
    rules = rules_of(Control(guard=policy), SPEC, BUILT_IN["threshold"])
    now = 10_000
    sample = Sample(0.0, 0.0, 0.0, 0.0, 0.0)
    view = View(
        known=True,
        surplus_w=0.0,
        base_load_w=0.0,
        sample=sample,
        sample_min=now - age_min,
        looked_min=LONG_AGO,
        connected=connected,
        full=full,
        session_kwh=0.0,
        ev_w=0.0,
        read_min=0,
        due_min=now + 5,
        mode=int(current),
        changed_min=now - since_min,
    )
    inputs = GuardInputs(
        now_s=now * 60.0,
        current=current,
        changed_at_s=(now - since_min) * 60.0,
        changes_24h=changes,
        freshness=Freshness("stamp", (now - age_min) * 60.0, proven=True),
        connected=connected,
        slot_free=slot_free,
        serves_goals=not full,
        need_kwh=need_kwh,
        power_w=SPEC.max_power_w,
        goal_left_s=left_s,
    )
    ruling = guard(Proposal(proposed, Reason("any", "any")), inputs, policy)
    at_risk = is_goal_at_risk(view, need_kwh, left_s, rules)
    mode = permitted(view, int(proposed), at_risk, now, rules)
    follows = may_follow(view, mode, at_risk, now, changes, slot_free, rules)
    assert (mode if follows else view.mode) == ruling.mode
