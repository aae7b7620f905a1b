"""Weighted quantiles in plain Python: the service learns without loading numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence


def weighted_quantile(values: Sequence[tuple[float, float]], quantile: float) -> float:
    """Return the least of the `(value, weight)` that reaches the quantile of all weight."""
    ranked = sorted(values)
    wanted = quantile * math.fsum(weight for _, weight in ranked)
    reached = 0.0
    for value, weight in ranked:
        reached += weight
        if reached >= wanted:
            return value
    return ranked[-1][0]
