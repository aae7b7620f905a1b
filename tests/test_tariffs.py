"""Prices by the quarter hour: days of every length, windows, the market, guesses, and what the log keeps."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.domain import PriceStep, Tariff
from optimizer.errors import BadAnswer
from optimizer.runtime.written import from_today_on, tariff_from_json, tariff_to_json
from optimizer.tariffs.answers import Fields, awattar_periods, energy_charts_periods, json_periods
from optimizer.tariffs.asking import MOST_A_DAY, Tries, is_due, wanted_until
from optimizer.tariffs.market import Plan, Scale, in_force, kept
from optimizer.tariffs.slots import (
    NEVER,
    SLOT,
    Period,
    day_slots,
    known_until,
    midnight,
    slots_from,
    steps_from,
)
from optimizer.tariffs.windows import Window, week_of, window_steps

BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NO_DELAY = timedelta()
ZONES = st.sampled_from(
    ["Europe/Berlin", "Europe/Lisbon", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "America/St_Johns"]
).map(ZoneInfo)
DATES = st.dates(date(2024, 1, 1), date(2030, 12, 31))
PRICES = st.floats(-1, 5).map(lambda price: round(price, 5))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def hourly(start: datetime, *prices: float | None) -> list[Period]:
    return [Period(start + number * HOUR, None, price) for number, price in enumerate(prices)]


def market_day(day: date, zone: ZoneInfo = BERLIN, base: float = 0.0) -> dict[datetime, float]:
    """Prices of a whole day that tell the local hour: 0.13 at 13:xx."""
    return {slot: base + slot.astimezone(zone).hour / 100 for slot in day_slots(day, zone)}


def dynamic(slots: dict[datetime, float], now: datetime, zone: ZoneInfo = BERLIN) -> Tariff:
    return Plan(0.30, 0.08, zone, market=Scale()).tariff(now, slots, {})


# Slots.


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


# Guesses.


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


# The market and what is paid.


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


# Windows.

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


# Answers.


def test_awattars_answer_is_read() -> None:
    rows = [
        {"start_timestamp": 1780264800000, "end_timestamp": 1780268400000, "marketprice": 87.3,
         "unit": "Eur/MWh"},
        {"start_timestamp": 1780268400000, "end_timestamp": 1780272000000, "marketprice": -5,
         "unit": "Eur/MWh"},
    ]  # fmt: skip
    found = slots_from(awattar_periods({"object": "list", "data": rows, "url": "/de/v1/marketdata"}))
    assert next(iter(found)) == utc("2026-05-31T22:00")
    assert list(found.values()) == [0.0873] * 4 + [-0.005] * 4


def test_energy_charts_answer_is_read_in_quarter_hours() -> None:
    times = [1780264800 + 900 * number for number in range(8)]
    answer = {"license_info": "CC BY 4.0", "unix_seconds": times, "price": [50.0] * 7 + [None],
              "unit": "EUR / MWh", "deprecated": False}  # fmt: skip
    found = slots_from(energy_charts_periods(answer))
    assert len(found) == 7
    assert set(found.values()) == {0.05}


@pytest.mark.parametrize(
    "at", ["2026-06-01T00:00:00+02:00", "2026-05-31T22:00:00Z", 1780264800, 1780264800000, "1780264800"]
)
def test_any_list_is_read_in_the_words_of_its_service(at: object) -> None:
    if at == "1780264800":
        with pytest.raises(BadAnswer):
            json_periods([{"time": at, "price": 1}], Fields())
        return
    answer = {"data": {"prices": [{"from": {"utc": at}, "value": "12.5"}]}}
    fields = Fields("data.prices", "from.utc", "value", "ct/kWh")
    assert slots_from(json_periods(answer, fields))[utc("2026-05-31T22:00")] == 0.125


_GOOD = {"start_timestamp": 0, "end_timestamp": 3600000, "marketprice": 1.0, "unit": "EUR/MWh"}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "'data' is missing"),
        ([], "'data' is missing"),
        ({"data": None}, "no list"),
        ({"data": ["x"]}, "no object"),
        ({"data": [{}]}, "'start_timestamp' is missing"),
        ({"data": [_GOOD | {"start_timestamp": "soon"}]}, "a time that is none"),
        ({"data": [_GOOD | {"start_timestamp": True}]}, "not a number"),
        ({"data": [_GOOD | {"start_timestamp": 1e300}]}, "a time that is none"),
        ({"data": [_GOOD | {"marketprice": "dear"}]}, "not a number"),
        ({"data": [_GOOD | {"marketprice": "nan"}]}, "not a number"),
        ({"data": [_GOOD | {"marketprice": [1]}]}, "not a number"),
        ({"data": [_GOOD | {"unit": "EUR"}]}, "the unit is not"),
        ({"data": [_GOOD | {"unit": None}]}, "the unit is not"),
        ({"data": [_GOOD | {"start_timestamp": "2026-06-01T00:00"}]}, "without its offset"),
    ],
)
def test_an_answer_of_another_shape_is_refused_with_what_is_wrong(answer: object, says: str) -> None:
    with pytest.raises(BadAnswer, match=says):
        slots_from(awattar_periods(answer))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"unix_seconds": [0], "price": [], "unit": "EUR / MWh"}, "1 times but 0 prices"),
        ({"unix_seconds": {}, "price": [], "unit": "EUR / MWh"}, "no list"),
        ({"unix_seconds": [0], "price": [1]}, "the unit is not"),
        ({"price": [1], "unit": "EUR / MWh"}, "'unix_seconds' is missing"),
    ],
)
def test_energy_charts_answer_of_another_shape_is_refused(answer: object, says: str) -> None:
    with pytest.raises(BadAnswer, match=says):
        energy_charts_periods(answer)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "data",
                    "start_timestamp",
                    "end_timestamp",
                    "marketprice",
                    "unit",
                    "price",
                    "unix_seconds",
                    "time",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
)


@settings(derandomize=True)
@given(JSON)
def test_no_answer_whatever_ends_in_anything_but_prices_or_a_refusal(answer: object) -> None:
    for parse in (awattar_periods, energy_charts_periods, lambda one: json_periods(one, Fields())):
        try:
            found = slots_from(parse(answer))
        except BadAnswer:
            continue
        assert all(slot.minute % 15 == 0 for slot in found)


# When to ask.


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-06-01T12:59", "2026-06-02T00:00"),
        ("2026-06-01T13:00", "2026-06-03T00:00"),
        ("2026-06-01T23:59", "2026-06-03T00:00"),
        ("2026-06-02T00:00", "2026-06-03T00:00"),
        ("2026-03-28T14:00", "2026-03-30T00:00"),
        ("2026-10-25T00:30", "2026-10-26T00:00"),
    ],
)
def test_tomorrow_is_wanted_from_one_o_clock_on(now: str, until: str) -> None:
    assert wanted_until(berlin(now), BERLIN, NO_DELAY) == berlin(until)


def test_a_delay_holds_for_tomorrow_only_and_not_at_midnight() -> None:
    delay = timedelta(minutes=7)
    assert wanted_until(berlin("2026-06-01T13:06"), BERLIN, delay) == berlin("2026-06-02T00:00")
    assert wanted_until(berlin("2026-06-01T13:07"), BERLIN, delay) == berlin("2026-06-03T00:00")
    assert wanted_until(berlin("2026-06-02T00:03"), BERLIN, delay) == berlin("2026-06-03T00:00")


def asked_minutes(
    known: datetime, tries: Tries, hours: float, *, retry_after_s: float | None = None
) -> list[int]:
    """Return the minutes at which a source is asked that never says anything new."""
    start, found = berlin("2026-06-01T14:00"), []
    for minute in range(int(hours * 60)):
        now = start + timedelta(minutes=minute)
        if is_due(now, known, tries, BERLIN, NO_DELAY):
            found.append(minute)
            tries = tries.after(now, gained=False, retry_after_s=retry_after_s)
    return found


def test_a_source_without_news_is_asked_ever_more_rarely() -> None:
    assert asked_minutes(NEVER, Tries(), 6) == [0, 10, 30, 70, 130, 190, 250, 310]
    assert asked_minutes(midnight(date(2026, 6, 3), BERLIN), Tries(), 6) == []


def test_a_source_that_says_how_long_to_wait_is_left_alone() -> None:
    assert asked_minutes(NEVER, Tries(), 6, retry_after_s=7200) == [0, 120, 240]
    assert len(asked_minutes(NEVER, Tries(), 47, retry_after_s=1e9)) == 2


def test_no_more_than_the_days_quota_is_asked_whoever_restarts_whatever() -> None:
    now = berlin("2026-06-01T14:00")
    tries = Tries()
    for number in range(MOST_A_DAY):
        tries = tries.after(now - timedelta(minutes=200 - number), gained=True)
    assert not is_due(now, NEVER, tries, BERLIN, NO_DELAY)
    assert is_due(now + DAY, NEVER, tries, BERLIN, NO_DELAY)


def test_a_clock_that_was_set_back_does_not_silence_the_asking() -> None:
    now = berlin("2026-06-01T14:00")
    ahead = Tries((now + 300 * DAY,), 1, now + 301 * DAY)
    assert is_due(now, NEVER, ahead, BERLIN, NO_DELAY)


# The log.


def test_a_tariff_is_written_and_read_without_loss() -> None:
    now = berlin("2026-10-25T15:00")
    slots = market_day(date(2026, 10, 24)) | market_day(date(2026, 10, 25))
    plan = Plan(0.3, 0.08, BERLIN, market=Scale(1.19, 0.18), feed_in=Scale(0.97))
    tariff = plan.tariff(now, slots, slots)
    assert tariff_from_json(json.loads(json.dumps(tariff_to_json(tariff)))) == tariff
    assert tariff_from_json([0.3, 0.08, []]) == Tariff(0.3, 0.08)
    old = [0.3, 0.08, [["2026-06-01T00:00:00+00:00", 0.2]]]
    assert tariff_from_json(old).steps == (PriceStep(utc("2026-06-01T00:00"), 0.2),)


@settings(derandomize=True)
@given(st.dictionaries(st.integers(0, 500), PRICES, max_size=60), PRICES, PRICES)
def test_any_tariff_comes_back_as_it_was(numbers: dict[int, float], paid: float, earned: float) -> None:
    steps = steps_from({NEVER + number * SLOT: price for number, price in numbers.items()})
    tariff = Tariff(paid, earned, steps, steps[:3], NEVER + 7 * SLOT, None, "Europe/Berlin")
    assert tariff_from_json(json.loads(json.dumps(tariff_to_json(tariff)))) == tariff


@settings(derandomize=True, deadline=None, max_examples=60)
@given(DATES, ZONES, st.integers(1, 4 * 96), st.integers(-96, 8 * 96), st.integers(0, 9 * 96))
def test_what_is_written_of_a_tariff_says_the_same_of_today_and_all_days_to_come(
    day: date, zone: ZoneInfo, known: int, now_slot: int, ahead: int
) -> None:
    days = [slot for back in range(-1, 3) for slot in day_slots(day + back * DAY, zone)]
    slots = {slot: (number * 37 % 101) / 100 - 0.1 for number, slot in enumerate(days[:known])}
    now = midnight(day, zone) + now_slot * SLOT
    plan = Plan(0.3, 0.08, zone, market=Scale(), feed_in=Scale(0.9))
    tariff = plan.tariff(now, kept(slots, now, zone), kept(slots, now, zone))
    written = from_today_on(tariff, now)
    at = midnight(now.astimezone(zone).date(), zone) + ahead * SLOT
    assert written.price_eur_per_kwh(at) == tariff.price_eur_per_kwh(at)
    assert written.earned_eur_per_kwh(at) == tariff.earned_eur_per_kwh(at)


def test_a_new_day_without_news_is_no_news_for_the_log() -> None:
    slots = {
        slot: number / 1e4
        for back in range(3)
        for number, slot in enumerate(day_slots(date(2026, 6, 1) + back * DAY, BERLIN))
    }
    evening, morning = berlin("2026-06-02T23:59"), berlin("2026-06-03T00:01")
    before, after = (
        tariff_to_json(from_today_on(dynamic(kept(slots, now, BERLIN), now), now))
        for now in (evening, morning)
    )
    assert before == after


def test_a_year_of_quarter_hourly_prices_takes_a_few_megabytes_of_the_log() -> None:
    now = berlin("2026-06-02T15:00")
    slots = {
        slot: round((number * 7919 % 30011) / 1e5, 6)
        for day in (1, 2, 3)
        for number, slot in enumerate(day_slots(date(2026, 6, day), BERLIN))
    }
    tariff = from_today_on(dynamic(slots, now), now)
    written = json.dumps(tariff_to_json(tariff), separators=(",", ":"))
    in_table_and_index = 2  # one new content a day, when tomorrow's prices are there
    assert 365 * in_table_and_index * len(written) < 2e6
