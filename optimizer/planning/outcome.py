"""What a mode gives in some time of a mean surplus that comes and goes.

A cloudy quarter hour with the right mean is not a steady one: below its gear GREEN gives nothing, and ECO
draws from the grid.  So the surplus is spread over `NODES` about its mean.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from optimizer.plant.charger import ECO, FAST, GREEN

NODES = (-1.4, -0.525, 0.0, 0.525, 1.4)
"""Equally likely values of a standard normal variable: the means of its fifths."""


class Drive(NamedTuple):
    """What charger and car make of a mode: W at all phases together; `step_w` is one ampere more.

    `green_share` is what is left of GREEN's energy where it pauses now and then and has to come back.
    """

    max_w: float
    eco_floor_w: float
    green_floor_w: float
    green_gear_w: float
    step_w: float
    green_share: float


def drawn_w(mode: int, surplus_w: float, drive: Drive) -> float:
    """Return what the car draws at a steady surplus, W."""
    if mode == FAST:
        return drive.max_w
    if mode == ECO:
        return min(drive.max_w, max(drive.eco_floor_w, whole_amperes_w(surplus_w, drive.step_w)))
    if mode == GREEN and surplus_w >= drive.green_gear_w:
        return min(drive.max_w, max(drive.green_floor_w, whole_amperes_w(surplus_w, drive.step_w)))
    return 0.0


def whole_amperes_w(surplus_w: float, step_w: float) -> float:
    """Return the surplus less what is too little for another ampere."""
    return math.floor(surplus_w / step_w) * step_w


def outcome(
    mode: int, mean_w: float, spread_w: float, price: float, feed_in: float, drive: Drive
) -> tuple[float, float]:
    """Return the mean power, kW, and what its energy costs, EUR/kWh (0 where there is none).

    The cost is that of what is imported for it and of what would have been fed in.
    """
    if spread_w <= 0.0:
        ev_w = drawn_w(mode, mean_w, drive)
        return ev_w / 1000.0, meur_per_h(ev_w, mean_w, price, feed_in) / ev_w if ev_w > 0.0 else 0.0
    kw = eur_per_h = 0.0
    waiting = 0
    for node in NODES:
        surplus_w = mean_w + node * spread_w
        ev_w = drawn_w(mode, surplus_w, drive)
        waiting += 1 if ev_w == 0.0 else 0
        kw += ev_w
        eur_per_h += meur_per_h(ev_w, surplus_w, price, feed_in)
    share = 1.0 / (1000.0 * len(NODES))
    if mode == GREEN and waiting > 0:
        share *= drive.green_share
    kw, eur_per_h = kw * share, eur_per_h * share
    return kw, eur_per_h / kw if kw > 0.0 else 0.0


def meur_per_h(ev_w: float, surplus_w: float, price: float, feed_in: float) -> float:
    """Return what a power costs per hour, in thousandths of a euro: sun that is not sold, and the grid."""
    sun_w = min(ev_w, max(0.0, surplus_w))
    return sun_w * feed_in + (ev_w - sun_w) * price
