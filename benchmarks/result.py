"""What a benchmark hands back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """One measured figure; it may be at most `limit` and must be at least `least`.

    Where both are None it stands for comparison only.  `command` measures it again.
    """

    name: str
    value: float
    unit: str
    limit: float | None
    command: str
    least: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the limits hold."""
        most = math.inf if self.limit is None else self.limit
        return (self.least or -math.inf) <= self.value <= most


class Skipped(Exception):  # noqa: N818 - it is no error, and says so
    """Cannot be measured here, and why."""


def quantile(values: Sequence[float], share: float) -> float:
    """Return the least of the values that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
