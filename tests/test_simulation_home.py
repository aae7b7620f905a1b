"""The virtual home: its balance, its meters, its sessions, and that nobody changes it by looking."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.domain import ChargerSpec, ChargerStatus, Mode
from optimizer.errors import InputError
from optimizer.plant.battery import BatteryLimits
from optimizer.simulation.home import ChargerTruth, HomeTruth, VirtualHome, standard_offset
from optimizer.simulation.series import HouseSeries, house_series
from optimizer.simulation.sessions import Session, commuter_sessions, read_sessions, sessions_from
from optimizer.simulation.settings import RoofFace, VirtualSettings
from optimizer.simulation.sky import sky_series
from optimizer.simulation.world import build_home


def seeded(seed: int) -> random.Random:
    return random.Random(seed)


START = datetime(2026, 6, 1, 4, tzinfo=UTC)
GARAGE = "VIRTUALEVC01"
TWO = (ChargerSpec("left", "LEFT"), ChargerSpec("right", "RIGHT"))


def flat(pv_w: float, load_w: float, minutes: int = 1440) -> HouseSeries:
    ones = np.ones(minutes, dtype=np.float32)
    return house_series(START, 60.0, ones * np.float32(pv_w), ones * np.float32(load_w))


def noisy(seed: int) -> HouseSeries:
    generator = np.random.default_rng(seed)
    pv_w, load_w = generator.uniform(0.0, 8000.0, (2, 1440)).astype(np.float32)
    return house_series(START, 60.0, pv_w, load_w)


def home(series: HouseSeries, **changes: object) -> VirtualHome:
    return VirtualHome(VirtualSettings(start=START, **changes), series)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 99),
    st.sampled_from((None, BatteryLimits(5.0))),
    st.lists(st.tuples(st.integers(0, 7200), st.sampled_from(TWO), st.sampled_from(tuple(Mode)))),
)
def test_power_balances_and_no_energy_is_lost(
    seed: int, battery: BatteryLimits | None, commands: list[tuple[int, ChargerSpec, Mode]]
) -> None:
    house = home(noisy(seed), battery=battery, chargers=TWO)
    for spec in TWO:
        house.plug(spec.serial, 2.0)
    base_kwh = battery_kwh = 0.0
    for after_s, spec, mode in commands:
        house.schedule(
            START.timestamp() + after_s, lambda s=spec.serial, m=mode: house.set_mode(s, m, "owner")
        )
    for step in range(1, 721):
        house.advance(START + timedelta(seconds=10 * step))
        truth = house.truth()
        assert truth.pv_w + truth.grid_w + truth.battery_w == pytest.approx(truth.base_load_w + truth.ev_w)
        base_kwh += truth.base_load_w / 360e3
        battery_kwh += truth.battery_w / 360e3
    supplied_kwh = truth.pv_kwh + truth.import_kwh - truth.export_kwh + battery_kwh
    assert supplied_kwh == pytest.approx(base_kwh + truth.ev_kwh, abs=1e-6)
    assert truth.ev_kwh == pytest.approx(sum(house.charger(spec.serial).session_kwh for spec in TWO))
    assert all(house.charger(spec.serial).session_kwh <= 2.0 + 1e-9 for spec in TWO)


def seen_after(looks_s: Iterable[float]) -> tuple[HomeTruth, ChargerTruth]:
    house = home(noisy(3), battery=BatteryLimits())
    house.schedule(START.timestamp() + 601.0, lambda: house.plug(GARAGE, 5.0))
    house.schedule(START.timestamp() + 1203.0, lambda: house.set_mode(GARAGE, Mode.GREEN, "command"))
    for look_s in looks_s:
        house.advance(START + timedelta(seconds=look_s))
    return house.truth(), house.charger(GARAGE)


@pytest.mark.parametrize("looks_s", [(13, 14, 15, 3599.9, 7200), (*range(1, 7201, 7), 7200)])
def test_looking_often_changes_nothing(looks_s: tuple[float, ...]) -> None:
    truth, charger = seen_after(looks_s)
    expected_truth, expected_charger = seen_after([7200])
    assert charger == expected_charger
    assert truth.at == expected_truth.at == START + timedelta(hours=2)
    assert truth.ev_kwh == expected_truth.ev_kwh > 1.0
    assert truth.battery_soc == pytest.approx(expected_truth.battery_soc, abs=1e-9)
    assert truth.import_kwh == pytest.approx(expected_truth.import_kwh, abs=1e-9)


@pytest.mark.parametrize("mode", list(Mode))
def test_long_steps_in_quiet_times_change_nothing(mode: Mode) -> None:
    truths = []
    for idle_step_s in (10.0, 60.0):
        house = home(noisy(4), battery=BatteryLimits(), idle_step_s=idle_step_s)
        house.schedule(START.timestamp() + 1800.0, lambda house=house: house.plug(GARAGE, 4.0))
        house.set_mode(GARAGE, mode, "owner")
        house.advance(START + timedelta(hours=8))
        truths.append(house.truth())
    fine, coarse = truths
    assert coarse.ev_kwh == pytest.approx(fine.ev_kwh, abs=1e-9)
    assert coarse.import_kwh == pytest.approx(fine.import_kwh, abs=1e-9)
    assert coarse.battery_soc == pytest.approx(fine.battery_soc, abs=1e-9)


def test_nothing_is_drawn_without_a_car_whatever_the_mode() -> None:
    house = home(flat(9000.0, 300.0))
    house.set_mode(GARAGE, Mode.FAST, "owner")
    house.advance(START + timedelta(hours=1))
    assert house.charger(GARAGE).status is ChargerStatus.AVAILABLE
    assert house.truth().ev_kwh == 0.0
    assert house.truth().export_kwh == pytest.approx(8.7)


def test_green_follows_the_surplus_and_leaves_the_grid_alone() -> None:
    house = home(flat(5000.0, 400.0))
    house.plug(GARAGE, 50.0)
    house.set_mode(GARAGE, Mode.GREEN, "command")
    house.advance(START + timedelta(hours=1))
    truth = house.truth()
    assert truth.ev_w == pytest.approx(20 * 230.0)
    assert truth.import_kwh == 0.0


def test_two_green_chargers_do_not_both_take_the_same_sun_for_long() -> None:
    house = home(flat(5000.0, 400.0), chargers=TWO)
    for spec in TWO:
        house.plug(spec.serial, 50.0)
        house.set_mode(spec.serial, Mode.GREEN, "command")
    house.advance(START + timedelta(hours=2))
    imported_kwh = house.truth().import_kwh
    house.advance(START + timedelta(hours=3))
    assert house.truth().import_kwh == pytest.approx(imported_kwh, abs=0.2)


def test_energies_of_the_day_start_anew_at_the_inverters_midnight() -> None:
    house = home(flat(1000.0, 0.0))
    house.advance(datetime(2026, 6, 1, 23, tzinfo=UTC))
    assert house.truth().pv_today_kwh == 0.0
    house.advance(datetime(2026, 6, 2, 0, tzinfo=UTC))
    assert house.truth().pv_today_kwh == pytest.approx(1.0)
    assert house.truth().pv_kwh == pytest.approx(20.0)


def test_the_vendors_clock_ignores_daylight_saving() -> None:
    assert standard_offset("Europe/Berlin", datetime(2026, 7, 1, tzinfo=UTC)) == timedelta(hours=1)
    assert standard_offset("Europe/Berlin", datetime(2026, 1, 1, tzinfo=UTC)) == timedelta(hours=1)


def test_a_year_of_data_begins_again_where_it_ends() -> None:
    series = house_series(START, 900.0, np.arange(4, dtype=np.float32), np.zeros(4, dtype=np.float32))
    seen = [series.at(START.timestamp() + 900.0 * step + 1.0)[0] for step in range(-1, 6)]
    assert seen == [3.0, 0.0, 1.0, 2.0, 3.0, 0.0, 1.0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -5.0])
def test_a_series_with_an_impossible_value_is_refused_with_its_row(bad: float) -> None:
    values = np.array([1.0, bad], dtype=np.float32)
    with pytest.raises(InputError, match="row 1"):
        house_series(START, 60.0, values, np.ones(2, dtype=np.float32))


def test_production_and_load_must_be_of_equal_length() -> None:
    with pytest.raises(InputError, match="same number"):
        house_series(START, 60.0, np.ones(2, dtype=np.float32), np.ones(3, dtype=np.float32))


def test_a_home_without_files_has_a_sky_and_a_commuter() -> None:
    house = build_home(VirtualSettings(start=START))
    house.set_mode(GARAGE, Mode.FAST, "owner")
    house.advance(START + timedelta(days=4))
    assert house.truth().pv_kwh > 40.0
    assert house.truth().ev_kwh > 3.0
    again = build_home(VirtualSettings(start=START))
    again.set_mode(GARAGE, Mode.FAST, "owner")
    again.advance(START + timedelta(days=4))
    assert again.truth() == house.truth()


def test_a_charger_without_sessions_stays_free() -> None:
    assert list(sessions_from([], START)) == []
    once = [Session(START, START + timedelta(hours=1), 5.0)]
    assert list(sessions_from(once, START)) == once
    assert list(sessions_from(once, START + timedelta(hours=1))) == []


def test_sessions_plug_the_car_in_and_out() -> None:
    session = Session(START + timedelta(hours=1), START + timedelta(hours=2), 4.0)
    house = VirtualHome(VirtualSettings(start=START), flat(0.0, 200.0), {"garage": [session]})
    house.set_mode(GARAGE, Mode.FAST, "owner")
    connected = []
    for minutes in (59, 61, 119, 121, 25 * 60 - 1, 25 * 60 + 1):
        house.advance(START + timedelta(minutes=minutes))
        connected.append(house.charger(GARAGE).connected)
    assert connected == [False, True, True, False, False, True]
    assert house.truth().ev_kwh == pytest.approx(4.0, abs=0.2)


def test_a_car_that_arrived_before_the_start_is_there_from_the_start() -> None:
    session = Session(START - timedelta(hours=9), START + timedelta(hours=3), 6.0)
    house = VirtualHome(VirtualSettings(start=START), flat(0.0, 200.0), {"garage": [session]})
    house.advance(START + timedelta(minutes=1))
    assert house.charger(GARAGE).status is ChargerStatus.PREPARING
    assert house.charger(GARAGE).need_kwh == 6.0


def test_repeated_sessions_never_overlap() -> None:
    sessions = [
        Session(START, START + timedelta(days=4), 5.0),
        Session(START + timedelta(days=5), START, 5.0),
    ][:1]
    endless = sessions_from(sessions, START, START, timedelta(days=2))
    drawn = [next(endless) for _ in range(5)]
    assert all(later.arrival >= earlier.departure for earlier, later in itertools.pairwise(drawn))


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("2026-01-01T10:00,2026-01-01T12:00,5", "offset"),
        ("2026-01-01T10:00Z,2026-01-01T09:00Z,5", "departure"),
        ("2026-01-01T10:00Z,2026-01-01T12:00Z,-1", "energy"),
        ("2026-01-01T10:00Z,2026-01-01T12:00Z,much", "energy"),
        ("2026-01-01T10:00Z,2026-01-01T12:00Z,5\n2026-01-01T11:00Z,2026-01-01T13:00Z,5", "begins before"),
    ],
)
def test_a_bad_session_is_refused_with_its_reason(tmp_path: Path, row: str, complaint: str) -> None:
    path = tmp_path / "sessions.csv"
    path.write_text(f"arrival,departure,energy_kwh\n{row}\n", encoding="utf-8")
    with pytest.raises(InputError, match=complaint):
        read_sessions(path)


def test_only_the_sessions_of_the_asked_user_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sessions.csv"
    rows = [f"{u},2026-01-0{d}T10:00Z,2026-01-0{d}T12:00Z,5" for u in ("left", "right") for d in (1, 2)]
    path.write_text("\n".join(["user,arrival,departure,energy_kwh", *rows]), encoding="utf-8")
    assert len(read_sessions(path, "left")) == 2
    house = build_home(VirtualSettings(start=datetime(2026, 1, 1, tzinfo=UTC), chargers=TWO), sessions=path)
    house.advance(datetime(2026, 1, 1, 11, tzinfo=UTC))
    assert house.charger("LEFT").connected
    assert house.charger("RIGHT").connected


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_commuter_is_believable_whatever_the_seed(seed: int) -> None:
    sessions = commuter_sessions(2025, ZoneInfo("Europe/Berlin"), seeded(seed))
    assert 120 < len(sessions) < 320
    assert all(s.arrival < s.departure and 3.0 <= s.energy_kwh <= 52.0 for s in sessions)
    assert 1500.0 < sum(s.energy_kwh for s in sessions) < 3500.0


def test_a_made_up_sky_is_dark_at_night_and_below_the_peak_and_equal_for_equal_seeds() -> None:
    june = datetime(2026, 6, 1, tzinfo=UTC)
    first, again = (sky_series(june, 2, 52.0, 9.4, [RoofFace(9.0, 35.0, 180.0)], seeded(7)) for _ in range(2))
    assert first.pv_w == again.pv_w
    assert first.load_w == again.load_w
    assert first.at(june.timestamp())[0] == 0.0
    assert 3000.0 < max(first.pv_w) < 9000.0
    assert 20.0 < sum(first.pv_w) / 60e3 < 130.0
