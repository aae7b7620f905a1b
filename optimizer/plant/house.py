"""The power balance of the house."""

from __future__ import annotations


def grid_power_w(pv_w: float, base_load_w: float, ev_w: float, battery_w: float) -> float:
    """Return the grid's share, + import: what production and battery leave of the load."""
    return base_load_w + ev_w - pv_w - battery_w


def surplus_seen_w(pv_w: float, base_load_w: float, other_ev_w: float) -> float:
    """Return the surplus as one charger measures it: export plus battery charging plus its own power.

    That is production minus all other load; what flows into the home battery counts as
    available, and other chargers (`other_ev_w`) count as load.
    """
    return pv_w - base_load_w - other_ev_w
