"""How old the house's data is, and what that age still permits.

The vendor's stamp has no zone and may ignore daylight saving, so only its *change* tells time: data is as old
as the monotonic time since its stamp was last seen to change.  The first stamp ever seen may be hours old; it
proves nothing until another follows.

- stale: beyond `stale_s`, or never seen
- safe state: beyond `fresh_s` or unproven, nothing that draws more; stale, nothing that draws from the grid
- who retries: the polling plan reads on
- giving up: never
- what the human sees: the age, and once that it was lost and once that it came back
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

_SUSPICIOUS_REPEATS = 3
_STAMPS_KEPT = 8
_DAYLIGHT_W = 200.0
_REGULATED_W = 10.0


class Band(IntEnum):
    """What the data's age permits: everything, nothing that draws more, or only what is safe unseen."""

    FRESH = 0
    HOLD = 1
    STALE = 2


@dataclass(frozen=True, slots=True)
class Freshness:
    """The last stamp, and when it was seen to change, in monotonic seconds.

    `proven` is False until a change was seen.  `seen` holds the stamps before; the rest serves the suspicion
    of a frozen meter.
    """

    stamp: str | None
    changed_at_s: float
    proven: bool
    grid_w: float | None = None
    pv_w: float | None = None
    repeats: int = 0
    seen: tuple[str, ...] = ()

    def age_s(self, now_s: float) -> float:
        """Return the seconds since the stamp last changed, or since it was first seen."""
        return max(0.0, now_s - self.changed_at_s)


def observe(
    previous: Freshness | None,
    stamp: str | None,
    now_s: float,
    *,
    grid_w: float | None = None,
    pv_w: float | None = None,
) -> Freshness | None:
    """Return the freshness after a record with this stamp was read; None while no stamp was ever seen.

    Give `stamp=None` for a record without a stamp or without usable values: it refreshes nothing.  Neither
    does one of the last stamps before: a cloud of several servers may serve an old record again.
    With `grid_w` and `pv_w` a frozen meter is noticed: the same exchange with the grid, to the bit, under
    more than three different stamps while the sun shines (> 200 W) and moves counts as no change.  Within
    10 W of zero it is no sign, for that is what a home battery regulates to.
    """
    if stamp is None or (previous is not None and stamp in (previous.stamp, *previous.seen)):
        return previous
    if previous is None:
        return Freshness(stamp, now_s, proven=False, grid_w=grid_w, pv_w=pv_w)
    repeats = _repeats(previous, grid_w, pv_w)
    seen = (*previous.seen, *filter(None, [previous.stamp]))[-_STAMPS_KEPT:]
    if repeats >= _SUSPICIOUS_REPEATS:
        return replace(previous, stamp=stamp, pv_w=pv_w, repeats=repeats, seen=seen)
    return Freshness(stamp, now_s, True, grid_w, pv_w, repeats, seen)


def _repeats(previous: Freshness, grid_w: float | None, pv_w: float | None) -> int:
    """Return how often in a row the sun has moved and the meter has not."""
    if grid_w is None or pv_w is None or previous.grid_w != grid_w:
        return 0
    if pv_w <= _DAYLIGHT_W or abs(grid_w) <= _REGULATED_W:
        return 0
    return previous.repeats + (pv_w != previous.pv_w)


def band(age_s: float | None, *, proven: bool, fresh_s: float, stale_s: float) -> Band:
    """Return what data of this age permits; `age_s` is None where no data was ever seen."""
    if age_s is None:
        return Band.STALE
    known = Band(band_of(age_s, fresh_s, stale_s))
    return known if proven else max(known, Band.HOLD)


def band_of(age_s: float, fresh_s: float, stale_s: float) -> int:
    """Return the number of the band of proven data: 0 fresh, 1 hold, 2 stale."""
    if age_s > stale_s:
        return 2
    return 1 if age_s > fresh_s else 0


def lease_until_s(freshness: Freshness | None, lease_s: float, stale_s: float) -> float | None:
    """Return until when fresh, proven data permits FAST and ECO; None where nothing ever did.

    It depends on the data's age and on nothing else: whatever stops the data ends the permission.
    """
    if freshness is None or not freshness.proven:
        return None
    return freshness.changed_at_s + min(lease_s, stale_s)
