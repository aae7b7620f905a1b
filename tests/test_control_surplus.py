from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.control.surplus import SurplusEstimate, available_to_car, estimate
from optimizer.domain import SiteReading

WATTS = st.floats(-10_000, 10_000)


def _reading(pv_w: float | None, grid_w: float | None, battery_w: float | None = 0.0) -> SiteReading:
    return SiteReading(datetime(2026, 6, 1, tzinfo=UTC), "stamp", pv_w, grid_w, battery_w)


@pytest.mark.parametrize(
    ("pv_w", "grid_w", "battery_w", "ev_w", "surplus_w", "base_load_w"),
    [
        (3000.0, -2000.0, 0.0, 0.0, 2000.0, 1000.0),  # all of it exported
        (3000.0, 0.0, -2000.0, 0.0, 2000.0, 1000.0),  # all of it into the home battery
        (3000.0, 100.0, 0.0, 2100.0, 2000.0, 1000.0),  # the car takes it and a bit more
        (0.0, 500.0, 300.0, 0.0, -800.0, 800.0),  # night
        (3000.0, -3100.0, 0.0, 0.0, 3100.0, -100.0),  # a second inverter exports, too
    ],
)
def test_surplus_is_what_the_car_could_take_without_import(
    pv_w: float, grid_w: float, battery_w: float, ev_w: float, surplus_w: float, base_load_w: float
) -> None:
    found = estimate(_reading(pv_w, grid_w, battery_w), ev_w, ev_w, None)
    assert found == SurplusEstimate(surplus_w, base_load_w, measured=True)


def test_a_sample_taken_while_the_car_changed_its_power_falls_back_on_the_last_base_load() -> None:
    before = SurplusEstimate(1000.0, 700.0, measured=True)
    assert estimate(_reading(3000.0, -500.0), 0.0, 1400.0, before) == SurplusEstimate(
        2300.0, 700.0, measured=False
    )


def test_an_ambiguous_first_sample_tells_nothing() -> None:
    assert estimate(_reading(3000.0, -500.0), 0.0, 1400.0, None) is None


def test_a_missing_meter_falls_back_on_the_last_base_load() -> None:
    before = SurplusEstimate(1000.0, 700.0, measured=True)
    found = estimate(_reading(3000.0, None), 0.0, 0.0, before)
    assert found == SurplusEstimate(2300.0, 700.0, measured=False)


def test_the_meter_alone_tells_the_surplus() -> None:
    assert estimate(_reading(None, -500.0), 0.0, 0.0, None) == SurplusEstimate(500.0, None, measured=True)


def test_an_ambiguous_sample_without_the_roof_tells_nothing() -> None:
    before = SurplusEstimate(1000.0, 700.0, measured=True)
    assert estimate(_reading(None, -500.0), 0.0, 1400.0, before) is None


def test_an_ambiguous_sample_after_one_without_the_roof_tells_nothing() -> None:
    before = SurplusEstimate(1000.0, None, measured=True)
    assert estimate(_reading(3000.0, -500.0), 0.0, 1400.0, before) is None


@given(
    pv_w=st.floats(0, 20_000),
    grid_w=WATTS,
    battery_w=WATTS,
    ev_w=st.floats(0, 22_000),
    spread=st.floats(0, 900),
)
def test_surplus_and_base_load_always_add_up_to_the_roof(
    pv_w: float, grid_w: float, battery_w: float, ev_w: float, spread: float
) -> None:
    before = SurplusEstimate(0.0, 500.0, measured=True)
    found = estimate(_reading(pv_w, grid_w, battery_w), ev_w, ev_w + spread, before)
    assert found is not None
    assert found.base_load_w is not None
    assert found.surplus_w + found.base_load_w == pytest.approx(pv_w, abs=1e-6)


@given(pv_w=st.floats(0, 20_000), grid_w=WATTS, spread=st.floats(0, 900), reads=st.integers(1, 20))
def test_reading_one_sample_again_and_again_changes_nothing(
    pv_w: float, grid_w: float, spread: float, reads: int
) -> None:
    before: SurplusEstimate | None = SurplusEstimate(0.0, 500.0, measured=True)
    first = estimate(_reading(pv_w, grid_w), 0.0, spread, before)
    for _ in range(reads):
        before = estimate(_reading(pv_w, grid_w), 0.0, spread, before)
    assert before is not None
    assert first is not None
    assert before.surplus_w == first.surplus_w


@pytest.mark.parametrize(
    ("surplus_w", "battery_w", "soc", "car_w"),
    [
        (4000.0, 0.0, None, 4000.0),  # no battery
        (4000.0, 0.0, 0.50, 1000.0),  # it is served first
        (2000.0, 0.0, 0.50, 0.0),
        (4000.0, -3500.0, 0.50, 500.0),  # it takes more than it is said to
        (4000.0, None, 0.50, 1000.0),
        (4000.0, 0.0, 0.90, 4000.0),  # it has enough
        (4000.0, 0.0, 0.775, 2500.0),  # its claim fades out
        (-800.0, 800.0, 0.50, -800.0),  # a deficit is passed on
    ],
)
def test_the_home_battery_comes_first_until_it_is_full_enough(
    surplus_w: float, battery_w: float | None, soc: float | None, car_w: float
) -> None:
    found = available_to_car(surplus_w, battery_w, soc, first_until_soc=0.8, max_charge_w=3000.0)
    assert found == pytest.approx(car_w)


@given(
    surplus_w=WATTS, battery_w=WATTS, soc=st.floats(0, 1), first=st.floats(0, 1), most_w=st.floats(0, 9000)
)
def test_the_battery_never_adds_to_what_the_car_gets(
    surplus_w: float, battery_w: float, soc: float, first: float, most_w: float
) -> None:
    found = available_to_car(surplus_w, battery_w, soc, first, most_w)
    assert min(0.0, surplus_w) <= found <= max(0.0, surplus_w)
