"""Random houses for the bound's tests, simulated by the plant's own equations, minute by minute."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from optimizer.domain import Mode
from optimizer.planning.truth import Floats, Truth
from optimizer.plant.battery import BatteryLimits, battery_step
from optimizer.plant.car import CarLimits, car_demand_w, car_need_kwh
from optimizer.plant.charger import UNPLUGGED, ChargerLimits, ChargerTimes, charger_step

logging.getLogger("numba").setLevel(logging.WARNING)  # it tells of every step of compiling

Policy = Callable[[int], int]
"""The mode ordered in a minute."""

CHARGERS = (
    ChargerLimits(),
    ChargerLimits(1, 16.0, 6.0, 3.0),
    ChargerLimits(3, 16.0, 10.0, 6.0),
    ChargerLimits(1, 32.0, 6.0, 6.0),
)
CARS = (CarLimits(), CarLimits(7400.0, 1, 2.0, 1400.0), CarLimits(11_000.0, 3), CarLimits(3700.0))
BATTERIES = (BatteryLimits(), BatteryLimits(5.0, 2500.0, 3000.0, 0.85, 0.2, 0.95))


def house(seed: int, minutes: int = 480, *, battery: bool = False, slow: bool = False) -> Truth:
    """Return a day of clouds, visits of which some want too much, and prices of which some are below 0."""
    rng = np.random.default_rng(seed)
    arrival, departure = _visits(rng, minutes)
    hours = (departure - arrival) / 60.0
    slots = minutes // 15 + 2
    low_eur = rng.choice((0.18, 0.0, -0.15))
    return Truth(
        pv_w=_clouds(rng, minutes),
        load_w=rng.uniform(100.0, 900.0) + rng.uniform(0.0, 1500.0, minutes) * (rng.random(minutes) < 0.2),
        arrival=arrival,
        departure=departure,
        energy_kwh=hours * rng.uniform(0.1, 1.5 if slow else 9.0, len(arrival)),
        price_eur_per_kwh=np.repeat(rng.uniform(low_eur, 0.4, slots // 4 + 1), 4)[:slots],
        feed_in_eur_per_kwh=np.full(slots, 0.08) if rng.random() < 0.7 else rng.uniform(0.0, 0.12, slots),
        slot_offset=int(rng.integers(15)),
        charger=CHARGERS[rng.integers(len(CHARGERS))],
        car=CARS[rng.integers(len(CARS))],
        command_s=float(rng.choice((0.0, 15.0))),
        battery=BATTERIES[rng.integers(len(BATTERIES))] if battery else None,
        battery_soc=rng.uniform(0.1, 0.95),
        unmet_eur_per_kwh=float(rng.choice((0.6, 0.3))),
    )


def _visits(rng: np.random.Generator, minutes: int) -> tuple[np.ndarray, np.ndarray]:
    edges = np.sort(rng.choice(minutes + 1, 2 * int(rng.integers(1, 3)), replace=False)).astype(np.int64)
    return edges[::2], edges[1::2]


def _clouds(rng: np.random.Generator, minutes: int) -> Floats:
    """Return production whose surplus lies about the gears: an arc, cut by clouds of some minutes."""
    arc = np.sin(np.linspace(0.0, np.pi, minutes)) * rng.uniform(1500.0, 9000.0)
    cloudy = np.repeat(rng.uniform(0.05, 1.0, minutes // 3 + 1), 3)[:minutes]
    return np.maximum(0.0, arc * np.where(rng.random() < 0.7, cloudy, 1.0))


def simulated_eur(truth: Truth, policy: Policy) -> float:
    """Return what a run of the real charger costs that is told `policy(minute)` in each minute."""
    charger, mode, soc, unmet_kwh = UNPLUGGED, int(Mode.STOP), truth.battery_soc, 0.0
    ends = dict(zip(truth.departure.tolist(), [0.0] * len(truth.departure), strict=True))
    begins = dict(zip(truth.arrival.tolist(), truth.energy_kwh.tolist(), strict=True))
    grid_w, need_kwh, phases = np.zeros(truth.minutes), 0.0, 0
    for minute in range(truth.minutes + 1):
        if minute in ends:
            unmet_kwh, need_kwh, phases, charger = unmet_kwh + need_kwh, 0.0, 0, UNPLUGGED
        if minute in begins:
            need_kwh, phases = begins[minute], truth.car.phases
        if minute == truth.minutes:
            break
        surplus_w, ordered = truth.pv_w[minute] - truth.load_w[minute], policy(minute)
        ev_w = 0.0
        spans = (
            ((mode, truth.command_s), (ordered, 60.0 - truth.command_s))
            if mode != ordered
            else ((mode, 60.0),)
        )
        for told, dt_s in spans if phases else ():
            if dt_s > 0.0:
                car_w = car_demand_w(need_kwh, dt_s, truth.car)
                charger, mean_w = charger_step(
                    charger, told, surplus_w, car_w, phases, dt_s, truth.charger, truth.times
                )
                need_kwh = car_need_kwh(need_kwh, mean_w, dt_s)
                ev_w += mean_w * dt_s / 60.0
        mode, battery_w = ordered, 0.0
        if truth.battery is not None:
            soc, battery_w = battery_step(soc, ev_w - surplus_w, 60.0, truth.battery)
        grid_w[minute] = ev_w - surplus_w - battery_w
    return float(np.sum(truth.exchange_eur(grid_w))) + unmet_kwh * truth.unmet_eur_per_kwh


def policies(truth: Truth, seed: int) -> dict[str, Policy]:
    """Return the fixed modes, modes at random, and one that knows the prices and the sun."""
    rng = np.random.default_rng(seed)
    often = rng.integers(0, 4, truth.minutes + 1)
    rarely = np.repeat(rng.integers(0, 4, truth.minutes // 20 + 2), 20)
    cheap_eur = np.median(truth.price_eur_per_kwh)
    knowing = np.where(truth.price_eur_per_kwh[truth.slot_of] <= cheap_eur, int(Mode.FAST), int(Mode.GREEN))
    sly = np.where(truth.surplus_w > 0.0, int(Mode.ECO), int(Mode.STOP))
    return {
        **{mode.name: lambda _, mode=mode: int(mode) for mode in Mode},
        "often": lambda minute: int(often[minute]),
        "rarely": lambda minute: int(rarely[minute]),
        "knowing": lambda minute: int(knowing[minute]),
        "sly": lambda minute: int(sly[minute]),
    }


def without_battery(truth: Truth) -> Truth:
    """Return the same house without its home battery."""
    return replace(truth, battery=None)


__all__ = ["ChargerTimes", "house", "policies", "simulated_eur", "without_battery"]
