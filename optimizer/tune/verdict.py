"""What the held-out weeks say: the figures of both parameters, and whether the found ones are to be had.

They are adopted if all of this holds, else what is in use stays:
- on the held-out even weeks they cost less, so clearly that 95 of 100 draws of such weeks would agree
  (paired bootstrap over the weeks with a car, seeded);
- they were cheaper in more of these weeks than they were dearer;
- they change the mode at most as often there as was asked for;
- the walk forward, searched anew on each fold, saved money on the whole and in more than half of the folds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.backtest.case import Case
from optimizer.backtest.lineup import yardstick
from optimizer.backtest.runs import run_strategy
from optimizer.backtest.truth import truth_of
from optimizer.planning.bound import mode_bound
from optimizer.tune.evaluate import Problem
from optimizer.tune.space import Plain
from optimizer.tune.splits import ODD, Split
from optimizer.tune.weeks import Figures, Week, only, weekly

YEAR_DAYS = 365.25
_DRAWS = 10_000
_SURE = 0.05
_LEAST_EUR = 1e-9


@dataclass(frozen=True, slots=True)
class Side:
    """What some parameters came to on the judged weeks; `skill` where the bound was reckoned."""

    figures: Figures
    skill: float | None = None

    @property
    def cost_eur_per_year(self) -> float:
        """The cost, as of a year of such weeks."""
        return self.figures.cost_eur * YEAR_DAYS / max(1.0, self.figures.days)

    @property
    def solar_share(self) -> float:
        """How much of what the car took was sun."""
        return self.figures.ev_solar_kwh / self.figures.ev_kwh if self.figures.ev_kwh > 0.0 else 0.0

    @property
    def changes_per_day(self) -> float:
        """Changes of mode on a day with a car."""
        return self.figures.mode_changes / max(1, self.figures.car_days)


@dataclass(frozen=True, slots=True)
class Judged:
    """Both parameters on the judged weeks of one split; `low` is what the gain exceeds in 95 of 100 draws."""

    split: Split
    tuned_values: Plain
    current: Side
    tuned: Side
    weeks: int
    better: int
    worse: int
    gain_eur_per_year: float
    low_eur_per_year: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """All splits' judgements, the odd weeks' first, and the reasons against, none where there are none."""

    judged: tuple[Judged, ...]
    against: tuple[str, ...]

    @property
    def held_out(self) -> Judged:
        """What counts: found on odd weeks, judged on even ones."""
        return self.judged[0]

    @property
    def is_better(self) -> bool:
        """Whether the found parameters are to be had."""
        return not self.against


def judged(problem: Problem, split: Split, current: Plain, tuned: Plain, seed: int) -> Judged:
    """Return how both parameters do on the split's judged weeks."""
    case = only(problem.case, split.judged)
    mine, found = (_by_week(problem, case, split.judged, values) for values in (current, tuned))
    gains = [
        was.cost_eur - now.cost_eur
        for week, was, now in zip(split.judged, mine, found, strict=True)
        if week.visits > 0
    ]
    sides = [sum(weeks, Figures()) for weeks in (mine, found)]
    per_year = YEAR_DAYS / max(1.0, sides[0].days)
    skills = _skills(problem, split, sides) if split.name == ODD else [None, None]
    return Judged(
        split=split,
        tuned_values=tuned,
        current=Side(sides[0], skills[0]),
        tuned=Side(sides[1], skills[1]),
        weeks=len(gains),
        better=sum(gain > _LEAST_EUR for gain in gains),
        worse=sum(gain < -_LEAST_EUR for gain in gains),
        gain_eur_per_year=sum(gains) * per_year,
        low_eur_per_year=lower_sum(gains, seed) * per_year,
    )


def verdict(found: Sequence[Judged], limit: float) -> Verdict:
    """Return the verdict; `found` has the odd weeks' first, then the folds of the walk forward."""
    return Verdict(tuple(found), tuple(_against(found[0], found[1:], limit)))


def lower_sum(gains: Sequence[float], seed: int) -> float:
    """Return what the sum of as many weeks, drawn from these with replacement, exceeds in 95 of 100 draws."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(np.asarray(gains), size=(_DRAWS, len(gains)))
    return float(np.quantile(drawn.sum(axis=1), _SURE))


def _against(held: Judged, folds: Sequence[Judged], limit: float) -> Iterator[str]:
    if dict(held.tuned_values) == {} or held.better + held.worse == 0:
        yield "nothing was found on the odd weeks that would do better than what you have"
        return
    if held.gain_eur_per_year <= 0.0:
        yield f"on the held-out weeks it costs {-held.gain_eur_per_year:.2f} € a year more"
    elif held.low_eur_per_year <= 0.0:
        yield (
            f"the gain of {held.gain_eur_per_year:.2f} € a year on the held-out weeks may be chance: "
            f"5 of 100 draws of such weeks gain less than {held.low_eur_per_year:.2f} €"
        )
    if held.better <= held.worse:
        yield f"it is better in {held.better} held-out weeks and worse in {held.worse}"
    if held.tuned.changes_per_day > limit:
        yield f"it changes the mode {held.tuned.changes_per_day:.1f} times a day, {limit:g} are allowed"
    gains = [fold.gain_eur_per_year for fold in folds]
    won = sum(gain > 0.0 for gain in gains)
    if sum(gains) <= 0.0 or 2 * won <= len(gains):
        yield f"searched on the weeks before, it would have saved in {won} of {len(gains)} spans of the year"


def _by_week(problem: Problem, case: Case, weeks: Sequence[Week], values: Plain) -> tuple[Figures, ...]:
    trace = problem.run(case, values, trace=True).trace
    assert trace is not None  # noqa: S101 - it was asked for
    return weekly(case, weeks, trace)


def _skills(problem: Problem, split: Split, sides: Sequence[Figures]) -> list[float | None]:
    """Return the skill of each: 1 for the best that switching modes could do, 0 for charging at once."""
    case = only(problem.case, split.judged)
    fast = run_strategy(case, yardstick().strategy, problem.control, compiled=problem.compiled, trace=True)
    assert fast.trace is not None  # noqa: S101 - it was asked for
    fast_eur = sum(weekly(case, split.judged, fast.trace), Figures()).cost_eur
    best_eur = mode_bound(truth_of(case)).cost_eur
    span_eur = fast_eur - best_eur
    if span_eur <= _LEAST_EUR:
        return [None, None]
    return [1.0 - (side.cost_eur - best_eur) / span_eur for side in sides]
