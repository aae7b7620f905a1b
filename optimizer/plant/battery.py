"""The home battery under its own self-use rule, which sunmode does not control."""

from __future__ import annotations

from typing import NamedTuple

WS_PER_KWH = 3.6e6
"""Watt-seconds in a kilowatt-hour."""


class BatteryLimits(NamedTuple):
    """What the battery can do; `efficiency` is that of a full cycle, 0-1; `soc_*` are ratios."""

    capacity_kwh: float = 10.0
    max_charge_w: float = 5000.0
    max_discharge_w: float = 5000.0
    efficiency: float = 0.92
    soc_min: float = 0.1
    soc_max: float = 1.0


def battery_step(soc: float, net_load_w: float, dt_s: float, limits: BatteryLimits) -> tuple[float, float]:
    """Return `(soc, battery_w)` after `dt_s` seconds; `battery_w` is + discharge, the step's mean.

    `net_load_w` is load minus production: the battery covers what is positive of it and stores
    what is negative, as far as power and state of charge allow.  The losses of the whole cycle
    are booked on charging: of 1 kWh taken in, `efficiency` kWh are stored, and all of it comes out.
    """
    scale_w = limits.capacity_kwh * WS_PER_KWH / dt_s
    if net_load_w >= 0.0:
        available_w = max(0.0, soc - limits.soc_min) * scale_w
        battery_w = min(net_load_w, limits.max_discharge_w, available_w)
        return soc - battery_w / scale_w, battery_w
    room_w = max(0.0, limits.soc_max - soc) * scale_w / limits.efficiency
    charge_w = min(-net_load_w, limits.max_charge_w, room_w)
    return soc + charge_w * limits.efficiency / scale_w, -charge_w
