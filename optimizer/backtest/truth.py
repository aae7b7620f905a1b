"""A case as a clairvoyant sees it."""

from __future__ import annotations

import numpy as np

from optimizer.backtest.case import Case
from optimizer.backtest.control import COMMAND_S
from optimizer.planning.truth import Truth
from optimizer.plant.charger import ChargerLimits


def truth_of(case: Case) -> Truth:
    """Return all that will be: house, visits, prices, and the limits of charger, car and battery."""
    spec = case.home.charger
    return Truth(
        pv_w=case.pv_w,
        load_w=case.load_w,
        arrival=np.array([visit.arrival for visit in case.visits], dtype=np.int64),
        departure=np.array([visit.departure for visit in case.visits], dtype=np.int64),
        energy_kwh=np.array([visit.energy_kwh for visit in case.visits], dtype=np.float64),
        price_eur_per_kwh=case.price_eur_per_kwh,
        feed_in_eur_per_kwh=case.feed_in_eur_per_kwh,
        slot_offset=case.slot_offset,
        charger=ChargerLimits(spec.phases, spec.max_current_a, spec.eco_gear_a, spec.green_gear_a),
        times=case.home.times,
        car=case.home.car,
        command_s=COMMAND_S,
        battery=case.home.battery,
        battery_soc=case.home.battery_soc,
        unmet_eur_per_kwh=case.unmet_eur_per_kwh,
    )
