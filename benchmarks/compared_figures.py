"""The usual strategies on one case: the year and its even weeks, with goals announced and by habit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from compared_cases import Told

from optimizer.backtest.assemble import assemble
from optimizer.backtest.case import Case, Floats
from optimizer.backtest.comparison import Comparison, Result, RunOptions, compare
from optimizer.backtest.control import Control
from optimizer.backtest.foresight import foreseen, slot_means
from optimizer.backtest.goals import GoalSource
from optimizer.backtest.lineup import lineup
from optimizer.backtest.runs import run_strategy
from optimizer.forecast.vintages import Vintages
from optimizer.tune.weeks import only, weeks_of
from strategies.planner import Planner, PlannerParams

COLUMNS = ("strategy", "cost €", "sun %", "unmet kWh", "changes/day", "calls/day", "skill", "even weeks")
_NONE = "-"


@dataclass(frozen=True, slots=True)
class Figures:
    """What came out: `announced` and `habit` of the whole time, `even_*` of the even ISO weeks.

    `true_day_eur` is the planner's cost with announced goals and the days that came for forecasts.
    """

    announced: Comparison
    habit: Comparison
    even_announced: Comparison
    even_habit: Comparison
    true_day_eur: float


def figures_of(told: Told) -> Figures:
    """Run everything."""
    announced, even_announced = _compared(told, GoalSource.ANNOUNCED)
    habit, even_habit = _compared(told, GoalSource.HABIT)
    true_day = run_strategy(with_true_day(announced.case), Planner(PlannerParams()), Control())
    return Figures(announced, habit, even_announced, even_habit, true_day.totals.cost_eur)


def with_true_day(case: Case) -> Case:
    """Return the case with what came in place of all forecasts, issued as often and as early."""
    told = foreseen(case)
    return replace(
        case,
        foresight=replace(
            told,
            pv=None if told.pv is None else _true(told.pv, slot_means(case, case.pv_w)),
            load=None if told.load is None else _true(told.load, slot_means(case, case.load_w)),
        ),
    )


def _true(told: Vintages, means_w: Floats) -> Vintages:
    """Return vintages whose quantiles are all the truth; beyond the case's time nothing is said."""
    slots = told.first[:, None] + np.arange(told.p50_w.shape[1])
    known = (slots >= 0) & (slots < len(means_w))
    true_w = np.where(known, means_w[np.clip(slots, 0, len(means_w) - 1)], np.nan)
    return replace(told, p10_w=true_w, p50_w=true_w, p90_w=true_w)


def section(told: Told, figures: Figures) -> str:
    """Return the case's section of the page."""
    said = [f"- {note}" for note in figures.announced.notes]
    return "\n".join(
        [
            f"### {told.title}",
            "",
            _about(figures.announced),
            "",
            "```sh",
            told.command,
            "```",
            "",
            *table(figures),
        ]
        + (["", *said] if said else [])
    )


def table(figures: Figures) -> list[str]:
    """Return the strategies' rows below the header, `announced / habit` in each cell, then the bounds."""
    both = zip(figures.announced.results, figures.habit.results, strict=True)
    even = zip(figures.even_announced.results, figures.even_habit.results, strict=True)
    days = int(figures.announced.case.known.sum()) / 1440
    rows = [
        [one.name, *(_pair(cell, one, two) for cell in _cells(days)), _pair(_skill, *evens)]
        for (one, two), evens in zip(both, even, strict=True)
    ]
    return [*_head(COLUMNS), *map(_row, rows), *map(_row, _bounds(figures))]


def glance_row(told: Told, figures: Figures) -> str:
    """Return the line of the table of skills."""
    both = zip(figures.announced.results, figures.habit.results, strict=True)
    return _row([told.title, *(_pair(_skill, one, two) for one, two in both)])


def glance_head() -> list[str]:
    """Return what stands above those lines."""
    return _head(("case", *(entry.name for entry in lineup([]))))


def gap_row(told: Told, figures: Figures) -> str:
    """Return the line of the table of what is left to the best there could have been, EUR."""
    by_modes, by_any = figures.announced.mode_bound, figures.announced.bound
    planner_eur = figures.announced.results[-1].run.totals.cost_eur
    if by_modes is None or by_any is None:
        raise LookupError("no bound")
    gaps = (
        planner_eur - by_modes.cost_eur,
        planner_eur - figures.true_day_eur,
        figures.true_day_eur - by_modes.cost_eur,
        by_modes.cost_eur - by_any.cost_eur,
    )
    return _row([told.title, *(f"{gap:z.2f}" for gap in gaps)])


def gap_head() -> list[str]:
    """Return what stands above those lines."""
    return _head(("case", "planner to best modes", "of it forecasts", "of it the rest", "best modes to LP"))


def _compared(told: Told, goals: GoalSource) -> tuple[Comparison, Comparison]:
    case, notes = assemble(replace(told.options, goals=goals))
    even = [week for week in weeks_of(case) if not week.is_odd]
    return _run(case, notes), _run(only(case, even), ())


def _run(case: Case, notes: tuple[str, ...]) -> Comparison:
    return compare(case, notes, lineup([]), RunOptions(Control(), bound=True))


def _about(one: Comparison) -> str:
    case = one.case
    need_kwh = sum(visit.energy_kwh for visit in case.visits)
    days = int(case.known.sum()) / 1440
    span = f"{case.start:%Y-%m-%d} to {case.end:%Y-%m-%d}, {days:.0f} days"
    return f"{span}; {len(case.visits)} sessions that take {need_kwh:.0f} kWh."


def _cells(days: float) -> tuple[Callable[[Result], str], ...]:
    """Return what makes each figure of the whole time out of a result."""
    return (
        lambda one: f"{one.run.totals.cost_eur:.2f}",
        _sun,
        lambda one: f"{one.run.totals.unmet_kwh:.0f}",
        lambda one: f"{one.run.totals.mode_changes / days:.1f}",
        lambda one: f"{one.run.totals.api_calls / days:.0f}",
        _skill,
    )


def _sun(one: Result) -> str:
    totals = one.run.totals
    return f"{100.0 * totals.ev_solar_kwh / totals.ev_kwh:.0f}" if totals.ev_kwh > 0.0 else _NONE


def _skill(one: Result) -> str:
    return _NONE if one.skill is None else f"{one.skill:z.2f}"


def _pair(cell: Callable[[Result], str], one: Result, two: Result) -> str:
    """Return both figures, or the one that both are."""
    announced, habit = cell(one), cell(two)
    return announced if announced == habit else f"{announced} / {habit}"


def _bounds(figures: Figures) -> list[list[str]]:
    named = {
        "*best of four modes*": figures.announced.mode_bound,
        "*best of anything (LP)*": figures.announced.bound,
    }
    rest = [""] * (len(COLUMNS) - 2)
    return [[name, f"{bound.cost_eur:.2f}", *rest] for name, bound in named.items() if bound is not None]


def _head(names: tuple[str, ...]) -> list[str]:
    return [_row(list(names)), "|".join(["", "---", *["---:"] * (len(names) - 1), ""])]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
