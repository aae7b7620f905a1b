"""What parameters cost on the weeks that a search sees; the one thing that is done in other processes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optimizer.backtest.case import Case
from optimizer.backtest.control import Control
from optimizer.backtest.runs import Run, run_strategy
from optimizer.domain import Strategy
from optimizer.errors import StrategyFailed
from optimizer.plugins import load_strategy
from optimizer.tune.space import Plain, params_of
from optimizer.tune.splits import Split
from optimizer.tune.weeks import Week, only


@dataclass(frozen=True, slots=True)
class Score:
    """What a search wants to be low, and what it must keep to: changes of mode on a day with a car."""

    cost_eur: float
    changes_per_day: float


@dataclass(frozen=True, slots=True)
class Task:
    """Some parameters to be tried on the tuned weeks of one split."""

    split: str
    tries: tuple[Plain, ...]


@dataclass(frozen=True)
class Problem:
    """All that a trial needs to know but its parameters."""

    case: Case
    control: Control
    strategy: str
    splits: tuple[Split, ...]
    compiled: bool = True

    @cached_property
    def parts(self) -> Mapping[str, str]:
        """What it is made of, by name, as hashes."""
        case = self.case
        return {
            "house": _hash(case.start, case.pv_w, case.load_w, case.known),
            "sessions": _hash(case.visits),
            "goals": _hash(case.goals),
            "prices": _hash(case.price_eur_per_kwh, case.feed_in_eur_per_kwh, case.unmet_eur_per_kwh),
            "charger, car or battery": _hash(case.home),
            "control": _hash(self.control),
            "weeks": _hash(self.splits),
        }

    @cached_property
    def key(self) -> str:
        """A name for it that changes with its content."""
        return _hash(self.strategy, self.compiled, sorted(self.parts.items()))

    def split(self, name: str) -> Split:
        """Return the split of that name."""
        return next(split for split in self.splits if split.name == name)

    def build(self, values: Plain) -> Strategy:
        """Return the strategy with these parameters.

        Raises:
            ValueError: they are not allowed.
            StrategyFailed: it cannot be made of them.

        """
        strategy = load_strategy(self.strategy)
        params = params_of(strategy, values)
        try:
            return strategy(params)
        except Exception as error:
            # A stranger's constructor may raise anything.
            told = f"{type(error).__name__}: {error}"
            raise StrategyFailed(f"strategy '{self.strategy}' cannot be made: {told}") from error

    def run(self, case: Case, values: Plain, *, trace: bool = False) -> Run:
        """Return how the case goes with these parameters."""
        return run_strategy(case, self.build(values), self.control, compiled=self.compiled, trace=trace)


class Evaluator:
    """Scores parameters; keeps the case of each split."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._cases: dict[str, Case] = {}

    def scores(self, task: Task) -> list[Score]:
        """Return the score of each of the task's parameters."""
        return [self._score(task.split, values) for values in task.tries]

    def _score(self, split: str, values: Plain) -> Score:
        tuned = self._problem.split(split).tuned
        if split not in self._cases:
            self._cases[split] = only(self._problem.case, tuned)
        totals = self._problem.run(self._cases[split], values).totals
        return Score(totals.cost_eur, totals.mode_changes / car_days(tuned))


def car_days(weeks: Sequence[Week]) -> int:
    """Return on how many days a car was there, at least 1."""
    return max(1, sum(week.car_days for week in weeks))


_EVALUATORS: dict[str, Evaluator] = {}
"""This process's, by the problem's key: what comes with each task is unpacked once."""


def scores(problem: Problem, key: str, task: Task) -> list[Score]:
    """Return the scores of a task in whatever process this is; `key` is the problem's."""
    if key not in _EVALUATORS:
        _EVALUATORS.clear()
        _EVALUATORS[key] = Evaluator(problem)
    return _EVALUATORS[key].scores(task)


def _hash(*parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.tobytes() if hasattr(part, "tobytes") else repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]
