"""Days of which everything is known, and what the best plan for them costs, which HiGHS proves."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from optimizer.ahead import NO_HABITS, Ahead, Outlook
from optimizer.domain import ChargerSpec
from optimizer.planning.expected import NOBODY, Costs, Task
from optimizer.planning.itinerary import Step, itinerary
from optimizer.planning.lookahead import MODES, Model, Weather, tables_of
from optimizer.planning.outcome import Drive, outcome
from optimizer.planning.sky import sky_of
from optimizer.sensed import Sensed
from strategies.planner import drive_of

SPEC = ChargerSpec("garage", "REFERENCE")
UNMET_EUR = 0.60
SPARE_KWH = 59.8
"""A multiple of one ampere for a quarter hour: so the goal lies on a level."""
SLOT_KWH = 1.84
"""What FAST gives in a quarter hour, another multiple."""
STOP = 0


@dataclass(frozen=True)
class Instance:
    """Quarter hours of a certain surplus and price, a car that misses `need_kwh` at their end."""

    surplus_w: NDArray[np.float64]
    price: NDArray[np.float64]
    feed_in: float
    need_kwh: float
    switch_eur: float

    @property
    def slots(self) -> int:
        return len(self.surplus_w)

    @property
    def spare_kwh(self) -> float:
        """How much more than it needs the car takes: all there could be where a price is below 0.

        HiGHS knows no full car; where energy costs something nobody wants more of it.
        """
        return SPARE_KWH if self.price.min() >= 0.0 else SLOT_KWH * self.slots

    @property
    def energy_levels(self) -> int:
        """How many levels of half an ampere for a quarter hour there are up to the last one."""
        return math.ceil((self.need_kwh + self.spare_kwh) / (SLOT_KWH / 64.0)) + 1

    @property
    def drive(self) -> Drive:
        return drive_of(SPEC, green_share=1.0)


def instance(seed: int, slots: int = 192) -> Instance:
    """Return the instance of a seed: two days of weather, prices and a need that is mostly feasible."""
    rng = random.Random(f"plan {seed}")
    peak_w, cloud, level = rng.choice((3000.0, 6000.0, 10_000.0)), rng.random(), rng.uniform(0.15, 0.35)
    surplus, price = [], []
    for slot in range(slots):
        cloud = min(1.0, max(0.1, cloud + rng.gauss(0.0, 0.15)))
        sun = max(0.0, math.sin(math.pi * ((slot / 4.0) % 24.0 - 5.0) / 14.0))
        surplus.append(peak_w * cloud * sun - rng.choice((200.0, 400.0, 2200.0)))
        level += rng.gauss(0.0, 0.02) if slot % 4 == 0 else 0.0
        price.append(level)
    need_kwh = rng.uniform(3.0, 45.0)
    return Instance(np.array(surplus), np.array(price), 0.08, need_kwh, rng.choice((0.005, 0.01, 0.03)))


def offers(one: Instance) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what each mode gives in each slot, kWh, and what it costs, EUR: slots by modes."""
    pairs = [
        [outcome(mode, float(w), 0.0, float(eur), one.feed_in, one.drive) for mode in range(MODES)]
        for w, eur in zip(one.surplus_w, one.price, strict=True)
    ]
    kw, eur_per_kwh = np.moveaxis(np.array(pairs), -1, 0)
    return kw * 0.25, kw * 0.25 * eur_per_kwh


def best_eur(one: Instance) -> float:
    """Return the least cost of any row of modes, as HiGHS proves it to within 1e-5 EUR."""
    found_eur, least_eur = searched_eur(one)
    assert found_eur - least_eur < 1e-4
    return found_eur


def searched_eur(one: Instance, limit_s: float | None = None) -> tuple[float, float]:
    """Return the least cost that HiGHS finds for a row of modes, and what it proves none to undercut."""
    kwh, eur = offers(one)
    count = one.slots * MODES
    # Columns: which mode in which slot; into which one was changed; what is missed.
    columns = np.concatenate((eur.ravel(), np.full(count, one.switch_eur), [UNMET_EUR]))
    rows: list[tuple[int, int, float]] = []
    low, high = [], []

    def row(entries: list[tuple[int, float]], least: float, most: float) -> None:
        rows.extend((len(low), column, value) for column, value in entries)
        low.append(least)
        high.append(most)

    for slot in range(one.slots):
        row([(slot * MODES + mode, 1.0) for mode in range(MODES)], 1.0, 1.0)
        for mode in range(MODES):
            here = slot * MODES + mode
            before = [] if slot == 0 else [(here - MODES, 1.0)]
            begins_with = 1.0 if slot == 0 and mode == STOP else 0.0
            row([(here, -1.0), *before, (count + here, 1.0)], -begins_with, np.inf)
    row([*enumerate(kwh.ravel().tolist()), (2 * count, 1.0)], one.need_kwh, np.inf)
    at, column, value = zip(*rows, strict=True)
    table = coo_array((value, (at, column)), shape=(len(low), len(columns))).tocsr()
    found = milp(
        columns,
        constraints=LinearConstraint(table, low, high),
        integrality=np.concatenate((np.ones(count), np.zeros(count + 1))),
        bounds=Bounds(0.0, np.concatenate((np.ones(2 * count), [one.need_kwh]))),
        options={"mip_rel_gap": 1e-6, **({} if limit_s is None else {"time_limit": limit_s})},
    )
    assert found.x is not None, found.message
    return float(found.fun), float(found.mip_dual_bound)


def planned(one: Instance) -> list[Step]:
    """Return the plan of the closed-loop programme for a day that is certain."""
    costs = Costs(UNMET_EUR, 0.0, one.spare_kwh, one.switch_eur, 0.0)
    weather = Weather(sky_of(1, 1.0), 0.0, 0.0, 0.0)
    model = Model(costs, one.drive, weather, tables_of(1, one.energy_levels))
    pv = np.maximum(one.surplus_w, 0.0).tolist()
    load = np.maximum(-one.surplus_w, 0.0).tolist()
    ahead = Ahead(
        0,
        one.price.tolist(),
        [one.feed_in] * one.slots,
        [one.slots] * one.slots,
        Outlook([0], [0], one.slots, pv, pv, pv),
        Outlook([0], [0], one.slots, load, load, load),
        NO_HABITS,
    )
    task = Task(
        0, 0, one.slots, one.slots, 0.0, -1, NOBODY, one.need_kwh, one.need_kwh + one.spare_kwh, UNMET_EUR
    )
    seen = Sensed(
        True, False, STOP, False, 0.0, 0.0, 0.0, one.need_kwh, one.slots * 900.0, SPEC.max_power_w, 0, 0.0,
        0.0, math.nan, math.nan, math.nan, math.nan, 0.0, -1, 0.0,
    )  # fmt: skip
    return list(itinerary(seen, ahead, task, model))


def cost_eur(one: Instance, modes: list[int]) -> float:
    """Return what a row of modes costs."""
    kwh, eur = offers(one)
    at = np.arange(one.slots)
    changes = np.count_nonzero(np.diff([STOP, *modes]))
    missing_kwh = max(0.0, one.need_kwh - kwh[at, modes].sum())
    return float(eur[at, modes].sum() + changes * one.switch_eur + missing_kwh * UNMET_EUR)
