"""Forecasts with the time at which they were known: nothing may be used before that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimizer.ahead import Outlook

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Vintages:
    """Quantiles of a power by vintage (row) and quarter hour (column), W; NaN where nothing is said.

    Quarter hours are counted like those that it was made for.  Vintage `v` is there at the beginning
    of slot `known_from[v]` (ascending) and speaks of slots `first[v]`, `first[v] + 1` and so on.
    """

    known_from: Ints
    first: Ints
    p10_w: Floats
    p50_w: Floats
    p90_w: Floats

    def outlook(self, *, as_arrays: bool = True) -> Outlook:
        """Return the vintages as kernels read them: arrays for compiled code, lists for plain Python."""
        columns = [self.known_from, self.first, *(q.ravel() for q in (self.p10_w, self.p50_w, self.p90_w))]
        if not as_arrays:
            known, first, *quantiles = (column.tolist() for column in columns)
        else:
            known, first, *quantiles = (np.require(column, requirements=["C", "W"]) for column in columns)
        return Outlook(known, first, self.p50_w.shape[1], *quantiles)
