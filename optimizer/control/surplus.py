"""What the cars could take without import: feed-forward, once per sample.

`surplus_w = ev_w - grid_w - battery_w` holds for powers of one instant.  The house is measured every five
minutes and the chargers at other instants, so the sample is only trusted where the chargers' power was
steady around it; otherwise the house is taken to consume what it did before.  No estimate is added to an
older one: reading a sample twice changes nothing, and no error winds up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.domain import SiteReading

_STEADY_W = 300.0
_RAMP_SOC = 0.05


@dataclass(frozen=True, slots=True)
class SurplusEstimate:
    """Surplus before the home battery's share, and the house without the cars; their sum is the PV power.

    `base_load_w` is None where the PV power is not known, and below zero where something generates that the
    PV telemetry does not see (a second inverter).  `measured` is False where it is an older sample's.
    """

    surplus_w: float
    base_load_w: float | None
    measured: bool


def is_steady(ev_low_w: float, ev_high_w: float) -> bool:
    """Tell whether the chargers' power is known well enough around a sample to trust it."""
    return ev_high_w - ev_low_w <= _STEADY_W


def surplus_of(grid_w: float, battery_w: float, ev_low_w: float, ev_high_w: float) -> float:
    """Return the surplus of a sample, given the least and the most that the chargers drew then."""
    return 0.5 * (ev_low_w + ev_high_w) - grid_w - battery_w


def estimate(
    reading: SiteReading, ev_low_w: float, ev_high_w: float, previous: SurplusEstimate | None
) -> SurplusEstimate | None:
    """Return the surplus at the sample's time, or None where it cannot be told.

    `ev_low_w` and `ev_high_w` are the least and the most that all chargers together may have drawn at the
    sample's time.  If they differ by more than 300 W the sample is ambiguous, and the PV power less the
    previous base load stands in; without those nothing is known.
    """
    if reading.grid_w is not None and reading.battery_w is not None and is_steady(ev_low_w, ev_high_w):
        surplus_w = surplus_of(reading.grid_w, reading.battery_w, ev_low_w, ev_high_w)
        base_load_w = None if reading.pv_w is None else reading.pv_w - surplus_w
        return SurplusEstimate(surplus_w, base_load_w, measured=True)
    if reading.pv_w is None or previous is None or previous.base_load_w is None:
        return None
    return SurplusEstimate(reading.pv_w - previous.base_load_w, previous.base_load_w, measured=False)


def available_to_car(
    surplus_w: float,
    battery_w: float | None,
    soc: float | None,
    first_until_soc: float,
    max_charge_w: float,
) -> float:
    """Return what the home battery leaves of the surplus for the cars, in W.

    Below `first_until_soc` (0..1) the battery comes first and may take `max_charge_w`, or what it is seen to
    take if that is more; over the last five points its claim fades out, so that a state of charge that swings
    about the limit does not swing the cars.  A deficit is passed on whole.  `soc` None: no battery to serve.
    """
    if soc is None or surplus_w <= 0.0:
        return surplus_w
    urgency = min(1.0, max(0.0, (first_until_soc - soc) / _RAMP_SOC))
    claim_w = max(max_charge_w, -(battery_w or 0.0))
    return max(0.0, surplus_w - urgency * claim_w)
