"""Habits as distributions: what earlier sessions say of how long a car stays and what it takes."""

from __future__ import annotations

import csv
import os
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.ahead import TAKEN_STEP_KWH
from optimizer.backtest.case import Visit
from optimizer.backtest.goals import visit_habits
from optimizer.backtest.visits import NumberedSession
from optimizer.domain import Habit
from optimizer.forecast.habit import STAY_SLOTS, TAKE_STEPS, HabitLaw, Weighing, habit_of, habits_table
from optimizer.forecast.witnesses import Stay
from optimizer.simulation.sessions import Session

BERLIN = ZoneInfo("Europe/Berlin")
REAL_DATA = Path(os.environ.get("SUNMODE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))


def night(day: int, arrives: float = 18.0, leaves: float = 7.0, kwh: float = 10.0) -> Stay:
    """A night at the charger in June 2026, hours of Berlin."""
    midnight = datetime(2026, 6, 1, tzinfo=BERLIN) + timedelta(days=day)
    return midnight + timedelta(hours=arrives), midnight + timedelta(days=1, hours=leaves), kwh


def is_there(habit: Habit, after_h: float) -> float:
    return habit.stays[round(after_h * 4) - 1]


def takes_more(habit: Habit, than_kwh: float) -> float:
    return habit.takes[round(than_kwh / TAKEN_STEP_KWH)]


def test_without_a_session_the_prior_speaks_alone() -> None:
    habit = habit_of(night(0)[0], [], BERLIN)
    assert is_there(habit, 9.0) == pytest.approx(0.5)
    assert takes_more(habit, 9.0) == pytest.approx(0.5)
    assert (len(habit.stays), len(habit.takes)) == (STAY_SLOTS, TAKE_STEPS)


def test_regular_nights_are_learnt_within_a_month() -> None:
    habit = habit_of(night(30)[0], [night(day) for day in range(30)], BERLIN)
    assert is_there(habit, 11.0) > 0.85
    assert is_there(habit, 15.0) < 0.12
    assert takes_more(habit, 7.0) > 0.85
    assert takes_more(habit, 14.0) < 0.15


def test_one_session_changes_the_prior_only_a_little() -> None:
    alone, one = (habit_of(night(2)[0], past, BERLIN) for past in ([], [night(1)]))
    assert 0.0 < is_there(one, 10.0) - is_there(alone, 10.0) < 0.3


def test_a_late_car_leaves_at_the_usual_hour() -> None:
    past = [night(day) for day in range(30)]
    habit = habit_of(night(30, arrives=20.0)[0], past, BERLIN)
    assert is_there(habit, 10.0) > 0.8
    assert is_there(habit, 12.0) < 0.2


def test_a_short_stop_is_as_long_as_such_stops_were() -> None:
    past = [night(day, arrives=12.0, leaves=-10.0, kwh=3.0) for day in range(30)]
    habit = habit_of(night(30, arrives=13.0)[0], past, BERLIN)
    assert is_there(habit, 1.0) > 0.8
    assert is_there(habit, 3.0) < 0.2


def test_a_car_that_outstays_all_witnesses_still_has_a_sane_chance_to_leave() -> None:
    habit = habit_of(night(60)[0], [night(day) for day in range(60)], BERLIN)
    stays_another_hour = [habit.stays[slot + 4] / habit.stays[slot] for slot in range(70, STAY_SLOTS - 4)]
    assert all(0.9 < chance < 0.99 for chance in stays_another_hour)


def test_only_what_has_ended_is_known() -> None:
    past = [night(day) for day in range(9)]
    later = [night(day, leaves=20.0, kwh=60.0) for day in range(10, 40)]
    assert habit_of(night(10)[0], [*past, *later], BERLIN) == habit_of(night(10)[0], past, BERLIN)


def test_a_clock_change_does_not_move_the_hour_of_departure() -> None:
    october = [(a + timedelta(days=123), b + timedelta(days=123), kwh) for a, b, kwh in map(night, range(23))]
    after_change = october[-1][0] + timedelta(days=3)
    assert after_change.utcoffset() != october[-1][0].utcoffset()
    habit = habit_of(after_change, october, BERLIN)
    assert is_there(habit, 12.0) > 0.8
    assert is_there(habit, 14.0) < 0.2


def test_a_table_has_the_habit_of_each_arrival_as_a_row() -> None:
    past = [night(day, arrives=15.0 + day % 5, kwh=4.0 + day % 7) for day in range(20)]
    arrivals = [arrival for arrival, _, _ in past[5:15]]
    table = habits_table(arrivals, past, BERLIN, as_arrays=False)
    assert isinstance(table.stays, list)
    assert (table.stay_slots, table.take_steps) == (STAY_SLOTS, TAKE_STEPS)
    for row, arrival in enumerate(arrivals):
        habit = habit_of(arrival, past, BERLIN)
        stays = table.stays[row * STAY_SLOTS : (row + 1) * STAY_SLOTS]
        takes = table.takes[row * TAKE_STEPS : (row + 1) * TAKE_STEPS]
        assert stays == pytest.approx(habit.stays, rel=1e-9)
        assert takes == pytest.approx(habit.takes, rel=1e-9)


def test_a_case_without_visits_has_an_empty_table() -> None:
    table = habits_table([], [], BERLIN)
    assert (len(table.stays), len(table.takes)) == (0, 0)


def test_sessions_that_are_not_simulated_are_witnesses_too() -> None:
    sessions = [NumberedSession(day, Session(*night(day), user="anna")) for day in range(20)]
    last = Visit(number=19, arrival=0, departure=600, energy_kwh=10.0)
    table = visit_habits([last], sessions, BERLIN)
    expected = habit_of(night(19)[0], [night(day) for day in range(19)], BERLIN)
    assert list(table.stays) == pytest.approx(expected.stays)
    assert list(table.takes) == pytest.approx(expected.takes)


hours = st.floats(0.02, 400.0)


@given(
    st.lists(st.tuples(st.floats(0.0, 2000.0), hours, st.floats(0.0, 200.0)), max_size=12),
    st.floats(0.0, 2500.0),
    st.sampled_from([BERLIN, ZoneInfo("Pacific/Chatham"), None]),
)
def test_chances_never_rise_and_are_never_certain(
    stays: list[tuple[float, float, float]], comes_h: float, zone: ZoneInfo | None
) -> None:
    start = datetime(2026, 3, 1, tzinfo=BERLIN)
    past = [
        (start + timedelta(hours=arrives), start + timedelta(hours=arrives + lasts), kwh)
        for arrives, lasts, kwh in stays
    ]
    habit = habit_of(start + timedelta(hours=comes_h), past, zone)
    assert habit.takes[0] == 1.0
    for chances in (habit.stays, habit.takes[1:]):
        assert all(0.0 < chance < 1.0 for chance in chances)
        assert all(before >= after for before, after in pairwise(chances))


@pytest.fixture(scope="module")
def users() -> dict[str, list[Stay]]:
    """Real sessions by user, ascending."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no measured data at {REAL_DATA}")
    found: dict[str, list[Stay]] = {}
    with (REAL_DATA / "sessions_trondheim_2019.csv").open() as file:
        for row in csv.DictReader(file):
            stay = (
                datetime.fromisoformat(row["arrival"]),
                datetime.fromisoformat(row["departure"]),
                float(row["energy_kwh"]),
            )
            found.setdefault(row["user"], []).append(stay)
    return {user: sorted(stays) for user, stays in found.items()}


def log_scores(stays: list[Stay], law: HabitLaw | None = None) -> tuple[float, float]:
    """Return the mean surprise of even weeks' departures and energies, in nats."""
    even = [stay for stay in stays if stay[0].isocalendar().week % 2 == 0]
    arrivals, zone = [stay[0] for stay in even], ZoneInfo("Europe/Oslo")
    table = habits_table(arrivals, stays, zone) if law is None else habits_table(arrivals, stays, zone, law)
    there = np.reshape(table.stays, (len(even), -1))
    takes = np.reshape(table.takes, (len(even), -1))
    rows, edge = np.arange(len(even)), np.ones((len(even), 1))
    there, takes = np.hstack([edge, there, 0 * edge]), np.hstack([takes, 0 * edge])
    stayed_h = np.array([(departure - arrival) / timedelta(hours=1) for arrival, departure, _ in even])
    slot = np.clip(np.ceil(stayed_h * 4).astype(int) - 1, 0, STAY_SLOTS)
    step = np.array([int(kwh / TAKEN_STEP_KWH) for _, _, kwh in even])
    left, took = (chance[rows, at] - chance[rows, at + 1] for chance, at in ((there, slot), (takes, step)))
    return -float(np.log(left).mean()), -float(np.log(took).mean())


def test_habits_foretell_real_departures_better_than_the_mix_of_all_days(
    users: dict[str, list[Stay]],
) -> None:
    alike = Weighing(near_h=1e6, other_day=1.0, half_life_d=1e6, unlike=1.0, prior=2.0)
    climatology = HabitLaw(stay=alike, take=alike, short_h=1e6, stray_h=0.8)
    habits = np.array([log_scores(stays) for stays in users.values()])
    mixed = np.array([log_scores(stays, climatology) for stays in users.values()])
    assert (habits[:, 0] < mixed[:, 0]).all(), "for each user"
    assert habits[:, 0].mean() < mixed[:, 0].mean() - 0.3
    assert habits[:, 1].mean() < mixed[:, 1].mean()
