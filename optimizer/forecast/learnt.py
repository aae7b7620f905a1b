"""What followed when things looked like this before: quantiles by situation, counted day by day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimizer.forecast.vintages import Floats, Ints

QUANTILES = np.array([0.1, 0.5, 0.9])


@dataclass(frozen=True, slots=True)
class Counted:
    """Outcomes to be counted: how each is distributed over bins, and how fast the past fades.

    `edges` are the borders of the bins.  `prior` (situations, bins) is what is believed before anything
    was seen, in counts; of all that was counted, half is forgotten after `half_life_days`.
    """

    edges: Floats
    prior: Floats
    half_life_days: float

    def bin_of(self, outcome: Floats) -> Ints:
        """Return the bin of each outcome; what lies outside falls into the first or the last."""
        return np.clip(np.searchsorted(self.edges, outcome, side="right") - 1, 0, len(self.edges) - 2)

    def tables(self, day: Ints, situation: Ints, bin_: Ints, weight: Floats, days: int) -> Floats:
        """Return quantiles (days, situations, quantiles): those of a day know the days before."""
        situations, bins = self.prior.shape
        flat = (day * situations + situation) * bins + bin_
        seen = np.bincount(flat, weight, days * situations * bins).astype(np.float64)
        counts = faded(seen.reshape(days, situations, bins), 0.5 ** (1.0 / self.half_life_days))
        return quantiles_of(counts + self.prior, self.edges)


def faded(seen: Floats, keep: float) -> Floats:
    """Return for each day the sum of all days before it, each faded by `keep` a day."""
    sums = np.zeros_like(seen)
    for day in range(1, len(seen)):
        sums[day] = keep * sums[day - 1] + seen[day - 1]
    return sums


def quantiles_of(counts: Floats, edges: Floats, levels: Floats = QUANTILES) -> Floats:
    """Return quantiles (..., levels) of counts (..., bins), straight lines within a bin."""
    bins = counts.shape[-1]
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
