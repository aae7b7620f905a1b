"""A backtest's case as a clairvoyant sees it, and what the real loop costs against the bound."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from clairvoyant import house

from optimizer.backtest.case import Case, GoalSpan, Home, Visit
from optimizer.backtest.runs import run_strategy
from optimizer.backtest.truth import truth_of
from optimizer.domain import ChargerSpec, Mode
from optimizer.planning.bound import mode_bound
from optimizer.planning.truth import Truth
from strategies.fixed import Fixed, FixedParams


def case_of(truth: Truth) -> Case:
    """Return a house of the bound's tests as a case to run."""
    limits = truth.charger
    spec = ChargerSpec(
        "garage", "TEST", limits.phases, limits.max_current_a, limits.eco_gear_a, limits.green_gear_a
    )
    visits = tuple(
        Visit(number, int(begin), int(end), float(kwh))
        for number, (begin, end, kwh) in enumerate(
            zip(truth.arrival, truth.departure, truth.energy_kwh, strict=True)
        )
    )
    return Case(
        house="random",
        start=datetime(2026, 6, 1, 6, truth.slot_offset, tzinfo=UTC),
        pv_w=truth.pv_w,
        load_w=truth.load_w,
        known=np.ones(truth.minutes, dtype=bool),
        visits=visits,
        goals=tuple(GoalSpan(visit.arrival, visit.departure, visit.energy_kwh) for visit in visits),
        price_eur_per_kwh=truth.price_eur_per_kwh,
        feed_in_eur_per_kwh=truth.feed_in_eur_per_kwh,
        home=Home(
            spec, car=truth.car, times=truth.times, battery=truth.battery, battery_soc=truth.battery_soc
        ),
        unmet_eur_per_kwh=truth.unmet_eur_per_kwh,
    )


@pytest.mark.parametrize("battery", [False, True])
def test_a_case_tells_the_clairvoyant_all_of_itself(battery: bool) -> None:
    truth = house(7, battery=battery)
    told = truth_of(case_of(truth))
    assert told.slot_offset == truth.slot_offset
    assert (told.charger, told.car, told.times) == (truth.charger, truth.car, truth.times)
    assert (told.battery, told.battery_soc) == (truth.battery, truth.battery_soc)
    for name in ("arrival", "departure", "energy_kwh", "pv_w", "load_w", "price_eur_per_kwh"):
        assert np.array_equal(getattr(told, name), getattr(truth, name)), name


@pytest.mark.parametrize("battery", [False, True])
def test_no_run_of_the_backtest_costs_less_than_the_mode_bound(battery: bool) -> None:
    for seed in range(12):
        case = case_of(house(seed, battery=battery, slow=seed % 2 == 0))
        bound = mode_bound(truth_of(case))
        for mode in Mode:
            run = run_strategy(case, Fixed(FixedParams(mode=mode)), compiled=False)
            assert run.totals.cost_eur >= bound.cost_eur - bound.grid_error_eur - 1e-7, (seed, mode)
