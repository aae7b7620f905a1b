"""What a benchmark hands back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """One measured figure; `limit` is the most it may be, None where it stands for comparison only.

    `command` measures it again.
    """

    name: str
    value: float
    unit: str
    limit: float | None
    command: str

    @property
    def kept(self) -> bool:
        """Whether the limit holds."""
        return self.limit is None or self.value <= self.limit


def quantile(values: Sequence[float], share: float) -> float:
    """Return the least of the values that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
