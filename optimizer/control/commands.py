"""From the wanted mode to the charger that is in it: send, wait, read back, repeat, raise the alarm.

A command is absolute ("be in GREEN"), so a repeated one does no harm.  Only a reading made after the sending
confirms it: the cloud's "accepted" and the callbacks are hearsay, and a transition takes 50 to 80 s.

- stale: a charger not read for 10 min (or two rounds of a long list) is sent nothing but moves toward safety
- safe state: what was sent last; the lease ends a mode that draws from the grid by wanting another
- who retries: this machine, 90 s, 3 min and 6 min after the first sending, then every 150 s
- giving up: never, but it raises one alarm 90 s after the fourth sending
- what the human sees: the alarm, and its end
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from optimizer.domain import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

_RESEND_AFTER_S = (90.0, 180.0, 360.0)
_RETRY_S = 150.0
_ALARM_AFTER_S = 450.0
_SAME_MODE_GAP_S = 5.0
_SETTLED_S = 120.0
UNREADABLE_S = 600.0
_ECHO_S = 300.0


class Kind(StrEnum):
    """What to do about one charger now."""

    NOTHING = "nothing"
    SEND = "send"
    WAIT = "wait"
    CONFIRMED = "confirmed"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class Pursuit:
    """One wanted mode and what was done for it; instants are monotonic.

    `sent_mode` and `sent_at_s` are the last sending of all, which may have been for another wanted mode.
    Until `crossed_until_s` an earlier command may still overtake it and arrive last.
    """

    wanted: Mode
    since_s: float
    toward_safety: bool
    attempts: int = 0
    first_sent_s: float | None = None
    sent_mode: Mode | None = None
    sent_at_s: float | None = None
    crossed_until_s: float = -math.inf
    alarmed: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """The mode that was read from the charger, and when."""

    mode: Mode
    at_s: float


@dataclass(frozen=True, slots=True)
class Step:
    """What to do, and the pursuit to hand in next time.

    With SEND the pursuit counts the sending as done; if it did not leave, keep the pursuit of before.
    """

    kind: Kind
    pursuit: Pursuit | None


def resumed(wanted: Mode, first_sent_s: float, sent_at_s: float, attempts: int) -> Pursuit:
    """Return the pursuit of a command whose fate a restart left unknown: it is read before it is repeated."""
    return Pursuit(
        wanted,
        first_sent_s,
        toward_safety=not wanted.draws_from_grid,
        attempts=attempts,
        first_sent_s=first_sent_s,
        sent_mode=wanted,
        sent_at_s=sent_at_s,
    )


def next_step(
    pursuit: Pursuit | None,
    desired: Mode,
    observed: Observed | None,
    now_s: float,
    readable_s: float = UNREADABLE_S,
) -> Step:
    """Return the next step toward `desired`; `observed` is None while the charger was never read.

    `readable_s` is how old a reading may be for a move that draws more.
    """
    if _arrived(pursuit, desired, observed):
        pursued = pursuit is not None and pursuit.wanted is desired and pursuit.attempts > 0
        return Step(Kind.CONFIRMED if pursued else Kind.NOTHING, None)
    if pursuit is None or pursuit.wanted is not desired:
        pursuit = _begun(pursuit, desired, observed, now_s)
    return _pushed(pursuit, observed, now_s, readable_s)


def _arrived(pursuit: Pursuit | None, desired: Mode, observed: Observed | None) -> bool:
    """Tell whether a reading shows the mode, made after it was sent and after any other had time to act."""
    if observed is None or observed.mode is not desired:
        return False
    if pursuit is None or pursuit.sent_at_s is None:
        return True
    return observed.at_s > max(pursuit.sent_at_s, _crossed_until_s(pursuit, desired))


def _crossed_until_s(pursuit: Pursuit, wanted: Mode) -> float:
    """Return until when a command for another mode than `wanted` may still act."""
    if pursuit.sent_at_s is None or pursuit.sent_mode is wanted:
        return pursuit.crossed_until_s
    return max(pursuit.crossed_until_s, pursuit.sent_at_s + _SETTLED_S)


def _begun(pursuit: Pursuit | None, desired: Mode, observed: Observed | None, now_s: float) -> Pursuit:
    if pursuit is None:
        return Pursuit(desired, now_s, _is_safer(desired, observed, None))
    return Pursuit(
        desired,
        now_s,
        _is_safer(desired, observed, pursuit.sent_mode),
        sent_mode=pursuit.sent_mode,
        sent_at_s=pursuit.sent_at_s,
        crossed_until_s=pursuit.crossed_until_s,
    )


def _is_safer(desired: Mode, observed: Observed | None, on_its_way: Mode | None) -> bool:
    """Tell whether a mode draws less than what is on or on its way; unseen, whether it is safe by itself."""
    if observed is None:
        return not desired.draws_from_grid
    coming = observed.mode if on_its_way is None else on_its_way
    return desired.draw_rank < max(observed.mode.draw_rank, coming.draw_rank)


def _pushed(pursuit: Pursuit, observed: Observed | None, now_s: float, readable_s: float) -> Step:
    """Send, wait or raise the alarm for a mode that is not confirmed."""
    if (
        pursuit.first_sent_s is not None
        and not pursuit.alarmed
        and now_s >= pursuit.first_sent_s + _ALARM_AFTER_S
    ):
        return Step(Kind.ALARM, replace(pursuit, alarmed=True))
    if now_s < _due_s(pursuit) or not _readable(pursuit, observed, now_s, readable_s):
        return Step(Kind.WAIT, pursuit)
    sent = replace(
        pursuit,
        attempts=pursuit.attempts + 1,
        first_sent_s=now_s if pursuit.first_sent_s is None else pursuit.first_sent_s,
        sent_mode=pursuit.wanted,
        sent_at_s=now_s,
        crossed_until_s=_crossed_until_s(pursuit, pursuit.wanted),
    )
    return Step(Kind.SEND, sent)


def _due_s(pursuit: Pursuit) -> float:
    """Return when the next sending is due."""
    if pursuit.first_sent_s is None or pursuit.sent_at_s is None:
        repeats = pursuit.sent_mode is pursuit.wanted
        return (pursuit.sent_at_s or 0.0) + _SAME_MODE_GAP_S if repeats else pursuit.since_s
    if pursuit.attempts <= len(_RESEND_AFTER_S):
        return max(
            pursuit.first_sent_s + _RESEND_AFTER_S[pursuit.attempts - 1], pursuit.sent_at_s + _SAME_MODE_GAP_S
        )
    return pursuit.sent_at_s + _RETRY_S


def _readable(pursuit: Pursuit, observed: Observed | None, now_s: float, readable_s: float) -> bool:
    """Tell whether the charger may be sent to: it was read lately, or it is for safety and reading fails."""
    if observed is not None and now_s - observed.at_s <= readable_s:
        return True
    return pursuit.toward_safety and (observed is not None or now_s - pursuit.since_s > UNREADABLE_S)


def is_foreign(
    observed: Mode,
    previous: Mode | None,
    awaited: Mode | None,
    recent_commands: Sequence[tuple[Mode, float]],
    unchanged_s: float,
    echo_s: float = _ECHO_S,
) -> bool:
    """Tell whether a reading shows the owner's hand: the mode changed, and not by a command of ours.

    `awaited` is the mode sent last while no reading has shown it: it is ours however long it takes.  Any
    other is ours only within `echo_s` of its sending, for commands may come late or twice.  `unchanged_s` is
    when the `previous` mode was read last: the change came at some instant since.  `recent_commands` are the
    modes sent to this charger with their instants, in any order.
    """
    if previous is None or observed is previous or observed is awaited:
        return False
    return all(
        mode is not observed or unchanged_s - sent_at_s > echo_s for mode, sent_at_s in recent_commands
    )
