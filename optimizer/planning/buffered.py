"""The bound with a home battery that keeps to its own rule: backward in time over the battery's content.

Missing energy has a price as without a battery (see `priced`), so that the car's energy needs no grid; the
battery's content does, and its values between two levels are interpolated.  That is the grid error, told with
the bound.  A stage is some minutes long and is lived minute by minute.  In each the car follows one `Action`;
at a given price of missing energy and a given worth of the battery's content no other choice of powers by the
minute is better, save where the battery comes to a limit within the stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from optimizer.compiling import compiled
from optimizer.planning.truth import MINUTE_S, SLOT_MIN, W_MIN_PER_KWH, Floats, Truth
from optimizer.plant.battery import BatteryLimits, battery_step

STAGE_MIN = 5
"""Length of a stage; of a long time's stages `SLOT_MIN`."""

LEVELS = 41
"""Of the battery's content."""

_COARSE_PRICES = (16, 16, 16)
_FINE_PRICES = (65,)
"""How many prices of missing energy are tried for each visit, round by round."""

_MARGIN = 0.1
_LONG_MIN = 100 * 1440
_GEAR_SHARES = (0.75, 0.5, 0.25, 0.0)
_POWER_SHARES = (0.25, 0.5, 0.75)
_NO_BATTERY = BatteryLimits(1.0, 0.0, 0.0, 1.0, 0.0, 1.0)


Span = tuple[int, int]
Ranges = list[tuple[float, float]]


class Action(NamedTuple):
    """What the car draws: nothing below a surplus of `gear_w`, else that + `shift_w`, at least `floor_w`."""

    gear_w: float
    floor_w: float
    shift_w: float = 0.0


STOP = Action(np.inf, 0.0)


def mode_actions(truth: Truth) -> tuple[Action, ...]:
    """Return STOP, FAST, ECO and GREEN, in this order: the vendor's numbers are the indices."""
    return (
        STOP,
        Action(-np.inf, truth.max_w),
        Action(-np.inf, truth.floor_w),
        Action(truth.green_gear_w, truth.floor_w),
    )


def mixed_actions(truth: Truth) -> tuple[Action, ...]:
    """Return the modes and what changing among them by the minute adds: ECO in the sunnier minutes only."""
    return (*mode_actions(truth), *(Action(share * truth.floor_w, truth.floor_w) for share in _GEAR_SHARES))


def free_actions(truth: Truth) -> tuple[Action, ...]:
    """Return the modes and any current: the surplus itself, what the battery's power adds, fixed powers."""
    battery = truth.battery or _NO_BATTERY
    shifts_w = (0.0, battery.max_discharge_w, -battery.max_charge_w)
    return (
        *mixed_actions(truth),
        *(Action(-np.inf, 0.0, shift_w) for shift_w in shifts_w),
        *(Action(-np.inf, share * truth.max_w) for share in _POWER_SHARES),
    )


class Grid(NamedTuple):
    """Levels of the battery's content (soc) and the length of a stage; stages begin at multiples of it."""

    low: float
    step: float
    levels: int
    stage_min: int
    begun_min: int


class Tape(NamedTuple):
    """The truth by the minute as the kernel reads it."""

    surplus_w: Floats
    price: Floats
    feed_in: Floats


class Rules(NamedTuple):
    """What the house's devices can do, and the price of a change of modes."""

    battery: BatteryLimits
    max_w: float
    switch_cost_eur: float


class Visited(NamedTuple):
    """Values before a visit, the range of the best prices, and what half as many prices would have lost."""

    values: Floats
    prices: tuple[float, float]
    lost_eur: float


class Outcome(NamedTuple):
    """A bound, what half as many prices would have lost of it, and for each visit the range of the best."""

    cost_eur: float
    lost_eur: float
    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Programme:
    """What a backward pass needs; values are arrays over layer, level and price of missing energy.

    There is one layer if changing the mode is free, else one for each action: the mode the charger is in.
    """

    tape: Tape
    grid: Grid
    rules: Rules
    actions: tuple[Action, ...]

    def back(self, later: Floats, span: Span, actions: tuple[Action, ...], prices: Floats) -> Floats:
        """Return the values at the beginning of a span of minutes from those at its end."""
        values = np.repeat(later, len(prices), axis=2)
        table = np.array(actions, dtype=np.float64)
        back = compiled(back_kernel, error_model="numpy")
        back(values, self.tape, span, table, prices, self.grid, self.rules)
        return values

    def alone(self, later: Floats, span: Span) -> Floats:
        """Return the values before a span without a car."""
        return self.back(later, span, (STOP,), np.zeros(1))

    def visited(self, later: Floats, span: Span, need_kwh: float, prices: Floats) -> Visited:
        """Return the values before a visit.

        Of all prices of what is missing the best is taken, for each level of the battery by itself.
        """
        layers = len(self.actions) if self.rules.switch_cost_eur > 0.0 else 1
        values = self.back(np.repeat(later, layers, axis=0), span, self.actions, prices)
        bounds = values.min(axis=0) + prices * need_kwh
        at = bounds.argmax(axis=1)
        low, high = max(0, at.min() - 1), min(len(prices) - 1, at.max() + 1)
        best = bounds.max(axis=1)
        lost_eur = float(np.mean(best - bounds[:, ::2].max(axis=1)))
        return Visited(best[None, :, None], (float(prices[low]), float(prices[high])), lost_eur)


def programme_of(
    truth: Truth, actions: tuple[Action, ...], levels: int, stage_min: int, switch_cost_eur: float = 0.0
) -> Programme:
    """Return the programme of a house on a grid."""
    battery, slots = truth.battery or _NO_BATTERY, truth.slot_of
    low, high = min(battery.soc_min, truth.battery_soc), max(battery.soc_max, truth.battery_soc)
    return Programme(
        Tape(truth.surplus_w, truth.price_eur_per_kwh[slots], truth.feed_in_eur_per_kwh[slots]),
        Grid(low, (high - low) / (levels - 1), levels, stage_min, truth.slot_offset % stage_min),
        Rules(battery, truth.max_w, switch_cost_eur),
        actions,
    )


def run_back(truth: Truth, programme: Programme, ranges: Ranges, rounds: tuple[int, ...]) -> Outcome:
    """Return the bound by prices of missing energy in the `ranges` given, one for each visit.

    In each round that many prices close in on the best ones.
    """
    grid, found, lost_eur = programme.grid, list(ranges), 0.0
    values, end = np.zeros((1, grid.levels, 1)), truth.minutes
    for visit in range(len(ranges) - 1, -1, -1):
        span = (int(truth.arrival[visit]), int(truth.departure[visit]))
        later = programme.alone(values, (span[1], end))
        values = np.full_like(later, -np.inf)
        told = None
        for count in rounds:
            prices = np.linspace(*found[visit], count)
            told = programme.visited(later, span, float(truth.energy_kwh[visit]), prices)
            values, found[visit] = np.maximum(values, told.values), told.prices
        lost_eur += told.lost_eur if told else 0.0
        end = span[0]
    values = programme.alone(values, (0, end))
    soc = grid.low + grid.step * np.arange(grid.levels)
    return Outcome(float(np.interp(truth.battery_soc, soc, values[0, :, 0])), lost_eur, found)


def buffered_bound_eur(
    truth: Truth,
    actions: tuple[Action, ...],
    switch_cost_eur: float = 0.0,
    *,
    levels: int = LEVELS,
    stage_min: int | None = None,
) -> tuple[float, float]:
    """Return the least cost of any run that takes one of `actions` in each stage, and how exact that is.

    Two grids are compared.  The coarse one finds the prices of missing energy, the fine one has four times
    its levels.  The error of interpolating falls at least in proportion to the distance of the levels: a
    third of the difference is the most that the fine one errs, and is taken off: the bound is to lie below.
    So it may be low by twice as much, and by what too few prices of missing energy lose.
    """
    stage_min = stage_min or (STAGE_MIN if truth.minutes < _LONG_MIN else SLOT_MIN)
    prices = (truth.price_eur_per_kwh.min(), truth.feed_in_eur_per_kwh.min(), truth.unmet_eur_per_kwh, 0.0)
    ranges = [(float(min(prices)), truth.unmet_eur_per_kwh)] * len(truth.arrival)
    coarse = programme_of(truth, actions, levels // 4 + 1, stage_min, switch_cost_eur)
    found = run_back(truth, coarse, ranges, _COARSE_PRICES)
    ranges = [_wider(ends, truth.unmet_eur_per_kwh) for ends in found.ranges]
    fine = run_back(
        truth, programme_of(truth, actions, levels, stage_min, switch_cost_eur), ranges, _FINE_PRICES
    )
    error_eur = abs(found.cost_eur - fine.cost_eur) / 3.0
    return fine.cost_eur - error_eur, 2.0 * error_eur + fine.lost_eur


def _wider(ends: tuple[float, float], most: float) -> tuple[float, float]:
    margin = (ends[1] - ends[0]) * _MARGIN
    return ends[0] - margin, min(most, ends[1] + margin)


def back_kernel(
    values: Floats,
    tape: Tape,
    span: tuple[int, int],
    actions: Floats,
    prices: Floats,
    grid: Grid,
    rules: Rules,
) -> None:
    """Bring `values` from the end of a span to its beginning, stage by stage."""
    layers, levels, lanes = values.shape
    later, rows = np.empty_like(values), np.empty((len(actions), lanes))
    end = span[1]
    while end > span[0]:
        begin = max(span[0], end - 1 - (end - 1 + grid.begun_min) % grid.stage_min)
        for layer in range(layers):
            for level in range(levels):
                for lane in range(lanes):
                    later[layer, level, lane] = values[layer, level, lane]
        for level in range(levels):
            soc = grid.low + level * grid.step
            for number in range(len(actions)):
                soc_after, eur, kwh = stage(tape, begin, end, soc, actions[number], rules)
                place = min(max((soc_after - grid.low) / grid.step, 0.0), levels - 1.0)
                below = min(int(place), levels - 2)
                known = later[number if layers > 1 else 0]
                blend(rows[number], known, below, place - below, eur, kwh, prices)
            choose(values, level, rows, rules.switch_cost_eur)
        end = begin


def blend(
    row: Floats, known: Floats, below: int, share: float, eur: float, kwh: float, prices: Floats
) -> None:
    """Set a row over the prices of missing energy to what an action costs from here on.

    Between two levels the values follow the cubic through them and their neighbours (Catmull-Rom), but never
    leave what lies between the two: a straight line would lie above them wherever they bend.
    """
    before, after = max(below - 1, 0), min(below + 2, len(known) - 1)
    far = -0.5 * share * (1.0 - share) ** 2
    near = -0.5 * share**2 * (1.0 - share)
    low = 1.0 - share - 2.0 * far + near
    high = share - 2.0 * near + far
    if before == below:
        far, low, high = 0.0, low + 2.0 * far, high - far
    if after == below + 1:
        near, low, high = 0.0, low - near, high + 2.0 * near
    for lane in range(len(row)):
        one, other = known[below, lane], known[below + 1, lane]
        curve = far * known[before, lane] + low * one + high * other + near * known[after, lane]
        curve = min(max(one, other), curve)
        curve = max(min(one, other), curve)
        row[lane] = eur - prices[lane] * kwh + curve


def choose(values: Floats, level: int, rows: Floats, switch_cost_eur: float) -> None:
    """Set the values of a level to those of the best action, which may have the price of a change on it."""
    layers = len(values)
    for lane in range(rows.shape[1]):
        cheapest = rows[0, lane]
        for number in range(1, len(rows)):
            cheapest = min(cheapest, rows[number, lane])
        if layers == 1:
            values[0, level, lane] = cheapest
        else:
            for layer in range(layers):
                values[layer, level, lane] = min(rows[layer, lane], cheapest + switch_cost_eur)


def stage(
    tape: Tape, begin: int, end: int, soc: float, action: Floats, rules: Rules
) -> tuple[float, float, float]:
    """Return the battery's content after some minutes under one action, their cost and the car's energy."""
    eur, kwh = 0.0, 0.0
    for t in range(begin, end):
        ev_w = 0.0
        if tape.surplus_w[t] >= action[0]:
            ev_w = min(rules.max_w, max(action[1], tape.surplus_w[t] + action[2]))
        net_w = ev_w - tape.surplus_w[t]
        soc, battery_w = battery_step(soc, net_w, MINUTE_S, rules.battery)
        grid_w = net_w - battery_w
        eur += grid_w * (tape.price[t] if grid_w > 0.0 else tape.feed_in[t]) / W_MIN_PER_KWH
        kwh += ev_w / W_MIN_PER_KWH
    return soc, eur, kwh
