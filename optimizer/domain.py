"""The words everything else is written in: modes, readings, situations, proposals, decisions.

Power is in watts with these signs: `grid_w` + import, - export; `battery_w` + discharge, - charge;
`pv_w`, `load_w` and `ev_w` are never negative.  `load_w` is the house with the car,
`base_load_w` without it.  Times are aware UTC; ranges are half-open.  `None` means unknown.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol, runtime_checkable
from zoneinfo import ZoneInfo

MAINS_V = 230.0
"""Nominal phase voltage in Europe (EN 50160)."""


class Mode(IntEnum):
    """What the charger can be told; the numbers are the vendor's (`cmdValue`, `chargingMode`)."""

    STOP = 0
    FAST = 1
    ECO = 2
    GREEN = 3

    @property
    def draw_rank(self) -> int:
        """How much grid power a mode may ask for, 0 (none) to 3 (as much as the charger can)."""
        return (0, 3, 2, 1)[self]

    @property
    def draws_from_grid(self) -> bool:
        """FAST and ECO go on importing when nobody watches; STOP and GREEN do not."""
        return self.draw_rank >= Mode.ECO.draw_rank


class ChargerStatus(IntEnum):
    """The charger's state, OCPP-like; `UNKNOWN` stands for any code the vendor adds later."""

    AVAILABLE = 0
    PREPARING = 1
    CHARGING = 2
    FINISHING = 3
    FAULTED = 4
    UNAVAILABLE = 5
    RESERVED = 6
    SUSPENDED_EV = 7
    SUSPENDED_EVSE = 8
    UPDATE = 9
    CARD_ACTIVATION = 10
    START_DELAY = 11
    CHARGE_PAUSE = 12
    STOPPING = 13
    PHASE_SWITCHING = 17
    UNKNOWN = 255

    @property
    def connected(self) -> bool:
        """Whether a car is plugged in, as far as the code tells."""
        return self in _CONNECTED

    @property
    def tells_of_car(self) -> bool:
        """Whether the code tells if a car is plugged in: not a fault, an update or a reservation does."""
        # A charger goes out of service when no car is charging at it.
        return self.connected or self in {ChargerStatus.AVAILABLE, ChargerStatus.UNAVAILABLE}

    @property
    def draws(self) -> bool:
        """Whether current may flow."""
        return self in _DRAWS

    @property
    def finished(self) -> bool:
        """Whether the car itself takes no more (it is full or refuses)."""
        return self is ChargerStatus.SUSPENDED_EV


_CONNECTED = frozenset(
    {
        ChargerStatus.PREPARING,
        ChargerStatus.CHARGING,
        ChargerStatus.FINISHING,
        ChargerStatus.SUSPENDED_EV,
        ChargerStatus.SUSPENDED_EVSE,
        ChargerStatus.CARD_ACTIVATION,
        ChargerStatus.START_DELAY,
        ChargerStatus.CHARGE_PAUSE,
        ChargerStatus.STOPPING,
        ChargerStatus.PHASE_SWITCHING,
    }
)
_DRAWS = frozenset({ChargerStatus.CHARGING, ChargerStatus.STOPPING, ChargerStatus.PHASE_SWITCHING})


@dataclass(frozen=True, slots=True)
class ChargerSpec:
    """What the owner says about one charger: its serial, its limits, its rank among others.

    `car_max_w` is what its car takes at most, None where the charger is the limit.
    """

    name: str
    serial: str
    phases: int = 1
    max_current_a: float = 32.0
    eco_gear_a: float = 6.0
    green_gear_a: float = 6.0
    priority: int = 1
    car_max_w: float | None = None

    def power_w(self, current_a: float) -> float:
        """Power drawn at `current_a` on all phases."""
        return current_a * self.phases * MAINS_V

    @property
    def max_power_w(self) -> float:
        """What FAST draws."""
        charger_w = self.power_w(self.max_current_a)
        return charger_w if self.car_max_w is None else min(charger_w, self.car_max_w)

    @property
    def eco_floor_w(self) -> float:
        """What ECO draws at the least."""
        return self.power_w(self.eco_gear_a)

    @property
    def green_floor_w(self) -> float:
        """Surplus below which GREEN pauses."""
        return self.power_w(self.green_gear_a)


@dataclass(frozen=True, slots=True)
class SiteReading:
    """One telemetry record of the house, in sunmode's signs.

    `stamp` is the vendor's own time of measurement, verbatim: it has no zone and may ignore
    daylight saving, so only its *change* means anything.
    """

    received_at: datetime
    stamp: str | None
    pv_w: float | None
    grid_w: float | None
    battery_w: float | None = 0.0
    battery_soc: float | None = None

    @property
    def load_w(self) -> float | None:
        """House with the car: `pv_w + grid_w + battery_w`, or None where one of them is unknown."""
        if self.pv_w is None or self.grid_w is None or self.battery_w is None:
            return None
        return self.pv_w + self.grid_w + self.battery_w


@dataclass(frozen=True, slots=True)
class ChargerReading:
    """One answer of the charger: mode, status, power and its energy counter.

    `session_kwh` is the counter as the charger tells it: until charging begins that may be the last car's.
    """

    received_at: datetime
    mode: Mode | None
    status: ChargerStatus
    status_code: int | None
    ev_w: float | None
    session_kwh: float | None


@dataclass(frozen=True, slots=True)
class Goal:
    """Energy that the car should have taken in this session by `deadline`; soft."""

    deadline: datetime
    energy_kwh: float

    def missing_kwh(self, taken_kwh: float | None) -> float:
        """Return what is still missing; a session of which nothing is known has taken nothing."""
        return max(0.0, self.energy_kwh - (taken_kwh or 0.0))


@dataclass(frozen=True, slots=True)
class PriceStep:
    """From `start_including` on, until the next step, a kWh has this price."""

    start_including: datetime
    eur_per_kwh: float


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a kWh costs and what an exported one earns; steps (ascending) override the flat prices.

    Prices are known before `known_until`, earnings before `feed_in_known_until` (None: at all times).  From
    then on that of the newest known day at the same time of the day in `zone` stands in; a price not below 0,
    for energy may not look like a gift because nobody knows what it costs.
    """

    import_eur_per_kwh: float
    feed_in_eur_per_kwh: float
    steps: tuple[PriceStep, ...] = ()
    feed_in_steps: tuple[PriceStep, ...] = ()
    known_until: datetime | None = None
    feed_in_known_until: datetime | None = None
    zone: str = "UTC"

    def price_eur_per_kwh(self, at: datetime) -> float:
        """Import price at `at`, or what stands in for it."""
        if self.is_known(at) or self.known_until is None:
            return _in_force(self.steps, self.import_eur_per_kwh, at)
        twin = _known_twin(at, self.known_until, self.zone)
        return max(0.0, _in_force(self.steps, self.import_eur_per_kwh, twin))

    def earned_eur_per_kwh(self, at: datetime) -> float:
        """What an exported kWh earns at `at`, or what stands in for it."""
        until = self.feed_in_known_until
        twin = at if until is None or at < until else _known_twin(at, until, self.zone)
        return _in_force(self.feed_in_steps, self.feed_in_eur_per_kwh, twin)

    def is_known(self, at: datetime) -> bool:
        """Whether the import price at `at` is more than a guess."""
        return self.known_until is None or at < self.known_until


def _in_force(steps: tuple[PriceStep, ...], flat: float, at: datetime) -> float:
    """Return the price of the last step that has begun, `flat` before the first."""
    begun = bisect_right(steps, at, key=lambda step: step.start_including)
    return steps[begun - 1].eur_per_kwh if begun else flat


@lru_cache(maxsize=4096)
def _known_twin(at: datetime, known_until: datetime, zone: str) -> datetime:
    """Return the last moment before `known_until` with the same time of the day as `at`."""
    site = ZoneInfo(zone)
    of_day = at.astimezone(site).time()
    day = known_until.astimezone(site).date()
    twins = (datetime.combine(day - timedelta(days=back), of_day, site).astimezone(UTC) for back in range(3))
    return next((twin for twin in twins if twin < known_until), known_until - timedelta(days=1))


@dataclass(frozen=True, slots=True)
class ForecastSlot:
    """Expected power of one quarter hour with its quantiles."""

    start_including: datetime
    p10_w: float
    p50_w: float
    p90_w: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """One vintage: what was expected, by whom, when it was said."""

    issued_at: datetime
    provider: str
    slots: tuple[ForecastSlot, ...]


@dataclass(frozen=True, slots=True)
class Habit:
    """What is expected of the car that is there now, learnt from its earlier visits.

    `stays[j]` is the chance that it is still there when `j + 1` quarter hours have passed since it came,
    `takes[j]` the chance that it takes more than `j` times `ahead.TAKEN_STEP_KWH`.
    """

    stays: tuple[float, ...]
    takes: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a strategy may know when it decides for one charger.

    `surplus_w` is this charger's share of the surplus: what the car could take without import.  `mode` is
    the one decided last, which the charger is in or on its way to; at first the one that was read.
    `memory` is what the strategy returned in its previous proposal (empty at first), `elapsed_s`
    the time since then: a strategy keeps no state of its own, so that it can be replayed.  `forecast` is of
    the sun and `load_forecast` of the house without cars; `habit` stands in where there is no goal, and
    `stayed_s` is how long the car has been there.
    """

    now: datetime
    charger: ChargerSpec
    status: ChargerStatus | None
    mode: Mode | None
    ev_w: float | None
    session_kwh: float | None
    surplus_w: float | None
    site: SiteReading | None
    data_age_s: float | None
    elapsed_s: float
    goal: Goal | None
    tariff: Tariff
    forecast: Forecast | None = None
    load_forecast: Forecast | None = None
    habit: Habit | None = None
    stayed_s: float = 0.0
    memory: tuple[float, ...] = ()

    @property
    def connected(self) -> bool:
        """Whether a car is plugged in, as far as is known."""
        return self.status is not None and self.status.connected

    @property
    def need_kwh(self) -> float:
        """What the goal still misses, 0 without one."""
        return 0.0 if self.goal is None else self.goal.missing_kwh(self.session_kwh)


ReasonParams = Mapping[str, float | int | str]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, as a code with numbers (to test and to translate) that renders to one plain sentence.

    `sentence` is a `str.format` template over `params`, e.g. `"{surplus_w:.0f} W surplus"`.
    """

    code: str
    sentence: str
    params: ReasonParams = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def telling(cls, code: str, sentence: str, numbers: ReasonParams) -> Reason:
        """Return a reason with those of the numbers that its sentence tells."""
        told = {name: value for name, value in numbers.items() if f"{{{name}" in sentence}
        return cls(code, sentence, MappingProxyType(told))

    def __str__(self) -> str:
        return self.sentence.format(**self.params)


@dataclass(frozen=True, slots=True)
class Alternative:
    """What another mode would cost from here on, in euros."""

    mode: Mode
    cost_eur: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a strategy wants, why, and what it wants to be told again next time."""

    mode: Mode
    reason: Reason
    alternatives: tuple[Alternative, ...] = ()
    memory: tuple[float, ...] = ()


class Guard(StrEnum):
    """Who had the last word where it was not the strategy, in the order they are asked."""

    LEASE = "lease"
    DATA_AGE = "data_age"
    OVERRIDE = "override"
    GOAL = "goal"
    HYSTERESIS = "hysteresis"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class Decision:
    """What one charger shall do now, and until when a mode that draws from the grid may stand."""

    at: datetime
    charger: str
    mode: Mode
    reason: Reason
    proposed: Mode
    guard: Guard | None = None
    lease_until: datetime | None = None
    alternatives: tuple[Alternative, ...] = ()


@runtime_checkable
class Strategy(Protocol):
    """A policy.  `serves_goals` is False only for one that shall stand whatever the goal says.

    What else may stand beside is told in docs/strategies.md.
    """

    name: str
    serves_goals: bool

    def propose(self, situation: Situation) -> Proposal:
        """Return the wanted mode; pure: equal situations give equal proposals."""
        ...
