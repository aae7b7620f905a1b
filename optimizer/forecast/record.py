"""What a provider was asked and when it may be asked again: pure rules over a record that outlives restarts.

- a call is counted before it is made, by the wall clock; what lies ahead of a clock set back still counts
- after a success the provider's own plan tells when, with a delay that spreads installations
- after a failure: 5 minutes, twice that after each further one, 6 hours at most
- a provider that says "too often" is left alone as long as it says, and 5 minutes at least
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from optimizer.forecast.provider import DAY, Quota, Terms

FIRST_WAIT_S = 300.0
LONGEST_WAIT_S = 6 * 3600.0
_DOUBLINGS = 7


@dataclass(frozen=True, slots=True)
class Record:
    """`due_at` None: never asked.  `failures` since the last success."""

    calls: tuple[datetime, ...] = ()
    due_at: datetime | None = None
    failures: int = 0

    def may_ask(self, now: datetime, terms: Terms) -> bool:
        """Tell whether it is time, and the quotas leave enough calls."""
        is_due = self.due_at is None or now >= self.due_at or self.due_at > now + 2 * DAY
        return is_due and all(self._room(now, quota) >= terms.calls for quota in terms.quotas)

    def begun(self, now: datetime, terms: Terms) -> Record:
        """Return the record with the calls of one fetch; until its end is known it counts as a failure."""
        longest = max((quota.span for quota in terms.quotas), default=timedelta())
        kept = tuple(at for at in self.calls if now - longest < at <= now + DAY)
        made = (now,) * terms.calls if terms.quotas else ()
        return replace(self, calls=(*kept, *made)).failed(now, 0.0, None)

    def succeeded(self, now: datetime, terms: Terms, delay_s: float) -> Record:
        """Return the record after a good answer."""
        return replace(self, due_at=terms.next_after(now) + timedelta(seconds=delay_s), failures=0)

    def failed(self, now: datetime, delay_s: float, told_s: float | None) -> Record:
        """Return the record after a failure; `told_s` is how long the provider wants to be left alone."""
        own_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self.failures, _DOUBLINGS))
        wait_s = max(own_s + delay_s, told_s or 0.0)
        return replace(self, due_at=now + timedelta(seconds=wait_s), failures=self.failures + 1)

    def postponed(self, now: datetime, delay_s: float) -> Record:
        """Return the record of a provider that was never asked: not all installations ask at once."""
        return replace(self, due_at=now + timedelta(seconds=delay_s))

    def _room(self, now: datetime, quota: Quota) -> int:
        return quota.calls - sum(now - quota.span < at <= now + DAY for at in self.calls)

    def to_json(self) -> dict[str, Any]:
        """Return the record as the log keeps it."""
        return {
            "calls": [at.isoformat() for at in self.calls],
            "due_at": None if self.due_at is None else self.due_at.isoformat(),
            "failures": self.failures,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Record:
        """Read what `to_json` wrote."""
        due_at = kept["due_at"]
        return cls(
            tuple(datetime.fromisoformat(at) for at in kept["calls"]),
            None if due_at is None else datetime.fromisoformat(due_at),
            int(kept["failures"]),
        )
