"""The linear programme written out for HiGHS: energies in kWh for each piece of time.

Columns, each with one entry per piece: charging of the car, charge and discharge of the battery, its content
at the end of the piece; then the exchange with the grid (import and export, or where its cost is concave
shares of chords); last what each visit misses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimizer.planning.lp import Pieces, by_chord, chords
from optimizer.planning.truth import W_MIN_PER_KWH, Floats, Ints, Truth
from optimizer.plant.battery import BatteryLimits

_NO_BATTERY = BatteryLimits(1.0, 0.0, 0.0, 1.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Exchange:
    """Columns of the exchange with the grid: which piece, + into the house or - out of it, cost, upper end.

    `known_kwh` is, for each piece, what must come in for house, car and battery besides the columns of these;
    `fixed_eur` is paid in any case.
    """

    piece: Ints
    sign: Floats
    eur_per_kwh: Floats
    upper_kwh: Floats
    known_kwh: Floats
    fixed_eur: float


def solve(truth: Truth, pieces: Pieces) -> float:
    """Return the least cost."""
    from scipy.optimize import linprog

    battery = truth.battery or _NO_BATTERY
    grid = _exchange(truth, pieces, battery)
    count, visits = len(pieces.minutes), len(truth.energy_kwh)
    cost = np.concatenate((np.zeros(4 * count), grid.eur_per_kwh, np.full(visits, truth.unmet_eur_per_kwh)))
    matrix, right = _equations(truth, pieces, battery, grid)
    answer = linprog(
        cost, A_eq=matrix, b_eq=right, bounds=_bounds(truth, pieces, battery, grid), method="highs-ds"
    )
    if not answer.success:
        raise ArithmeticError(f"HiGHS found no optimum: {answer.message}")
    return float(answer.fun) + grid.fixed_eur


def _exchange(truth: Truth, pieces: Pieces, battery: BatteryLimits) -> Exchange:
    """Return import and export for the pieces where the cost is convex, chords for the others."""
    car_w = np.where(pieces.visit >= 0, truth.max_w, 0.0)
    low_w = np.full(truth.minutes, -battery.max_discharge_w)
    low_eur, slope = chords(truth, pieces, low_w, car_w[pieces.of] + battery.max_charge_w)
    chord = by_chord(truth, pieces)
    convex = np.flatnonzero(~chord)
    bent = chord[pieces.of]
    piece, price, minutes = _merged(pieces.of[bent], slope[bent])
    width_kwh = (car_w + battery.max_charge_w + battery.max_discharge_w)[piece] * minutes / W_MIN_PER_KWH
    house_kwh = pieces.total(-truth.surplus_w) / W_MIN_PER_KWH
    lowest_kwh = battery.max_discharge_w * pieces.minutes / W_MIN_PER_KWH
    return Exchange(
        np.concatenate((convex, convex, piece)),
        np.concatenate((np.ones(len(convex)), -np.ones(len(convex)), np.ones(len(piece)))),
        np.concatenate((pieces.price[convex], -pieces.feed_in[convex], price)),
        np.concatenate((np.full(2 * len(convex), np.inf), width_kwh)),
        np.where(chord, lowest_kwh, house_kwh),
        float(np.sum(low_eur[bent])),
    )


def _merged(piece: Ints, slope: Floats) -> tuple[Ints, Floats, Floats]:
    """Return piece, slope and number of minutes of the different chords."""
    order = np.lexsort((slope, piece))
    piece, slope = piece[order], slope[order]
    first = np.ones(len(piece), dtype=bool)
    first[1:] = (np.diff(piece) > 0) | (np.diff(slope) > 0.0)
    starts = np.flatnonzero(first)
    return piece[starts], slope[starts], np.diff(starts, append=len(piece)).astype(np.float64)


def _equations(
    truth: Truth, pieces: Pieces, battery: BatteryLimits, grid: Exchange
) -> tuple[NDArray[np.float64], Floats]:
    """Return the balance of power, the battery's content and what each visit misses, as a sparse matrix."""
    from scipy import sparse

    count, visits = len(pieces.minutes), len(truth.energy_kwh)
    one = sparse.identity(count)
    into = sparse.csr_matrix((grid.sign, (grid.piece, np.arange(len(grid.piece)))), (count, len(grid.piece)))
    plugged = np.flatnonzero(pieces.visit >= 0)
    taken = sparse.csr_matrix((np.ones(len(plugged)), (pieces.visit[plugged], plugged)), (visits, count))
    change = one - sparse.eye(count, k=-1)
    rows = [
        [-one, -one, one, None, into, sparse.csr_matrix((count, visits))],
        [None, -battery.efficiency * one, one, change, None, None],
        [taken, None, None, None, None, sparse.identity(visits)],
    ]
    content = np.zeros(count)
    content[:1] = truth.battery_soc * battery.capacity_kwh
    rows = rows if visits else [row[:5] for row in rows[:2]]
    return sparse.bmat(rows, "csr"), np.concatenate((grid.known_kwh, content, truth.energy_kwh))


def _bounds(truth: Truth, pieces: Pieces, battery: BatteryLimits, grid: Exchange) -> Floats:
    """Return lower and upper ends of the columns."""
    hours = pieces.minutes / W_MIN_PER_KWH
    soc_min, soc_max = min(battery.soc_min, truth.battery_soc), max(battery.soc_max, truth.battery_soc)
    content = np.ones(len(hours)) * battery.capacity_kwh
    upper = np.concatenate(
        (
            np.where(pieces.visit >= 0, truth.max_w, 0.0) * hours,
            battery.max_charge_w * hours,
            battery.max_discharge_w * hours,
            soc_max * content,
            grid.upper_kwh,
            truth.energy_kwh,
        )
    )
    lower = np.zeros(len(upper))
    lower[3 * len(hours) : 4 * len(hours)] = soc_min * content
    return np.column_stack((lower, upper))
