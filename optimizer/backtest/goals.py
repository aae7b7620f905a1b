"""What the controller is told of the car's needs, and when; what the car really does is in the visits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from zoneinfo import ZoneInfo

from optimizer.ahead import Habits
from optimizer.backtest.case import GoalSpan, Visit
from optimizer.backtest.habit import REFERENCE, HabitLaw, expected
from optimizer.backtest.house_file import HouseData
from optimizer.backtest.visits import NumberedSession
from optimizer.config.goals import next_goal
from optimizer.config.sections import WeeklyGoal
from optimizer.forecast.habit import habits_table
from optimizer.simulation.sessions import Session

_MINUTE = timedelta(minutes=1)


class GoalSource(StrEnum):
    """Who tells the goals."""

    ANNOUNCED = "announced"
    HABIT = "habit"
    CONFIG = "config"


def announced_goals(visits: Sequence[Visit]) -> tuple[GoalSpan, ...]:
    """Return what a driver would say who knows: on plugging in, when the car leaves and what it needs."""
    return tuple(GoalSpan(visit.arrival, visit.departure, visit.energy_kwh) for visit in visits)


def habit_goals(
    visits: Sequence[Visit],
    sessions: Sequence[NumberedSession],
    house: HouseData,
    zone: tzinfo | None = None,
    law: HabitLaw = REFERENCE,
) -> tuple[GoalSpan, ...]:
    """Return what the earlier ones of all `sessions` let expect while each visit lasts.

    Where nothing can be said the span has no energy, and a deadline that has come: no goal.
    """
    places = {one.number: place for place, one in enumerate(sessions)}
    spans: list[GoalSpan] = []
    for visit in visits:
        place = places[visit.number]
        past = [one.session for one in sessions[:place]]
        spans += _habit_spans(visit, sessions[place].session, past, _Asked(house, zone, law))
    return tuple(spans)


def visit_habits(
    visits: Sequence[Visit],
    sessions: Sequence[NumberedSession],
    zone: tzinfo | None = None,
) -> Habits:
    """Return what the earlier ones of all `sessions` let expect of each visit when it begins."""
    stays = {one.number: one.session for one in sessions}
    arrivals = [stays[visit.number].arrival for visit in visits]
    known = [(one.arrival, one.departure, one.energy_kwh) for one in stays.values()]
    return habits_table(arrivals, known, zone)


def weekly_goals(goals: Sequence[WeeklyGoal], zone: ZoneInfo, house: HouseData) -> tuple[GoalSpan, ...]:
    """Return the goals of a configuration: at each minute the one with the first deadline after it."""
    return tuple(_weekly(goals, zone, house))


@dataclass(frozen=True, slots=True)
class _Asked:
    house: HouseData
    zone: tzinfo | None
    law: HabitLaw

    def habit(
        self, session: Session, past: Sequence[Session], overdue: datetime | None = None
    ) -> tuple[int, float] | None:
        """Return the expected departure's minute and the energy."""
        habit = expected(session.arrival, past, self.zone, self.law, overdue)
        return None if habit is None else (self.house.minute(habit.departure), habit.energy_kwh)


def _habit_spans(
    visit: Visit, session: Session, past: Sequence[Session], asked: _Asked
) -> Iterator[GoalSpan]:
    """Yield what is expected on arrival, and again whenever the car is still there when it should be gone."""
    start, habit = visit.arrival, asked.habit(session, past)
    if habit is None:
        yield GoalSpan(start, start, 0.0)
    while habit is not None and start < visit.departure:
        deadline, energy_kwh = habit
        yield GoalSpan(start, deadline, energy_kwh)
        start, habit = deadline, asked.habit(session, past, asked.house.start + deadline * _MINUTE)


def _weekly(goals: Sequence[WeeklyGoal], zone: ZoneInfo, house: HouseData) -> Iterator[GoalSpan]:
    minute = 0
    while minute < len(house.pv_w):
        goal = next_goal(goals, zone, house.start + minute * _MINUTE)
        if goal is None:
            return
        deadline = house.minute(goal.deadline)
        yield GoalSpan(minute, deadline, goal.energy_kwh)
        minute = deadline
