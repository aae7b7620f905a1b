"""The house's load from its own log: nothing from the future, kinds of day, and when a week ago is better."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.forecast.judge import judged, pinball_w
from optimizer.forecast.load import load_vintages
from optimizer.forecast.quarters import DAY_SLOTS, quarters
from optimizer.forecast.usual import kind_and_clock
from optimizer.forecast.vintages import Floats, Vintages
from optimizer.forecast.week_ago import week_ago_w

REAL_DATA = Path(os.environ.get("SUNMODE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
OHRBERG = REAL_DATA / "house_ohrberg_2019_1min.parquet"
FRENCH = REAL_DATA / "home_fr_2024_30min_with_forecast.parquet"
MONDAY = 18_050
"""The third of June 2019, in days since 1970."""
FIRST = MONDAY * DAY_SLOTS
ONCE_A_DAY = {"every_slots": DAY_SLOTS, "width": DAY_SLOTS}


def house(days: int, seed: int = 0) -> Floats:
    """Return a load with a base, cooking in the evening, longer at weekends, and chance."""
    rng = np.random.default_rng(seed)
    by_day = rng.gamma(2.0, 60.0, (days, DAY_SLOTS)) + 80.0
    by_day[:, 72:80] += rng.gamma(2.0, 400.0, (days, 8))
    weekend = np.arange(days) % 7 >= 5
    by_day[weekend, 40:52] += rng.gamma(2.0, 500.0, (int(weekend.sum()), 12))
    return np.asarray(by_day.ravel())


def said_until(vintages: Vintages, slot: int) -> list[Floats]:
    rows = vintages.known_from <= slot
    return [getattr(vintages, part.name)[rows] for part in fields(vintages)]


def same(some: list[Floats], others: list[Floats]) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(some, others, strict=True))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 40 * DAY_SLOTS), st.integers(0, 200))
def test_what_comes_later_changes_nothing_that_was_said_before(seed: int, now: int, offset: int) -> None:
    was = house(40, seed)
    other = was.copy()
    other[now:] = np.random.default_rng(seed + 1).choice([0.0, 20_000.0, np.nan], len(was) - now)
    before, after = (load_vintages(load_w, FIRST + offset, 12) for load_w in (was, other))
    assert same(said_until(before, now), said_until(after, now))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30 * DAY_SLOTS))
def test_a_longer_log_says_the_same_of_its_past(seed: int, now: int) -> None:
    whole = house(30, seed)
    live = load_vintages(whole[:now], FIRST, 12)
    assert same(said_until(live, now - 1), said_until(load_vintages(whole, FIRST, 12), now - 1))
    assert live.known_from[-1] == now


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 0.95))
def test_quantiles_are_in_order_whatever_is_missing(seed: int, missing: float) -> None:
    rng = np.random.default_rng(seed)
    load_w = house(20, seed)
    load_w[rng.random(len(load_w)) < missing] = np.nan
    vintages = load_vintages(load_w, FIRST)
    said = ~np.isnan(vintages.p50_w)
    low, middle, high = (part[said] for part in (vintages.p10_w, vintages.p50_w, vintages.p90_w))
    assert (low >= 0.0).all()
    assert (low <= middle).all()
    assert (middle <= high).all()


@pytest.mark.parametrize("load_w", [np.empty(0), np.full(500, np.nan)], ids=["none", "unknown"])
def test_without_a_log_nothing_is_said(load_w: Floats) -> None:
    assert np.isnan(load_vintages(load_w, FIRST).p50_w).all()


def test_after_one_day_it_knows_the_size_of_the_house() -> None:
    vintages = load_vintages(house(2), FIRST, **ONCE_A_DAY)
    assert np.isnan(vintages.p50_w[0]).all()
    assert 80.0 < np.median(vintages.p50_w[1]) < 500.0


def test_workdays_and_weekends_are_told_apart() -> None:
    vintages = load_vintages(house(57), FIRST, **ONCE_A_DAY)
    friday, saturday = (vintages.p50_w[day, 42:50].mean() for day in (53, 54))
    assert saturday > 2.0 * friday


def test_a_high_load_now_is_expected_to_last_a_little() -> None:
    rng = np.random.default_rng(1)
    lasting = np.repeat(rng.choice([100.0, 1500.0], 60 * 8, p=[0.8, 0.2]), 12)
    vintages = load_vintages(lasting, FIRST, every_slots=4, width=96)
    high = lasting[vintages.known_from[1:-1] - 1] > 1000.0
    late = np.arange(len(high)) > 30 * 24
    assert vintages.p50_w[1:-1][late & high, 0].mean() > 3.0 * vintages.p50_w[1:-1][late & ~high, 0].mean()
    assert vintages.p50_w[1:-1][late & high, 90].mean() < 300.0


CLOCKS = {
    "winter in Berlin": ("Europe/Berlin", "2024-01-14T23:00", "workday", 0),
    "summer in Berlin": ("Europe/Berlin", "2024-07-14T22:00", "workday", 0),
    "after the spring change": ("Europe/Berlin", "2024-03-31T01:00", "weekend", 12),
    "before the autumn change": ("Europe/Berlin", "2024-10-27T00:45", "weekend", 11),
    "after the autumn change": ("Europe/Berlin", "2024-10-27T01:00", "weekend", 8),
    "half an hour east": ("Asia/Kolkata", "2024-07-12T18:30", "weekend", 0),
}


@pytest.mark.parametrize("name", CLOCKS)
def test_days_begin_by_the_clock_of_the_site(name: str) -> None:
    zone, at, kind, slot = CLOCKS[name]
    absolute = int(pd.Timestamp(at, tz="UTC").timestamp()) // 900
    midnight = absolute - absolute % DAY_SLOTS
    row = kind_and_clock(midnight, DAY_SLOTS, ZoneInfo(zone))[absolute - midnight]
    assert row == (DAY_SLOTS if kind == "weekend" else 0) + slot


def test_a_house_that_repeats_its_week_is_best_told_by_a_week_ago() -> None:
    week = np.random.default_rng(4).choice([100.0, 3000.0], 7 * DAY_SLOTS)
    load_w = np.tile(week, 8)
    vintages = load_vintages(load_w, FIRST, **ONCE_A_DAY)
    last = slice(7 * 7, 8 * 7)
    truth = load_w.reshape(-1, DAY_SLOTS)[last]
    assert np.array_equal(vintages.p50_w[last], truth)
    assert np.array_equal(vintages.p90_w[last], truth)


def test_a_house_without_a_weekly_habit_is_not_told_by_a_week_ago() -> None:
    load_w = house(60, seed=9)
    series = quarters(load_w, FIRST)
    vintages = load_vintages(load_w, FIRST, **ONCE_A_DAY)
    rival = week_ago_w(series, vintages.known_from + series.lead_in, DAY_SLOTS)
    assert not any(np.array_equal(vintages.p50_w[day], rival[day, :, 1]) for day in range(20, 60))


def test_a_week_ago_comes_with_what_it_was_wrong_by() -> None:
    load_w = house(60, seed=2)
    series = quarters(load_w, FIRST)
    said = week_ago_w(series, np.arange(30, 59) * DAY_SLOTS, DAY_SLOTS)
    truth = load_w.reshape(-1, DAY_SLOTS)[30:59]
    inside = (truth >= said[..., 0]) & (truth <= said[..., 2])
    assert 0.75 < inside.mean() < 0.95
    with pytest.raises(ValueError, match="672 slots, not of 673"):
        week_ago_w(series, np.array([0]), 673)


HOUSES = {
    "Ohrberg a": (OHRBERG, "load_a_w", "Europe/Berlin"),
    "Ohrberg b": (OHRBERG, "load_b_w", "Europe/Berlin"),
    "France": (FRENCH, "load_w", "Europe/Paris"),
}


def measured(name: str) -> tuple[pd.DatetimeIndex, Floats, ZoneInfo]:
    """Return times, loads and zone of a measured house."""
    path, column, zone = HOUSES[name]
    if not path.exists():
        pytest.skip(f"no real data at {path}")
    frame = pd.read_parquet(path)
    load = frame.set_index("time")[column] if "time" in frame else frame[column]
    by_slot = load.resample("15min").mean() if path is OHRBERG else load.resample("15min").ffill()
    return pd.DatetimeIndex(by_slot.index), np.asarray(by_slot, dtype=np.float64), ZoneInfo(zone)


@pytest.mark.parametrize("name", HOUSES)
def test_held_out_weeks_of_measured_houses_beat_a_week_ago(name: str) -> None:
    time, load_w, zone = measured(name)
    first = int(time[0].timestamp()) // 900
    vintages = load_vintages(load_w, first, zone=zone)
    even = np.asarray(time.isocalendar().week % 2 == 0)
    *by_lead, whole = judged(vintages, load_w, even)
    series = quarters(load_w, first)
    issued = vintages.known_from + series.lead_in
    rival = week_ago_w(series, issued, 192)
    slot = vintages.first[:, None] + np.arange(192)
    inside = (slot < len(load_w)) & even[np.minimum(slot, len(load_w) - 1)]
    truth = np.where(inside, series.at(issued[:, None] + np.arange(192)), np.nan)
    assert whole.pinball_w < 0.8 * np.nanmean(pinball_w(rival, truth))
    assert 0.75 < whole.coverage < 0.87
    assert by_lead[0].pinball_w < whole.pinball_w
