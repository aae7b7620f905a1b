"""What stands beside the house in a backtest: sessions, prices and forecasts; what is refused, and where."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from house_files import ONE, START, built, csv, holed, refused, sessions

from optimizer.backtest.assemble import CaseOptions, assemble
from optimizer.backtest.price_file import Prices


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
