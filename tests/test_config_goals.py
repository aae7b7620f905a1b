"""Weekly goals as instants: the next one, in the site's zone, through both changes of the clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.config.goals import instant, next_goal, weekdays
from optimizer.config.sections import Day, WeeklyGoal

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun", "weekdays", "weekend", "daily"])
GOALS = st.builds(
    WeeklyGoal,
    days=st.lists(DAYS, min_size=1, max_size=3).map(tuple),
    by=st.times().map(lambda at: f"{at:%H:%M}"),
    energy_kwh=st.sampled_from([1.0, 5.0, 20.0]),
)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
ZONES = st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/New_York", "UTC", "Asia/Kathmandu"])


def goal(days: tuple[Day, ...] = ("daily",), by: str = "07:00", energy_kwh: float = 10) -> WeeklyGoal:
    return WeeklyGoal(days=days, by=by, energy_kwh=energy_kwh)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("goals", "now", "deadline"),
    [
        # 2026-11-22 is a Sunday; Berlin is one hour ahead of UTC then.
        ([goal()], "2026-11-22T05:59", "2026-11-22T06:00"),
        ([goal()], "2026-11-22T06:00", "2026-11-23T06:00"),
        ([goal(("weekdays",))], "2026-11-20T07:00", "2026-11-23T06:00"),
        ([goal(("weekend",), "23:30")], "2026-11-21T22:00", "2026-11-21T22:30"),
        ([goal(("sun",))], "2026-11-22T07:00", "2026-11-29T06:00"),
        ([goal(("mon",), "00:15")], "2026-11-22T12:00", "2026-11-22T23:15"),
        ([goal(("fri",)), goal(("tue",), "18:00")], "2026-11-22T12:00", "2026-11-24T17:00"),
        # The clock goes forward on 2027-03-28 at 02:00 and back on 2027-10-31 at 03:00.
        ([goal()], "2027-03-27T12:00", "2027-03-28T05:00"),
        ([goal()], "2027-10-30T12:00", "2027-10-31T06:00"),
    ],
)
def test_the_next_deadline_is_wall_time_at_the_site(goals: list[WeeklyGoal], now: str, deadline: str) -> None:
    found = next_goal(goals, BERLIN, utc(now))
    assert found is not None
    assert found.deadline == utc(deadline)
    assert found.deadline.tzinfo is UTC


def test_a_time_that_comes_twice_counts_the_first_time() -> None:
    assert instant(date(2027, 10, 31), time(2, 30), BERLIN) == utc("2027-10-31T00:30")


def test_a_time_that_never_comes_counts_before_the_clock_jumps() -> None:
    found = instant(date(2027, 3, 28), time(2, 30), BERLIN)
    assert found == utc("2027-03-28T00:30")
    assert found.astimezone(BERLIN).time() == time(1, 30)


def test_of_two_goals_at_the_same_time_the_larger_one_counts() -> None:
    found = next_goal([goal(energy_kwh=3), goal(("mon",), energy_kwh=9)], BERLIN, utc("2026-11-22T12:00"))
    assert found is not None
    assert found.energy_kwh == 9


def test_without_goals_there_is_none() -> None:
    assert next_goal([], BERLIN, utc("2026-11-22T12:00")) is None


@settings(derandomize=True)
@given(st.lists(GOALS, min_size=1, max_size=4), MOMENTS, ZONES)
def test_the_deadline_lies_ahead_on_one_of_its_days_and_nothing_comes_before(
    goals: list[WeeklyGoal], now: datetime, zone_name: str
) -> None:
    zone = ZoneInfo(zone_name)
    found = next_goal(goals, zone, now)
    assert found is not None
    assert now < found.deadline <= now + timedelta(days=8)
    day = found.deadline.astimezone(zone).date()
    assert any(
        instant(day + timedelta(days=shift), time.fromisoformat(one.by), zone) == found.deadline
        and (day + timedelta(days=shift)).weekday() in weekdays(one)
        for one in goals
        for shift in (0, 1)
    )
    later = next_goal(goals, zone, found.deadline - timedelta(microseconds=1))
    assert later is not None
    assert later.deadline == found.deadline


@settings(derandomize=True)
@given(GOALS, MOMENTS, ZONES)
def test_time_only_brings_deadlines_forward(one: WeeklyGoal, now: datetime, zone_name: str) -> None:
    zone = ZoneInfo(zone_name)
    first, second = next_goal([one], zone, now), next_goal([one], zone, now + timedelta(hours=5))
    assert first is not None
    assert second is not None
    assert first.deadline <= second.deadline
