"""A house's file: formats, steps, gaps, and mistakes that are told with their line."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from house_files import BERLIN, START, built, csv, frame, holed, refused

from optimizer.backtest.house_file import HouseColumns, read_house
from optimizer.backtest.price_file import Prices


@pytest.mark.parametrize("step_min", [1, 5, 15, 30, 60])
@pytest.mark.parametrize("kind", ["csv", "parquet", "index", "unnamed index", "texts"])
def test_each_format_and_step_gives_the_same_house_by_the_minute(
    tmp_path: Path, step_min: int, kind: str
) -> None:
    given = frame(step_min)
    path = tmp_path / "house"
    match kind:
        case "csv":
            csv(path, given)
        case "parquet":
            given.to_parquet(path)
        case "index":
            given.set_index("time").to_parquet(path)
        case "unnamed index":
            given.set_index("time").rename_axis(None).to_parquet(path)
        case "texts":
            given.assign(time=given.time.dt.tz_convert(BERLIN).astype(str)).to_parquet(path)
    read = read_house(path, HouseColumns())
    assert (read.start, len(read.pv_w), read.notes) == (START, 48 * 60, ())
    assert read.known.all()
    np.testing.assert_allclose(read.pv_w, np.repeat(given.pv_w, step_min), rtol=1e-12)
    np.testing.assert_allclose(read.load_w, np.repeat(given.load_w, step_min), rtol=1e-12)


def test_columns_go_by_other_names_and_the_scale_is_for_the_sun_only(tmp_path: Path) -> None:
    given = frame().rename(columns={"pv_w": "roof", "load_w": "flat"}).assign(other="words")
    read = read_house(csv(tmp_path / "x.csv", given), HouseColumns("roof", "flat", pv_scale=0.5))
    assert read.pv_w.sum() == pytest.approx(given.roof.sum() * 5 / 2)
    assert read.load_w.sum() == pytest.approx(given.flat.sum() * 5)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_the_days_that_change_the_clock_are_as_long_as_they_are(tmp_path: Path, day: str, hours: int) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=BERLIN).astimezone(UTC)
    given = frame(15, hours, start)
    given["time"] = given.time.dt.tz_convert(BERLIN)
    path = csv(tmp_path / "house.csv", given)
    prices = tmp_path / "prices.csv"
    given[["time"]].assign(eur_per_kwh=np.arange(len(given)) / 1000).to_csv(prices, index=False)
    at = start + timedelta(hours=1)
    row = f"{at.isoformat()},{(at + timedelta(hours=5)).isoformat()},10"
    case, notes = built(path, row, prices=Prices(prices))
    assert (case.minutes, len(case.price_eur_per_kwh), notes) == (hours * 60, hours * 4, ())
    assert list(case.price_eur_per_kwh) == [n / 1000 for n in range(hours * 4)]


def test_a_house_that_begins_within_a_quarter_hour_pays_that_quarter_hours_price(tmp_path: Path) -> None:
    given = frame(1, start=START + timedelta(minutes=7))
    prices = tmp_path / "prices.csv"
    prices.write_text("time,eur_per_kwh\n2026-06-01T00:00Z,0.1\n2026-06-01T00:15Z,0.2\n" + "".join(
        f"{(START + timedelta(minutes=15 * n)).isoformat()},0.3\n" for n in range(2, 4 * 49)
    ))  # fmt: skip
    case, _ = built(csv(tmp_path / "h.csv", given), prices=Prices(prices))
    assert case.slot_offset == 7
    paid = [case.price_eur_per_kwh[(t + case.slot_offset) // 15] for t in (0, 7, 8, 23)]
    assert paid == [0.1, 0.1, 0.2, 0.3]
    assert len(case.price_eur_per_kwh) == (case.minutes - 1 + case.slot_offset) // 15 + 1


@pytest.mark.parametrize("columns", [(), ("pv_w",), ("load_w",), ("pv_w", "load_w")])
@pytest.mark.parametrize("step_min", [1, 5, 15, 30, 60])
def test_a_gap_of_an_hour_is_bridged_with_the_value_before(
    tmp_path: Path, columns: tuple[str, ...], step_min: int
) -> None:
    given = holed("10:00", "11:00", *columns, step_min=step_min)
    read = read_house(csv(tmp_path / "x.csv", given), HouseColumns())
    assert read.known.all()
    assert read.notes == ("x.csv: 1.0 h in short gaps are bridged with the value before",)
    for name, values in (("pv_w", read.pv_w), ("load_w", read.load_w)):
        if not columns or name in columns:
            assert set(values[600:660]) == {values[599]}


@pytest.mark.parametrize("columns", [(), ("pv_w",), ("load_w",)])
def test_a_longer_gap_is_left_out_and_told(tmp_path: Path, columns: tuple[str, ...]) -> None:
    read = read_house(csv(tmp_path / "x.csv", holed("10:00", "11:05", *columns)), HouseColumns())
    assert not read.known[600:665].any()
    assert read.known.sum() == 48 * 60 - 65
    assert not read.pv_w[600:665].any()
    assert not read.load_w[600:665].any()
    assert read.notes == ("x.csv: 1 gaps (1.1 h) are left out: 2026-06-01T10:00Z for 1.1 h",)


def test_what_is_missing_at_both_ends_is_cut_off_and_told(tmp_path: Path) -> None:
    given = frame()
    given.loc[:5, ["pv_w", "load_w"]] = np.nan
    given.loc[len(given) - 6 :, "load_w"] = np.nan
    read = read_house(csv(tmp_path / "x.csv", given), HouseColumns())
    assert (read.start, read.end) == (START + timedelta(minutes=30), START + timedelta(minutes=2850))
    assert read.notes == ("x.csv: 1.0 h without data at the beginning or end are left out",)


def test_noise_below_zero_is_zero(tmp_path: Path) -> None:
    given = frame()
    given.loc[:20, "pv_w"] = -4.9
    read = read_house(csv(tmp_path / "x.csv", given), HouseColumns())
    assert read.pv_w.min() == 0.0


HEAD = "time,pv_w,load_w\n"


def text_house(body: str) -> str:
    return HEAD + "".join(f"2026-06-01T{h:02}:00Z,500,400\n" for h in range(4)) + body


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty; its first line must name the columns"),
        (HEAD, "has no rows"),
        (HEAD + "2026-06-01T00:00Z,1,2\n", "has one row"),
        ("time,pv,load_w\n1,2,3\n", "no column 'pv_w'; did you mean 'pv'? (there are: time, pv, load_w)"),
        ("time,pv_w,load\n1,2,3\n", "no column 'load_w'; did you mean 'load'?"),
        ("zeit,pv_w,load_w\n1,2,3\n", "no column 'time'"),
        ("time;pv_w;load_w\n", "parted by commas"),
        ("time,pv_w,pv_w,load_w\n1,2,3,4\n", "'pv_w' is there twice"),
        (text_house("2026-06-01T04:00,1,2\n"), "x.csv:6: time '2026-06-01T04:00' has no zone"),
        (text_house("yesterday,1,2\n"), "x.csv:6: 'yesterday' is no time like"),
        (text_house(",1,2\n"), "x.csv:6: time is empty"),
        (text_house("2026-06-01T03:00Z,1,2\n"), "x.csv:6 (2026-06-01T03:00Z): time is there twice"),
        (text_house("2026-06-01T01:30Z,1,2\n"), "x.csv:6 (2026-06-01T01:30Z): time is earlier than the row"),
        (text_house("2026-06-01T04:10Z,1,2\n"), "x.csv:6 (2026-06-01T04:10Z): follows 70 min after"),
        (text_house("1926-06-01T04:00Z,1,2\n"), "x.csv:6: time must lie between the years 1970 and 2100"),
        (text_house("2066-06-01T04:00Z,1,2\n"), "at most 20 years can be run at once"),
        (text_house("2026-06-01T04:00Z,one,2\n"), "x.csv:6: pv_w 'one' is no number"),
        (text_house('2026-06-01T04:00Z,1,"0,5"\n'), "x.csv:6: load_w '0,5' is no number"),
        (text_house("2026-06-01T04:00Z,1\n"), "Row #6: Expected 3 columns, got 2"),
        (text_house("2026-06-01T04:00Z,-6,2\n"), "x.csv:6 (2026-06-01T04:00Z): pv_w is -6: it must be at"),
        (text_house("2026-06-01T04:00Z,1,-5.1\n"), "load_w is -5.1: it must be at least 0 W"),
        (text_house("2026-06-01T04:00Z,inf,2\n"), "pv_w is infinite"),
        (text_house("2026-06-01T04:00Z,1,-inf\n"), "load_w is infinite"),
        (text_house("2026-06-01T04:00Z,1000001,2\n"), "more than 1 MW is no house"),
        (text_house("").replace(",500,", ",0.5,"), "pv_w is 0.5 at the most: this looks like kW"),
        (text_house("").replace(",400", ",0.4"), "load_w is 0.4 at the most: this looks like kW"),
        (text_house("").replace(",400", ","), "no row has both powers"),
        (HEAD + "2026-06-01T00:00:00Z,500,400\n2026-06-01T00:00:30Z,500,400\n", "the step of time is 30 s"),
        (HEAD + "2026-06-01T00:00Z,500,400\n2026-06-01T02:00Z,500,400\n", "step of time is 120 min; allowed"),
        (HEAD + "2026-06-01T00:00:30Z,500,400\n2026-06-01T00:01:30Z,500,400\n", "on whole minutes"),
        (HEAD + "2026-06-01T00:00:00.5Z,500,400\n2026-06-01T00:01:00.5Z,500,400\n", "on whole seconds"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_houses_csv_is_told_with_its_line(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(content, encoding="utf-8")
    with refused(says, "x.csv"):
        read_house(path, HouseColumns())


def test_files_that_are_none_are_told(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(HEAD.encode() + b"2026-06-01T00:00Z,1,\xfcber\n")
    (tmp_path / "utf16.csv").write_bytes(HEAD.encode("utf-16"))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and then nothing")
    for name, says in (
        ("none.csv", "no such file"),
        ("", "is a directory"),
        ("latin.csv", "UTF-8"),
        ("utf16.csv", "neither Parquet nor CSV text in UTF-8"),
        ("cut.parquet", "is damaged"),
        ("a\0b", "no such file"),
        ("pipe", "is no regular file"),
    ):
        with refused(says):
            read_house(tmp_path / name, HouseColumns())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.assign(time=f.time.dt.tz_localize(None)), "time has no zone"),
        (lambda f: f.assign(time=range(len(f))), "time must be instants, not int64"),
        (lambda f: f.assign(pv_w=[[1.0]] * len(f)), "pv_w must hold numbers"),
        (lambda f: f.drop(columns="load_w"), "no column 'load_w'"),
        (lambda f: f.assign(load_w=-9.0), "x.parquet, row 0 (2026-06-01T00:00Z): load_w is -9"),
        (lambda f: f.iloc[::-1], "row 1 (2026-06-02T23:50Z): time is earlier than the row before"),
        (lambda f: f.head(0), "has no rows"),
    ],
)
def test_a_mistake_in_a_houses_parquet_is_told_with_its_row(
    tmp_path: Path, change: object, says: str
) -> None:
    path = tmp_path / "x.parquet"
    change(frame()).to_parquet(path)  # type: ignore[operator]
    with refused(says, "x.parquet"):
        read_house(path, HouseColumns())


@pytest.mark.parametrize("scale", [-0.1, float("nan"), float("inf"), 1001.0])
def test_a_scale_that_makes_no_sense_is_refused(house: Path, scale: float) -> None:
    with refused("pv-scale", "allowed are 0 to 1000"):
        read_house(house, HouseColumns(pv_scale=scale))
