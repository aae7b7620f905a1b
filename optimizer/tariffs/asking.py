"""When to ask a price service: pure rules over what is known and what has been tried.

- tomorrow's prices come out at about 13:00; before that there is nothing to ask for
- who retries: the next time that is due, 10 minutes after a failure, twice that after each further one, an
  hour at most; a service that says how long to wait is not asked before
- giving up: never, but it is asked no more than 48 times in 24 hours, restarts included
- each installation comes some minutes later than the others: they must not all ask at once
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from optimizer.tariffs.slots import midnight

PUBLISHED = time(13)
MOST_A_DAY = 48
LONGEST_DELAY = timedelta(minutes=10)
"""The delay that each installation draws for itself is below this."""

_DAY = timedelta(days=1)
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=10), timedelta(hours=1)
_DOUBLINGS = 3


@dataclass(frozen=True, slots=True)
class Tries:
    """When a service was asked in the last day, and how many times in vain since the last gain."""

    at: tuple[datetime, ...] = ()
    in_vain: int = 0
    not_before: datetime | None = None

    def after(self, now: datetime, *, gained: bool, retry_after_s: float | None = None) -> Tries:
        """Return the tries with one more, at `now`."""
        recent = tuple(at for at in self.at if now - _DAY < at <= now)
        asked_for = None if retry_after_s is None else now + min(_DAY, timedelta(seconds=retry_after_s))
        return Tries((*recent, now), 0 if gained else self.in_vain + 1, asked_for)

    def forgotten_after(self, now: datetime) -> Tries:
        """Return the tries without what lies ahead: the clock was set back."""
        ahead = self.not_before is not None and self.not_before > now + _DAY
        return replace(
            self, at=tuple(at for at in self.at if at <= now), not_before=None if ahead else self.not_before
        )


def wanted_until(now: datetime, zone: ZoneInfo, delay: timedelta) -> datetime:
    """Return until when prices should be known: the end of today, of tomorrow after they came out."""
    today = now.astimezone(zone).date()
    came_out = datetime.combine(today, PUBLISHED, zone) + delay <= now
    return midnight(today + timedelta(days=2 if came_out else 1), zone)


def is_due(now: datetime, known_until: datetime, tries: Tries, zone: ZoneInfo, delay: timedelta) -> bool:
    """Tell whether to ask now."""
    if known_until >= wanted_until(now, zone, delay):
        return False
    tries = tries.forgotten_after(now)
    recent = [at for at in tries.at if at > now - _DAY]
    if len(recent) >= MOST_A_DAY or (tries.not_before is not None and now < tries.not_before):
        return False
    if not recent:
        return True
    doublings = min(_DOUBLINGS, max(0, tries.in_vain - 1))
    wait: timedelta = min(_LONGEST_WAIT, _FIRST_WAIT * 2**doublings)
    return recent[-1] + wait <= now
