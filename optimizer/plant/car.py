"""What a car takes while it is plugged in."""

from __future__ import annotations

from typing import NamedTuple

from optimizer.plant.battery import WS_PER_KWH

FULL_BELOW_KWH = 1e-6
"""A car that misses less than this is full: rounding never keeps it waiting."""


class CarLimits(NamedTuple):
    """The car's own charger: power, phases, and how it slows down towards the end.

    Over its last `taper_kwh` the car's power falls in a straight line from `max_w` to `taper_floor_w`.
    """

    max_w: float = 7400.0
    phases: int = 1
    taper_kwh: float = 0.0
    taper_floor_w: float = 1400.0


def is_full(need_kwh: float) -> bool:
    """Tell whether a car that misses so much takes nothing."""
    return need_kwh < FULL_BELOW_KWH


def car_demand_w(need_kwh: float, dt_s: float, limits: CarLimits) -> float:
    """Return the most the car takes in the next `dt_s` seconds, W; 0 when it is full.

    Never so much that the step's energy exceeds `need_kwh`.
    """
    if is_full(need_kwh):
        return 0.0
    power_w = limits.max_w
    if need_kwh < limits.taper_kwh:
        floor_w = min(limits.taper_floor_w, limits.max_w)
        power_w = floor_w + (limits.max_w - floor_w) * need_kwh / limits.taper_kwh
    return min(power_w, need_kwh * WS_PER_KWH / dt_s)


def car_need_kwh(need_kwh: float, ev_w: float, dt_s: float) -> float:
    """Return what is still missing after `dt_s` seconds at `ev_w`, kWh, never negative."""
    return max(0.0, need_kwh - ev_w * dt_s / WS_PER_KWH)
