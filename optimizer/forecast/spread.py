"""How far the truth may lie from a forecast whose maker does not say: a modest guess that grows with time.

Clouds that were not foreseen take more than a gap in them gives: a clear sky is the most there can be.
"""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.forecast.roof import SLOT_H

_FIRST = 0.20
_PER_HOUR = 0.008
_MOST = 0.50
_ABOVE_CLEAR = 1.05
_LEAST = 0.05


def guessed_spread(p50_w: Sequence[float], clear_w: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return p10 and p90 around a middle, W: a fifth to either side at once, a half after 38 h.

    The upper one ends a little above a clear sky, and never below the middle.
    """
    p10_w, p90_w = [], []
    for number, (middle_w, clear) in enumerate(zip(p50_w, clear_w, strict=True)):
        share = min(_MOST, _FIRST + _PER_HOUR * number * SLOT_H)
        p10_w.append(middle_w * (1.0 - share))
        p90_w.append(max(middle_w, min(middle_w * (1.0 + share), clear * _ABOVE_CLEAR)))
    return p10_w, p90_w


def spread_by(
    p50_w: Sequence[float], clear_w: Sequence[float], low: Sequence[float], high: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Return p10 and p90 where it is known how low and high the sun may come out, as shares of the middle.

    An ensemble is surer of itself than it may be: at least 5 % are left to either side.
    """
    p10_w = [power_w * min(share, 1.0 - _LEAST) for power_w, share in zip(p50_w, low, strict=True)]
    p90_w = [
        max(power_w, min(power_w * max(share, 1.0 + _LEAST), clear * _ABOVE_CLEAR))
        for power_w, share, clear in zip(p50_w, high, clear_w, strict=True)
    ]
    return p10_w, p90_w
