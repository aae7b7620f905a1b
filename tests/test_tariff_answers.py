"""What services answer when asked for prices, when they are asked, and what the log keeps."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from price_days import BERLIN, DATES, DAY, PRICES, ZONES, berlin, dynamic, market_day, utc

from optimizer.domain import PriceStep, Tariff
from optimizer.errors import BadAnswer
from optimizer.runtime.written import from_today_on, tariff_from_json, tariff_to_json
from optimizer.tariffs.answers import Fields, awattar_periods, energy_charts_periods, json_periods
from optimizer.tariffs.asking import MOST_A_DAY, Tries, is_due, wanted_until
from optimizer.tariffs.market import Plan, Scale, kept
from optimizer.tariffs.slots import (
    NEVER,
    SLOT,
    day_slots,
    midnight,
    slots_from,
    steps_from,
)

NO_DELAY = timedelta()


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
