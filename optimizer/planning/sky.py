"""How good the weather is compared with what was forecast: a few levels, and a Markov chain between them.

A level is a score of the standard normal distribution: at 0 the sun gives the forecast's median, at 1.2816
its 90 % quantile.  The chain is Rouwenhorst's discretisation of a first-order autoregressive process (K.
Kopecky, R. Suen, "Finite state Markov-chain approximations to highly persistent processes", Review of
Economic Dynamics 13, 2010): what deviates from the forecast goes on deviating for some hours, and comes back
to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from optimizer.ahead import SLOT_H, Outlook

SCORE_OF_P90 = 1.2815515655446004
"""The 90 % quantile of the standard normal distribution."""

_STEADY_W = 20.0
"""A forecast whose quantiles are no further apart tells nothing about the weather."""


class Sky(NamedTuple):
    """`scores` of the levels, ascending; `moves[k][l]` is the chance of level `l` a slot after level `k`."""

    scores: Any
    moves: Any


def sky_of(levels: int, persistence_h: float) -> Sky:
    """Return the levels and the chain of deviations that decay to 1/e within `persistence_h`.

    One level is the median for certain.
    """
    if levels == 1:
        return Sky([0.0], [[1.0]])
    stay, reach = 0.5 * (1.0 + math.exp(-SLOT_H / persistence_h)), math.sqrt(levels - 1.0)
    moves = [[stay, 1.0 - stay], [1.0 - stay, stay]]
    for _ in range(levels - 2):
        moves = _wider(moves, stay)
    return Sky([reach * (2.0 * level / (levels - 1) - 1.0) for level in range(levels)], moves)


def _wider(moves: list[list[float]], stay: float) -> list[list[float]]:
    """Return the chain with one level more."""
    size = len(moves) + 1
    wider = [[0.0] * size for _ in range(size)]
    for row, chances in enumerate(moves):
        for column, chance in enumerate(chances):
            wider[row][column] += stay * chance
            wider[row][column + 1] += (1.0 - stay) * chance
            wider[row + 1][column] += (1.0 - stay) * chance
            wider[row + 1][column + 1] += stay * chance
    inner = range(1, size - 1)
    return [[chance / 2.0 if row in inner else chance for chance in wider[row]] for row in range(size)]


def vintage_at(known_from: Sequence[int], slot: int) -> int:
    """Return the row of the newest vintage that is known in a slot, -1 without one."""
    low, high = 0, len(known_from)
    while low < high:
        middle = (low + high) // 2
        if known_from[middle] <= slot:
            low = middle + 1
        else:
            high = middle
    return low - 1


def place_of(outlook: Outlook, row: int, slot: int) -> int:
    """Return where the columns speak of a slot, -1 where they do not."""
    if row < 0:
        return -1
    ahead = slot - outlook.first[row]
    if ahead < 0 or ahead >= outlook.width:
        return -1
    place = row * outlook.width + ahead
    return -1 if math.isnan(outlook.p50_w[place]) else place


def power_w(outlook: Outlook, place: int, score: float) -> float:
    """Return the power at a score, at least 0 W; 0 where nothing is said."""
    if place < 0:
        return 0.0
    p50_w = outlook.p50_w[place]
    side_w = outlook.p90_w[place] - p50_w if score > 0.0 else p50_w - outlook.p10_w[place]
    return max(0.0, p50_w + side_w * (score / SCORE_OF_P90))


def score_of(outlook: Outlook, place: int, seen_w: float) -> float:
    """Return the score at which the forecast is what was measured; 0 where it does not tell."""
    if place < 0 or math.isnan(seen_w):
        return 0.0
    p50_w = outlook.p50_w[place]
    side_w = outlook.p90_w[place] - p50_w if seen_w > p50_w else p50_w - outlook.p10_w[place]
    return SCORE_OF_P90 * (seen_w - p50_w) / side_w if side_w > _STEADY_W else 0.0
