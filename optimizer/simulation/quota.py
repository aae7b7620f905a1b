"""The vendor's count of calls, and with it the judge of whether a client kept the limits."""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import NamedTuple

from optimizer.domain import Mode
from optimizer.simulation.settings import VendorLimits

MINUTE_S = 60.0
DAY_S = 86_400.0


class CallRecord(NamedTuple):
    """One call as the server saw it, `t_s` after the cloud's first second.

    `subject` is the serial (several: joined by commas), `mode` what a command asked for,
    `outcome` `ok` or the reason of refusal or the fault that hit the answer.
    """

    t_s: float
    endpoint: str
    subject: str
    mode: Mode | None
    outcome: str


class Verdict(StrEnum):
    """What the quota says to a call."""

    ALLOWED = "allowed"
    MINUTE = "minute"
    DAY = "day"
    BANNED = "banned"


class Quota:
    """Sliding windows over all calls, refused ones included, and the ban after several violations."""

    def __init__(self, limits: VendorLimits) -> None:
        self._limits = limits
        self._minute: deque[float] = deque()
        self._day: deque[float] = deque()
        self._violations_in_a_row = 0
        self._banned_until_s = 0.0
        self.worst_minute = 0
        self.worst_day = 0

    def count(self, t_s: float) -> Verdict:
        """Count one call at `t_s` (never descending) and judge it."""
        in_minute = _count_in(self._minute, t_s, MINUTE_S)
        in_day = _count_in(self._day, t_s, DAY_S)
        self.worst_minute = max(self.worst_minute, in_minute)
        self.worst_day = max(self.worst_day, in_day)
        if t_s < self._banned_until_s:
            return Verdict.BANNED
        if in_minute <= self._limits.calls_per_minute and in_day <= self._limits.calls_per_day:
            self._violations_in_a_row = 0
            return Verdict.ALLOWED
        return self._violation(t_s, Verdict.DAY if in_day > self._limits.calls_per_day else Verdict.MINUTE)

    def _violation(self, t_s: float, verdict: Verdict) -> Verdict:
        self._violations_in_a_row += 1
        if self._violations_in_a_row < self._limits.violations_before_ban:
            return verdict
        self._violations_in_a_row = 0
        self._banned_until_s = t_s + self._limits.ban_s
        return Verdict.BANNED


def _count_in(window: deque[float], t_s: float, length_s: float) -> int:
    window.append(t_s)
    while window[0] <= t_s - length_s:
        window.popleft()
    return len(window)
