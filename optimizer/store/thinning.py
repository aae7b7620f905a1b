"""Which rows are worth their bytes: the service offers one each cycle, a year shall stay below 40 MB."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from optimizer.domain import ChargerReading, Decision, Guard, Mode, SiteReading

_STEP_W = 500.0
"""A charger's power must move by this much to be news."""


@dataclass(frozen=True, slots=True)
class Spacing:
    """How long nothing new goes unwritten, with a car plugged in and without."""

    connected: timedelta
    idle: timedelta

    def due(self, last: datetime, now: datetime, *, connected: bool) -> bool:
        """Tell whether a row should be written again; a clock that was set back must not silence the log."""
        return not last <= now < last + (self.connected if connected else self.idle)


DECISIONS = Spacing(timedelta(minutes=30), timedelta(hours=1))
SHADOWS = Spacing(timedelta(hours=1), timedelta(hours=6))
CHARGER_READINGS = Spacing(timedelta(minutes=5), timedelta(minutes=30))
SITE_READINGS = Spacing(timedelta(minutes=5), timedelta(minutes=5))


@dataclass(frozen=True, slots=True)
class DecisionMark:
    """What of the last written decision is compared."""

    at: datetime
    mode: Mode
    guard: Guard | None
    reason_code: str

    @classmethod
    def of(cls, decision: Decision) -> DecisionMark:
        """Take what is compared."""
        return cls(decision.at, decision.mode, decision.guard, decision.reason.code)

    def differs(self, other: DecisionMark) -> bool:
        """Tell whether something else was decided, or for another reason."""
        mine, others = ((mark.mode, mark.guard, mark.reason_code) for mark in (self, other))
        return mine != others


def keeps_decision(last: DecisionMark | None, mark: DecisionMark, *, connected: bool) -> bool:
    """Tell whether a decision is written: mode, guard or reason changed, or it is time again."""
    return last is None or last.differs(mark) or DECISIONS.due(last.at, mark.at, connected=connected)


def keeps_shadow(last: DecisionMark | None, mark: DecisionMark, *, connected: bool) -> bool:
    """Tell whether a decision that is never sent is written: on the same changes, else more rarely."""
    return last is None or last.differs(mark) or SHADOWS.due(last.at, mark.at, connected=connected)


def keeps_site_reading(last: SiteReading | None, reading: SiteReading) -> bool:
    """Tell whether a reading is written: its stamp is new; one without a stamp every 5 minutes."""
    if last is None or last.stamp != reading.stamp:
        return True
    return reading.stamp is None and SITE_READINGS.due(last.received_at, reading.received_at, connected=True)


def keeps_charger_reading(last: ChargerReading | None, reading: ChargerReading) -> bool:
    """Tell whether a reading is written: mode, status or power changed, a session began, or it is time."""
    if last is None or _state(last) != _state(reading):
        return True
    if _stepped(last.ev_w, reading.ev_w) or (last.session_kwh or 0.0) > (reading.session_kwh or 0.0):
        return True
    connected = reading.status.connected
    return CHARGER_READINGS.due(last.received_at, reading.received_at, connected=connected)


def _state(reading: ChargerReading) -> tuple[object, ...]:
    return reading.mode, reading.status, reading.status_code


def _stepped(before_w: float | None, after_w: float | None) -> bool:
    """Tell whether power began, ended, became known or unknown, or moved by a step."""
    if before_w is None or after_w is None:
        return before_w is not after_w
    return (before_w > 0) is not (after_w > 0) or abs(after_w - before_w) >= _STEP_W
