"""When the next call to the cloud may go: the vendor's limits, and the breaker behind a refusal.

The vendor counts every call of a token: fewer than 10 in any 60 s, fewer than 10,000 in any 24 h; who
offends is shut out for an hour.  A call arrives at some unknown instant between sending and answer, so a slot
is held from before the sending until the *completion* plus the window.  No state here: a ledger keeps marks.

- stale: marks of an unfinished call count as if it ended at its time-out
- safe state: no slot, no call; the last slots of each window are for moves toward safety, the last before
  them for moves that draw more: reading may take neither
- who retries: the caller, at the instant returned here
- giving up: never; the longest wait is one window, one ban or the cloud's own Retry-After
- what the human sees: the breaker's kind and its end
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

_THROTTLE_S = 60.0
_BAN_S = 3600.0
_AUTH_PROBE_S = 900.0
_UNAVAILABLE_S = 60.0
_LONGEST_RETRY_AFTER_S = 86_400.0
_AUTH_STRIKES = 2
_UNAVAILABLE_STRIKES = 5
_DAY_RESERVE = 50
_MOST_PER_MINUTE = 9
_MOST_PER_DAY = 9999
_UNWRITTEN_PER_MINUTE = 3


class Priority(IntEnum):
    """What a call is for; each may use the slots of those before it and some that they may not."""

    READ = 0
    RISE = 1
    """A command after which more may be drawn."""
    SAFETY = 2


class Outcome(StrEnum):
    """How a call ended, as far as the budget and the breaker care."""

    OK = "ok"
    THROTTLED = "throttled"
    BANNED = "banned"
    AUTH = "auth"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    BAD_ANSWER = "bad_answer"
    NOT_SENT = "not_sent"


class Gate(Protocol):
    """Whoever wants to call the cloud asks here first and tells how it ended."""

    async def reserve(self, endpoint: str, subject: str, priority: Priority = Priority.READ) -> int:
        """Take a slot for one call and return its id; send at once, for the time-out runs from here.

        Raises:
            RateLimited: no slot is free or the breaker is open; its `retry_at_s` says when to come back.

        """
        ...

    def complete(
        self,
        call_id: int,
        outcome: Outcome,
        *,
        http_status: int | None = None,
        code: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        """Tell how the call ended; from now on its slot runs out.  It waits for nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How many calls may be in a window; the windows are the vendor's, the numbers below them ours.

    The windows are parameters only so that a test need not wait for a day.
    """

    per_minute: int = 6
    per_day: int = 8000
    reserved_per_minute: int = 2
    call_timeout_s: float = 15.0
    window_s: float = 60.0
    day_s: float = 86_400.0
    slack_s: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.reserved_per_minute < self.per_minute:
            raise ValueError(
                f"reserved_per_minute {self.reserved_per_minute}: not in 0..{self.per_minute - 1}"
            )
        if self.per_day < 1:
            raise ValueError(f"per_day {self.per_day}: not at least 1")

    @property
    def reserved_per_day(self) -> int:
        """Calls of each day kept for moves toward safety: 50, or a tenth of a small budget."""
        return min(_DAY_RESERVE, self.per_day // 10)

    def minute_capacity(self, priority: Priority) -> int:
        """Return how many calls may hold a minute slot at once; one that reading leaves is for a rise."""
        match priority:
            case Priority.SAFETY:
                return self.per_minute
            case Priority.RISE:
                return self.per_minute - self.reserved_per_minute
            case Priority.READ:
                return max(1, self.per_minute - self.reserved_per_minute - 1)

    def day_capacity(self, priority: Priority) -> int:
        """Return how many calls may hold a day slot at once; reading leaves as many again for rises."""
        return self.per_day - (Priority.SAFETY - priority) * self.reserved_per_day

    def unwritten(self) -> Limits:
        """Return the limits of the calls that only this process's memory counts.

        Another process may use all of the written budget meanwhile: both together stay below the vendor's.
        """
        return replace(
            self,
            per_minute=max(1, min(_UNWRITTEN_PER_MINUTE, _MOST_PER_MINUTE - self.per_minute)),
            per_day=max(1, self.reserved_per_day, _MOST_PER_DAY - self.per_day),
            reserved_per_minute=0,
        )

    def minute_free_s(self, reserved_s: float, completed_s: float | None) -> float:
        """Return when a call gives its minute slot back; one without a completion ends at its time-out."""
        return self._ended_s(reserved_s, completed_s) + self.window_s + self.slack_s

    def day_free_s(self, reserved_s: float, completed_s: float | None) -> float:
        """Return when a call gives its day slot back."""
        return self._ended_s(reserved_s, completed_s) + self.day_s + self.slack_s

    def _ended_s(self, reserved_s: float, completed_s: float | None) -> float:
        return reserved_s + self.call_timeout_s if completed_s is None else completed_s


def next_slot_s(
    now_s: float,
    minute_frees_s: Sequence[float],
    day_frees_s: Sequence[float],
    limits: Limits,
    priority: Priority,
) -> float:
    """Return when a call may be reserved: `now_s` if now, else the first instant with a slot in both windows.

    `minute_frees_s` (any order) holds `Limits.minute_free_s` of at least every call that still holds a minute
    slot, `day_frees_s` (ascending) `Limits.day_free_s` of at least every call that still holds a day slot.
    Marks at or before `now_s` may be left in: a slot is held in `[reserved, free)`.  Of the day only the
    count and one mark are looked at, so 8,000 of them cost two bisections.  The answer is exact if no further
    call is reserved before, and never too early; ask again then.
    """
    minute = _slot_s(now_s, sorted(minute_frees_s), limits.minute_capacity(priority))
    return max(minute, _slot_s(now_s, day_frees_s, limits.day_capacity(priority)))


def _slot_s(now_s: float, frees_s: Sequence[float], capacity: int) -> float:
    """Return when fewer than `capacity` (at least 1) of the ascending marks lie ahead."""
    if len(frees_s) - bisect_right(frees_s, now_s) < capacity:
        return now_s
    return frees_s[len(frees_s) - capacity]


@dataclass(frozen=True, slots=True)
class Breaker:
    """No call at all before `open_until_s`; `strikes` troubles of one `kind` came in a row."""

    open_until_s: float = 0.0
    strikes: int = 0
    kind: Outcome | None = None

    def is_open(self, now_s: float) -> bool:
        """Tell whether calls are held back now."""
        return now_s < self.open_until_s


def after(
    breaker: Breaker, outcome: Outcome, now_s: float, retry_after_s: float | None, jitter: float
) -> Breaker:
    """Return the breaker after one more answer; `jitter` is uniform in 0..1.

    - THROTTLED: 60 s, then up to 2, 4 ... 60 min (half of it jittered), never below 60 s nor `retry_after_s`
    - BANNED: 60 min (or `retry_after_s`), as the vendor says
    - AUTH: 15 min from the second in a row on, so that a wrong token is probed, not hammered
    - UNAVAILABLE: 60 s from the fifth in a row on; it does not wipe out a throttle's strikes
    - OK and REFUSED close it: the cloud serves us.  BAD_ANSWER and NOT_SENT say nothing about its will.

    Answers to calls that were under way when it opened neither close it nor count as further strikes.
    """
    if outcome in _TELLS_NOTHING:
        return breaker
    if outcome in _SERVED:
        return breaker if breaker.is_open(now_s) else Breaker()
    if outcome is Outcome.UNAVAILABLE and breaker.kind in _SHUT_OUT:
        return breaker
    strikes = _strikes(breaker, outcome, now_s)
    wanted_s = min(retry_after_s or 0.0, _LONGEST_RETRY_AFTER_S)
    hold_s = _hold_s(outcome, strikes, wanted_s, jitter)
    return replace(
        breaker, open_until_s=max(breaker.open_until_s, now_s + hold_s), strikes=strikes, kind=outcome
    )


_TELLS_NOTHING = frozenset({Outcome.BAD_ANSWER, Outcome.NOT_SENT})
_SERVED = frozenset({Outcome.OK, Outcome.REFUSED})
_SHUT_OUT = frozenset({Outcome.THROTTLED, Outcome.BANNED})


def _strikes(breaker: Breaker, outcome: Outcome, now_s: float) -> int:
    related = outcome is breaker.kind or {outcome, breaker.kind} <= _SHUT_OUT
    if related and breaker.is_open(now_s):
        return breaker.strikes
    return breaker.strikes + 1 if related else 1


def _hold_s(outcome: Outcome, strikes: int, wanted_s: float, jitter: float) -> float:
    match outcome:
        case Outcome.BANNED:
            return max(_BAN_S, wanted_s)
        case Outcome.THROTTLED:
            # 2 ** 6 min is beyond the hour already; the bound keeps the power small for ever.
            longest_s = min(_THROTTLE_S * 2.0 ** min(strikes - 1, 6), _BAN_S)
            return max(_THROTTLE_S, longest_s * (0.5 + 0.5 * jitter), wanted_s)
        case Outcome.AUTH:
            return _AUTH_PROBE_S if strikes >= _AUTH_STRIKES else 0.0
        case _:
            return _UNAVAILABLE_S if strikes >= _UNAVAILABLE_STRIKES else 0.0
