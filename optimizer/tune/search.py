"""The search on one split's weeks: Optuna's TPE, asked by the batch.

- Each batch has a sampler of its own, seeded by the search's seed and the batch's number: the same seed and
  batch size ask the same questions, on one core, on many, and after a restart.
- The parameters in use come first, then some around them and some from anywhere, then TPE's.
- Parameters that the strategy refuses cost no trial; those that change the mode too often are learned from.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from optimizer.errors import InputError
from optimizer.tune.evaluate import Score
from optimizer.tune.space import Choice, Knob, Number, Plain, Space, Value

_SCATTERED = 32
"""So many are drawn before anything is learned from them."""

_MOVED = 0.4
_SPREAD = 0.15
"""Of the first ones, every other keeps most parameters and moves the rest by about this part of the range."""

_REFUSED_MOST = 20
"""So often TPE may ask for what is not allowed before a drawn one takes its place."""

_DRAWS_MOST = 10_000
_EXCESS = "excess"


@dataclass(frozen=True, slots=True)
class Trial:
    """Parameters and what they came to."""

    values: Plain
    score: Score


class Search:
    """One search; `limit` is how many changes of mode a day may have."""

    def __init__(self, space: Space, seed: Sequence[int], limit: float) -> None:
        self._optuna = optuna()
        self._space, self._seed, self._limit = space, tuple(seed), limit
        self._study = self._optuna.create_study()
        self._asked: list[tuple[Any, Plain]] = []
        self._batch = 0
        self.trials: list[Trial] = []

    def ask(self, count: int) -> list[Plain]:
        """Return what to try next."""
        rng = np.random.default_rng((*self._seed, self._batch))
        self._study.sampler = self._sampler(int(rng.integers(2**31)))
        self._batch += 1
        for place in range(len(self.trials), len(self.trials) + count):
            self._asked.append(self._current() if place == 0 else self._next(place, rng))
        return [values for _, values in self._asked]

    def tell(self, scores: Sequence[Score]) -> None:
        """Learn what the asked ones came to, in their order."""
        for (trial, values), score in zip(self._asked, scores, strict=True):
            trial.set_user_attr(_EXCESS, score.changes_per_day - self._limit)
            self._study.tell(trial, score.cost_eur)
            self.trials.append(Trial(values, score))
        self._asked = []

    @property
    def best(self) -> Trial:
        """The cheapest that keeps to the limit; the one in use where none does."""
        good = [trial for trial in self.trials if trial.score.changes_per_day <= self._limit]
        return min(good, key=lambda trial: trial.score.cost_eur, default=self.trials[0])

    def _current(self) -> tuple[Any, Plain]:
        return self._queued(self._space.current), self._space.current

    def _next(self, place: int, rng: np.random.Generator) -> tuple[Any, Plain]:
        if place < _SCATTERED:
            return self._drawn(rng, near=place % 2 == 0)
        for _ in range(_REFUSED_MOST):
            trial = self._study.ask(_distributions(self._optuna, self._space))
            values = {**self._space.current, **_values(self._space, trial.params)}
            if self._space.is_allowed(values):
                return trial, values
            self._study.tell(trial, state=self._optuna.trial.TrialState.PRUNED)
        return self._drawn(rng, near=True)

    def _drawn(self, rng: np.random.Generator, *, near: bool) -> tuple[Any, Plain]:
        for _ in range(_DRAWS_MOST):
            drawn = {
                knob.name: _draw(knob, self._space.current[knob.name], rng, near)
                for knob in self._space.knobs
            }
            values = {**self._space.current, **drawn}
            if self._space.is_allowed(values):
                return self._queued(values), values
        raise InputError("hardly any parameters are allowed: search fewer of them with --param")

    def _queued(self, values: Plain) -> Any:
        """Return a trial of Optuna's that stands for these values."""
        places = {
            knob.name: knob.place(float(values[knob.name])) if isinstance(knob, Number) else values[knob.name]
            for knob in self._space.knobs
        }
        self._study.enqueue_trial(places)
        return self._study.ask(_distributions(self._optuna, self._space))

    def _sampler(self, seed: int) -> Any:
        with warnings.catch_warnings():
            # From 4.5 to 6 Optuna calls the one thing experimental and the other one deprecated.
            warnings.simplefilter("ignore")
            return self._optuna.samplers.TPESampler(
                seed=seed,
                multivariate=True,
                constant_liar=True,
                n_startup_trials=0,
                constraints_func=lambda trial: (trial.user_attrs.get(_EXCESS, 0.0),),
            )


def optuna() -> ModuleType:
    """Return Optuna, quietened.

    Raises:
        InputError: it is not installed; it says how to.

    """
    try:
        import optuna as found
    except ImportError as error:
        raise InputError("tune needs Optuna: pip install 'sunmode[tune]'") from error
    found.logging.set_verbosity(found.logging.ERROR)
    return found


def _distributions(found: ModuleType, space: Space) -> dict[str, Any]:
    make = found.distributions
    return {
        knob.name: make.CategoricalDistribution(knob.options)
        if isinstance(knob, Choice)
        else make.FloatDistribution(0.0, 1.0)
        for knob in space.knobs
    }


def _values(space: Space, places: dict[str, Any]) -> dict[str, Value]:
    return {
        knob.name: knob.value(places[knob.name]) if isinstance(knob, Number) else places[knob.name]
        for knob in space.knobs
    }


def _draw(knob: Knob, current: Value, rng: np.random.Generator, near: bool) -> Value:
    """Return a value from anywhere, or one that is mostly as it is now."""
    if near and rng.random() >= _MOVED:
        return current
    if isinstance(knob, Choice):
        return knob.options[int(rng.integers(len(knob.options)))]
    if not near:
        return knob.value(float(rng.random()))
    place = knob.place(float(current)) + _SPREAD * float(rng.standard_normal())
    return knob.value(min(1.0, max(0.0, place)))
