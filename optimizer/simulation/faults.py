"""What goes wrong in the virtual world: by schedule, or by chance with a seeded generator."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from optimizer.domain import Mode
from optimizer.errors import InputError


class FaultKind(StrEnum):
    """The faults by name, as a schedule, a rate table or a log spells them."""

    # An answer of the cloud, drawn anew for each call.
    HTML = "html"
    TOO_MANY_REQUESTS = "too_many_requests"
    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    AUTH_ERROR = "auth_error"
    EMPTY_BODY = "empty_body"
    TRUNCATED = "truncated"
    DRIP = "drip"
    RESET = "reset"
    SILENT = "silent"
    WRONG_TYPES = "wrong_types"
    NAN = "nan"
    NULL = "null"
    LIE = "lie"
    GZIP_BOMB = "gzip_bomb"
    # A command on its way to the charger, drawn anew for each one.
    LOST_COMMAND = "lost_command"
    LATE_COMMAND = "late_command"
    DUPLICATE_COMMAND = "duplicate_command"
    # A callback, drawn anew for each one.
    LOST_CALLBACK = "lost_callback"
    LATE_CALLBACK = "late_callback"
    DUPLICATE_CALLBACK = "duplicate_callback"
    REORDERED_CALLBACK = "reordered_callback"
    # A device, for as long as the fault lasts.
    CHARGER_OFFLINE = "charger_offline"
    CHARGER_FROZEN = "charger_frozen"
    INVERTER_OFFLINE = "inverter_offline"
    INVERTER_FROZEN = "inverter_frozen"
    # Something that happens once, at the fault's start.
    FALLBACK_TO_FAST = "fallback_to_fast"
    MANUAL_CHANGE = "manual_change"


_ORDER = tuple(FaultKind)


def _group(first: FaultKind, last: FaultKind) -> tuple[FaultKind, ...]:
    return _ORDER[_ORDER.index(first) : _ORDER.index(last) + 1]


ANSWER_FAULTS = _group(FaultKind.HTML, FaultKind.GZIP_BOMB)
COMMAND_FAULTS = _group(FaultKind.LOST_COMMAND, FaultKind.DUPLICATE_COMMAND)
CALLBACK_FAULTS = _group(FaultKind.LOST_CALLBACK, FaultKind.REORDERED_CALLBACK)
DEVICE_FAULTS = _group(FaultKind.CHARGER_OFFLINE, FaultKind.INVERTER_FROZEN)
HAPPENINGS = _group(FaultKind.FALLBACK_TO_FAST, FaultKind.MANUAL_CHANGE)
_BY_CHANCE = frozenset(ANSWER_FAULTS + COMMAND_FAULTS + CALLBACK_FAULTS)

LATEST_COMMAND_S = 240.0
LATEST_CALLBACK_S = 120.0
_LATENESS_S = {
    FaultKind.LATE_COMMAND: LATEST_COMMAND_S,
    FaultKind.DUPLICATE_COMMAND: LATEST_COMMAND_S,
    FaultKind.LATE_CALLBACK: LATEST_CALLBACK_S,
    FaultKind.DUPLICATE_CALLBACK: LATEST_CALLBACK_S,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault during `[start_s, start_s + duration_s)`, counted from the cloud's first second.

    `subject` narrows it to one endpoint or serial (empty: all); `chance` is how often an answer,
    command or callback is hit while it lasts; `mode` is what a manual change sets.
    """

    kind: FaultKind
    start_s: float
    duration_s: float = 0.0
    subject: str = ""
    chance: float = 1.0
    mode: Mode = Mode.FAST

    @property
    def end_s(self) -> float:
        """First second that is free of the fault and of what it set in motion."""
        return self.start_s + self.duration_s + _LATENESS_S.get(self.kind, 0.0)

    def covers(self, t_s: float, subject: str) -> bool:
        """Whether the fault is on at `t_s` for this endpoint or serial."""
        return self.start_s <= t_s < self.start_s + self.duration_s and self.subject in {"", subject}


class Faults:
    """A schedule, a table of chances per occasion, and the generator that draws from it."""

    def __init__(
        self,
        rng: random.Random,
        schedule: Iterable[Fault] = (),
        rates: Mapping[FaultKind, float] | None = None,
    ) -> None:
        self.schedule = tuple(sorted(schedule, key=lambda fault: fault.start_s))
        self._rates = dict(rates or {})
        _check_rates(self._rates)
        self._rng = rng
        self._by_kind: dict[FaultKind, list[Fault]] = {}
        for fault in self.schedule:
            self._by_kind.setdefault(fault.kind, []).append(fault)

    @property
    def last_end_s(self) -> float:
        """When the last scheduled fault, with what it set in motion, is over; 0 without any."""
        return max((fault.end_s for fault in self.schedule), default=0.0)

    def lasts(self, kind: FaultKind, t_s: float, subject: str) -> bool:
        """Whether a device fault is on."""
        return any(fault.covers(t_s, subject) for fault in self._by_kind.get(kind, ()))

    def strikes(self, kind: FaultKind, t_s: float, subject: str) -> bool:
        """Whether this occasion is hit; draws only where something could hit it."""
        chance = self._rates.get(kind, 0.0)
        for fault in self._by_kind.get(kind, ()):
            if fault.covers(t_s, subject):
                chance = max(chance, fault.chance)
        return chance > 0.0 and self._rng.random() < chance

    def answer_fault(self, t_s: float, endpoint: str) -> FaultKind | None:
        """Return the fault that hits this answer, the first of its kind's order, or None."""
        return next((kind for kind in ANSWER_FAULTS if self.strikes(kind, t_s, endpoint)), None)

    def happenings(self) -> tuple[Fault, ...]:
        """Return what happens once, in order of time."""
        return tuple(fault for fault in self.schedule if fault.kind in HAPPENINGS)


def _check_rates(rates: Mapping[FaultKind, float]) -> None:
    for kind, rate in rates.items():
        if kind not in _BY_CHANCE:
            raise InputError(f"{kind} has no chance per occasion: put it into the schedule")
        if not 0.0 <= rate <= 1.0:
            raise InputError(f"the rate of {kind} is {rate}: it must be between 0 and 1")


def random_schedule(
    rng: random.Random, start_s: float, duration_s: float, serials: tuple[str, ...] = ("",)
) -> tuple[Fault, ...]:
    """Draw 3 to 12 faults; all of them, with what they set in motion, end within the span.

    Chances and lengths are such that a controller has something to fight, yet is not cut off
    for the whole time.  The span must be longer than the latest command.
    """
    if duration_s <= LATEST_COMMAND_S:
        raise InputError(f"a random schedule needs more than {LATEST_COMMAND_S:g} s")
    kinds = [rng.choice(_ORDER) for _ in range(rng.randint(3, 12))]
    return tuple(_random_fault(rng, kind, start_s, duration_s, serials) for kind in kinds)


def _random_fault(
    rng: random.Random, kind: FaultKind, start_s: float, duration_s: float, serials: tuple[str, ...]
) -> Fault:
    span_s = duration_s - _LATENESS_S.get(kind, 0.0)
    begins_s = start_s + rng.uniform(0.0, 0.95) * span_s
    longest_s = start_s + span_s - begins_s
    lasts_s = 0.0 if kind in HAPPENINGS else min(longest_s, rng.choice((90.0, 600.0, 2400.0, 7200.0)))
    subject = rng.choice(serials) if kind in _OF_CHARGERS else ""
    chance = rng.choice((0.2, 0.6, 1.0)) if kind in _BY_CHANCE else 1.0
    mode = rng.choice(tuple(Mode)) if kind is FaultKind.MANUAL_CHANGE else Mode.FAST
    return Fault(kind, begins_s, lasts_s, subject, chance, mode)


_OF_CHARGERS = frozenset(
    {FaultKind.CHARGER_OFFLINE, FaultKind.CHARGER_FROZEN, FaultKind.FALLBACK_TO_FAST, FaultKind.MANUAL_CHANGE}
)
