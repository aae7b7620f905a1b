"""What followed when things looked like this before: quantiles by situation, counted day by day."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from optimizer.forecast.vintages import Floats, Ints

QUANTILES = np.array([0.1, 0.5, 0.9])
_LEND = 0.2
"""Each state lends this share of its counts to either neighbour."""
_LEVEL_MOVES = np.array([0.07, 0.1, 0.07])
"""Levels of quantiles are moved by no more than this."""


@dataclass(frozen=True, slots=True)
class Law:
    """How outcomes are counted.

    `edges` are the borders of their bins.  `prior` (circumstances, states, bins) is what is believed before
    anything was seen, as counts of a day's leads; neighbouring states are alike.  Of all that was counted,
    half is forgotten after `half_life_days`.  With a `gain` the `levels` of the quantiles move with what
    share of outcomes stayed below them (Gibbs and Candes, Adaptive conformal inference, 2021).
    """

    edges: Floats
    prior: Floats
    half_life_days: float
    levels: Floats = field(default_factory=QUANTILES.copy)
    gain: float = 0.0


@dataclass(frozen=True, slots=True)
class Cases:
    """What one day's values (vintages, width) look like when they are forecast.

    `circumstance` and `state` are rows and columns of a law; a state may lie between two whole numbers.
    """

    circumstance: Ints
    state: Floats


class Lessons(Protocol):
    """Days of cases, and how they came out."""

    def cases(self, day: int) -> Cases:
        """Return the cases of the vintages that are issued on a day."""

    def outcome(self, day: int) -> Floats:
        """Return how those came out; NaN where that is unknown or tells nothing."""


def learnt_quantiles(law: Law, lessons: Lessons, days: int, wait_days: int) -> Iterator[Floats]:
    """Yield each day's quantiles (vintages, width, 3), learnt from cases at least `wait_days` old.

    After so many days all that they spoke of has come out.
    """
    counts = np.zeros(law.prior.shape)
    keep = 0.5 ** (1.0 / law.half_life_days)
    levels = np.tile(law.levels, (len(law.prior), 1))
    said: deque[tuple[Cases, Floats]] = deque()
    for day in range(days):
        if day >= wait_days:
            then, outcome = said.popleft(), lessons.outcome(day - wait_days)
            counts *= keep
            counts += _counted(law, then[0], outcome)
            levels = _moved(law, levels, then, outcome)
        cases = lessons.cases(day)
        quantiles = _looked_up(quantiles_of(_lent(counts) + law.prior, law.edges, levels[:, None]), cases)
        said.append((cases, quantiles))
        yield quantiles


def _moved(law: Law, levels: Floats, said: tuple[Cases, Floats], outcome: Floats) -> Floats:
    """Return the levels, each a little lower where too many outcomes stayed below it, and the reverse."""
    if law.gain == 0.0:
        return levels
    cases, quantiles = said
    rows = len(levels)
    known = ~np.isnan(outcome)
    asked = np.bincount(cases.circumstance.ravel(), minlength=rows)
    told = np.bincount(cases.circumstance[known], minlength=rows)
    for place in range(len(QUANTILES)):
        below = known & (outcome < quantiles[..., place])
        more = told * law.levels[place] - np.bincount(cases.circumstance[below], minlength=rows)
        levels[:, place] += law.gain * more / np.maximum(asked, 1)
    return np.clip(levels, law.levels - _LEVEL_MOVES, law.levels + _LEVEL_MOVES)


def _counted(law: Law, cases: Cases, outcome: Floats) -> Floats:
    """Return how often each circumstance and state came out in each bin, in the mean of the vintages."""
    _, states, bins = shape = law.prior.shape
    use = ~np.isnan(outcome)
    state = np.rint(cases.state[use]).astype(np.int64)
    bin_ = np.minimum(np.searchsorted(law.edges, outcome[use], side="right") - 1, bins - 1)
    at = (cases.circumstance[use] * states + state) * bins + bin_
    return np.bincount(at, minlength=law.prior.size).reshape(shape) / max(1, len(outcome))


def _looked_up(tables: Floats, cases: Cases) -> Floats:
    """Return quantiles (vintages, width, 3) out of tables (circumstances, states, 3), between states."""
    states = tables.shape[1]
    low = np.minimum(cases.state.astype(np.int64), states - 2)
    flat = tables.reshape(-1, tables.shape[2])
    at = cases.circumstance * states + low
    lower, upper = flat.take(at, axis=0), flat.take(at + 1, axis=0)
    return np.asarray(lower + (cases.state - low)[..., None] * (upper - lower))


def _lent(counts: Floats) -> Floats:
    """Return counts (circumstances, states, bins) of which each state has lent some to those beside it."""
    lent = (1.0 - 2.0 * _LEND) * counts
    lent[:, 1:] += _LEND * counts[:, :-1]
    lent[:, :-1] += _LEND * counts[:, 1:]
    lent[:, [0, -1]] += _LEND * counts[:, [0, -1]]
    return lent


def quantiles_of(counts: Floats, edges: Floats, levels: Floats = QUANTILES) -> Floats:
    """Return quantiles (..., levels) of counts (..., bins), straight lines within a bin."""
    bins = counts.shape[-1]
    levels = np.broadcast_to(levels, (*counts.shape[:-1], levels.shape[-1])).reshape(-1, levels.shape[-1])
    upto = np.cumsum(counts.reshape(-1, bins), axis=1)
    upto /= upto[:, -1:]
    row = np.arange(len(upto))[:, None]
    at = np.searchsorted((upto + row).ravel(), (levels + row).ravel()).reshape(len(upto), -1) - row * bins
    at = np.clip(at, 0, bins - 1)
    before = np.where(at > 0, upto[row, at - 1], 0.0)
    inside = upto[row, at] - before
    share = np.divide(levels - before, inside, out=np.zeros_like(inside), where=inside > 0.0)
    found = edges[at] + np.clip(share, 0.0, 1.0) * (edges[at + 1] - edges[at])
    return np.asarray(found.reshape(*counts.shape[:-1], -1))
