"""The linear programme: continuous power by the quarter hour, perfect foresight, a battery that obeys.

Means over a quarter hour are a relaxation where import costs at least what export earns (Jensen).  Where it
costs less, the cost of the exchange with the grid is concave and each minute gets its chord over all that car
and battery could do: its convex envelope.  What holds for the chords' sum holds for the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimizer.planning.truth import W_MIN_PER_KWH, Floats, Ints, Truth

_MIN_PER_H = 60.0
_W_PER_KW = 1000.0


@dataclass(frozen=True, slots=True)
class Pieces:
    """The time cut at quarter hours and where a visit begins or ends; `visit` is -1 outside of visits.

    `of` is each minute's piece.
    """

    of: Ints
    minutes: Floats
    visit: Ints
    price: Floats
    feed_in: Floats

    @property
    def concave(self) -> NDArray[np.bool_]:
        """Where importing is cheaper than what export earns."""
        return self.price < self.feed_in

    def total(self, by_minute: Floats) -> Floats:
        """Return the sum over each piece's minutes."""
        return np.bincount(self.of, by_minute, len(self.minutes)).astype(np.float64)


def cut(truth: Truth) -> Pieces:
    """Cut the whole time into pieces."""
    visit = np.full(truth.minutes, -1)
    for number, (begin, end) in enumerate(zip(truth.arrival, truth.departure, strict=True)):
        visit[begin:end] = number
    slots = truth.slot_of
    starts = np.flatnonzero(np.diff(slots, prepend=-1).astype(bool) | np.diff(visit, prepend=-2).astype(bool))
    return Pieces(
        np.repeat(np.arange(len(starts)), np.diff(starts, append=truth.minutes)),
        np.diff(starts, append=truth.minutes).astype(np.float64),
        visit[starts],
        truth.price_eur_per_kwh[slots[starts]],
        truth.feed_in_eur_per_kwh[slots[starts]],
    )


def by_chord(truth: Truth, pieces: Pieces) -> NDArray[np.bool_]:
    """Return where each minute counts for itself: its cost is concave, or nothing can be chosen."""
    return pieces.concave | ((pieces.visit < 0) if truth.battery is None else False)


def chords(truth: Truth, pieces: Pieces, low_w: Floats, high_w: Floats) -> tuple[Floats, Floats]:
    """Return each minute's chord of the grid's cost between two powers of car and battery.

    That is its value at `low_w`, EUR, and its slope, EUR per kWh.
    """
    low_eur = truth.exchange_eur(low_w - truth.surplus_w)
    high_eur = truth.exchange_eur(high_w - truth.surplus_w)
    width_kwh = (high_w - low_w) / W_MIN_PER_KWH
    flat = pieces.price[pieces.of]
    return low_eur, np.where(
        width_kwh > 0.0, (high_eur - low_eur) / np.where(width_kwh > 0.0, width_kwh, 1.0), flat
    )


def merit_order_eur(truth: Truth) -> float:
    """Return the optimum without a home battery: each visit takes the cheapest energy first."""
    pieces = cut(truth)
    max_w = np.where(pieces.visit[pieces.of] >= 0, truth.max_w, 0.0)
    base_eur, slope = chords(truth, pieces, np.zeros(truth.minutes), max_w)
    averaged = ~by_chord(truth, pieces)
    mean_w = pieces.total(truth.surplus_w) / pieces.minutes
    hours = pieces.minutes / _MIN_PER_H
    sun_kwh = np.clip(mean_w, 0.0, truth.max_w) * hours / _W_PER_KW
    grid_kwh = truth.max_w * hours / _W_PER_KW - sun_kwh
    averaged_eur = np.where(mean_w > 0.0, pieces.feed_in, pieces.price) * -mean_w * hours / _W_PER_KW
    single = ~averaged[pieces.of] & (max_w > 0.0)
    visit = np.concatenate((pieces.visit[averaged], pieces.visit[averaged], pieces.visit[pieces.of][single]))
    offered = np.concatenate((sun_kwh[averaged], grid_kwh[averaged], max_w[single] / W_MIN_PER_KWH))
    price = np.concatenate((pieces.feed_in[averaged], pieces.price[averaged], slope[single]))
    fixed_eur = float(np.sum(base_eur[~averaged[pieces.of]]) + np.sum(averaged_eur[averaged]))
    return fixed_eur + _taken_eur(truth, visit, offered, price)


def _taken_eur(truth: Truth, visit: Ints, offered_kwh: Floats, price: Floats) -> float:
    """Return what the visits pay when each takes the cheapest offers first, and leaves those above unmet."""
    order = np.lexsort((price, visit))
    visit, offered_kwh, price = visit[order], offered_kwh[order], price[order]
    before = np.cumsum(offered_kwh) - offered_kwh
    first = np.searchsorted(visit, np.arange(len(truth.energy_kwh)))
    taken_before = before - before[np.minimum(first, len(before) - 1)][visit] if len(before) else before
    taken = np.clip(truth.energy_kwh[visit] - taken_before, 0.0, offered_kwh)
    gain = np.minimum(price - truth.unmet_eur_per_kwh, 0.0)
    return float(np.sum(taken * gain) + np.sum(truth.energy_kwh) * truth.unmet_eur_per_kwh)


def linear_programme_eur(truth: Truth) -> float:
    """Return the optimum by HiGHS, with the home battery (if there is one) as free as the car."""
    from optimizer.planning.highs import solve

    return solve(truth, cut(truth))
