"""What to read next, and when: calls go where the answer can change a decision.

The house is measured at fixed intervals, so it is read once per sample, shortly after it must have arrived;
also while no car is there, for one that comes may draw from the grid only by data that was seen to be fresh.
A charger has no stamp; it is read the more often the more it can change.  A house that is due goes first, for
all chargers are steered by it.  They are ordered by `weight x age`, so that many on one account share a
budget that is too small by what they are worth.

- stale: a sample that did not come is asked for at growing distances
- safe state: the data's age is the guards' business; here it only draws reads
- who retries: the plan, 60 s to 300 s after a failed read; 900 s if the cloud says that it is not ours
- giving up: never
- what the human sees: the ages
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LAG_SHARE = 0.025
_CREEP_SHARE = 0.01
_LATE_SHARE = 0.05
_LATE_LONGEST_SHARE = 0.4
_HUNT_SHARE = 0.1
_HUNT_READS = 12
_HUNT_S = 10.0
"""Samples that come often are not hunted for: that would take a minute's calls in a second."""
DARK_W = 20.0
"""Below this the roof is dark."""

_CONFIRM_S = (20.0, 45.0, 75.0)
_CONFIRM_EVERY_S = 60.0
_FAILED_S = (60.0, 120.0, 240.0, 300.0)
_REFUSED_S = (60.0, 900.0)


class Subject(StrEnum):
    """What is read."""

    SITE = "site"
    CHARGER = "charger"


class Activity(IntEnum):
    """How much can change: for a site, that of its busiest charger."""

    DORMANT = 0
    """Nobody is plugged in and the roof is dark."""
    IDLE = 1
    CONNECTED = 2
    CHARGING = 3


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """The owner's intervals; `site_interval_s` is how often the house is measured."""

    site_interval_s: float = 300.0
    charger_active_s: float = 120.0
    charger_idle_s: float = 120.0
    night_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to read; instants are monotonic, None where it never happened.

    `phase_s` (site) is when its last sample arrived, see `phase_s`; `unchanged_reads` (site) how many reads
    in a row brought no new one; `failures` how many brought nothing, `refused` whether the last of them was
    told that the device is not ours; `pending_since_s` (charger) when a command was sent that is not
    confirmed yet; `hinted` (charger) whether something is said to have happened.
    """

    key: str
    subject: Subject
    activity: Activity = Activity.IDLE
    last_read_s: float | None = None
    phase_s: float | None = None
    pending_since_s: float | None = None
    failures: int = 0
    unchanged_reads: int = 0
    refused: bool = False
    hinted: bool = False


def phase_s(
    before_s: float | None, previous_read_s: float | None, now_s: float, interval_s: float
) -> float | None:
    """Return when the sample that was new in a read at `now_s` arrived, None where nothing tells.

    `before_s` is the previous answer, `previous_read_s` the last read that did not show the sample yet.  The
    prediction from the previous answer holds while it lies between the two reads; from one sample to the next
    it moves forward by a hundredth of the interval, to follow samples that come earlier.  One that was not
    there as predicted came soon after, however long reads then failed.  Else, and at first, it is the middle
    between the reads, as far as they are less than one interval apart.
    """
    if previous_read_s is None:
        return None
    middle_s = now_s - 0.5 * (now_s - previous_read_s) if now_s - previous_read_s < interval_s else now_s
    if before_s is None:
        return middle_s
    samples = math.floor((now_s - before_s) / interval_s)
    # Where samples are skipped a read that comes too early finds an older one and would not be noticed.
    creep = _CREEP_SHARE if samples == 1 else 0.0
    predicted_s = before_s + (samples - creep) * interval_s
    if samples <= 0:
        return middle_s
    soon_s = min(0.5 * (now_s - previous_read_s), _LATE_SHARE * interval_s)
    return predicted_s if predicted_s > previous_read_s else previous_read_s + soon_s


def due_s(target: Target, policy: PollPolicy) -> float:
    """Return when to read the target next; at once (minus infinity) if it never was or has a hint."""
    if target.last_read_s is None or target.hinted:
        return -math.inf
    if target.failures > 0:
        waits_s = _REFUSED_S if target.refused else _FAILED_S
        return target.last_read_s + waits_s[min(target.failures, len(waits_s)) - 1]
    if target.subject is Subject.SITE:
        return _site_due_s(target, target.last_read_s, policy)
    return _charger_due_s(target, target.last_read_s, policy)


def _site_due_s(target: Target, last_read_s: float, policy: PollPolicy) -> float:
    """Return when the next sample that matters must have arrived, or the next try if it is late."""
    watched = target.activity >= Activity.CONNECTED
    dark = target.activity is Activity.DORMANT
    samples = policy.night_factor if dark else 1.0
    if target.phase_s is not None:
        expected_s = target.phase_s + (round(samples) + _LAG_SHARE) * policy.site_interval_s
        if last_read_s < expected_s:
            return expected_s
    if target.phase_s is None and target.unchanged_reads <= _HUNT_READS:
        return last_read_s + max(_HUNT_SHARE * policy.site_interval_s, min(policy.site_interval_s, _HUNT_S))
    # Without a car there is no hurry: the distance goes on growing up to that of the regular reads.
    longest = _LATE_LONGEST_SHARE if watched else samples
    doublings = min(max(0, target.unchanged_reads - 1), 10)
    return last_read_s + min(longest, _LATE_SHARE * 2.0**doublings) * policy.site_interval_s


def _charger_due_s(target: Target, last_read_s: float, policy: PollPolicy) -> float:
    regular_s = last_read_s + _charger_interval_s(target.activity, policy)
    if target.pending_since_s is None:
        return regular_s
    return min(regular_s, _confirming_s(target.pending_since_s, last_read_s))


def _charger_interval_s(activity: Activity, policy: PollPolicy) -> float:
    match activity:
        case Activity.CHARGING:
            return policy.charger_active_s
        case Activity.CONNECTED:
            return 0.5 * (policy.charger_active_s + policy.charger_idle_s)
        case Activity.IDLE:
            return policy.charger_idle_s
        case _:
            return policy.charger_idle_s * policy.night_factor


def _confirming_s(pending_since_s: float, last_read_s: float) -> float:
    """Return when to look for the command's effect: 20, 45 and 75 s after it, then every 60 s."""
    for after_s in _CONFIRM_S:
        if last_read_s < pending_since_s + after_s:
            return pending_since_s + after_s
    return last_read_s + _CONFIRM_EVERY_S


def next_reads(targets: Iterable[Target], now_s: float, policy: PollPolicy) -> tuple[Target, ...]:
    """Return the targets that are due: the house, then the chargers, the most valuable first.

    Equals come in the order of their keys.  A house that was the last thing read lets one charger go first,
    so that one that is always due takes no more than every other call.
    """
    every = tuple(targets)
    due = [target for target in every if due_s(target, policy) <= now_s]
    houses = [target for target in due if target.subject is Subject.SITE]
    chargers = [target for target in due if target.subject is Subject.CHARGER]
    chargers.sort(key=lambda target: (-value(target, now_s), target.key))
    turn = 1 if any(_was_last(house, every) for house in houses) else 0
    return (*chargers[:turn], *houses, *chargers[turn:])


def _was_last(house: Target, targets: Iterable[Target]) -> bool:
    """Tell whether no charger was read after the house."""
    house_s = house.last_read_s
    return house_s is not None and not any(
        target.subject is Subject.CHARGER and target.last_read_s is not None and target.last_read_s > house_s
        for target in targets
    )


def value(target: Target, now_s: float) -> float:
    """Return what a read is worth: the seconds since the last, weighted by what may have changed."""
    if target.last_read_s is None or target.hinted:
        return math.inf
    return _weight(target) * (now_s - target.last_read_s)


def _weight(target: Target) -> float:
    if target.pending_since_s is not None:
        return 16.0
    return _WEIGHTS[target.activity]


_WEIGHTS = {
    Activity.DORMANT: 1.0,
    Activity.IDLE: 2.0,
    Activity.CONNECTED: 3.0,
    Activity.CHARGING: 8.0,
}
