"""The sun's power from the own past: nothing from the future, calm nights, wide where little is known."""

from __future__ import annotations

import os
import tracemalloc
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.forecast.daylight import Place, sky_of
from optimizer.forecast.judge import judged
from optimizer.forecast.past import pv_vintages
from optimizer.forecast.quarters import DAY_SLOTS, quarters, recent
from optimizer.forecast.vintages import Floats, Vintages

REAL_DATA = Path(os.environ.get("SUNMODE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
OHRBERG = REAL_DATA / "house_ohrberg_2019_1min.parquet"
MIDSUMMER = 18_048
"""The first of June 2019, in days since 1970."""
MUNICH = Place(48.1, 11.6)


def plant(days: int, first_day: int = MIDSUMMER, place: Place = MUNICH, seed: int = 0) -> Floats:
    """Return the production of a plant under clouds that change by the day and the quarter hour."""
    rng = np.random.default_rng(seed)
    at = (np.full(days, place.latitude_deg), np.full(days, place.longitude_deg))
    light = sky_of(first_day, days).clear_w_m2(*at)
    by_day = np.clip(rng.beta(1.0, 0.7, (days, 1)) + rng.normal(0.0, 0.15, (days, DAY_SLOTS)), 0.02, 1.0)
    return np.asarray((6.0 * light * by_day).ravel())


def said_until(vintages: Vintages, slot: int) -> list[Floats]:
    """Return all that the vintages said that were there by the beginning of a slot."""
    rows = vintages.known_from <= slot
    return [getattr(vintages, part.name)[rows] for part in fields(vintages)]


def same(some: list[Floats], others: list[Floats]) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(some, others, strict=True))


def ordered(vintages: Vintages) -> bool:
    """Tell whether the quantiles are in order wherever anything is said, and none is negative."""
    said = ~np.isnan(vintages.p50_w)
    columns = [part[said] for part in (vintages.p10_w, vintages.p50_w, vintages.p90_w)]
    return bool((columns[0] >= 0.0).all() and all((a <= b + 1e-9).all() for a, b in pairwise(columns)))


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 10_000), st.integers(0, 20 * DAY_SLOTS), st.integers(0, 200), st.sampled_from([4, 8, 12])
)
def test_what_comes_later_changes_nothing_that_was_said_before(
    seed: int, now: int, offset: int, every: int
) -> None:
    was = plant(20, seed=seed)
    other = was.copy()
    other[now:] = np.random.default_rng(seed + 1).choice([0.0, 50_000.0, np.nan], len(was) - now)
    first = MIDSUMMER * DAY_SLOTS + offset
    assert same(
        said_until(pv_vintages(was, first, every), now), said_until(pv_vintages(other, first, every), now)
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12 * DAY_SLOTS))
def test_a_longer_log_says_the_same_of_its_past(seed: int, now: int) -> None:
    whole = plant(12, seed=seed)
    live = pv_vintages(whole[:now], MIDSUMMER * DAY_SLOTS)
    regular = said_until(live, now - 1)
    assert same(regular, said_until(pv_vintages(whole, MIDSUMMER * DAY_SLOTS), now - 1))
    assert live.known_from[-1] == now


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 0.9), st.integers(0, 95))
def test_quantiles_are_in_order_whatever_is_missing(seed: int, missing: float, offset: int) -> None:
    rng = np.random.default_rng(seed)
    pv_w = plant(15, seed=seed)
    pv_w[rng.random(len(pv_w)) < missing] = np.nan
    assert ordered(pv_vintages(pv_w, MIDSUMMER * DAY_SLOTS + offset))


@pytest.mark.parametrize(
    "pv_w", [np.empty(0), np.full(500, np.nan), np.zeros(700)], ids=["none", "unknown", "dark"]
)
def test_without_production_there_is_no_sun_to_come(pv_w: Floats) -> None:
    vintages = pv_vintages(pv_w, MIDSUMMER * DAY_SLOTS)
    assert not np.nansum(vintages.p90_w)
    assert np.isnan(vintages.p50_w[0]).all()


def test_vintages_come_by_the_clock_and_at_the_end() -> None:
    vintages = pv_vintages(plant(2)[: DAY_SLOTS + 3], MIDSUMMER * DAY_SLOTS + 5, every_slots=8, width=40)
    assert vintages.known_from.tolist() == [*range(3, DAY_SLOTS + 3, 8), DAY_SLOTS + 3]
    assert vintages.first.tolist() == vintages.known_from.tolist()
    assert vintages.p50_w.shape == (len(vintages.first), 40)


def test_nights_are_dark_and_noons_are_not() -> None:
    vintages = pv_vintages(plant(30), MIDSUMMER * DAY_SLOTS, every_slots=DAY_SLOTS, width=DAY_SLOTS)
    assert not vintages.p90_w[5:, :8].any()
    assert (vintages.p10_w[5:, 40:52] > 0.0).mean() > 0.9
    assert (vintages.p90_w[5:, 40:52] > 2000.0).all()


def test_an_inverter_that_is_silent_by_night_is_understood() -> None:
    pv_w = plant(20)
    silent = np.where(pv_w > 0.0, pv_w, np.nan)
    vintages = pv_vintages(silent, MIDSUMMER * DAY_SLOTS)
    assert not np.isnan(vintages.p50_w[12:]).any()
    assert not vintages.p90_w[12 * 5 : 12 * 5 + 1, :8].any()


def test_a_day_old_plant_says_something_and_is_not_sure() -> None:
    pv_w = plant(3)
    vintages = pv_vintages(pv_w, MIDSUMMER * DAY_SLOTS, every_slots=DAY_SLOTS, width=DAY_SLOTS)
    noon = slice(44, 52)
    assert np.isnan(vintages.p50_w[0]).all()
    assert (vintages.p90_w[1, noon] > 1.2 * pv_w[noon]).all()
    assert (vintages.p10_w[1, noon] < 0.5 * vintages.p90_w[1, noon]).all()


def test_shade_is_learnt() -> None:
    pv_w = plant(40, seed=3).reshape(40, DAY_SLOTS)
    pv_w[:, 60:68] *= 0.2
    shaded = pv_vintages(pv_w.ravel(), MIDSUMMER * DAY_SLOTS, every_slots=DAY_SLOTS, width=DAY_SLOTS)
    assert (shaded.p90_w[20:40, 62:66] < 0.4 * shaded.p90_w[20:40, 54:58]).all()


def test_one_day_under_snow_is_forgiven() -> None:
    pv_w = plant(45, seed=5).reshape(45, DAY_SLOTS)
    snowed = pv_w.copy()
    snowed[30] = 0.0
    of = {"every_slots": DAY_SLOTS, "width": DAY_SLOTS}
    clear = pv_vintages(pv_w.ravel(), MIDSUMMER * DAY_SLOTS, **of)
    snow = pv_vintages(snowed.ravel(), MIDSUMMER * DAY_SLOTS, **of)
    noon = slice(40, 56)
    assert snow.p90_w[33:45, noon].sum() > 0.9 * clear.p90_w[33:45, noon].sum()


def test_a_sunny_morning_promises_a_sunny_noon() -> None:
    pv_w = plant(60, seed=7).reshape(60, DAY_SLOTS)
    of = {"every_slots": 8, "width": 16}
    pv_w[59, :40] = 6.0 * sky_of(MIDSUMMER + 59, 1).clear_w_m2(np.array([48.1]), np.array([11.6]))[0, :40]
    sunny = pv_vintages(pv_w.ravel()[: 59 * DAY_SLOTS + 40], MIDSUMMER * DAY_SLOTS, **of)
    pv_w[59, :40] *= 0.1
    dull = pv_vintages(pv_w.ravel()[: 59 * DAY_SLOTS + 40], MIDSUMMER * DAY_SLOTS, **of)
    assert sunny.p50_w[-1].sum() > 1.5 * dull.p50_w[-1].sum()


PLACES = {
    "Munich": MUNICH,
    "Trondheim": Place(63.4, 10.4),
    "Sydney": Place(-33.9, 151.2),
    "Phoenix": Place(33.4, -112.1),
}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("first_day", [MIDSUMMER + 60, MIDSUMMER - 120], ids=["autumn", "spring"])
def test_half_of_the_globe_and_longitude_are_guessed_from_the_days(name: str, first_day: int) -> None:
    place = PLACES[name]
    series = quarters(plant(80, first_day, place), first_day * DAY_SLOTS)
    latitude, longitude = sky_of(first_day, series.days).guessed_places(series.by_day)
    assert latitude[-1] * place.latitude_deg > 0.0
    assert longitude[-1] == pytest.approx(place.longitude_deg, abs=5.0)


@pytest.mark.parametrize("name", PLACES)
def test_the_sun_stands_highest_at_noon_by_its_place(name: str) -> None:
    place = PLACES[name]
    light = sky_of(MIDSUMMER, 1).clear_w_m2(np.array([place.latitude_deg]), np.array([place.longitude_deg]))[
        0
    ]
    noon = (12.0 - place.longitude_deg / 15.0) % 24.0 * 4.0
    assert abs((light.argmax() + 0.5 - noon + 48.0) % 96.0 - 48.0) <= 2.0
    assert 300.0 < light.max() < 1100.0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 3 * DAY_SLOTS), st.floats(1.0, 500.0))
def test_recent_sums_fade_by_age(seed: int, slot: int, half_life: float) -> None:
    values = np.random.default_rng(seed).random((4, DAY_SLOTS))
    ages = slot - 1 - np.arange(slot)
    by_hand = (values.ravel()[:slot] * 0.5 ** (ages / half_life)).sum()
    assert recent(values, half_life)[slot] == pytest.approx(by_hand)


@pytest.fixture(scope="module")
def ohrberg_w() -> Floats:
    if not OHRBERG.exists():
        pytest.skip(f"no real data at {OHRBERG}")
    minutes = pd.read_parquet(OHRBERG, columns=["pv_w"])["pv_w"]
    return np.asarray(0.6 * minutes.resample("15min").mean())


def even_weeks(first_day: int, days: int) -> np.ndarray:
    """Return by slot whether its ISO week is an even one."""
    index = pd.date_range(pd.Timestamp(first_day, unit="D"), periods=days * DAY_SLOTS, freq="15min")
    return np.asarray(index.isocalendar().week % 2 == 0)


def test_held_out_weeks_of_a_measured_roof(ohrberg_w: Floats) -> None:
    first_day = 17_897
    vintages = pv_vintages(ohrberg_w, first_day * DAY_SLOTS)
    by_day = even_weeks(first_day, 365) & (ohrberg_w > 0.02 * ohrberg_w.max())
    *by_lead, whole = judged(vintages, ohrberg_w, even_weeks(first_day, 365))
    assert whole.skill > 0.45
    assert by_lead[0].skill > 0.60
    assert all(a.pinball_w < b.pinball_w + 2.0 for a, b in pairwise(by_lead))
    assert 0.70 < judged(vintages, ohrberg_w, by_day)[-1].coverage < 0.90


def test_a_year_takes_little_time_and_room(ohrberg_w: Floats) -> None:
    pv_vintages(ohrberg_w[:5000], 17_897 * DAY_SLOTS)
    began = process_time()
    pv_vintages(ohrberg_w, 17_897 * DAY_SLOTS)
    assert process_time() - began < 2.0
    tracemalloc.start()
    pv_vintages(ohrberg_w, 17_897 * DAY_SLOTS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


def test_who_asks_for_the_last_vintage_only_gets_what_all_would_have_learnt() -> None:
    pv_w = plant(40)[: 40 * DAY_SLOTS - 30]
    alone = pv_vintages(pv_w, MIDSUMMER * DAY_SLOTS, every_slots=96_000)
    last = pv_vintages(pv_w, MIDSUMMER * DAY_SLOTS)
    assert len(alone.known_from) == 2
    assert np.array_equal(alone.p50_w[-1], last.p50_w[-1])


def test_a_plant_that_comes_back_after_weeks_is_still_known() -> None:
    pv_w = plant(110, seed=2).reshape(110, DAY_SLOTS)
    pv_w[40:100] = np.nan
    vintages = pv_vintages(pv_w.ravel(), MIDSUMMER * DAY_SLOTS, every_slots=DAY_SLOTS, width=DAY_SLOTS)
    assert not np.isnan(vintages.p50_w[1:]).any()
    assert 0.5 < vintages.p90_w[100].max() / vintages.p90_w[40].max() < 1.1


def test_a_judge_counts_as_one_does_by_hand() -> None:
    first = np.array([DAY_SLOTS])
    said = [np.full((1, 4), watts) for watts in (100.0, 200.0, 300.0)]
    truth_w = np.full(2 * DAY_SLOTS, 400.0)
    truth_w[DAY_SLOTS : DAY_SLOTS + 4] = [150.0, 400.0, 50.0, np.nan]
    whole = judged(Vintages(first, first, *said), truth_w)[-1]
    by_hand = np.mean([[5.0, 25.0, 15.0], [30.0, 100.0, 90.0], [45.0, 75.0, 25.0]])
    assert whole.cases == 3
    assert whole.pinball_w == pytest.approx(by_hand)
    assert (whole.coverage, whole.below_p10) == pytest.approx((1 / 3, 1 / 3))
    assert whole.skill == pytest.approx(1.0 - by_hand / (0.5 * (250.0 + 0.0 + 350.0) / 3.0))


def test_saying_what_was_yesterday_has_no_skill_and_leads_are_told_apart() -> None:
    truth_w = plant(6)
    known_from = np.array([2 * DAY_SLOTS, 3 * DAY_SLOTS])
    slot = known_from[:, None] + np.arange(2 * DAY_SLOTS)
    yesterday = truth_w[slot - DAY_SLOTS * (1 + np.arange(2 * DAY_SLOTS) // DAY_SLOTS)]
    verdicts = judged(Vintages(known_from, known_from, yesterday, yesterday, yesterday), truth_w)
    assert [(one.lead_from, one.lead_until) for one in verdicts][:2] == [(0, 4), (4, 12)]
    assert (verdicts[-1].lead_from, verdicts[-1].lead_until) == (0, 192)
    assert verdicts[-1].skill == pytest.approx(0.0)
    assert sum(one.cases for one in verdicts[:-1]) == verdicts[-1].cases
