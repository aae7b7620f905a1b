"""How the virtual world is made; the defaults are the reference home."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from optimizer.domain import ChargerSpec
from optimizer.plant.battery import BatteryLimits
from optimizer.plant.car import CarLimits
from optimizer.plant.charger import ChargerTimes
from optimizer.simulation.faults import FaultKind


class Quirk(StrEnum):
    """Where the vendor's guide contradicts itself or the field: a client must bear each of them."""

    RESULT_AS_STRING = "result_as_string"
    CAPITAL_CHARGING_POWER = "capital_charging_power"
    NUMBERS_AS_STRINGS = "numbers_as_strings"
    CALLBACK_LISTS_OUTSIDE = "callback_lists_outside"


class GreenMeter(StrEnum):
    """What a charger measures of the house, on which its GREEN depends: all, nothing, or no surplus ever.

    Without a meter GREEN holds its least current whatever the sun does; with one that sees no surplus it
    never starts.
    """

    WIRED = "wired"
    MISSING = "missing"
    NO_SURPLUS = "no_surplus"


@dataclass(frozen=True, slots=True)
class RoofFace:
    """One face of the roof; azimuth in degrees clockwise from north (180 = south)."""

    kwp: float
    tilt_deg: float
    azimuth_deg: float


@dataclass(frozen=True, slots=True)
class VendorLimits:
    """What one token may do; the guide says fewer than 10 calls a minute, fewer than 10,000 a day.

    The ban after several violations in a row, and its hour, are the vendor's own words; how many
    "several" are is assumed.
    """

    calls_per_minute: int = 9
    calls_per_day: int = 9_999
    violations_before_ban: int = 3
    ban_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Latencies:
    """Ranges in seconds, drawn uniformly.

    `request` and `answer`: on the wire; `command`: from the cloud to the charger; `callback`: from an
    event to its callback; `device_timeout_s`: until the cloud gives a silent charger up.
    """

    request_s: tuple[float, float] = (0.02, 0.15)
    answer_s: tuple[float, float] = (0.05, 0.4)
    command_s: tuple[float, float] = (3.0, 25.0)
    callback_s: tuple[float, float] = (0.2, 3.0)
    device_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class VirtualSettings:
    """One virtual site with its cloud account.

    `cars[i]` stands at `chargers[i]`, the last car at all further chargers.  `fault_rates` are
    chances per answer, command or callback.  `step_s` is the physics' step, `idle_step_s` the one
    while nothing is plugged in; `keep_calls` bounds the call log (None: all).
    """

    token: str = field(default="202601010000VIRTUAL00000", repr=False)
    inverter: str = "VIRTUALINV"
    timezone: str = "Europe/Berlin"
    start: datetime = datetime(2019, 7, 2, 2, tzinfo=UTC)
    seed: int = 1
    chargers: tuple[ChargerSpec, ...] = (ChargerSpec("garage", "VIRTUALEVC01"),)
    cars: tuple[CarLimits, ...] = (CarLimits(),)
    battery: BatteryLimits | None = None
    battery_soc: float = 0.5
    charger_times: ChargerTimes = ChargerTimes()  # noqa: RUF009 - a named tuple cannot change
    pv_scale: float = 0.6
    roof: tuple[RoofFace, ...] = (RoofFace(9.1, 35.0, 180.0),)
    latitude: float = 52.0
    longitude: float = 9.4
    step_s: float = 10.0
    idle_step_s: float = 60.0
    telemetry_interval_s: float = 300.0
    charger_telemetry_s: float = 60.0
    latencies: Latencies = Latencies()
    vendor: VendorLimits = VendorLimits()
    quirks: frozenset[Quirk] = frozenset()
    fault_rates: Mapping[FaultKind, float] = field(default_factory=dict)
    keep_calls: int | None = None
    green_meter: GreenMeter = GreenMeter.WIRED

    def car_at(self, index: int) -> CarLimits:
        """Return the car of the charger at `index`."""
        return self.cars[min(index, len(self.cars) - 1)]
