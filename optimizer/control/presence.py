"""Which car is at a charger, as far as the answers tell: when it came, when it left, what it has taken.

- stale: an answer that does not tell of the car (no or an unknown status, a fault) changes nothing
- safe state: after `UNSURE_S` of such answers no car is there, for then nothing may draw for it
- who retries: the polling plan reads on
- giving up: a car that nobody saw leave is another one as soon as the charger's counter has fallen
- what the human sees: sessions that begin and end with their cars

The counter is the charger's (`chargeEnergy`).  Some reset it when a car is plugged in, some only when it
begins to charge, and show the last car's energy until then; what it showed at plug-in is not the session's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from optimizer.domain import ChargerReading, ChargerStatus

UNSURE_S = 600.0
"""How long a car is believed to be where it was while the charger does not tell."""

CLEARLY_KWH = 0.05
"""By how much a counter must have fallen to have been reset: several times its resolution."""

_BEGUN = frozenset(
    {
        ChargerStatus.CHARGING,
        ChargerStatus.STOPPING,
        ChargerStatus.FINISHING,
        ChargerStatus.SUSPENDED_EV,
        ChargerStatus.PHASE_SWITCHING,
    }
)


@dataclass(frozen=True, slots=True)
class Presence:
    """What is known of the car at one charger.

    `status` is the last that told of it, `unsure_since_s` when the first answer came that did not.
    `base_kwh` is what of the counter is from before this car's session: None without a car or a counter.
    """

    status: ChargerStatus
    counter_kwh: float | None = None
    base_kwh: float | None = None
    unsure_since_s: float | None = None

    @property
    def session_kwh(self) -> float | None:
        """Return what the car has taken in this session."""
        if self.counter_kwh is None or self.base_kwh is None:
            return None
        return max(0.0, self.counter_kwh - self.base_kwh)


@dataclass(frozen=True, slots=True)
class Step:
    """What an answer has made of a presence; a car that has left while one has come was replaced unseen."""

    presence: Presence
    came: bool
    left: bool


def follow(before: Presence | None, reading: ChargerReading, now_s: float) -> Step:
    """Return what is known after `reading`; `before` is None where nothing ever was."""
    status, unsure_since_s = _status(before, reading.status, now_s)
    known_kwh = None if before is None else before.counter_kwh
    counter_kwh = known_kwh if reading.session_kwh is None else reading.session_kwh
    after = Presence(status, counter_kwh, None, unsure_since_s)
    was_there = before is not None and before.status.connected
    if not status.connected:
        return Step(after, came=False, left=was_there)
    if before is None or not was_there:
        return Step(replace(after, base_kwh=_base_at_arrival(known_kwh, after)), came=True, left=False)
    if before.base_kwh is None:
        return Step(replace(after, base_kwh=_base_unseen(after)), came=False, left=False)
    if not _fell(before.counter_kwh, counter_kwh):
        return Step(replace(after, base_kwh=before.base_kwh), came=False, left=False)
    # The counter was reset: for this car if it still showed the energy of the one before, else for another.
    replaced = before.counter_kwh is not None and before.counter_kwh > before.base_kwh + CLEARLY_KWH
    return Step(replace(after, base_kwh=0.0), came=replaced, left=replaced)


def _status(before: Presence | None, told: ChargerStatus, now_s: float) -> tuple[ChargerStatus, float | None]:
    """Return the status that holds, and since when the answers have not told of the car."""
    if told.tells_of_car or before is None:
        return told, None
    unsure_since_s = now_s if before.unsure_since_s is None else before.unsure_since_s
    holds = now_s - unsure_since_s < UNSURE_S
    return (before.status if holds else told), unsure_since_s


def _base_at_arrival(known_kwh: float | None, after: Presence) -> float | None:
    """Return what the counter showed before the car came: its last value, unless it was reset since."""
    if known_kwh is None or after.counter_kwh is None:
        return _base_unseen(after)
    return 0.0 if _fell(known_kwh, after.counter_kwh) else min(known_kwh, after.counter_kwh)


def _base_unseen(after: Presence) -> float | None:
    """Return the base where nobody saw the car come: a session that has charged has reset its counter."""
    return 0.0 if after.counter_kwh is not None and after.status in _BEGUN else after.counter_kwh


def _fell(before_kwh: float | None, counter_kwh: float | None) -> bool:
    return before_kwh is not None and counter_kwh is not None and counter_kwh < before_kwh - CLEARLY_KWH
