"""What a clairvoyant knows: a house, its car's visits and its prices, all of it as it will be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimizer.domain import MAINS_V
from optimizer.plant.battery import BatteryLimits
from optimizer.plant.car import CarLimits
from optimizer.plant.charger import PILOT_MIN_A, ChargerLimits, ChargerTimes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SLOT_MIN = 15
"""Minutes in a slot of the tariff."""

W_MIN_PER_KWH = 60_000.0
"""Watt-minutes in a kilowatt-hour."""

MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Truth:
    """One house over some time, by the minute, with nothing hidden.

    `load_w` is without the car.  Visit `v` is plugged in during the minutes `[arrival[v], departure[v])` and
    takes up to `energy_kwh[v]`; visits ascend and do not overlap.  Minute `t` pays `price_eur_per_kwh[(t +
    slot_offset) // 15]` for import and earns `feed_in_eur_per_kwh` of that slot. The charger obeys an order
    `command_s` after the minute's beginning; there is at most one in a minute.
    """

    pv_w: Floats
    load_w: Floats
    arrival: Ints
    departure: Ints
    energy_kwh: Floats
    price_eur_per_kwh: Floats
    feed_in_eur_per_kwh: Floats
    slot_offset: int = 0
    charger: ChargerLimits = ChargerLimits()  # noqa: RUF009 - a named tuple cannot change
    times: ChargerTimes = ChargerTimes()  # noqa: RUF009 - a named tuple cannot change
    car: CarLimits = CarLimits()  # noqa: RUF009 - a named tuple cannot change
    command_s: float = 0.0
    battery: BatteryLimits | None = None
    battery_soc: float = 0.5
    unmet_eur_per_kwh: float = 0.60

    def __post_init__(self) -> None:
        slots = -(-(self.minutes + self.slot_offset) // SLOT_MIN)
        if len(self.load_w) != self.minutes:
            raise ValueError(f"load_w has {len(self.load_w)} minutes, pv_w {self.minutes}")
        if min(len(self.price_eur_per_kwh), len(self.feed_in_eur_per_kwh)) < slots:
            raise ValueError(f"prices must cover {slots} quarter hours")
        edges = np.column_stack((self.arrival, self.departure)).ravel()
        if np.any(np.diff(edges) < 0) or (len(edges) and (edges[0] < 0 or edges[-1] > self.minutes)):
            raise ValueError("visits must ascend, not overlap, and lie within the minutes given")

    @property
    def minutes(self) -> int:
        """How many minutes it is long."""
        return len(self.pv_w)

    @property
    def surplus_w(self) -> Floats:
        """Production minus load without the car, W: negative where even the house imports."""
        return self.pv_w - self.load_w

    @property
    def slot_of(self) -> Ints:
        """The index of each minute's quarter hour among the prices."""
        return (np.arange(self.minutes) + self.slot_offset) // SLOT_MIN

    @property
    def phase_w(self) -> float:
        """What the car draws per ampere: it uses its own phases or the charger's, whichever are fewer."""
        return min(self.car.phases, self.charger.phases) * MAINS_V

    @property
    def max_w(self) -> float:
        """The most the car can draw here."""
        return min(self.car.max_w, self.charger.max_current_a * self.phase_w)

    @property
    def green_gear_w(self) -> float:
        """The surplus below which GREEN pauses."""
        return self.charger.green_gear_a * self.charger.phases * MAINS_V

    @property
    def floor_w(self) -> float:
        """The least that flows while the charger charges, in any mode: a gear, or what a slow car takes."""
        gear_a = min(self.charger.eco_gear_a, max(PILOT_MIN_A, self.charger.green_gear_a))
        taper_w = self.car.taper_floor_w if self.car.taper_kwh > 0.0 else self.max_w
        return min(gear_a * self.phase_w, taper_w, self.max_w)

    def exchange_eur(self, grid_w: Floats, minutes: Ints | slice = slice(None)) -> Floats:
        """What a minute of `grid_w` (+ import) costs, for each of `minutes`."""
        slots = self.slot_of[minutes]
        price = np.where(grid_w > 0.0, self.price_eur_per_kwh[slots], self.feed_in_eur_per_kwh[slots])
        return np.asarray(grid_w * price / W_MIN_PER_KWH)
