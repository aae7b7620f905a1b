"""Prices by the quarter hour: days of every length, the market, guesses, windows."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from price_days import BERLIN, DATES, DAY, HOUR, PRICES, ZONES, berlin, dynamic, market_day, utc

from optimizer.domain import Tariff
from optimizer.errors import BadAnswer
from optimizer.tariffs.market import Plan, Scale, in_force, kept
from optimizer.tariffs.slots import (
    NEVER,
    SLOT,
    Period,
    day_slots,
    known_until,
    midnight,
    slots_from,
)
from optimizer.tariffs.windows import Window, week_of, window_steps


def hourly(start: datetime, *prices: float | None) -> list[Period]:
    return [Period(start + number * HOUR, None, price) for number, price in enumerate(prices)]


@pytest.mark.parametrize(
    ("day", "zone", "slots"),
    [
        (date(2026, 6, 1), "Europe/Berlin", 96),
        (date(2026, 3, 29), "Europe/Berlin", 92),
        (date(2026, 10, 25), "Europe/Berlin", 100),
        (date(2026, 3, 29), "Europe/Lisbon", 92),
        (date(2026, 10, 4), "Australia/Lord_Howe", 94),
        (date(2026, 4, 5), "Australia/Lord_Howe", 98),
        (date(2026, 3, 29), "UTC", 96),
    ],
)
def test_a_day_has_as_many_quarter_hours_as_its_clock_shows(day: date, zone: str, slots: int) -> None:
    assert len(day_slots(day, ZoneInfo(zone))) == slots


@pytest.mark.parametrize("minutes", [15, 30, 60])
@pytest.mark.parametrize("day", [date(2026, 6, 1), date(2026, 3, 29), date(2026, 10, 25)])
def test_a_days_prices_of_any_step_cover_each_of_its_quarter_hours_once(day: date, minutes: int) -> None:
    wanted = day_slots(day, BERLIN)
    step = timedelta(minutes=minutes)
    count = (wanted[-1] + SLOT - wanted[0]) // step
    periods = [Period(wanted[0] + number * step, None, number / 1000) for number in range(count)]
    found = slots_from(reversed(periods))
    assert tuple(found) == wanted
    assert found[wanted[-1]] == (count - 1) / 1000


def test_hours_become_quarter_hours_where_the_market_changes_its_step() -> None:
    start = utc("2025-09-30T20:00")
    quarters = [Period(start + 2 * HOUR + number * SLOT, None, 0.3) for number in range(4)]
    found = slots_from([*hourly(start, 0.1, 0.2), *quarters])
    assert len(found) == 12
    assert found[start + HOUR + 3 * SLOT] == 0.2


def test_a_gap_stays_a_gap() -> None:
    start = utc("2026-06-01T10:00")
    found = slots_from([*hourly(start, 0.1, None, 0.3), *hourly(start + 5 * HOUR, 0.6)])
    assert start + HOUR not in found
    assert start + 3 * HOUR not in found
    assert found[start + 5 * HOUR + 3 * SLOT] == 0.6
    assert known_until(found, start) == start + HOUR


@pytest.mark.parametrize(
    ("periods", "says"),
    [
        ([], "no prices"),
        (hourly(utc("2026-06-01T10:00"), None, None), "all prices in the answer are empty"),
        (hourly(utc("2026-06-01T10:05"), 0.1), "not 1 to 4 quarter hours"),
        (hourly(utc("2026-06-01T10:00"), 300.0), "300 EUR per kWh"),
        (hourly(utc("2026-06-01T10:00"), float("nan")), "not within 10"),
        (hourly(utc("2026-06-01T10:00"), float("-inf")), "not within 10"),
        (
            [Period(utc("2026-06-01T10:00"), utc("2026-06-01T10:00"), 0.1)],
            "not 1 to 4 quarter hours",
        ),
        (
            [Period(utc("2026-06-01T10:00"), utc("2026-06-02T10:00"), 0.1)],
            "not 1 to 4 quarter hours",
        ),
        (
            [*hourly(utc("2026-06-01T10:00"), 0.1), *hourly(utc("2026-06-01T10:00"), 0.2)],
            "two prices for 2026-06-01 10:00Z",
        ),
    ],
)
def test_prices_without_a_clear_place_or_size_are_refused(periods: list[Period], says: str) -> None:
    with pytest.raises(BadAnswer, match=says):
        slots_from(periods)


def test_an_answer_of_an_absurd_length_is_refused_at_once() -> None:
    with pytest.raises(BadAnswer, match="at most 40000"):
        slots_from(Period(NEVER + number * SLOT, None, 0.1) for number in range(40_001))


@settings(derandomize=True, deadline=None)
@given(DATES, ZONES, st.lists(PRICES, min_size=1, max_size=20))
def test_every_quarter_hour_of_a_known_day_has_its_own_price(
    day: date, zone: ZoneInfo, prices: list[float]
) -> None:
    slots = {slot: prices[n % len(prices)] for n, slot in enumerate(day_slots(day, zone))}
    tariff = dynamic(slots, midnight(day, zone), zone)
    for slot, price in slots.items():
        assert tariff.price_eur_per_kwh(slot) == tariff.price_eur_per_kwh(slot + SLOT / 2) == price
        assert tariff.is_known(slot)
    assert tariff.known_until == midnight(day + DAY, zone)


def test_for_unknown_quarter_hours_the_newest_known_day_stands_in_at_the_same_wall_time() -> None:
    now = berlin("2026-06-02T18:00")
    slots = market_day(date(2026, 6, 1), base=1.0) | market_day(date(2026, 6, 2))
    tariff = dynamic(slots, now)
    assert tariff.price_eur_per_kwh(berlin("2026-06-01T13:15")) == 1.13
    for guessed in ("2026-06-03T13:15", "2026-06-04T13:15", "2026-06-09T13:15"):
        assert tariff.price_eur_per_kwh(berlin(guessed)) == 0.13
        assert not tariff.is_known(berlin(guessed))


@pytest.mark.parametrize(
    ("known", "at", "price"),
    [
        # The clock goes forward on 2026-03-29: 02:30 is not there, and 03:30 UTC+2 is one of its readings.
        (date(2026, 3, 28), "2026-03-29T03:30", 0.03),
        (date(2026, 3, 29), "2026-03-30T03:30", 0.03),
        (date(2026, 3, 29), "2026-03-30T02:30", 0.03),
        (date(2026, 3, 29), "2026-03-30T01:30", 0.01),
        # The clock goes back on 2026-10-25: 02:30 is there twice.
        (date(2026, 10, 24), "2026-10-25T02:30", 0.02),
        (date(2026, 10, 25), "2026-10-26T02:30", 0.02),
        (date(2026, 10, 25), "2026-10-26T23:45", 0.23),
    ],
)
def test_a_guess_keeps_to_the_wall_clock_when_it_is_changed(known: date, at: str, price: float) -> None:
    tariff = dynamic(market_day(known), midnight(known, BERLIN) + 12 * HOUR)
    assert tariff.price_eur_per_kwh(berlin(at)) == price


def test_the_second_reading_of_an_hour_that_comes_twice_has_a_guess_too() -> None:
    tariff = dynamic(market_day(date(2026, 10, 24)), berlin("2026-10-24T12:00"))
    assert [tariff.price_eur_per_kwh(utc(f"2026-10-25T0{hour}:30")) for hour in (0, 1)] == [0.02, 0.02]


def test_a_guess_is_never_a_gift_though_a_known_price_may_be_one() -> None:
    day = date(2026, 6, 1)
    tariff = dynamic(dict.fromkeys(day_slots(day, BERLIN), -0.12), berlin("2026-06-01T13:00"))
    assert tariff.price_eur_per_kwh(berlin("2026-06-01T13:00")) == -0.12
    assert tariff.price_eur_per_kwh(berlin("2026-06-02T13:00")) == 0.0


def test_without_any_price_the_flat_one_stands() -> None:
    tariff = dynamic({}, berlin("2026-06-01T13:00"))
    assert tariff.price_eur_per_kwh(berlin("2026-06-01T13:00")) == 0.30
    assert not tariff.is_known(berlin("2026-06-01T13:00"))
    assert tariff.known_until == NEVER


def test_days_after_a_source_fell_silent_its_last_day_still_stands_in_and_the_tariff_does_not_change() -> (
    None
):
    now, slots = berlin("2026-06-07T15:20"), market_day(date(2026, 6, 1))
    first = dynamic(kept(slots, now, BERLIN), now)
    later = dynamic(kept(slots, now + DAY, BERLIN), now + DAY)
    assert first == later
    assert first.known_until == midnight(date(2026, 6, 2), BERLIN)
    assert first.price_eur_per_kwh(now) == 0.15


def test_a_hole_is_guessed_and_what_lies_behind_it_is_known_again_when_it_is_over() -> None:
    day = date(2026, 6, 2)
    slots = market_day(date(2026, 6, 1), base=1.0) | market_day(day)
    for slot in (berlin("2026-06-02T14:00"), berlin("2026-06-02T14:15")):
        del slots[slot]
    during, after = (dynamic(slots, berlin(f"2026-06-02T{at}")) for at in ("14:05", "14:30"))
    assert during.price_eur_per_kwh(berlin("2026-06-02T14:05")) == 1.14
    assert after.is_known(berlin("2026-06-02T15:00"))
    assert after.price_eur_per_kwh(berlin("2026-06-02T15:00")) == 0.15


@settings(derandomize=True, deadline=None)
@given(DATES, ZONES, st.integers(0, 95), st.integers(1, 14 * 96))
def test_a_guess_is_a_price_of_the_last_known_day_whatever_the_clock_does(
    day: date, zone: ZoneInfo, cut: int, ahead: int
) -> None:
    slots = dict(list((market_day(day - DAY, zone) | market_day(day, zone)).items())[: -cut or None])
    until = max(slots) + SLOT
    tariff = dynamic(slots, until - SLOT, zone)
    at = until + ahead * SLOT
    assert tariff.price_eur_per_kwh(at) in slots.values()
    skipped_or_doubled = {day - DAY, day}
    local = at.astimezone(zone)
    if all(len(day_slots(one, zone)) == 96 for one in skipped_or_doubled):
        assert tariff.price_eur_per_kwh(at) == local.hour / 100


def test_what_is_paid_is_the_market_times_a_factor_and_more() -> None:
    plan = Plan(0.3, 0.08, BERLIN, market=Scale(1.19, 0.18), feed_in=Scale(1.0, -0.004))
    day = date(2026, 6, 1)
    slots = dict.fromkeys(day_slots(day, BERLIN), 0.1) | {berlin("2026-06-01T13:00"): -0.2}
    tariff = plan.tariff(berlin("2026-06-01T10:00"), slots, slots)
    assert tariff.price_eur_per_kwh(berlin("2026-06-01T12:00")) == 0.299
    assert tariff.price_eur_per_kwh(berlin("2026-06-01T13:00")) == -0.058
    assert tariff.earned_eur_per_kwh(berlin("2026-06-01T13:00")) == -0.204
    assert tariff.earned_eur_per_kwh(berlin("2026-06-03T12:00")) == 0.096


def test_what_is_in_force_is_told_once_for_each_change_with_the_guesses_marked() -> None:
    now = berlin("2026-06-01T22:07")
    entries = list(in_force(dynamic(market_day(date(2026, 6, 1)), now), now, BERLIN))
    assert [(one.slot, one.import_eur_per_kwh, one.known) for one in entries[:3]] == [
        (berlin("2026-06-01T22:00"), 0.22, True),
        (berlin("2026-06-01T23:00"), 0.23, True),
        (berlin("2026-06-02T00:00"), 0.0, False),
    ]
    assert len(entries) == 26
    assert [one.slot for one in in_force(Tariff(0.3, 0.08), now, BERLIN)] == [berlin("2026-06-01T22:00")]


NIGHT = Window(frozenset({0, 1, 2, 3, 4}), time(22), time(6), 0.2)
NOON = Window(frozenset(range(7)), time(12), time(13, 15), 0.1)


@pytest.mark.parametrize(
    ("at", "price"),
    [
        ("2026-06-01T21:59", 0.3),  # a Monday
        ("2026-06-01T22:00", 0.2),
        ("2026-06-02T05:59", 0.2),
        ("2026-06-02T06:00", 0.3),
        ("2026-06-06T05:45", 0.2),  # Saturday morning belongs to Friday's window
        ("2026-06-06T22:00", 0.3),
        ("2026-06-01T05:45", 0.3),  # Sunday has none
        ("2026-06-06T13:14", 0.1),
        ("2026-06-06T13:15", 0.3),
        ("2026-03-28T03:30", 0.2),
    ],
)
def test_a_window_is_wall_time_and_belongs_to_the_day_on_which_it_begins(at: str, price: float) -> None:
    now = berlin(at)
    steps = window_steps(week_of([NIGHT, NOON], 0.3), BERLIN, now)
    assert Tariff(0.3, 0.08, steps).price_eur_per_kwh(now) == price


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 7), ("2026-10-24", 9), ("2026-06-06", 8)])
def test_a_nights_window_is_shorter_or_longer_when_the_clock_is_changed(day: str, hours: int) -> None:
    night = Window(frozenset({5}), time(22), time(6), 0.2)
    begin = berlin(f"{day}T22:00")
    (start, end) = [
        step.start_including
        for step in window_steps(week_of([night], 0.3), BERLIN, begin)
        if begin <= step.start_including < begin + 12 * HOUR
    ]
    assert (start, end - start) == (begin, hours * HOUR)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(DATES, ZONES, st.integers(0, 95), st.integers(0, 95), st.sets(st.integers(0, 6), min_size=1))
def test_every_quarter_hour_has_the_price_that_its_wall_time_says(
    day: date, zone: ZoneInfo, start: int, end: int, days: set[int]
) -> None:
    window = Window(frozenset(days), time(start // 4, start % 4 * 15), time(end // 4, end % 4 * 15), 0.1)
    steps = window_steps(week_of([window], 0.3), zone, midnight(day, zone))
    tariff = Tariff(0.3, 0.08, steps)
    for slot in day_slots(day, zone):
        local = slot.astimezone(zone)
        today, before = local.weekday() in days, (local.weekday() - 1) % 7 in days
        inside = (
            (today and window.start <= local.time() < window.end)
            if window.start < window.end
            else (today and local.time() >= window.start) or (before and local.time() < window.end)
        )
        assert tariff.price_eur_per_kwh(slot) == (0.1 if inside else 0.3)
