"""The laws that `threshold` is compared with: the usual timer, and the usual charging plan."""

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
    PriceStep,
    Proposal,
    Situation,
    Strategy,
    Tariff,
)
from optimizer.sensed import Compilable
from strategies.deadline import Deadline, DeadlineParams
from strategies.fixed import Fixed, FixedParams
from strategies.threshold import Threshold, ThresholdParams
from strategies.timer import Timer, TimerParams

STOP, FAST, ECO, GREEN = Mode
NOW = datetime(2026, 6, 1, 18, 0, tzinfo=UTC)
SITUATION = Situation(
    now=NOW,
    charger=ChargerSpec("home", "C1"),
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


def _run(strategy: Strategy, surpluses_w: list[float | None]) -> tuple[list[Mode], Proposal]:
    """Propose minute after minute."""
    modes, memory, proposal = [], (), None
    for minute, surplus_w in enumerate(surpluses_w):
        now = NOW + timedelta(minutes=minute)
        proposal = strategy.propose(replace(SITUATION, now=now, surplus_w=surplus_w, memory=memory))
        memory = proposal.memory
        modes.append(proposal.mode)
    assert proposal is not None
    return modes, proposal


@pytest.mark.parametrize(
    "strategy",
    [
        Fixed(FixedParams()),
        Threshold(ThresholdParams()),
        Timer(TimerParams()),
        Deadline(DeadlineParams()),
    ],
)
def test_what_we_ship_has_a_kernel(strategy: Strategy) -> None:
    assert isinstance(strategy, Strategy)
    assert isinstance(strategy, Compilable)


@pytest.mark.parametrize("params", [TimerParams, DeadlineParams])
def test_every_parameter_is_documented_typed_and_has_a_default(params: type) -> None:
    hints = get_type_hints(params, include_extras=True)
    for field in fields(params):
        assert field.metadata["doc"]
        assert field.name in hints
    params()


@pytest.mark.parametrize(
    ("surpluses_w", "modes"),
    [
        ([1380.0], [ECO]),  # a minute of enough
        ([1379.0] * 3, [STOP] * 3),
        ([None, 1380.0], [STOP, ECO]),
        ([2000.0, 0.0, 0.0, 0.0], [ECO, ECO, ECO, STOP]),  # three minutes without
        ([2000.0, 0.0, 0.0, 2000.0, 0.0, 0.0], [ECO] * 6),  # any contrary sample resets the timer
        ([2000.0, None, None, None, None], [ECO] * 5),  # what is not known is no sample
    ],
)
def test_the_timer_starts_after_a_minute_and_stops_after_three(
    surpluses_w: list[float | None], modes: list[Mode]
) -> None:
    assert _run(Timer(TimerParams()), surpluses_w)[0] == modes


def test_the_timer_says_what_it_waits_for() -> None:
    assert str(_run(Timer(TimerParams()), [500.0])[1].reason) == (
        "STOP at 500 W surplus; charging starts at 1380 W"
    )
    assert str(_run(Timer(TimerParams()), [2500.0])[1].reason) == (
        "ECO at 2500 W surplus; charging ends below 1380 W"
    )


@pytest.mark.parametrize("strategy", [Timer(TimerParams()), Deadline(DeadlineParams())])
def test_a_goal_at_its_latest_start_is_served_at_full_power(strategy: Strategy) -> None:
    """7.36 kWh take an hour, and half an hour is kept in hand."""
    soon = replace(SITUATION, goal=Goal(NOW + timedelta(minutes=90), 7.36))
    assert strategy.propose(soon).mode is FAST
    assert "7.4 kWh" in str(strategy.propose(soon).reason)
    early = replace(SITUATION, goal=Goal(NOW + timedelta(minutes=91), 7.36))
    assert strategy.propose(early).mode is not FAST


@pytest.mark.parametrize(
    "situation",
    [
        SITUATION,
        replace(SITUATION, goal=Goal(NOW + timedelta(hours=10), 7.36)),
        replace(SITUATION, goal=Goal(NOW + timedelta(minutes=30), 7.36), session_kwh=7.36),
        replace(SITUATION, goal=Goal(NOW + timedelta(minutes=30), 7.36), status=ChargerStatus.SUSPENDED_EV),
        replace(SITUATION, goal=Goal(NOW + timedelta(minutes=30), 7.36), status=ChargerStatus.AVAILABLE),
        replace(SITUATION, goal=Goal(NOW - timedelta(minutes=1), 7.36)),
    ],
)
def test_deadline_leaves_the_car_to_the_sun_while_nothing_presses(situation: Situation) -> None:
    assert Deadline(DeadlineParams()).propose(situation).mode is GREEN


def _tariff(*prices: float) -> Tariff:
    steps = [PriceStep(NOW + timedelta(minutes=15 * slot), price) for slot, price in enumerate(prices)]
    return Tariff(0.30, 0.08, tuple(steps))


@pytest.mark.parametrize(
    ("prices", "need_kwh", "mode"),
    [
        ((0.10, *[0.30] * 23), 1.0, FAST),  # the cheapest quarter hour of six hours, and one is enough
        ((0.30, *[0.10] * 23), 1.0, GREEN),
        ((0.20, 0.10, 0.10, *[0.30] * 21), 1.84 * 2, GREEN),  # two slots: the two cheap ones
        ((0.20, 0.10, 0.10, *[0.30] * 21), 1.84 * 3, FAST),  # three slots: this one, too
        ((0.30,) * 24, 1.84, GREEN),  # equal prices: later is as good, and the sun may come
    ],
)
def test_the_cheapest_slots_before_the_deadline_are_used(
    prices: tuple[float, ...], need_kwh: float, mode: Mode
) -> None:
    goal = Goal(NOW + timedelta(hours=6), need_kwh)
    situation = replace(SITUATION, goal=goal, tariff=_tariff(*prices))
    assert Deadline(DeadlineParams(cheapest=True)).propose(situation).mode is mode


@given(
    prices=st.lists(st.sampled_from([-0.05, 0.1, 0.2, 0.3]), min_size=8, max_size=24),
    slots=st.integers(1, 6),
)
def test_with_any_prices_as_many_slots_are_used_as_the_need_takes(prices: list[float], slots: int) -> None:
    strategy, taken_kwh, paid = Deadline(DeadlineParams(cheapest=True, margin_s=0.0)), 0.0, []
    goal = Goal(NOW + timedelta(minutes=15 * len(prices)), 1.84 * slots)
    for slot, price in enumerate(prices):
        now = NOW + timedelta(minutes=15 * slot)
        situation = replace(SITUATION, now=now, goal=goal, tariff=_tariff(*prices), session_kwh=taken_kwh)
        if strategy.propose(situation).mode is FAST:
            taken_kwh += 1.84
            paid.append(price)
    assert sorted(paid) == sorted(prices)[:slots]
