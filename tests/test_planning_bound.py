"""The clairvoyant bound: three values in order, none above what any simulated run costs."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from clairvoyant import house, policies, simulated_eur
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.domain import Mode
from optimizer.planning.bound import Bound, free_current_bound, lp_bound, mode_bound
from optimizer.planning.buffered import mode_actions, programme_of, run_back
from optimizer.planning.lp import linear_programme_eur, merit_order_eur
from optimizer.planning.priced import Edges, priced_bound_eur
from optimizer.planning.truth import Truth
from optimizer.plant.battery import BatteryLimits, battery_step

ROUNDING_EUR = 1e-7
SEEDS = st.integers(0, 1_000_000)
DATA = Path(os.environ.get("SUNMODE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))


def plain(minutes: int, need_kwh: float, price_eur: float = 0.3, surplus_w: float = 0.0) -> Truth:
    """Return a house with a car plugged in all the time, and everything constant."""
    return Truth(
        pv_w=np.full(minutes, max(0.0, surplus_w)),
        load_w=np.full(minutes, max(0.0, -surplus_w)),
        arrival=np.array([0]),
        departure=np.array([minutes]),
        energy_kwh=np.array([need_kwh]),
        price_eur_per_kwh=np.full(minutes // 15 + 1, price_eur),
        feed_in_eur_per_kwh=np.full(minutes // 15 + 1, 0.08),
    )


BY_HAND = {
    "from the grid": (plain(60, 3.0), 3.0 * 0.3),
    "more than there is time for": (plain(60, 10.0), 7.36 * 0.3 + 2.64 * 0.6),
    "from the sun": (plain(60, 2.0, surplus_w=3000.0), -1.0 * 0.08),
    "sun first, then grid": (plain(60, 4.0, surplus_w=3000.0), 1.0 * 0.3),
    "dearer than leaving it": (plain(60, 3.0, 0.7), 3.0 * 0.6),
    "paid to import": (plain(60, 3.0, -0.1), 3.0 * -0.1),
    "nothing wanted": (plain(60, 0.0, surplus_w=-1000.0), 0.3),
    "paid to import, with sun": (plain(60, 7.36, -0.1, 3000.0), 4.36 * -0.1),
}


@pytest.mark.parametrize("bound", [lp_bound, free_current_bound, mode_bound])
@pytest.mark.parametrize("name", BY_HAND)
def test_what_can_be_told_by_hand(name: str, bound: object) -> None:
    truth, expected_eur = BY_HAND[name]
    assert callable(bound)
    assert bound(truth).cost_eur == pytest.approx(expected_eur, abs=1e-9)


@settings(max_examples=30)
@given(SEEDS)
def test_merit_order_and_highs_agree_without_a_battery(seed: int) -> None:
    truth = house(seed, 240)
    assert merit_order_eur(truth) == pytest.approx(linear_programme_eur(truth), abs=ROUNDING_EUR)


def in_order(*bounds: Bound) -> bool:
    """Tell whether each is at most the next, within what they say of themselves."""
    return all(
        one.cost_eur <= other.cost_eur + one.grid_error_eur + other.grid_error_eur + ROUNDING_EUR
        for one, other in itertools.pairwise(bounds)
    )


@settings(max_examples=100)
@given(SEEDS, st.booleans())
def test_the_three_bounds_are_in_order(seed: int, slow: bool) -> None:
    truth = house(seed, slow=slow)
    assert in_order(lp_bound(truth), free_current_bound(truth), mode_bound(truth))


@settings(max_examples=25)
@given(SEEDS, st.booleans())
def test_the_three_bounds_are_in_order_with_a_battery(seed: int, slow: bool) -> None:
    truth = house(seed, battery=True, slow=slow)
    assert in_order(lp_bound(truth), free_current_bound(truth), mode_bound(truth))


@pytest.mark.parametrize("first_seed", range(0, 200, 20))
def test_no_simulated_run_costs_less_than_the_mode_bound(first_seed: int) -> None:
    for seed in range(first_seed, first_seed + 20):
        truth = house(seed, 240, slow=seed % 2 == 0)
        bound_eur = mode_bound(truth).cost_eur
        for name, policy in policies(truth, seed).items():
            assert simulated_eur(truth, policy) >= bound_eur - ROUNDING_EUR, (seed, name)


@pytest.mark.parametrize("first_seed", range(0, 40, 20))
def test_no_simulated_run_with_a_battery_costs_less_than_the_mode_bound_but_for_its_error(
    first_seed: int,
) -> None:
    for seed in range(first_seed, first_seed + 20):
        truth = house(seed, 240, battery=True, slow=seed % 2 == 0)
        bound = mode_bound(truth)
        for name, policy in policies(truth, seed).items():
            assert simulated_eur(truth, policy) >= bound.cost_eur - bound.grid_error_eur, (seed, name)


def ideal_w(mode: int, surplus_w: float, truth: Truth) -> float:
    """Return what an ideal charger draws at once."""
    if mode == Mode.STOP or (mode == Mode.GREEN and surplus_w < truth.green_gear_w):
        return 0.0
    return truth.max_w if mode == Mode.FAST else min(truth.max_w, max(truth.floor_w, surplus_w))


def every_run(truth: Truth, stage_min: int) -> Iterator[tuple[tuple[int, ...], float]]:
    """Yield each sequence of modes with its cost, for a car that never becomes full."""
    surplus_w = truth.surplus_w
    for modes in itertools.product(range(4), repeat=truth.minutes // stage_min):
        soc, grid_w, taken_kwh = truth.battery_soc, np.zeros(truth.minutes), 0.0
        for t in range(truth.minutes):
            ev_w = ideal_w(modes[t // stage_min], surplus_w[t], truth)
            battery_w = 0.0
            if truth.battery is not None:
                soc, battery_w = battery_step(soc, ev_w - surplus_w[t], 60.0, truth.battery)
            grid_w[t] = ev_w - surplus_w[t] - battery_w
            taken_kwh += ev_w / 60_000.0
        missing_kwh = float(truth.energy_kwh[0]) - taken_kwh
        yield modes, float(np.sum(truth.exchange_eur(grid_w))) + missing_kwh * truth.unmet_eur_per_kwh


def tiny(seed: int, minutes: int) -> Truth:
    """Return a car that never becomes full, with an unmet energy that is not always worth its price."""
    rng = np.random.default_rng(seed)
    return replace(
        plain(minutes, 50.0),
        pv_w=rng.uniform(0.0, 3000.0, minutes),
        price_eur_per_kwh=rng.uniform(-0.2, 0.5, minutes // 15 + 1),
        unmet_eur_per_kwh=float(rng.uniform(0.0, 0.4)),
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_priced_programme_finds_the_best_of_all_runs(seed: int) -> None:
    truth = tiny(seed, 6)
    ideal = Edges(truth.floor_w, truth.max_w, 0.0, 0.0, 0.0, 0.0, gear_w=np.inf)
    best_eur = min(cost_eur for _, cost_eur in every_run(truth, 1))
    bound_eur = priced_bound_eur(truth, ideal)
    assert bound_eur <= best_eur + 1e-9
    assert bound_eur == pytest.approx(best_eur, abs=0.003)  # what one last minute of any power may save


@pytest.mark.parametrize("switch_cost_eur", [0.0, 0.01])
@pytest.mark.parametrize("battery", [None, BatteryLimits(0.5, 2500.0, 3000.0, 0.85, 0.1, 1.0)])
@pytest.mark.parametrize("seed", range(4))
def test_the_buffered_programme_finds_the_best_of_all_runs(
    seed: int, battery: BatteryLimits | None, switch_cost_eur: float
) -> None:
    truth = replace(tiny(seed, 20), battery=battery)
    best_eur = min(
        cost_eur + switch_cost_eur * sum(a != b for a, b in itertools.pairwise(modes))
        for modes, cost_eur in every_run(truth, 5)
    )
    programme = programme_of(truth, mode_actions(truth), 401, 5, switch_cost_eur)
    found = run_back(truth, programme, [(-0.3, truth.unmet_eur_per_kwh)], (2,))
    assert found.cost_eur == pytest.approx(best_eur, abs=1e-4)


def best_ideal_eur(truth: Truth) -> float:
    """Return the cost of the best run of an ideal charger found by guessing what a missing kWh is worth.

    Two neighbouring guesses of that worth, one before and one after some minute, make the last of it fit.
    """
    surplus_w, powers_w = truth.surplus_w, []
    ev_w = np.array([[ideal_w(mode, float(watts), truth) for watts in surplus_w] for mode in range(4)])
    for worth in np.unique(np.concatenate((np.linspace(-0.2, 0.6, 81), truth.price_eur_per_kwh + 1e-6))):
        eur = np.array([truth.exchange_eur(watts - surplus_w) for watts in ev_w]) - worth * ev_w / 60_000.0
        powers_w.append(ev_w[eur.argmin(axis=0), np.arange(truth.minutes)])
    costs_eur = [_with_need(truth, watts) for watts in powers_w]
    best = int(np.argmin(costs_eur))
    near = powers_w[max(0, best - 1) : best + 2]
    for one, other in itertools.permutations(near, 2):
        costs_eur.extend(
            _with_need(truth, np.concatenate((one[:minute], other[minute:])))
            for minute in range(0, truth.minutes, 2)
        )
    return min(costs_eur)


def test_an_ideal_charger_comes_within_a_few_cents_of_the_mode_bound() -> None:
    truths = [replace(house(seed, 240, slow=True), command_s=0.0) for seed in range(20)]
    alone = [
        replace(
            truth,
            arrival=truth.arrival[:1],
            departure=truth.departure[:1],
            energy_kwh=truth.energy_kwh[:1],
        )
        for truth in truths
    ]
    gaps_eur = [best_ideal_eur(truth) - mode_bound(truth).cost_eur for truth in alone]
    assert min(gaps_eur) >= -ROUNDING_EUR
    assert np.median(gaps_eur) < 0.005
    assert max(gaps_eur) < 0.03


def _with_need(truth: Truth, ev_w: np.ndarray) -> float:
    """Return the cost when the car takes this until it is full."""
    taken_w, missing_kwh = np.zeros(truth.minutes), 0.0
    for begin, end, need_kwh in zip(truth.arrival, truth.departure, truth.energy_kwh, strict=True):
        before_kwh = np.cumsum(ev_w[begin:end]) / 60_000.0 - ev_w[begin:end] / 60_000.0
        taken_w[begin:end] = np.clip((need_kwh - before_kwh) * 60_000.0, 0.0, ev_w[begin:end])
        missing_kwh += need_kwh - taken_w[begin:end].sum() / 60_000.0
    eur = float(np.sum(truth.exchange_eur(taken_w - truth.surplus_w)))
    return eur + missing_kwh * truth.unmet_eur_per_kwh


def test_a_change_of_modes_that_costs_something_makes_no_run_cheaper() -> None:
    truth = house(3, slow=True)
    costs = [mode_bound(truth, price_eur) for price_eur in (0.001, 0.01, 0.1)]
    assert in_order(mode_bound(truth), *costs)


@pytest.mark.parametrize("battery", [None, BatteryLimits()])
def test_a_house_without_a_visit_costs_what_it_costs(battery: BatteryLimits | None) -> None:
    nobody = {"arrival": np.zeros(0, int), "departure": np.zeros(0, int), "energy_kwh": np.zeros(0)}
    truth = replace(plain(60, 0.0, surplus_w=-6000.0), battery=battery, battery_soc=0.5, **nobody)
    expected_eur = 6.0 * 0.3 if battery is None else (6.0 - 4.0) * 0.3
    for bound in (lp_bound(truth), free_current_bound(truth), mode_bound(truth)):
        assert bound.cost_eur <= expected_eur + 1e-9
        assert bound.cost_eur == pytest.approx(expected_eur, abs=bound.grid_error_eur + 1e-9)


REFUSED = {
    "visits overlap": {"arrival": np.array([0, 5]), "departure": np.array([9, 12]), "energy_kwh": np.ones(2)},
    "visits end after the time": {"departure": np.array([61])},
    "a visit before the time": {"arrival": np.array([-1])},
    "another length of the load": {"load_w": np.zeros(59)},
    "too few prices": {"price_eur_per_kwh": np.zeros(3)},
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_truth_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"visits|prices|load_w"):
        replace(plain(60, 1.0), **REFUSED[name])


def test_asking_for_the_bound_costs_nothing_before_the_first_bound() -> None:
    code = "import sys, optimizer.planning.bound; print({'numba', 'scipy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def reference_year() -> Truth:
    """Return the reference case, or skip where the measured data are not there."""
    if not (DATA / "house_ohrberg_2019_1min.parquet").exists():
        pytest.skip(f"no measured data in {DATA}")
    measured = pd.read_parquet(DATA / "house_ohrberg_2019_1min.parquet")
    sessions = pd.read_csv(DATA / "sessions_trondheim_2019.csv").query("user == 'Bl2-3'")
    prices = pd.read_csv(DATA / "prices_de_2019_hourly.csv", parse_dates=["time"], index_col="time")
    begin, end = (
        ((pd.to_datetime(sessions[column], utc=True) - measured.index[0]) // pd.Timedelta("1min")).to_numpy()
        for column in ("arrival", "departure")
    )
    inside = (begin >= 0) & (end <= len(measured))
    slots = pd.date_range(measured.index[0], periods=len(measured) // 15, freq="15min")
    return Truth(
        pv_w=measured["pv_w"].to_numpy(np.float64) * 0.6,
        load_w=measured["load_b_w"].to_numpy(np.float64),
        arrival=begin[inside],
        departure=end[inside],
        energy_kwh=sessions["energy_kwh"].to_numpy(np.float64)[inside],
        price_eur_per_kwh=prices["eur_per_kwh"].reindex(slots, method="ffill").to_numpy() + 0.18,
        feed_in_eur_per_kwh=np.full(len(slots), 0.08),
    )


def test_the_reference_year_has_its_bounds_in_order_and_near_each_other() -> None:
    truth = reference_year()
    bounds = [bound(truth) for bound in (lp_bound, free_current_bound, mode_bound)]
    fast_eur = _with_need(truth, np.full(truth.minutes, truth.max_w))
    assert in_order(*bounds)
    assert fast_eur == pytest.approx(-19.1, abs=0.5)
    assert bounds[2].cost_eur - bounds[0].cost_eur < 0.05 * (fast_eur - bounds[0].cost_eur)


def test_the_reference_year_with_a_battery_is_exact_to_a_thousandth() -> None:
    bound = mode_bound(replace(reference_year(), battery=BatteryLimits()))
    assert bound.grid_error_eur < 0.001 * abs(bound.cost_eur)
