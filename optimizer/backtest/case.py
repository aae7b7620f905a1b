"""What a backtest runs on: one house, one car and its visits, prices; everything by the minute."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizer.ahead import NO_HABITS, Habits
from optimizer.domain import ChargerSpec
from optimizer.forecast.vintages import Vintages
from optimizer.plant.battery import BatteryLimits
from optimizer.plant.car import CarLimits
from optimizer.plant.charger import ChargerTimes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SLOT_MIN = 15
"""Minutes in a slot of the tariff."""


@dataclass(frozen=True, slots=True)
class Visit:
    """The car is plugged in during the minutes `[arrival, departure)` and takes up to `energy_kwh`.

    `number` is the row of the sessions file, counted from 0.
    """

    number: int
    arrival: int
    departure: int
    energy_kwh: float


@dataclass(frozen=True, slots=True)
class GoalSpan:
    """From minute `start` on, until the next span begins, the controller knows this goal.

    `deadline` is a minute, too; `energy_kwh` counts from plugging in.
    """

    start: int
    deadline: int
    energy_kwh: float


@dataclass(frozen=True, slots=True)
class Home:
    """Charger, car and, perhaps, a home battery; by default the reference charger and none."""

    charger: ChargerSpec = field(
        default_factory=lambda: ChargerSpec("garage", "REFERENCE", phases=1, max_current_a=32.0)
    )
    car: CarLimits = CarLimits()  # noqa: RUF009 - a named tuple cannot change
    times: ChargerTimes = ChargerTimes()  # noqa: RUF009 - a named tuple cannot change
    battery: BatteryLimits | None = None
    battery_soc: float = 0.5


@dataclass(frozen=True, slots=True)
class Foresight:
    """What may be known beforehand: forecasts with the time they were there, and what each car may do.

    Forecasts that are None are made from the case's own past where they are asked for.

    Slots are counted as those of the prices.  From slot `n` on the prices before slot `priced_until[n]` are
    known (None: all).  `habits` has a row for each visit, or none.
    """

    pv: Vintages | None = None
    load: Vintages | None = None
    habits: Habits = NO_HABITS
    priced_until: Ints | None = None
    whole: Case | None = field(default=None, repr=False, compare=False)
    """The case that this is a part of, whose past is known too."""


@dataclass(frozen=True, slots=True)
class Case:
    """One house over some time.

    `start` is aware UTC on a whole minute.  `pv_w`, `load_w` (without the car), both at least 0, and `known`
    have one value a minute; minutes that are not known are 0 W, hold no visit and are left out of traces.
    `visits` ascend and do not overlap.  Prices have one value for each quarter hour of the clock, the first
    for the one that `start` lies in: minute `t` pays `price_eur_per_kwh[(t + slot_offset) // 15]`.  The
    house's days are those of `zone`, if it is known.
    """

    house: str
    start: datetime
    pv_w: Floats
    load_w: Floats
    known: NDArray[np.bool_]
    visits: tuple[Visit, ...]
    goals: tuple[GoalSpan, ...]
    price_eur_per_kwh: Floats
    feed_in_eur_per_kwh: Floats
    home: Home = field(default_factory=Home)
    unmet_eur_per_kwh: float = 0.60
    foresight: Foresight = field(default_factory=Foresight)
    zone: tzinfo | None = None
    tapes: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The case as the kernels read it, kept by `tape.tape_of`, and what `foresight.foreseen` made."""

    @property
    def minutes(self) -> int:
        """How many minutes the case is long."""
        return len(self.pv_w)

    @property
    def end(self) -> datetime:
        """The first moment after the case."""
        return self.start + timedelta(minutes=self.minutes)

    @property
    def slot_offset(self) -> int:
        """How many minutes of the first quarter hour lie before `start`."""
        return self.start.minute % SLOT_MIN
