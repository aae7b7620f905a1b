"""A provider's forecast set right by the own roof: on time, within bounds, and measurably better."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.forecast.calibration import calibrated
from optimizer.forecast.daylight import sky_of
from optimizer.forecast.judge import Verdict, judged
from optimizer.forecast.quarters import DAY_SLOTS
from optimizer.forecast.shading import shading
from optimizer.forecast.vintages import Floats, Vintages

REAL_DATA = Path(os.environ.get("SUNMODE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
FRENCH = REAL_DATA / "home_fr_2024_30min_with_forecast.parquet"
JUNE = 18_048
FIRST = JUNE * DAY_SLOTS
QUANTILES = (0.1, 0.5, 0.9)


def clear_w(days: int) -> Floats:
    light = sky_of(JUNE, days).clear_w_m2(np.full(days, 48.0), np.full(days, 10.0))
    return np.asarray(6.0 * light)


def weather(days: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Return what a roof makes and what an honest provider says of it (days, 96), W."""
    rng = np.random.default_rng(seed)
    index = rng.beta(2.0, 1.2, (days, 1))
    errors = rng.normal(0.0, 0.12, (days, 1)) + rng.normal(0.0, 0.05, (days, DAY_SLOTS))
    return clear_w(days) * np.clip(index + errors, 0.02, 1.0), clear_w(days) * index


def daily(middle_w: Floats, spread: float = 0.2) -> Vintages:
    """Return a vintage a day, issued at its beginning, that takes itself for right within some share."""
    first = np.arange(len(middle_w)) * DAY_SLOTS
    return Vintages(first, first.copy(), (1 - spread) * middle_w, middle_w.copy(), (1 + spread) * middle_w)


def said(vintages: Vintages) -> tuple[Floats, Floats, Floats]:
    return vintages.p10_w, vintages.p50_w, vintages.p90_w


def whole(vintages: Vintages, truth_w: Floats, counts: np.ndarray | None = None) -> Verdict:
    return judged(vintages, truth_w.ravel(), counts)[-1]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 25), st.booleans())
def test_what_comes_later_changes_nothing_that_was_said_before(seed: int, today: int, silent: bool) -> None:
    truth_w, said_w = weather(25, seed)
    other_w = truth_w.copy()
    other_w[today:] = np.nan if silent else 9000.0
    before, after = (calibrated(daily(said_w), w.ravel(), FIRST) for w in (truth_w, other_w))
    rows = slice(0, today + 1)
    for part in fields(Vintages):
        assert np.array_equal(getattr(before, part.name)[rows], getattr(after, part.name)[rows])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 24))
def test_a_log_that_ends_today_says_the_same_of_today(seed: int, today: int) -> None:
    truth_w, said_w = weather(25, seed)
    live = calibrated(daily(said_w[: today + 1]), truth_w[:today].ravel(), FIRST)
    later = calibrated(daily(said_w), truth_w.ravel(), FIRST)
    assert np.array_equal(live.p50_w, later.p50_w[: today + 1])
    assert np.array_equal(live.p90_w, later.p90_w[: today + 1])


def test_without_a_past_a_forecast_stays_as_it_came() -> None:
    _, said_w = weather(3)
    raw = daily(said_w)
    fixed = calibrated(raw, np.full(3 * DAY_SLOTS, np.nan), FIRST)
    for part in ("p10_w", "p50_w", "p90_w"):
        np.testing.assert_allclose(getattr(fixed, part), getattr(raw, part), rtol=0.05, atol=1e-9)


def test_vintages_from_before_the_log_change_nothing() -> None:
    truth_w, said_w = weather(30)
    whole_log = calibrated(daily(said_w), np.where(np.arange(30) < 10, np.nan, truth_w.T).T.ravel(), FIRST)
    raw = daily(said_w)
    shifted = Vintages(raw.known_from - 10 * DAY_SLOTS - 7, raw.first - 10 * DAY_SLOTS - 7, *said(raw))
    short_log = calibrated(shifted, truth_w.ravel()[10 * DAY_SLOTS + 7 :], FIRST + 10 * DAY_SLOTS + 7)
    assert np.array_equal(short_log.known_from, shifted.known_from)
    np.testing.assert_allclose(short_log.p50_w[20:], whole_log.p50_w[20:], rtol=0.2, atol=20.0)


def test_no_vintages_are_no_vintages() -> None:
    none = daily(np.empty((0, DAY_SLOTS)))
    assert calibrated(none, np.ones(100), FIRST) is none


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 3.0), st.floats(0.0, 0.9))
def test_corrections_are_bounded_and_in_order(seed: int, wrong_by: float, missing: float) -> None:
    rng = np.random.default_rng(seed)
    truth_w, said_w = weather(30, seed)
    truth_w[rng.random(truth_w.shape) < missing] = np.nan
    said_w[rng.random(30) < 0.1] = np.nan
    fixed = calibrated(daily(wrong_by * said_w), truth_w.ravel(), FIRST)
    assert np.array_equal(np.isnan(fixed.p50_w), np.isnan(said_w))
    low, middle, high = (part[~np.isnan(said_w)] for part in (fixed.p10_w, fixed.p50_w, fixed.p90_w))
    assert (low >= 0.0).all()
    assert (low <= middle + 1e-9).all()
    assert (middle <= high + 1e-9).all()
    assert high.max() < 5.0 * clear_w(30).max()


@pytest.mark.parametrize("factor", [0.6, 1.5], ids=["too much", "too little"])
def test_a_forecast_that_is_always_wrong_by_a_factor_is_set_right(factor: float) -> None:
    truth_w, said_w = weather(60)
    raw = daily(said_w / factor)
    fixed = calibrated(raw, truth_w.ravel(), FIRST)
    late = np.arange(truth_w.size) >= 30 * DAY_SLOTS
    assert whole(fixed, truth_w, late).pinball_w < 0.6 * whole(raw, truth_w, late).pinball_w


def test_shade_at_a_time_of_day_is_learnt() -> None:
    truth_w, said_w = weather(60)
    truth_w[:, 56:64] *= 0.3
    fixed = calibrated(daily(said_w), truth_w.ravel(), FIRST)
    ratio = fixed.p50_w[30:].mean(axis=0)[40:72] / said_w[30:].mean(axis=0)[40:72]
    assert ratio[18:22].mean() < 0.5
    assert ratio[:12].mean() > 0.85


def test_one_day_under_snow_is_forgiven() -> None:
    truth_w, said_w = weather(60)
    snowed_w = truth_w.copy()
    snowed_w[40] = 0.0
    clear, snow = (calibrated(daily(said_w), w.ravel(), FIRST) for w in (truth_w, snowed_w))
    assert snow.p50_w[41:].sum() > 0.95 * clear.p50_w[41:].sum()
    assert snow.p10_w[45:].sum() > 0.6 * clear.p10_w[45:].sum()


@pytest.mark.parametrize("spread", [0.02, 0.9], ids=["too sure", "not sure enough"])
def test_spreads_become_as_wide_as_the_errors(spread: float) -> None:
    truth_w, said_w = weather(90, seed=4)
    raw = daily(said_w, spread)
    fixed = calibrated(raw, truth_w.ravel(), FIRST)
    late = (np.arange(truth_w.size) >= 45 * DAY_SLOTS) & (clear_w(90).ravel() > 200.0)
    assert abs(whole(fixed, truth_w, late).coverage - 0.8) < abs(whole(raw, truth_w, late).coverage - 0.8)
    assert 0.7 < whole(fixed, truth_w, late).coverage < 0.9


def test_leads_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    truth_w, _ = weather(60)
    first = np.arange(0, 58 * DAY_SLOTS, 24)
    slot = first[:, None] + np.arange(2 * DAY_SLOTS)
    error = rng.normal(0.0, 0.5, len(first))[:, None] * (np.arange(2 * DAY_SLOTS) >= DAY_SLOTS)
    middle_w = truth_w.ravel()[slot] * np.clip(1.0 + error, 0.0, 2.0)
    raw = Vintages(first, first.copy(), 0.8 * middle_w, middle_w, 1.2 * middle_w)
    fixed = calibrated(raw, truth_w.ravel(), FIRST)
    width = (fixed.p90_w - fixed.p10_w)[120:] / np.maximum(fixed.p50_w[120:], 1.0)
    noon = clear_w(60).ravel()[slot[120:]] > 3000.0
    soon, late = (np.arange(2 * DAY_SLOTS) < 48), (np.arange(2 * DAY_SLOTS) >= DAY_SLOTS)
    assert width[noon & late].mean() > 1.5 * width[noon & soon].mean()


def test_the_factor_of_a_time_of_day_is_a_median_of_days_before() -> None:
    said_w = np.full((40, DAY_SLOTS), 1000.0)
    truth_w = 0.5 * said_w
    truth_w[20] = 5000.0
    factor = shading(truth_w, said_w)
    assert np.array_equal(factor[0], np.ones(DAY_SLOTS))
    assert np.all(np.diff(factor[:30, 0]) <= 0.0)
    assert 0.5 < factor[-1, 0] < 0.75


# The measured home: parameters were chosen on its first half, walking forward; this is the second.


@pytest.fixture(scope="module")
def french() -> tuple[int, Floats, Floats]:
    """Return the number of the first slot, production and forecast of a measured home, by quarter hour."""
    if not FRENCH.exists():
        pytest.skip(f"no real data at {FRENCH}")
    frame = pd.read_parquet(FRENCH).set_index("time").resample("15min").ffill()
    first = int(pd.Timestamp(frame.index[0]).timestamp()) // 900
    return first, np.asarray(frame["pv_w"], dtype=float), np.asarray(frame["pv_forecast_w"], dtype=float)


def with_its_own_errors(first: int, truth_w: Floats, said_w: Floats) -> Vintages:
    """Return a vintage a day with the quantiles of the forecast's errors in the first half."""
    errors_w = (truth_w - said_w)[: len(truth_w) // 2]
    parts = [
        np.maximum(0.0, said_w + error_w) for error_w in np.quantile(errors_w[~np.isnan(errors_w)], QUANTILES)
    ]
    midnight = np.arange(-first % DAY_SLOTS, len(truth_w) - DAY_SLOTS + 1, DAY_SLOTS)
    slot = midnight[:, None] + np.arange(DAY_SLOTS)
    return Vintages(midnight, midnight.copy(), *(part[slot] for part in parts))


def test_a_measured_home_gets_better_quantiles_than_the_forecast_and_its_errors(
    french: tuple[int, Floats, Floats],
) -> None:
    first, truth_w, said_w = french
    raw = with_its_own_errors(first, truth_w, said_w)
    fixed = calibrated(raw, truth_w, first)
    second_half = np.arange(len(truth_w)) >= len(truth_w) // 2
    before, after = whole(raw, truth_w, second_half), whole(fixed, truth_w, second_half)
    assert 0.75 < after.coverage < 0.85
    assert after.pinball_w < 0.85 * before.pinball_w
