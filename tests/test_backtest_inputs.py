"""What a backtest is fed: formats, steps, gaps, sessions, prices and goals; what is refused, and where."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from optimizer.backtest.assemble import CaseOptions, assemble
from optimizer.backtest.case import Case, GoalSpan
from optimizer.backtest.goals import GoalSource
from optimizer.backtest.habit import REFERENCE, HabitLaw, expected
from optimizer.backtest.house_file import HouseColumns, read_house
from optimizer.backtest.price_file import Prices
from optimizer.backtest.visits import one_at_a_time, read_numbered
from optimizer.config.sections import WeeklyGoal
from optimizer.errors import InputError
from optimizer.forecast.quantile import weighted_quantile
from optimizer.simulation.sessions import Session

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "data" / "samples"
REAL_DATA = Path(os.environ.get("SUNMODE_REAL_DATA", ROOT.parent / "shared" / "data"))
BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 6, 1, tzinfo=UTC)


def frame(step_min: int = 5, hours: float = 48.0, start: datetime = START) -> pd.DataFrame:
    """A house: sun from 5 to 19 o'clock, a load that tells its row."""
    rows = round(hours * 60 / step_min)
    time = pd.date_range(start, periods=rows, freq=f"{step_min}min", name="time")
    hour = time.hour + time.minute / 60.0
    pv_w = np.maximum(0.0, 6000.0 * np.sin((hour - 5.0) / 14.0 * np.pi)) * ((hour > 5) & (hour < 19))
    return pd.DataFrame({"time": time, "pv_w": pv_w, "load_w": 300.0 + np.arange(rows) % 50})


def csv(path: Path, house: pd.DataFrame) -> Path:
    house.to_csv(path, index=False)
    return path


@pytest.fixture
def house(tmp_path: Path) -> Path:
    return csv(tmp_path / "house.csv", frame())


def sessions(folder: Path, *rows: str, header: str = "arrival,departure,energy_kwh") -> Path:
    path = folder / "sessions.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


ONE = "2026-06-01T18:00+02:00,2026-06-02T07:00+02:00,10"


def built(house: Path, *rows: str, **options: object) -> tuple[Case, tuple[str, ...]]:
    path = sessions(house.parent, *(rows or (ONE,)))
    return assemble(replace(CaseOptions(house, path), **options))


def refused(says: str, *parts: str) -> pytest.RaisesExc[InputError]:
    return pytest.RaisesExc(InputError, check=lambda error: all(p in str(error) for p in (says, *parts)))


# Formats and steps.


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


# Gaps.


def holed(since: str, until: str, *columns: str, step_min: int = 5) -> pd.DataFrame:
    """A house without rows (no columns named) or without values between two times of the first day."""
    given = frame(step_min)
    clock = given.time.dt.strftime("%dT%H:%M")
    hole = (clock >= f"01T{since}") & (clock < f"01T{until}")
    if not columns:
        return given[~hole]
    given.loc[hole, list(columns)] = np.nan
    return given


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


# Mistakes in the house.

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


# Sessions.


def test_a_session_over_midnight_is_one_visit_in_whole_minutes_it_was_there(house: Path) -> None:
    case, notes = built(house, "2026-06-01T20:00:20+02:00,2026-06-02T06:59:59+02:00,12.5")
    (visit,) = case.visits
    assert (visit.number, visit.arrival, visit.departure, visit.energy_kwh) == (0, 1081, 1739, 12.5)
    assert notes == ()


def test_sessions_are_sorted_and_remember_their_row(house: Path) -> None:
    case, _ = built(
        house,
        "2026-06-02T10:00Z,2026-06-02T12:00Z,2",
        "2026-06-01T10:00Z,2026-06-01T12:00Z,1",
        "2026-06-02T12:00Z,2026-06-02T13:00Z,3",
    )
    assert [(v.number, v.energy_kwh) for v in case.visits] == [(1, 1.0), (0, 2.0), (2, 3.0)]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("2026-05-31T23:00Z,2026-06-01T01:00Z,5", "1 session lies partly outside of the house's time"),
        ("2026-06-02T23:00Z,2026-06-03T00:01Z,5", "1 session lies partly outside of the house's time"),
        ("2026-06-03T00:00Z,2026-06-03T01:00Z,5", "1 session outside of the house's time is left out"),
        ("2026-06-01T09:00Z,2026-06-01T10:01Z,5", "1 session touches a gap in the house's data"),
        ("2026-06-01T20:00:01Z,2026-06-01T20:00:59Z,5", "1 session is shorter than a minute"),
        ("2026-06-01T17:00Z,2026-06-01T19:00Z,5", "1 session begins before the one before ends"),
    ],
)
def test_a_session_that_cannot_be_run_is_left_out_and_told(tmp_path: Path, row: str, says: str) -> None:
    house = csv(tmp_path / "house.csv", holed("10:00", "12:00"))
    case, notes = built(house, "2026-06-01T16:00Z,2026-06-01T18:00Z,7", row)
    assert [visit.energy_kwh for visit in case.visits] == [7.0]
    assert any(says in note and "left out" in note for note in notes), notes


def test_a_session_may_touch_a_gaps_edges(tmp_path: Path) -> None:
    house = csv(tmp_path / "house.csv", holed("10:00", "12:00"))
    case, _ = built(house, "2026-06-01T09:00Z,2026-06-01T10:00Z,5", "2026-06-01T12:00Z,2026-06-01T13:00Z,5")
    assert len(case.visits) == 2


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "sessions.csv: has no sessions"),
        (["2027-06-01T10:00Z,2027-06-01T12:00Z,5"], "none of the 1 sessions"),
        (["2026-06-01T10:00,2026-06-01T12:00Z,5"], "sessions.csv:2: a time needs its offset"),
        (["2026-06-01T12:00Z,2026-06-01T10:00Z,5"], "sessions.csv:2: departure must follow arrival"),
        (["2026-06-01T10:00Z,2026-06-01T12:00Z,-1"], "sessions.csv:2: departure must follow arrival, energy"),
        (["2026-06-01T10:00Z,2026-06-01T12:00Z,nan"], "sessions.csv:2"),
        ([ONE, "2026-06-02T10:00Z,2026-06-02T12:00Z,7300"], "sessions.csv:3: energy_kwh is 7300"),
        (["today,2026-06-01T12:00Z,5"], "sessions.csv:2"),
        (["2026-06-01T10:00Z,2026-06-01T12:00Z"], "sessions.csv:2"),
    ],
)
def test_a_mistake_in_the_sessions_is_told_with_its_line(house: Path, rows: list[str], says: str) -> None:
    path = sessions(house.parent, *rows)
    with refused(says):
        assemble(CaseOptions(house, path))


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("arrival,departure,kwh", "no column 'energy_kwh'"),
        ("arival,departure,energy_kwh", "no column 'arrival'; did you mean 'arival'?"),
        ("arrival;departure;energy_kwh", "parted by commas"),
    ],
)
def test_a_missing_column_of_the_sessions_is_named(house: Path, header: str, says: str) -> None:
    with refused(says, "sessions.csv"):
        assemble(CaseOptions(house, sessions(house.parent, ONE, header=header)))


USERS = (f"anna,{ONE}", "bert,2026-06-01T10:00Z,2026-06-01T23:00Z,20")


def test_one_of_several_users_is_chosen(house: Path) -> None:
    path = sessions(house.parent, *USERS, header="user,arrival,departure,energy_kwh")
    case, _ = assemble(CaseOptions(house, path, "bert"))
    assert [(visit.number, visit.energy_kwh) for visit in case.visits] == [(1, 20.0)]
    with refused("several users: name one with --user (there are: anna, bert)"):
        assemble(CaseOptions(house, path))
    with refused("no user 'ana'; did you mean 'anna'? (there are: anna, bert)"):
        assemble(CaseOptions(house, path, "ana"))


def test_a_user_of_a_file_without_users_is_refused(house: Path) -> None:
    with refused("no user 'anna'", "the file has no column 'user'"):
        built(house, user="anna")


def test_no_sessions_at_all_are_asked_for(house: Path) -> None:
    with refused("no sessions: name a file", "--sessions"):
        assemble(CaseOptions(house))


def test_only_what_lies_between_two_days_counts(house: Path) -> None:
    day = timedelta(days=1)
    rows = ("2026-06-01T10:00Z,2026-06-01T12:00Z,5", "2026-06-02T10:00Z,2026-06-02T12:00Z,6")
    case, _ = built(house, *rows, since=START + day)
    assert (case.start, case.minutes, [v.arrival for v in case.visits]) == (START + day, 1440, [600])
    case, _ = built(house, *rows, until=START + day)
    assert (case.end, [v.energy_kwh for v in case.visits]) == (START + day, [5.0])
    with refused("no data between --from and --to", "2026-06-01T00:00Z to 2026-06-03T00:00Z"):
        built(house, since=START + 3 * day)


# Prices.


def price_file(folder: Path, step_min: int = 60, hours: int = 48, factor: float = 1.0) -> Path:
    rows = hours * 60 // step_min
    time = pd.date_range(START, periods=rows, freq=f"{step_min}min")
    path = folder / "prices.csv"
    pd.DataFrame({"time": time, "eur_per_kwh": factor * (0.1 + np.arange(rows) / 1000)}).to_csv(
        path, index=False
    )
    return path


@pytest.mark.parametrize("step_min", [15, 30, 60])
def test_prices_of_each_step_stand_for_their_quarter_hours(house: Path, step_min: int) -> None:
    prices = Prices(price_file(house.parent, step_min), factor=2.0, adder=0.05)
    case, notes = built(house, prices=prices)
    rows = np.repeat(np.arange(48 * 60 // step_min), step_min // 15)
    np.testing.assert_allclose(case.price_eur_per_kwh, 2.0 * (0.1 + rows / 1000) + 0.05)
    assert set(case.feed_in_eur_per_kwh) == {0.08}
    assert notes == ()


def test_without_a_file_the_price_is_flat(house: Path) -> None:
    case, _ = built(house)
    assert set(case.price_eur_per_kwh) == {0.30}
    case, _ = built(house, prices=Prices(flat_eur_per_kwh=0.4, feed_in_eur_per_kwh=0.1))
    assert (set(case.price_eur_per_kwh), set(case.feed_in_eur_per_kwh)) == ({0.4}, {0.1})


def test_a_tail_or_gap_of_three_hours_has_the_price_before(house: Path) -> None:
    path = price_file(house.parent, hours=45)
    text = path.read_text().splitlines(keepends=True)
    path.write_text("".join(text[:11] + text[14:]))  # 10:00 to 13:00
    case, notes = built(house, prices=Prices(path))
    assert set(case.price_eur_per_kwh[40:52]) == {case.price_eur_per_kwh[36]}
    assert set(case.price_eur_per_kwh[45 * 4 :]) == {case.price_eur_per_kwh[44 * 4]}
    assert notes == ("prices.csv: 24 quarter hours have the price before",)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows[:45], "no price for 4 quarter hours between 2026-06-02T23:00Z and"),
        (lambda rows: rows[:11] + rows[15:], "no price for 4 quarter hours between 2026-06-01T13:00Z"),
        (lambda rows: rows[:1] + rows[2:], "no price for 4 quarter hours between 2026-06-01T00:00Z"),
        (lambda rows: rows[:1] + rows[1:][::-1], "prices.csv:3"),
        (lambda rows: ["time,price\n", *rows[1:]], "no column 'eur_per_kwh'"),
        (lambda rows: [*rows[:2], *rows[1:]], "time is there twice"),
        (lambda rows: [row.replace("+00:00", "") for row in rows], "has no zone"),
        (lambda rows: rows[:1] + [row.split(",")[0] + ",\n" for row in rows[1:]], "eur_per_kwh is empty"),
        (lambda rows: [*rows[:-1], rows[-1].split(",")[0] + ",inf\n"], "eur_per_kwh is infinite"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_prices_is_told(house: Path, change: object, says: str) -> None:
    path = price_file(house.parent)
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))  # type: ignore[operator]
    with refused(says, "prices.csv"):
        built(house, prices=Prices(path))


@pytest.mark.parametrize("factor", [100.0, 1000.0])
def test_prices_in_another_unit_are_told_with_the_cure(house: Path, factor: float) -> None:
    path = price_file(house.parent, factor=factor)
    with refused("--price-factor 0.001", "--price-factor 0.01"):
        built(house, prices=Prices(path))
    case, _ = built(house, prices=Prices(path, factor=1 / factor))
    assert case.price_eur_per_kwh[0] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("prices", "says"),
    [
        (Prices(flat_eur_per_kwh=30.0), "price 30: allowed are -1 to 5 EUR per kWh (not ct)"),
        (Prices(feed_in_eur_per_kwh=8.0), "feed-in 8: allowed are -1 to 5"),
        (Prices(flat_eur_per_kwh=float("nan")), "price nan: allowed"),
    ],
)
def test_a_flat_price_in_another_unit_is_refused(house: Path, prices: Prices, says: str) -> None:
    with refused(says):
        built(house, prices=prices)


def test_a_price_files_step_has_bounds(house: Path) -> None:
    with refused("the step of time is 5 min; allowed are 15 to 60"):
        built(house, prices=Prices(price_file(house.parent, 5)))


def test_factor_and_adder_are_finite(house: Path) -> None:
    with refused("must be finite"):
        built(house, prices=Prices(price_file(house.parent), factor=float("nan")))


# Forecast.


FORECAST_HEADER = "issued,time,p10_w,p50_w,p90_w"


def forecast_file(folder: Path, *rows: str, header: str = FORECAST_HEADER) -> Path:
    path = folder / "forecast.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


def test_a_forecast_is_known_from_the_quarter_hour_after_it_was_issued(house: Path) -> None:
    path = forecast_file(
        house.parent,
        "2026-06-01T06:00Z,2026-06-01T12:00Z,100,200,300",
        "2026-06-01T06:00Z,2026-06-01T13:00Z,110,210,310",
        "2026-06-01T09:10Z,2026-06-01T12:00Z,500,600,700",
    )
    case, _ = built(house, forecast=path)
    pv = case.foresight.pv
    assert pv is not None
    noon = (datetime(2026, 6, 1, 12, tzinfo=UTC) - case.start) // timedelta(minutes=15)
    assert pv.known_from.tolist() == [noon - 24, noon - 11]
    assert pv.p50_w[0, noon - int(pv.first[0]) :][:8].tolist() == [200.0] * 4 + [210.0] * 4
    assert pv.p90_w[1, noon - int(pv.first[1])] == 700.0
    assert np.isnan(pv.p50_w[0, 0])


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (("2026-06-01T06:00Z,2026-06-01T12:00Z,300,200,100",), "must not descend"),
        (("2026-06-01T06:00Z,2026-06-01T12:00Z,-1,200,300",), "p10_w is negative"),
        (("2026-06-01T06:00Z,2026-06-01T12:00Z,1,2,3e6",), "p90_w is above 1e+06 W"),
        (("2026-06-01T06:00Z,2026-06-01T12:07Z,1,2,3",), "full quarter hour"),
        (("2026-06-01T06:00Z,2026-06-01T12:00Z,1,2,3",) * 2, "two rows for one time"),
        (("2036-06-01T06:00Z,2036-06-01T12:00Z,1,2,3",), "after the house's data end"),
        (("2026-06-01T06:00,2026-06-01T12:00Z,1,2,3",), ":2: issued"),
    ],
)
def test_a_bad_forecast_is_refused_with_its_line(house: Path, rows: tuple[str, ...], told: str) -> None:
    with refused(told, "forecast.csv"):
        built(house, forecast=forecast_file(house.parent, *rows))


def test_a_forecast_needs_its_columns(house: Path) -> None:
    with refused("no column 'p50_w'", "forecast.csv"):
        built(house, forecast=forecast_file(house.parent, header="issued,time,p10_w,p90_w"))
    with refused("no such file"):
        built(house, forecast=house.parent / "none.csv")


# Goals.


def test_an_announced_goal_is_what_the_session_is(house: Path) -> None:
    case, _ = built(house, "2026-06-01T16:00Z,2026-06-02T05:00Z,10", "2026-06-02T10:00Z,2026-06-02T12:00Z,2")
    assert case.goals == (GoalSpan(960, 1740, 10.0), GoalSpan(2040, 2160, 2.0))


def test_weekly_goals_hold_from_one_deadline_to_the_next(house: Path) -> None:
    weekly = (WeeklyGoal(by="07:00", energy_kwh=8.0), WeeklyGoal(days=("mon",), by="18:00", energy_kwh=3.0))
    case, _ = built(house, goals=GoalSource.CONFIG, weekly=weekly, zone=BERLIN)
    assert case.goals == (
        GoalSpan(0, 300, 8.0),
        GoalSpan(300, 960, 3.0),
        GoalSpan(960, 1740, 8.0),
        GoalSpan(1740, 3180, 8.0),
    )


def test_weekly_goals_that_are_not_there_are_missed(house: Path) -> None:
    with refused("--goals config: the configuration has no [[charger.goal]]"):
        built(house, goals=GoalSource.CONFIG)


def evening(day: int, arrives: float = 18.0, leaves: float = 7.0, kwh: float = 10.0) -> Session:
    """A night at the charger in June 2026, hours of Berlin."""
    midnight = datetime(2026, 6, 1, tzinfo=BERLIN) + timedelta(days=day)
    return Session(
        midnight + timedelta(hours=arrives), midnight + timedelta(days=1, hours=leaves), kwh, "anna"
    )


def test_a_habit_is_the_usual_departure_and_a_bit_more_than_the_usual_energy() -> None:
    past = [evening(day, leaves=7.0 + day % 3 / 10, kwh=8.0 + day % 4) for day in range(20)]
    now = evening(21)
    habit = expected(now.arrival, past)
    assert habit is not None
    assert timedelta(0) <= habit.departure - now.departure <= timedelta(minutes=12)
    assert 9.0 <= habit.energy_kwh <= 11.0


def test_a_single_session_is_no_habit() -> None:
    assert expected(evening(4).arrival, [evening(3)]) is None
    assert expected(evening(5).arrival, [evening(3), evening(4)]) is not None


def test_a_car_at_an_hour_that_few_came_at_might_leave_at_any_time() -> None:
    past = [evening(day, arrives=17.0) for day in range(20)]
    arrival = evening(22, arrives=10.0).arrival
    habit = expected(arrival, past)
    assert habit is not None
    assert habit.departure - arrival == timedelta(hours=1.25)


def test_a_habit_learns_from_nothing_that_has_not_ended() -> None:
    past = [evening(day) for day in range(9)]
    later = [evening(day, leaves=20.0, kwh=60.0) for day in range(10, 40)]
    arrival = evening(10).arrival
    assert expected(arrival, [*past, *later]) == expected(arrival, past)


def test_a_habit_knows_the_hour_of_the_arrival_and_the_kind_of_day() -> None:
    nights = [evening(day) for day in range(28)]
    noons = [evening(day, arrives=10.0, leaves=-12.0, kwh=3.0) for day in range(28) if day % 7 > 4]
    past = sorted((*nights, *noons), key=lambda session: session.arrival)
    at_noon = expected(evening(33, arrives=10.2).arrival, past)
    assert at_noon is not None
    assert at_noon.departure.astimezone(BERLIN).hour == 12
    assert at_noon.energy_kwh == 3.0


def test_an_expected_departure_lies_ahead_and_within_a_day_however_late_the_car_comes() -> None:
    past = [evening(day) for day in range(10)]
    for hours in np.arange(0.0, 24.0, 0.5):
        arrival = evening(20).arrival + timedelta(hours=float(hours))
        habit = expected(arrival, past, law=replace(REFERENCE, support=0.0))
        assert habit is not None
        assert timedelta(minutes=15) <= habit.departure - arrival <= timedelta(days=1, minutes=15)
        assert habit.departure.astimezone(BERLIN).hour == 7


def test_a_short_stay_is_as_long_as_such_stays_were() -> None:
    past = [evening(day, arrives=17.0, leaves=-5.5, kwh=3.0) for day in range(14)]
    arrival = evening(15, arrives=18.0).arrival
    habit = expected(arrival, past)
    assert habit is not None
    assert habit.departure - arrival == timedelta(hours=1.5)


def test_a_car_that_stays_on_is_expected_anew_and_charged_until_it_is_full() -> None:
    past = [evening(day, leaves=7.0 if day % 2 else 12.0, kwh=5.0 + day) for day in range(14)]
    arrival = evening(15).arrival
    first = expected(arrival, past)
    assert first is not None
    again = expected(arrival, past, overdue=first.departure)
    assert again is not None
    assert again.departure - first.departure == timedelta(hours=5)
    assert again.energy_kwh == REFERENCE.overdue_factor * 18.0
    outstayed = expected(arrival, past, overdue=again.departure)
    assert outstayed is not None
    assert outstayed.departure - again.departure == timedelta(hours=1.25)


def test_habit_goals_are_the_past_ones_only_and_change_while_the_car_stays(tmp_path: Path) -> None:
    house = csv(tmp_path / "house.csv", frame(60, hours=24 * 30))
    rows = [
        f"{session.arrival.isoformat()},{session.departure.isoformat()},{session.energy_kwh}"
        for session in (evening(day, leaves=7.0 if day < 20 else 9.0) for day in range(28))
    ]
    whole, _ = built(house, *rows, goals=GoalSource.HABIT, zone=BERLIN)
    early, _ = built(house, *rows[:15], goals=GoalSource.HABIT, zone=BERLIN)
    assert whole.goals[: len(early.goals)] == early.goals
    assert [span.energy_kwh > 0.0 for span in early.goals[:3]] == [False, False, True]
    assert all(a.start < b.start for a, b in pairwise(whole.goals))
    starts = {visit.arrival for visit in whole.visits}
    again = [span for span in whole.goals if span.start not in starts]
    assert again, "nobody looked at the car that stayed until nine"


@pytest.mark.parametrize(("quantile", "value"), [(0.0, 1.0), (0.5, 2.0), (0.8, 3.0), (1.0, 3.0)])
def test_a_weighted_quantile_is_the_least_value_that_reaches_it(quantile: float, value: float) -> None:
    assert weighted_quantile([(3.0, 1.0), (1.0, 1.0), (2.0, 2.0)], quantile) == value


# The samples, and measured houses where they are at hand.


def test_the_samples_make_a_year() -> None:
    case, notes = assemble(
        CaseOptions(
            SAMPLES / "house_ohrberg_2019.parquet",
            SAMPLES / "sessions.csv",
            columns=HouseColumns(pv_scale=0.6),
        )
    )
    assert (case.minutes, len(case.price_eur_per_kwh)) == (525_600, 35_040)
    assert case.known.all()
    assert len(case.visits) > 150
    assert notes == ()


@pytest.fixture
def measured() -> Path:
    if not REAL_DATA.is_dir():
        pytest.skip(f"no measured data at {REAL_DATA}")
    return REAL_DATA


def test_every_measured_user_can_be_run(measured: Path) -> None:
    path = measured / "sessions_trondheim_2019.csv"
    prices = Prices(measured / "prices_de_2019_hourly.csv", adder=0.18)
    columns = HouseColumns(load="load_b_w", pv_scale=0.6)
    for user, count in (("AsO6-1", 71), ("Bl2-1", 253), ("Bl2-3", 146)):
        options = CaseOptions(measured / "house_ohrberg_2019_1min.parquet", path, user, columns, prices)
        case, _ = assemble(options)
        assert len(case.visits) == count
        assert 0.1 < case.price_eur_per_kwh.mean() < 0.3


def test_a_measured_house_that_leaves_its_nights_empty_loses_only_its_gaps(measured: Path) -> None:
    read = read_house(measured / "home_fr_2024_30min_with_forecast.parquet", HouseColumns())
    assert read.known.mean() == pytest.approx(0.967, abs=0.005)
    assert read.pv_w.sum() / 60e3 == pytest.approx(5208.0, abs=5.0)
    assert "pv_w is empty in 4097.5 h of night, 0 W there" in read.notes[0]


def test_the_habits_of_a_measured_user_are_believable(measured: Path) -> None:
    path = measured / "sessions_trondheim_2019.csv"
    past = [one.session for one in one_at_a_time("", read_numbered(path, "Bl2-1"))[0]]
    even = [place for place, one in enumerate(past) if one.arrival.isocalendar().week % 2 == 0]

    def off_h(law: HabitLaw) -> list[float]:
        habits = [(past[place], expected(past[place].arrival, past[:place], law=law)) for place in even]
        return [(habit.departure - one.departure) / timedelta(hours=1) for one, habit in habits if habit]

    assert np.median(np.abs(off_h(replace(REFERENCE, departure_quantile=0.5)))) < 2.0
    late = np.array(off_h(REFERENCE)) > 0.5
    assert len(late) > 100
    assert late.mean() < 0.12, "the law as shipped would rather be early"
