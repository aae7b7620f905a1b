"""What a backtest tells the controller of the car: announced, by the week or by habit; and real houses."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from house_files import BERLIN, built, csv, frame, refused

from optimizer.backtest.assemble import CaseOptions, assemble
from optimizer.backtest.case import GoalSpan
from optimizer.backtest.goals import GoalSource
from optimizer.backtest.habit import REFERENCE, HabitLaw, expected
from optimizer.backtest.house_file import HouseColumns, read_house
from optimizer.backtest.price_file import Prices
from optimizer.backtest.visits import one_at_a_time, read_numbered
from optimizer.config.sections import WeeklyGoal
from optimizer.forecast.quantile import weighted_quantile
from optimizer.simulation.sessions import Session

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "data" / "samples"
REAL_DATA = Path(os.environ.get("SUNMODE_REAL_DATA", ROOT.parent / "shared" / "data"))


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
