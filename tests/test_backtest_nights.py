"""Which empty production is night, and which is a gap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optimizer.backtest.house_file import HouseColumns, HouseData, read_house

START = datetime(2026, 6, 1, tzinfo=UTC)
DAYS = 6


def house(
    rise: float = 5.0, sets: float = 19.0, *, step_min: int = 5, peak_w: float = 6000.0
) -> pd.DataFrame:
    """Six days of sun between two hours of the day, with zeros by night, and a load."""
    time = pd.date_range(START, periods=DAYS * 1440 // step_min, freq=f"{step_min}min", name="time")
    hour = time.hour + time.minute / 60.0
    up = np.sin((hour - rise) / (sets - rise) * np.pi)
    sun_w = np.where((hour > rise) & (hour < sets), peak_w * np.maximum(0.0, up), 0.0)
    return pd.DataFrame({"time": time, "pv_w": sun_w, "load_w": 300.0})


def without(given: pd.DataFrame, begin_h: float, end_h: float, *columns: str) -> pd.DataFrame:
    """Empty the columns from one hour since the beginning to another."""
    hours = (given["time"] - START) / pd.Timedelta(hours=1)
    given.loc[(hours >= begin_h) & (hours < end_h), list(columns) or ["pv_w"]] = np.nan
    return given


def read(folder: Path, given: pd.DataFrame) -> HouseData:
    given.to_csv(folder / "x.csv", index=False)
    return read_house(folder / "x.csv", HouseColumns())


def left_out_h(read: HouseData) -> float:
    return float((~read.known).sum() / 60.0)


@pytest.mark.parametrize(
    ("begin_h", "end_h"),
    [(67, 77), (68, 76), (66 + 55 / 60, 77 + 5 / 60), (0, 5), (139, 144)],
    ids=["sunset to sunrise", "inside the night", "dusk to dawn", "first morning", "last evening"],
)
def test_production_that_is_missing_by_night_is_zero(tmp_path: Path, begin_h: float, end_h: float) -> None:
    found = read(tmp_path, without(house(), begin_h, end_h))
    assert len(found.known) == DAYS * 1440
    assert found.known.all()
    assert not found.pv_w[int(begin_h * 60) : int(end_h * 60)].any()
    assert found.notes == (f"x.csv: pv_w is empty in {end_h - begin_h:.1f} h of night, 0 W there",)


@pytest.mark.parametrize(
    ("begin_h", "end_h"),
    [(59, 61.5), (67, 84), (60, 77), (48, 72), (67, 101), (53, 67), (52, 68)],
    ids=["noon", "dusk to noon", "noon to dawn", "a day", "dusk to dawn after next", "light", "all light"],
)
def test_production_that_is_missing_by_day_is_a_gap(tmp_path: Path, begin_h: float, end_h: float) -> None:
    found = read(tmp_path, without(house(), begin_h, end_h))
    assert left_out_h(found) == end_h - begin_h
    assert not found.known[int(begin_h * 60) : int(end_h * 60)].any()
    (note,) = found.notes
    assert "1 gaps" in note


@pytest.mark.parametrize(("hours", "lost_h"), [(17.0, 0.0), (20.0, 0.0), (20.5, 20.5)])
def test_a_winter_night_may_last_20_hours(tmp_path: Path, hours: float, lost_h: float) -> None:
    half = (24.0 - hours) / 2.0
    given = house(12.0 - half, 12.0 + half, step_min=1)
    found = read(tmp_path, without(given, 60.0 + half, 60.0 + half + hours))
    assert left_out_h(found) == lost_h


def test_a_house_whose_every_night_is_empty_keeps_its_whole_time(tmp_path: Path) -> None:
    given = house()
    given.loc[given["pv_w"] < 50.0, "pv_w"] = np.nan
    found = read(tmp_path, without(given, 60, 62))
    assert left_out_h(found) == 2.0, "noon is a gap all the same"
    night, gap = found.notes
    assert "h of night, 0 W there" in night
    assert "2026-06-03T12:00Z for 2.0 h" in gap


@pytest.mark.parametrize("columns", [("load_w",), ("load_w", "pv_w")])
def test_a_load_that_is_missing_by_night_is_a_gap(tmp_path: Path, columns: tuple[str, ...]) -> None:
    found = read(tmp_path, without(house(), 67, 77, *columns))
    assert left_out_h(found) == 10.0


def test_of_an_empty_night_only_what_lacks_its_load_is_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, without(without(house(), 67, 77), 70, 73, "load_w"))
    assert left_out_h(found) == 3.0
    assert not found.known[70 * 60 : 73 * 60].any()
    assert found.notes[0] == "x.csv: pv_w is empty in 7.0 h of night, 0 W there"


def test_half_an_hour_after_sunrise_may_be_4_percent_of_the_peak(tmp_path: Path) -> None:
    given = house(5.3, 18.7, step_min=30)
    given.loc[given["pv_w"] < 50.0, "pv_w"] = np.nan
    dawn = given["pv_w"][given["pv_w"].shift().isna()].dropna() / given["pv_w"].max()
    assert ((dawn > 0.04) & (dawn < 0.05)).all()
    assert left_out_h(read(tmp_path, given)) == 0.0


def test_a_steeper_dawn_than_the_edge_is_a_gap(tmp_path: Path) -> None:
    given = house()
    given.loc[given["pv_w"] < 400.0, "pv_w"] = np.nan
    found = read(tmp_path, given)
    assert found.notes[0].startswith("x.csv: 5 gaps")
    assert found.start > START + timedelta(hours=5)
