"""What the controller is told of the car's needs, and when; what the car really does is in the visits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta, tzinfo
from enum import StrEnum
from zoneinfo import ZoneInfo

from optimizer.backtest.case import GoalSpan, Visit
from optimizer.backtest.habit import HabitLaw, expected
from optimizer.backtest.house_file import HouseData
from optimizer.backtest.visits import NumberedSession
from optimizer.config.goals import next_goal
from optimizer.config.sections import WeeklyGoal
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
    law: HabitLaw = HabitLaw(),  # noqa: B008 - frozen
) -> tuple[GoalSpan, ...]:
    """Return what the earlier ones of all `sessions` let expect at each visit's arrival.

    Where nothing can be said the span has no energy, and a deadline that has come: no goal.
    """
    by_number = {one.number: place for place, one in enumerate(sessions)}
    past = [one.session for one in sessions]
    return tuple(
        _expected_span(
            visit, past[by_number[visit.number]], past[: by_number[visit.number]], house, zone, law
        )
        for visit in visits
    )


def weekly_goals(goals: Sequence[WeeklyGoal], zone: ZoneInfo, house: HouseData) -> tuple[GoalSpan, ...]:
    """Return the goals of a configuration: at each minute the one with the first deadline after it."""
    return tuple(_weekly(goals, zone, house))


def _expected_span(
    visit: Visit,
    session: Session,
    past: Sequence[Session],
    house: HouseData,
    zone: tzinfo | None,
    law: HabitLaw,
) -> GoalSpan:
    habit = expected(session.arrival, past, zone, law)
    if habit is None:
        return GoalSpan(visit.arrival, visit.arrival, 0.0)
    return GoalSpan(visit.arrival, house.minute(habit.departure), habit.energy_kwh)


def _weekly(goals: Sequence[WeeklyGoal], zone: ZoneInfo, house: HouseData) -> Iterator[GoalSpan]:
    minute = 0
    while minute < len(house.pv_w):
        goal = next_goal(goals, zone, house.start + minute * _MINUTE)
        if goal is None:
            return
        deadline = house.minute(goal.deadline)
        yield GoalSpan(minute, deadline, goal.energy_kwh)
        minute = deadline
