"""The bound without a home battery: missing energy gets a price, and each visit is solved for itself.

For a price `worth` of the energy that a visit still misses, the cheapest run is found minute by minute: no
grid of energies is needed.  `worth * need + min(cost - worth * energy)` is, for every `worth` up to the price
of unmet energy, at most what any run costs (weak duality), so the largest of them is a bound without grid
error. It falls short of an ideal charger's best only by what sharing a few minutes between two modes could
save.

What a minute may do covers all that the simulated charger can, see `edges_of`: while it charges, any power
from the floor up (every mode and every ramp between them); less than that only in the minutes in which it
starts, stops or the car becomes full.  Where the surplus exceeds GREEN's gear, anything goes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from optimizer.compiling import compiled
from optimizer.planning.truth import MINUTE_S, W_MIN_PER_KWH, Floats, Ints, Truth

_CLOSE_ENOUGH_EUR = 1e-9
_MOST_PRICES = 80

Priced = tuple[float, float]
"""`(cost - worth * energy, energy)` of a minute or of a run, compared to no charging; EUR and kWh."""


class Edges(NamedTuple):
    """What a minute may give, W: `floor_w` to `max_w` while the charger charges, at the edges of that less.

    In a minute in which it starts, `start_low_w` to `start_high_w`; in one in which it stops up to `stop_w`,
    after which a minute without power follows, or up to `pause_w`, after which it may start at once.
    `gear_w` is the surplus from which on GREEN charges.
    """

    floor_w: float
    max_w: float
    start_low_w: float
    start_high_w: float
    stop_w: float
    pause_w: float
    gear_w: float


def free_current(truth: Truth) -> Edges:
    """Return the edges of a charger that may draw any power at any time: none."""
    return Edges(0.0, truth.max_w, 0.0, truth.max_w, 0.0, 0.0, 0.0)


def edges_of(truth: Truth) -> Edges:
    """Return what the simulated charger can do in a minute, or more.

    Between two spans of charging lie at least the wait for the contactor and for the car to wake up.  An
    order comes at the same second of a minute, once at most: so a start's minute begins with a known wait,
    and after a stop by order a minute without power follows.  GREEN's own pause can come earlier in a minute
    than the order.
    """
    times, floor_w, max_w = truth.times, truth.floor_w, truth.max_w
    gap_s = min(times.close_s, times.resume_after_s) + times.wake_s
    on_at_s = truth.command_s + gap_s
    left_s = MINUTE_S - on_at_s % MINUTE_S
    ramp_s = floor_w / truth.phase_w / times.slew_a_per_s
    if left_s < ramp_s or times.wake_s > MINUTE_S or times.pause_after_s % MINUTE_S > 0.0:
        return Edges(floor_w, max_w, 0.0, max_w, floor_w, floor_w, truth.green_gear_w)
    if on_at_s < MINUTE_S:
        low_w, high_w = 0.0, _most_w(truth, left_s)
    else:
        low_w, high_w = floor_w * (left_s - ramp_s / 2.0) / MINUTE_S, max_w
    if truth.command_s <= 0.0:
        return Edges(floor_w, max_w, low_w, high_w, 0.0, 0.0, truth.green_gear_w)
    pause_w = floor_w * min(1.0, max(0.0, 2.0 * MINUTE_S - gap_s - left_s) / MINUTE_S)
    return Edges(floor_w, max_w, low_w, high_w, floor_w, pause_w, truth.green_gear_w)


def _most_w(truth: Truth, left_s: float) -> float:
    """Return the most that the last `left_s` seconds of a minute give, as the mean of the minute."""
    rate_a_per_s = truth.times.slew_a_per_s
    ramp_s = min(left_s, truth.charger.max_current_a / rate_a_per_s)
    mean_a = ramp_s * rate_a_per_s * (left_s - ramp_s / 2.0) / MINUTE_S
    return min(truth.max_w, mean_a * truth.phase_w)


def priced_bound_eur(truth: Truth, edges: Edges) -> float:
    """Return the least that any run costs whose charger keeps to `edges`."""
    surplus_w, slots = truth.surplus_w, truth.slot_of
    visits_eur = compiled(visits_kernel, error_model="numpy")(
        surplus_w,
        truth.price_eur_per_kwh[slots],
        truth.feed_in_eur_per_kwh[slots],
        np.column_stack((truth.arrival, truth.departure)).astype(np.int64),
        truth.energy_kwh.astype(np.float64),
        edges,
        truth.unmet_eur_per_kwh,
    )
    return float(np.sum(truth.exchange_eur(-surplus_w)) + np.sum(visits_eur))


def visits_kernel(
    surplus_w: Floats,
    price: Floats,
    feed_in: Floats,
    spans: Ints,
    need_kwh: Floats,
    edges: Edges,
    unmet_eur: float,
) -> Floats:
    """Return for each visit what it adds to the cost of the house without a car."""
    added_eur = np.zeros(len(need_kwh))
    for visit in range(len(need_kwh)):
        begin, end = spans[visit, 0], spans[visit, 1]
        added_eur[visit] = best_price_kernel(
            surplus_w[begin:end],
            price[begin:end],
            feed_in[begin:end],
            need_kwh[visit],
            edges,
            unmet_eur,
        )
    return added_eur


def best_price_kernel(
    surplus_w: Floats,
    price: Floats,
    feed_in: Floats,
    need_kwh: float,
    edges: Edges,
    unmet_eur: float,
) -> float:
    """Return the largest of the bounds that the prices of missing energy give.

    They are concave in the price.  Two tangents, where too little and where too much is charged, meet above
    the largest; the next price is there.
    """
    high = unmet_eur
    value, energy_kwh = run_at_price_kernel(surplus_w, price, feed_in, high, edges)
    high_eur, high_slope = high * need_kwh + value, need_kwh - energy_kwh
    low = min(price.min(), feed_in.min()) if len(price) else high
    if high_slope >= 0.0 or low >= high:
        return high_eur
    low_eur, low_slope = low * need_kwh, need_kwh  # at the lowest price of all nothing is charged
    best_eur = max(high_eur, low_eur)
    for _ in range(_MOST_PRICES):
        at = (high_eur - low_eur + low_slope * low - high_slope * high) / (low_slope - high_slope)
        if low_eur + low_slope * (at - low) - best_eur <= _CLOSE_ENOUGH_EUR or not low < at < high:
            break
        value, energy_kwh = run_at_price_kernel(surplus_w, price, feed_in, at, edges)
        at_eur, at_slope = at * need_kwh + value, need_kwh - energy_kwh
        best_eur = max(best_eur, at_eur)
        if at_slope >= 0.0:
            low, low_eur, low_slope = at, at_eur, at_slope
        else:
            high, high_eur, high_slope = at, at_eur, at_slope
        if at_slope == 0.0:
            break
    return best_eur


def run_at_price_kernel(
    surplus_w: Floats, price: Floats, feed_in: Floats, worth: float, edges: Edges
) -> Priced:
    """Return `(cost - worth * energy, energy)` of the cheapest run, compared to no charging at all.

    Backward in time over four states: charging; just stopped, so that this minute gives nothing; idle; and
    nearly full, with one minute of any power to come.  Each is a pair of value and energy.
    """
    nothing = (0.0, 0.0)
    charging, stopped, idle, nearly = nothing, nothing, nothing, nothing
    for t in range(len(price) - 1, -1, -1):
        tariff = (price[t], feed_in[t], worth)
        resumes = t == 0 or surplus_w[t - 1] >= edges.gear_w
        pauses = t > 1 and surplus_w[t - 2] >= edges.gear_w
        free = cheapest_power(surplus_w[t], 0.0, edges.max_w, tariff)
        ends = both(free, nearly)
        goes_on = better(
            both(cheapest_power(surplus_w[t], edges.floor_w, edges.max_w, tariff), charging), ends
        )
        low_w, high_w = (0.0, edges.max_w) if resumes else (edges.start_low_w, edges.start_high_w)
        starts = better(goes_on, both(cheapest_power(surplus_w[t], low_w, high_w, tariff), charging))
        stop_w, pause_w = (edges.floor_w, edges.floor_w) if pauses else (edges.stop_w, edges.pause_w)
        halts = both(cheapest_power(surplus_w[t], 0.0, stop_w, tariff), stopped)
        halts = better(halts, both(cheapest_power(surplus_w[t], 0.0, pause_w, tariff), idle))
        shines = both(free, better(charging, idle))
        charging, stopped, idle = better(goes_on, better(halts, idle)), idle, better(starts, idle)
        if surplus_w[t] >= edges.gear_w:
            charging, stopped, idle = better(charging, shines), better(stopped, shines), better(idle, shines)
        nearly = better(free, nothing)
    return idle


def both(one: Priced, other: Priced) -> Priced:
    """Return the sum of two parts of a run."""
    return one[0] + other[0], one[1] + other[1]


def better(one: Priced, other: Priced) -> Priced:
    """Return the cheaper of two runs."""
    return one if one[0] <= other[0] else other


def cheapest_power(
    surplus_w: float, least_w: float, most_w: float, tariff: tuple[float, float, float]
) -> Priced:
    """Return the best power in a range: an end of it, or the surplus."""
    best = priced_minute(surplus_w, min(most_w, max(least_w, surplus_w)), tariff)
    best = better(best, priced_minute(surplus_w, least_w, tariff))
    return better(best, priced_minute(surplus_w, most_w, tariff))


def priced_minute(surplus_w: float, ev_w: float, tariff: tuple[float, float, float]) -> Priced:
    """Return what a minute at `ev_w` adds to the cost, minus what its energy is worth, and that energy."""
    price, feed_in, worth = tariff
    sun_w = min(ev_w, max(0.0, surplus_w))
    kwh = ev_w / W_MIN_PER_KWH
    return (sun_w * feed_in + (ev_w - sun_w) * price) / W_MIN_PER_KWH - worth * kwh, kwh
