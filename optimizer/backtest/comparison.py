"""Strategies side by side on one case: what each cost, and how near it came to the best there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from optimizer.backtest.case import Case
from optimizer.backtest.control import Control
from optimizer.backtest.lineup import YARDSTICK, Entry, yardstick
from optimizer.backtest.runs import Run, run_strategy
from optimizer.backtest.truth import truth_of
from optimizer.planning.bound import Bound, lp_bound, mode_bound
from optimizer.store.instants import to_text

OnRun = Callable[[Entry, Run], None]
"""Told of each run that was asked for as soon as it has ended, so that its trace need not be kept."""

_LEAST_EUR = 1e-9


@dataclass(frozen=True, slots=True)
class Result:
    """One strategy's figures; regret and skill only where the bound is known.

    `skill` is 1 for the best that any switching of modes could have done, 0 for charging at once.
    """

    name: str
    params: dict[str, Any]
    run: Run
    regret_eur: float | None = None
    skill: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All strategies' results on one case, in the order they were asked for.

    No controller whatever could have cost less than `bound`, none that has the charger's four modes less than
    `mode_bound`; regret and skill are against the latter.
    """

    case: Case
    notes: tuple[str, ...]
    results: tuple[Result, ...]
    bound: Bound | None = None
    mode_bound: Bound | None = None


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a comparison runs: whether compiled, with traces, and with the bound."""

    control: Control
    compiled: bool = True
    trace: bool = False
    bound: bool = False


def compare(
    case: Case,
    notes: tuple[str, ...],
    entries: Sequence[Entry],
    options: RunOptions,
    on_run: OnRun = lambda _entry, _run: None,
) -> Comparison:
    """Run the strategies on the case.

    Raises:
        StrategyFailed: one of them raised, or returned what is no proposal.

    """
    runs: list[tuple[Entry, Run]] = []
    for entry in entries:
        run = run_strategy(
            case, entry.strategy, options.control, compiled=options.compiled, trace=options.trace
        )
        on_run(entry, run)
        runs.append((entry, Run(run.totals, run.wall_s, None)))
    if not options.bound:
        return Comparison(case, notes, tuple(_result(entry, run) for entry, run in runs))
    truth, fast_eur = truth_of(case), _fast_eur(case, runs, options)
    by_modes = mode_bound(truth)
    results = tuple(_result(entry, run, by_modes.cost_eur, fast_eur) for entry, run in runs)
    return Comparison(case, notes, results, lp_bound(truth), by_modes)


def document(compared: Comparison) -> dict[str, Any]:
    """Return the comparison as plain values, as `sunmode backtest --json` tells it."""
    case = compared.case
    return {
        "house": case.house,
        "from": to_text(case.start),
        "to": to_text(case.end),
        "steps": int(case.known.sum()),
        "strategies": [_line(result) for result in compared.results],
        "bound": None if compared.bound is None else asdict(compared.bound),
        "mode_bound": None if compared.mode_bound is None else asdict(compared.mode_bound),
        "sessions": len(case.visits),
        "need_kwh": sum(visit.energy_kwh for visit in case.visits),
        "notes": list(compared.notes),
    }


def _fast_eur(case: Case, runs: Sequence[tuple[Entry, Run]], options: RunOptions) -> float:
    for entry, run in runs:
        if entry.name == YARDSTICK:
            return run.totals.cost_eur
    return run_strategy(
        case, yardstick().strategy, options.control, compiled=options.compiled
    ).totals.cost_eur


def _result(entry: Entry, run: Run, bound_eur: float | None = None, fast_eur: float = 0.0) -> Result:
    if bound_eur is None:
        return Result(entry.name, dict(entry.params), run)
    regret_eur, range_eur = run.totals.cost_eur - bound_eur, fast_eur - bound_eur
    skill = 1.0 - regret_eur / range_eur if range_eur > _LEAST_EUR else None
    return Result(entry.name, dict(entry.params), run, regret_eur, skill)


def _line(result: Result) -> dict[str, Any]:
    return {
        "name": result.name,
        "params": result.params,
        **asdict(result.run.totals),
        "regret_eur": result.regret_eur,
        "wall_s": result.run.wall_s,
        "skill": result.skill,
    }
