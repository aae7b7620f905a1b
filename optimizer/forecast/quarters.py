"""Days of quarter hours: how a series is cut at midnight UTC, and when vintages are issued."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from math import gcd

import numpy as np

from optimizer.forecast.vintages import Floats, Ints, Vintages

DAY_SLOTS = 96
"""Quarter hours in a day of the UTC clock."""
_LEARN_SLOTS = 8


@dataclass(frozen=True, slots=True)
class Quarters:
    """A series of quarter hours, laid out by UTC day: `by_day` (days, 96).

    It is NaN before the beginning and after the end of the series.  Slot `n` of the series
    stands at `n + lead_in` of the days.
    """

    by_day: Floats
    lead_in: int
    length: int

    @property
    def days(self) -> int:
        """Return the number of days that the series touches, and the one after it."""
        return len(self.by_day)

    def issues(self, every_slots: int) -> Ints:
        """Return where vintages are issued, in slots of the days: by the clock, and at the end."""
        ahead = -self.lead_in % every_slots
        regular = np.arange(self.lead_in + ahead, self.lead_in + self.length, every_slots)
        return np.append(regular, self.lead_in + self.length)

    def until(self, days: int) -> Quarters:
        """Return at least so many days, the further ones unknown."""
        more = np.full((max(0, days - self.days), DAY_SLOTS), np.nan)
        return Quarters(np.concatenate((self.by_day, more)), self.lead_in, self.length)

    def at(self, slot: Ints) -> Floats:
        """Return the values at slots of the days; NaN beyond the last."""
        size = self.by_day.size
        return np.where(slot < size, self.by_day.ravel()[np.minimum(slot, size - 1)], np.nan)


def quarters(values: Floats, first_slot: int) -> Quarters:
    """Lay out quarter hours by day; `first_slot` is the first one's number since 1970 (UTC)."""
    lead_in = first_slot % DAY_SLOTS
    days = (lead_in + len(values)) // DAY_SLOTS + 1
    by_day = np.full(days * DAY_SLOTS, np.nan)
    by_day[lead_in : lead_in + len(values)] = values
    return Quarters(by_day.reshape(days, DAY_SLOTS), lead_in, len(values))


def learning_step(every_slots: int) -> int:
    """Return how far apart vintages are to learn from, where every so many slots one is asked for."""
    return every_slots if every_slots <= _LEARN_SLOTS else gcd(every_slots, _LEARN_SLOTS)


def asked_for(vintages: Vintages, series: Quarters, every_slots: int) -> Vintages:
    """Return the vintages that come every so many slots, and the last."""
    rows = (vintages.known_from + series.lead_in) % every_slots == 0
    rows[-1] = True
    if rows.all():
        return vintages
    return Vintages(*(getattr(vintages, part.name)[rows] for part in fields(vintages)))


def recent(by_day: Floats, half_life_slots: float) -> Floats:
    """Return at each beginning of a slot the sum of all slots before it, each faded by its age (flat).

    Unknown slots count nothing.
    """
    known = np.nan_to_num(by_day)
    keep = 0.5 ** (1.0 / half_life_slots)
    sums = np.zeros((DAY_SLOTS + 1, len(known)))
    for slot in range(DAY_SLOTS):
        sums[slot + 1] = keep * sums[slot] + known[:, slot]
    midnight = np.zeros(len(known))
    for day in range(1, len(known)):
        midnight[day] = keep**DAY_SLOTS * midnight[day - 1] + sums[DAY_SLOTS, day - 1]
    return np.asarray((sums[:DAY_SLOTS].T + midnight[:, None] * keep ** np.arange(DAY_SLOTS)).ravel())


def before_each_day(by_day: Floats) -> Floats:
    """Return for each day the sum over all days before it."""
    before = np.zeros_like(by_day)
    np.cumsum(by_day[:-1], axis=0, out=before[1:])
    return before


def vintages_of(series: Quarters, issued: Ints, width: int, powers_w: Iterable[Floats]) -> Vintages:
    """Return vintages out of the quantiles (vintages, width, 3) of one day after the other."""
    p10_w, p50_w, p90_w = (np.empty((len(issued), width)) for _ in range(3))
    row = 0
    for day_w in powers_w:
        rows = slice(row, row + len(day_w))
        p10_w[rows], p50_w[rows], p90_w[rows] = np.moveaxis(day_w, -1, 0)
        row += len(day_w)
    own = issued - series.lead_in
    return Vintages(own, own.copy(), p10_w, p50_w, p90_w)
