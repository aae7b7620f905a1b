"""What a seed means: a site, its owner's habits, and everything that shall go wrong in its life."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from campaign_outside import Spell, looking_ahead, spells_of

from optimizer.config import Settings
from optimizer.domain import ChargerSpec, Mode
from optimizer.plant.battery import BatteryLimits
from optimizer.plant.car import CarLimits
from optimizer.simulation.faults import ANSWER_FAULTS, CALLBACK_FAULTS, Fault, FaultKind, random_schedule
from optimizer.simulation.sessions import Session, read_sessions
from optimizer.simulation.settings import Quirk, VirtualSettings

DAY_S = 86_400.0
CALM_S = 3.0 * 3600.0
"""Nothing new goes wrong in the last hours: the longest ban, and time to be seen at work after it."""

SAMPLES = Path(__file__).parents[1] / "data" / "samples"

_LOOKS_AHEAD = 0.4
"""So many lives are planned ones; the others know nothing of forecasts."""
_YEAR = datetime(2019, 1, 1, tzinfo=UTC)
_NAMES = ("garage", "yard")


class End(StrEnum):
    """How a run of the service ends before its time."""

    KILL = "kill"
    STOP = "stop"


class Trouble(StrEnum):
    """Why the log cannot be written."""

    LOCKED = "locked"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Break:
    """The service ends at `at_s` and comes back `down_s` later, perhaps on a machine started anew."""

    at_s: float
    end: End
    down_s: float
    reboot: bool


@dataclass(frozen=True, slots=True)
class Shift:
    """Somebody sets the wall clock."""

    at_s: float
    by: timedelta


@dataclass(frozen=True, slots=True)
class Order:
    """The owner's `sunmode set`: a mode (None: automatic) for one charger or all (None)."""

    at_s: float
    charger: str | None
    mode: Mode | None
    hold: timedelta


@dataclass(frozen=True, slots=True)
class Outage:
    """The log cannot be written for a while."""

    at_s: float
    lasts_s: float
    trouble: Trouble


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole life before it is lived.

    `values` are the service's settings but for the log's path, `look_s` is how often the truth is looked at.
    """

    seed: int
    days: float
    virtual: VirtualSettings
    sessions: Mapping[str, tuple[Session, ...]]
    values: Mapping[str, Any]
    faults: tuple[Fault, ...] = ()
    breaks: tuple[Break, ...] = ()
    shifts: tuple[Shift, ...] = ()
    orders: tuple[Order, ...] = ()
    outages: tuple[Outage, ...] = ()
    spells: tuple[Spell, ...] = ()
    look_s: float = 60.0

    def settings(self, database: Path) -> Settings:
        """Return what the owner's `config.toml` would say."""
        return Settings(**self.values, store={"path": database})


def draw(seed: int, days: float, token: str) -> Plan:
    """Return the life of `seed`; equal arguments give equal lives."""
    rng = random.Random(f"life {seed}")
    virtual = _site(rng, seed, days, token)
    names = tuple(spec.name for spec in virtual.chargers)
    serials = tuple(spec.serial for spec in virtual.chargers)
    span_s = days * DAY_S - CALM_S
    blindness = tuple(_blindness(rng, span_s))
    values, strangers = _values(rng, virtual), random.Random(f"strangers {seed}")
    if strangers.random() < _LOOKS_AHEAD:
        values |= looking_ahead(strangers)
    return Plan(
        seed,
        days,
        virtual,
        {name: tuple(_visits(rng, virtual.start, days)) for name in names},
        values,
        (*random_schedule(rng, 0.0, span_s, serials), *blindness),
        tuple(_breaks(rng, span_s, blindness)),
        tuple(
            Shift(at_s, timedelta(seconds=rng.uniform(-3600.0, 3600.0))) for at_s in _moments(rng, 2, span_s)
        ),
        tuple(_order(rng, at_s, names) for at_s in _moments(rng, 2, span_s)),
        tuple(_outages(rng, span_s)),
        tuple(spells_of(strangers, span_s)),
    )


def ordinary_year(token: str, first_day: int = 0, days: float = 365.0) -> Plan:
    """Return days of the sample's year: its commuter, a goal for each working day, a cloud that hiccups."""
    virtual = VirtualSettings(
        token=token,
        start=_YEAR + timedelta(days=first_day),
        fault_rates=dict.fromkeys((FaultKind.SERVER_ERROR, FaultKind.NULL, FaultKind.LOST_COMMAND), 0.003),
    )
    spec = virtual.chargers[0]
    values = {
        "solax": {"inverter": virtual.inverter},
        "charger": [
            {
                "name": spec.name,
                "serial": spec.serial,
                "goal": [{"days": ["weekdays"], "by": "07:00", "energy_kwh": 8}],
            }
        ],
        "strategy": {"name": "threshold"},
    }
    sessions = {spec.name: read_sessions(SAMPLES / "sessions.csv")}
    return Plan(0, days, virtual, sessions, values, look_s=600.0)


def _moments(rng: random.Random, most: int, span_s: float) -> list[float]:
    return sorted(rng.uniform(600.0, span_s - 3600.0) for _ in range(rng.randint(0, most)))


def _blindness(rng: random.Random, span_s: float) -> Iterator[Fault]:
    """Yield times without news of the house: what the promise about old data is made for."""
    for at_s in _moments(rng, 3, span_s):
        kind = rng.choice((FaultKind.INVERTER_FROZEN, FaultKind.INVERTER_OFFLINE))
        yield Fault(kind, at_s, rng.uniform(600.0, 3600.0))


def _breaks(rng: random.Random, span_s: float, blindness: Sequence[Fault]) -> Iterator[Break]:
    """Yield ends of the service: now and then, while it sees nothing, and at times one after the other."""
    moments = _moments(rng, 4, span_s)
    moments += [blind.start_s + rng.uniform(300.0, 960.0) for blind in blindness if rng.random() < 0.5]
    if moments and rng.random() < 0.4:
        moments += [moments[0] + rng.uniform(5.0, 40.0) * number for number in range(1, 7)]
    free_s = 0.0
    for at_s in sorted(moments):
        if at_s >= free_s:
            ends = rng.choice((End.KILL, End.KILL, End.STOP))
            down_s = rng.choice((1.0, 5.0, rng.uniform(1.0, 300.0)))
            yield Break(at_s, ends, down_s, reboot=rng.random() < 0.3)
            free_s = at_s + down_s + 1.0


def _order(rng: random.Random, at_s: float, names: tuple[str, ...]) -> Order:
    charger = rng.choice((None, *names))
    mode = rng.choice((None, *Mode))
    return Order(at_s, charger, mode, timedelta(seconds=rng.choice((300.0, 3600.0, 10_800.0))))


def _outages(rng: random.Random, span_s: float) -> Iterator[Outage]:
    for at_s in _moments(rng, 1, span_s):
        yield Outage(at_s, rng.choice((5.0, 120.0, 900.0, 2400.0)), rng.choice(tuple(Trouble)))


def _visits(rng: random.Random, start: datetime, days: float) -> Iterator[Session]:
    """Yield when a car is there: it comes and goes at any hour, and seldom needs nothing."""
    at = start + timedelta(hours=rng.uniform(0.0, 3.0))
    while at < start + timedelta(days=days):
        leaves = at + timedelta(hours=rng.uniform(0.5, 16.0))
        yield Session(at, leaves, rng.choice((0.0, rng.uniform(2.0, 40.0), rng.uniform(2.0, 40.0))))
        at = leaves + timedelta(hours=rng.uniform(0.1, 8.0))


def _site(rng: random.Random, seed: int, days: float, token: str) -> VirtualSettings:
    chargers = tuple(
        ChargerSpec(
            name,
            f"SQ{name.upper()}",
            phases=rng.choice((1, 1, 3)),
            max_current_a=rng.choice((16.0, 32.0)),
            eco_gear_a=rng.choice((6.0, 10.0)),
            green_gear_a=rng.choice((3.0, 6.0)),
            priority=rng.randint(1, 2),
        )
        for name in _NAMES[: rng.choice((1, 1, 2))]
    )
    start = _YEAR + timedelta(minutes=rng.randrange(int((364 - days) * 1440)))
    kinds = rng.sample(ANSWER_FAULTS + CALLBACK_FAULTS, 2) if rng.random() < 0.3 else []
    return VirtualSettings(
        token=token,
        inverter="SWINVERTER",
        start=start,
        seed=seed,
        chargers=chargers,
        cars=tuple(CarLimits(rng.choice((3700.0, 7400.0, 11_000.0)), rng.choice((1, 3))) for _ in chargers),
        battery=BatteryLimits() if rng.random() < 0.4 else None,
        battery_soc=rng.random(),
        pv_scale=rng.choice((0.3, 0.6, 1.0)),
        fault_rates={FaultKind(kind): 0.01 for kind in kinds},
        quirks=frozenset(quirk for quirk in Quirk if rng.random() < 0.3),
    )


def _values(rng: random.Random, virtual: VirtualSettings) -> dict[str, Any]:
    goal = [{"days": ["daily"], "by": rng.choice(("07:00", "15:30")), "energy_kwh": rng.uniform(3.0, 30.0)}]
    per_minute = rng.choice((4, 6, 9))
    return {
        "solax": {"inverter": virtual.inverter},
        "charger": [_charger(spec, goal if rng.random() < 0.6 else []) for spec in virtual.chargers],
        "battery": _battery(rng, virtual.battery),
        "strategy": _strategy(rng),
        "callback": {"url": rng.choice(("", "https://home.example"))},
        "budget": {"calls_per_minute": per_minute, "reserved_per_minute": rng.choice((1, 2))},
        "control": {
            "cycle_s": rng.choice((30.0, 60.0, 60.0)),
            "green_commissioned": rng.random() < 0.5,
            "stop_mode": rng.choice(("resting", "keep")),
            "override_hold_s": rng.choice((0.0, 1800.0, 10_800.0)),
            "max_changes_per_day": rng.choice((8, 24, 100)),
        },
    }


def _charger(spec: ChargerSpec, goal: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": spec.name,
        "serial": spec.serial,
        "phases": spec.phases,
        "max_current_a": spec.max_current_a,
        "eco_gear_a": int(spec.eco_gear_a),
        "green_gear_a": int(spec.green_gear_a),
        "priority": spec.priority,
        "goal": goal,
    }


def _battery(rng: random.Random, limits: BatteryLimits | None) -> dict[str, float] | None:
    if limits is None:
        return None
    return {"capacity_kwh": limits.capacity_kwh, "first_until_soc": rng.choice((0.0, 0.5, 0.9))}


def _strategy(rng: random.Random) -> dict[str, Any]:
    kinds: tuple[Callable[[], dict[str, Any]], ...] = (
        lambda: {"name": "fixed", "fixed": {"mode": rng.choice(("fast", "fast", "eco", "green"))}},
        lambda: {"name": "threshold"},
        lambda: {
            "name": "threshold",
            "threshold": {
                "start_delay_s": rng.choice((0.0, 60.0, 300.0)),
                "stop_delay_s": rng.choice((0.0, 300.0, 900.0)),
                "fast_by_surplus": rng.random() < 0.5,
                "fast_start_factor": rng.choice((0.3, 1.0)),
                "fast_stop_factor": 0.2,
                "idle_mode": rng.choice(("stop", "green")),
            },
        },
    )
    return rng.choice(kinds)()
