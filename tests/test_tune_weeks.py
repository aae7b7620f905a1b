"""Weeks: they part the time with nothing lost, and nothing of one reaches another."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from backtest_cases import BUILT_IN, drawn_case
from tuning_cases import Unkept, problem_of, some_weeks, threshold_space

from optimizer.backtest.case import Case, GoalSpan, Visit
from optimizer.backtest.goals import announced_goals
from optimizer.backtest.runs import run_strategy
from optimizer.errors import InputError
from optimizer.tune.splits import ODD, splits_of
from optimizer.tune.tuning import Options, Tuning
from optimizer.tune.verdict import Verdict
from optimizer.tune.weeks import Figures, only, weekly, weeks_of
from optimizer.tune.workers import Here


def with_visits(*visits: Visit, weeks: int = 3, start: datetime | None = None) -> Case:
    case = replace(some_weeks(weeks), visits=visits, goals=announced_goals(visits))
    return case if start is None else replace(case, start=start)


WEEK = 7 * 1440


def test_a_session_belongs_to_the_week_of_its_arrival() -> None:
    case = with_visits(Visit(0, WEEK - 60, WEEK + 30, 5.0), Visit(1, WEEK + 30, WEEK + 90, 5.0))
    weeks = weeks_of(case)
    assert [(week.start, week.end, week.visits) for week in weeks] == [
        (0, WEEK + 30, 1),
        (WEEK + 30, 2 * WEEK, 1),
        (2 * WEEK, 3 * WEEK, 0),
    ]
    assert [str(week) for week in weeks] == ["2019-W14", "2019-W15", "2019-W16"]
    assert [week.car_days for week in weeks] == [2, 1, 0]


def test_a_car_that_stays_for_weeks_takes_them_into_its_own() -> None:
    weeks = weeks_of(with_visits(Visit(0, 100, 2 * WEEK + 5, 5.0)))
    assert [(week.number, week.start, week.end) for week in weeks] == [
        (14, 0, 2 * WEEK + 5),
        (16, 2 * WEEK + 5, 3 * WEEK),
    ]


def test_weeks_begin_at_midnight_of_the_sites_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    case = with_visits(Visit(0, 10, 20, 1.0), start=datetime(2019, 3, 27, 12, tzinfo=UTC))
    starts = [case.start.timestamp() + week.start * 60 for week in weeks_of(case, berlin)[1:]]
    local = [datetime.fromtimestamp(start, berlin) for start in starts]
    assert [(one.isoweekday(), one.hour, one.minute) for one in local] == [(1, 0, 0)] * 3
    assert weeks_of(case, berlin)[0].number == 13


def test_weeks_of_which_nothing_is_known_do_not_count() -> None:
    case = some_weeks(3)
    known = case.known.copy()
    known[WEEK : 2 * WEEK] = False
    gap = replace(case, known=known, visits=(), goals=())
    assert [week.number for week in weeks_of(gap)] == [14, 16]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["threshold", "eager", "fast", "cheapest"])
def test_the_weeks_of_a_run_add_up_to_it(seed: int, name: str) -> None:
    case = drawn_case(seed, days=17)
    weeks = weeks_of(case)
    assert [week.start for week in weeks[1:]] == [week.end for week in weeks[:-1]]
    assert (weeks[0].start, weeks[-1].end) == (0, case.minutes)
    run = run_strategy(case, BUILT_IN[name], trace=True)
    assert run.trace is not None
    total, expected = sum(weekly(case, weeks, run.trace), Figures()), run.totals
    assert total.days == pytest.approx(17.0)
    assert total.mode_changes == pytest.approx(expected.mode_changes, abs=1)
    for field in ("cost_eur", "ev_kwh", "ev_solar_kwh", "unmet_kwh"):
        assert getattr(total, field) == pytest.approx(getattr(expected, field), abs=1e-9), field


def test_a_case_of_all_weeks_is_the_case() -> None:
    case = some_weeks()
    whole = only(case, weeks_of(case))
    assert (whole.visits, whole.goals) == (case.visits, case.goals)
    assert (whole.pv_w == case.pv_w).all()


def test_what_is_left_out_of_a_case_costs_nothing() -> None:
    case = some_weeks()
    weeks = weeks_of(case)
    odd, even = (tuple(week for week in weeks if week.is_odd is is_odd) for is_odd in (True, False))
    run = run_strategy(only(case, odd), BUILT_IN["threshold"], trace=True)
    assert run.trace is not None
    assert sum(weekly(case, odd, run.trace), Figures()).cost_eur == pytest.approx(run.totals.cost_eur)
    assert sum(weekly(only(case, odd), even, run.trace), Figures()).cost_eur == 0.0


def test_a_goal_that_holds_when_a_week_begins_is_kept() -> None:
    spans = (GoalSpan(0, WEEK + 600, 8.0), GoalSpan(WEEK + 600, 2 * WEEK, 8.0))
    case = replace(with_visits(Visit(0, WEEK + 30, WEEK + 90, 5.0)), goals=spans)
    second = weeks_of(case)[1]
    assert only(case, [second]).goals == (GoalSpan(WEEK, WEEK + 600, 8.0), spans[1])


def test_the_walk_forward_judges_later_weeks_and_each_at_most_once() -> None:
    weeks = weeks_of(some_weeks(11))
    odd, *folds = splits_of(weeks)
    assert odd.name == ODD
    assert {week.is_odd for week in odd.tuned} == {True}
    assert {week.is_odd for week in odd.judged} == {False}
    assert len(folds) == 4
    for fold in folds:
        assert max(week.start for week in fold.tuned) < min(week.start for week in fold.judged)
    judged = [week for fold in folds for week in fold.judged]
    assert judged == [week for week in weeks if week.start >= folds[0].judged[0].start]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_too_few_weeks_are_told(count: int) -> None:
    with pytest.raises(InputError, match=f"of {count} weeks {count} have sessions: .* takes 6 at least"):
        splits_of(weeks_of(some_weeks(count)))


def tuned(case: Case) -> Verdict:
    problem = problem_of(case)
    space = threshold_space("green_start_factor", "eco_by_surplus", "start_delay_s", start_delay_s=3000.0)
    return Tuning(problem, space, Options(trials=16, seed=3)).run(Here(problem), Unkept())  # type: ignore[arg-type]


def test_other_held_out_weeks_give_the_same_parameters() -> None:
    case = some_weeks()
    held_out = np.zeros(case.minutes, dtype=bool)
    for week in weeks_of(case):
        held_out[week.start : week.end] = not week.is_odd
    visits = tuple(
        replace(visit, energy_kwh=20.0 if held_out[visit.arrival] else visit.energy_kwh)
        for visit in case.visits
    )
    other = replace(
        case,
        pv_w=np.where(held_out, case.pv_w[::-1] * 0.2, case.pv_w),
        load_w=np.where(held_out, 2000.0, case.load_w),
        visits=visits,
        goals=announced_goals(visits),
    )
    one, two = tuned(case).held_out, tuned(other).held_out
    assert one.tuned_values == two.tuned_values != {}
    assert one.current != two.current
