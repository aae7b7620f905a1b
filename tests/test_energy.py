"""The quarter-hour accounts: conserved, additive, indifferent to how time is cut, true to the counter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.control.energy import (
    Account,
    ChargerSample,
    EnergyMeter,
    EnergyRow,
    SitePowers,
    advance,
    slot_start_of,
    solar_share_w,
)
from optimizer.domain import PriceStep, Tariff

START = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
TARIFF = Tariff(0.30, 0.08)
NAMES = ("west", "east")
Sample = tuple[SitePowers | None, Mapping[str, ChargerSample]]

power_w = st.floats(0, 20_000)
signed_w = st.floats(-15_000, 15_000)
sites = st.builds(SitePowers, pv_w=power_w, base_load_w=signed_w, battery_w=signed_w)
samples = st.tuples(
    st.one_of(st.none(), sites),
    st.dictionaries(
        st.sampled_from(NAMES), st.builds(ChargerSample, ev_w=st.one_of(st.none(), power_w)), max_size=2
    ),
)
steps = st.lists(st.tuples(st.integers(1, 2500), samples), min_size=1, max_size=12)


def run(
    history: Iterable[tuple[float, Sample]], meter: EnergyMeter | None = None, tariff: Tariff = TARIFF
) -> dict[tuple[datetime, str | None], EnergyRow]:
    """Advance through `(seconds since the last sample, sample)` and add up all rows, the open ones too."""
    meter = meter or EnergyMeter(START)
    sums: dict[tuple[datetime, str | None], EnergyRow] = {}
    for seconds, (site, chargers) in history:
        meter, rows = advance(meter, meter.at + timedelta(seconds=seconds), tariff, site, chargers)
        for row in rows:
            assert row.slot_start < slot_start_of(meter.at)
            key = (row.slot_start, row.charger)
            sums[key] = sums[key].plus(row) if key in sums else row
    for key, row in meter.open_rows.items():
        sums[key] = sums[key].plus(row) if key in sums else row
    return sums


def total(sums: Mapping[tuple[datetime, str | None], EnergyRow], charger: str | None) -> EnergyRow:
    rows = [row for (_, name), row in sums.items() if name == charger]
    result = EnergyRow(START, charger)
    for row in rows:
        result = result.plus(row)
    return result


@pytest.mark.parametrize(
    ("pv_w", "base_load_w", "ev_w", "solar_w"),
    [
        (5000, 1000, 3000, 3000),  # sun for all and some left
        (3000, 1000, 3000, 2000),  # something else fills the gap
        (0, 1000, 7000, 0),  # night
        (500, 1000, 0, 0),  # no car
        (1000, -500, 1500, 1500),  # a second inverter feeds in
        (1000, -5000, 1500, 1500),  # never more sun than the car took
    ],
)
def test_the_base_load_comes_first_out_of_the_sun(
    pv_w: float, base_load_w: float, ev_w: float, solar_w: float
) -> None:
    assert solar_share_w(pv_w, base_load_w, ev_w) == solar_w


def test_the_exchange_with_the_grid_follows_the_car() -> None:
    site = SitePowers(pv_w=4000, base_load_w=1000, battery_w=0)
    sums = run(
        [
            (0, (site, {"west": ChargerSample(0)})),
            (600, (None, {"west": ChargerSample(6000)})),
            (300, (None, {})),
        ]
    )
    house = total(sums, None)
    assert house.export_kwh == pytest.approx(3.0 / 6)
    assert house.import_kwh == pytest.approx(3.0 / 12)


def test_an_hour_of_constant_power_fills_four_quarter_hours() -> None:
    site, chargers = SitePowers(5000, 1000, 0), {"west": ChargerSample(3000)}
    sums = run([(0, (site, chargers))] + [(300, (site, chargers))] * 12)
    assert len([key for key in sums if key[1] is None]) == 4
    house, west = total(sums, None), total(sums, "west")
    assert house.pv_kwh == pytest.approx(5.0)
    assert house.export_kwh == pytest.approx(1.0)
    assert house.base_load_kwh == pytest.approx(1.0)
    assert (west.ev_kwh, west.ev_solar_kwh, west.ev_grid_kwh) == (pytest.approx(3.0), pytest.approx(3.0), 0.0)
    assert west.feed_in_lost_eur == pytest.approx(0.24)
    assert house.missing_s == west.missing_s == 0.0


def test_several_cars_share_the_sun_by_their_power() -> None:
    site = SitePowers(pv_w=4000, base_load_w=1000, battery_w=0)
    sums = run([(0, (site, {"west": ChargerSample(4000), "east": ChargerSample(2000)})), (600, (None, {}))])
    west, east = total(sums, "west"), total(sums, "east")
    assert west.ev_solar_kwh == pytest.approx(2 * east.ev_solar_kwh)
    assert west.ev_solar_kwh + east.ev_solar_kwh == pytest.approx(3.0 / 6)


def test_the_price_is_that_of_the_quarter_hour() -> None:
    tariff = Tariff(0.20, 0.08, (PriceStep(START + timedelta(minutes=15), 0.40),))
    site = SitePowers(0, 0, 0)
    sums = run(
        [(0, (site, {"west": ChargerSample(4000)})), (900, (site, {})), (900, (None, {}))], tariff=tariff
    )
    assert sums[START, "west"].cost_eur == pytest.approx(0.20)
    assert sums[START + timedelta(minutes=15), "west"].missing_s == pytest.approx(900)


def test_a_power_is_believed_for_a_quarter_hour_and_missing_from_then_on() -> None:
    sums = run([(0, (SitePowers(1000, 0, 0), {"west": ChargerSample(500)})), (3600, (None, {}))])
    assert total(sums, None).pv_kwh == pytest.approx(0.25)
    assert total(sums, None).missing_s == pytest.approx(2700)
    assert total(sums, "west").missing_s == pytest.approx(2700)


def test_without_the_house_no_sun_is_claimed() -> None:
    sums = run([(0, (None, {"west": ChargerSample(6000)})), (600, (None, {}))])
    assert total(sums, "west").ev_grid_kwh == pytest.approx(1.0)


def test_a_clock_that_was_set_back_accounts_for_nothing() -> None:
    meter, _ = advance(EnergyMeter(START), START, TARIFF, SitePowers(1000, 0, 0))
    earlier = START - timedelta(hours=1)
    back, rows = advance(meter, earlier, TARIFF)
    assert (back.at, rows, back.open_rows) == (earlier, (), {})


@settings(deadline=None, max_examples=60)
@given(steps, st.lists(st.integers(1, 25_000), max_size=6))
def test_any_partition_of_time_gives_the_same_sums(
    history: list[tuple[int, Sample]], cuts: list[int]
) -> None:
    instants = [
        (sum(seconds for seconds, _ in history[: i + 1]), sample) for i, (_, sample) in enumerate(history)
    ]
    end = instants[-1][0] + 1000
    news = dict(instants)
    plain, cut = [], []
    for times, result in (
        (sorted({*news, end}), plain),
        (sorted({*news, *(c for c in cuts if c < end), end}), cut),
    ):
        before = 0
        for at in times:
            result.append((at - before, news.get(at, (None, {}))))
            before = at
    whole, pieces = run(plain), run(cut)
    assert whole.keys() == pieces.keys()
    for key, row in whole.items():
        assert tuple(getattr(pieces[key], name) for name in FIELDS) == pytest.approx(
            tuple(getattr(row, name) for name in FIELDS), abs=1e-9
        )


FIELDS = tuple(name for name in EnergyRow.__slots__ if name not in ("slot_start", "charger"))


@settings(deadline=None, max_examples=60)
@given(steps)
def test_energy_is_conserved_and_every_second_is_known_or_missing(history: list[tuple[int, Sample]]) -> None:
    sums = run(history)
    house = total(sums, None)
    ev_kwh = sum(
        row.ev_kwh
        for (slot, name), row in sums.items()
        if name is not None and sums[slot, None].missing_s == 0
    )
    in_kwh = house.pv_kwh + house.import_kwh + house.battery_discharge_kwh
    out_kwh = house.export_kwh + house.battery_charge_kwh + house.base_load_kwh
    if house.missing_s == 0:
        assert in_kwh == pytest.approx(out_kwh + ev_kwh, abs=1e-6)
    for name in NAMES:
        row = total(sums, name)
        assert row.ev_kwh == pytest.approx(row.ev_solar_kwh + row.ev_grid_kwh)
        assert -1e-9 <= row.ev_solar_kwh <= row.ev_kwh + 1e-9


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(10, 400), st.floats(0, 0.4), st.floats(0, 11_000)), min_size=1, max_size=30
    )
)
def test_the_session_counter_wins_over_integrated_power(history: list[tuple[int, float, float]]) -> None:
    site = SitePowers(6000, 3500, 0)
    counter_kwh, story = 2.0, [(0.0, (site, {"west": ChargerSample(3000, 2.0)}))]
    for seconds, added_kwh, ev_w in history:
        counter_kwh += added_kwh
        story.append((seconds, (site, {"west": ChargerSample(ev_w, counter_kwh)})))
    counter_kwh += 0.5
    story.append((60, (site, {"west": ChargerSample(0.0, counter_kwh)})))
    sums = run(story)
    west, house = total(sums, "west"), total(sums, None)
    assert west.ev_kwh == pytest.approx(counter_kwh - 2.0)
    used_kwh = house.base_load_kwh + west.ev_kwh
    assert house.pv_kwh + house.import_kwh == pytest.approx(used_kwh + house.export_kwh)


def test_a_coarse_counter_does_not_distort_the_quarter_hours() -> None:
    site = SitePowers(pv_w=2500, base_load_w=1000, battery_w=0)
    story = [(0.0, (site, {"west": ChargerSample(1500, 0.0)}))]
    for minute in range(1, 61):
        counter_kwh = int(1.5 * minute / 60 * 10 + 1e-9) / 10
        story.append((60.0, (site, {"west": ChargerSample(1500, counter_kwh)})))
    sums = run(story)
    for quarter in range(4):
        row = sums[START + timedelta(minutes=15 * quarter), "west"]
        assert row.ev_kwh == pytest.approx(0.375, abs=0.02)
        assert row.ev_solar_kwh == pytest.approx(row.ev_kwh)


def test_a_counter_that_falls_begins_a_new_session() -> None:
    site = SitePowers(0, 0, 0)
    sums = run(
        [
            (0, (site, {"west": ChargerSample(3000, 7.0)})),
            (600, (site, {"west": ChargerSample(3000, 7.5)})),
            (600, (site, {"west": ChargerSample(3000, 0.1)})),
            (600, (site, {"west": ChargerSample(3000, 0.7)})),
        ]
    )
    assert total(sums, "west").ev_kwh == pytest.approx(0.5 + 0.5 + 0.6)


@pytest.mark.parametrize("restarted", [False, True])
def test_powers_beside_a_counter_that_stands_still_are_old_ones_and_not_believed_for_long(
    restarted: bool,
) -> None:
    site, meter = SitePowers(0, 0, 0), EnergyMeter(START)
    story = [(3000, 7.0), *[(3000, 7.5)] * 12, (0, 0.0)]
    told: list[EnergyRow] = []
    for number, (ev_w, counter_kwh) in enumerate(story):
        now = START + timedelta(minutes=10 * number)
        meter, rows = advance(meter, now, TARIFF, site, {"west": ChargerSample(ev_w, counter_kwh)})
        told += rows
        if restarted and number == 8:
            told += meter.open_rows.values()
            meter = EnergyMeter(now, chargers={}).with_account("west", meter.accounts["west"])
    told += meter.open_rows.values()
    taken_kwh = sum(row.ev_kwh for row in told if row.charger == "west")
    assert taken_kwh == pytest.approx(0.5 + 1.0 + 0.5), (
        "a step of the counter, and what nobody held against it"
    )


def test_what_a_known_session_took_while_nobody_looked_is_counted_as_grid() -> None:
    meter = EnergyMeter(START).with_account("west", Account(3.0))
    sums = run([(3600, (None, {"west": ChargerSample(2000, 5.0)}))], meter)
    assert total(sums, "west").ev_grid_kwh == pytest.approx(2.0)
    assert sums[START, "west"].ev_kwh == pytest.approx(0.5)


def test_a_late_counter_yields_rows_for_quarter_hours_that_were_told() -> None:
    site = SitePowers(0, 0, 0)
    meter, told = EnergyMeter(START), []
    for minutes, counter_kwh in ((0, 1.0), (10, 1.0), (20, 1.0), (30, 1.8)):
        now = START + timedelta(minutes=minutes)
        meter, rows = advance(meter, now, TARIFF, site, {"west": ChargerSample(3000, counter_kwh)})
        told.append([row for row in rows if row.charger == "west" and row.slot_start == START])
    assert [len(rows) for rows in told] == [0, 0, 1, 1]
    assert sum(row.ev_kwh for rows in told for row in rows) == pytest.approx(0.4)


def test_what_was_taken_beyond_the_known_powers_was_taken_while_none_was_known() -> None:
    site = SitePowers(pv_w=4000, base_load_w=0, battery_w=0)
    sums = run(
        [
            (0, (site, {"west": ChargerSample(2000, 0.0)})),
            (900, (site, {})),
            (900, (site, {"west": ChargerSample(2000, 1.5)})),
        ]
    )
    later = START + timedelta(minutes=15)
    first, second = sums[START, "west"], sums[later, "west"]
    assert (first.ev_kwh, first.ev_solar_kwh) == (pytest.approx(0.5), pytest.approx(0.5))
    assert (second.ev_kwh, second.ev_grid_kwh) == (pytest.approx(1.0), pytest.approx(1.0))
    assert sums[later, None].import_kwh == pytest.approx(1.0)


def test_what_was_taken_in_no_time_at_all_is_counted_now() -> None:
    meter = EnergyMeter(START).with_account("west", Account(3.0))
    assert total(run([(0, (None, {"west": ChargerSample(0, 4.0)}))], meter), "west").ev_kwh == 1.0


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(10, 400), st.integers(0, 40), st.floats(0, 11_000)), min_size=1, max_size=20
    ),
    st.sets(st.integers(0, 19)),
)
def test_a_meter_that_is_begun_anew_counts_what_one_that_went_on_does(
    history: list[tuple[int, int, float]], restarts: set[int]
) -> None:
    """After a restart the rows are in the log, and the accounts are all that is left."""
    meter, told_kwh, counter_kwh, now = EnergyMeter(START), 0.0, 2.0, START
    for number, (seconds, hundredths, ev_w) in enumerate([*history, (60, 50, 0.0)]):
        cars = {"west": ChargerSample(ev_w, counter_kwh)}
        meter, rows = advance(meter, now, TARIFF, SitePowers(6000, 3500, 0), cars)
        told_kwh += sum(row.ev_kwh for row in rows)
        if number in restarts:
            told_kwh += sum(row.ev_kwh for row in meter.open_rows.values())
            meter = EnergyMeter(meter.at).with_account("west", meter.accounts["west"])
        now, counter_kwh = now + timedelta(seconds=seconds), counter_kwh + hundredths / 100
    meter, rows = advance(meter, now, TARIFF, None, {"west": ChargerSample(0.0, counter_kwh)})
    told_kwh += sum(row.ev_kwh for row in (*rows, *meter.open_rows.values()))
    assert told_kwh == pytest.approx(counter_kwh - 2.0)


@pytest.mark.parametrize("days", [2, 30, 10_000])
def test_a_clock_that_jumps_by_days_tells_one_quarter_hour(days: int) -> None:
    site, cars = SitePowers(4000, 500, 0), {"west": ChargerSample(2000, 1.0)}
    meter, _ = advance(EnergyMeter(START), START, TARIFF, site, cars)
    meter, rows = advance(
        meter, START + timedelta(days=days), TARIFF, site, {"west": ChargerSample(2000, 1.2)}
    )
    told = (*rows, *meter.open_rows.values())
    assert len(told) == 2
    assert sum(row.ev_kwh for row in told) == pytest.approx(0.2)
