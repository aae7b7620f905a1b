"""Days of quarter hours: how a series is cut at midnight UTC, and when vintages are issued."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimizer.forecast.vintages import Floats, Ints

DAY_SLOTS = 96
"""Quarter hours in a day of the UTC clock."""


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


def quarters(values: Floats, first_slot: int) -> Quarters:
    """Lay out quarter hours by day; `first_slot` is the first one's number since 1970 (UTC)."""
    lead_in = first_slot % DAY_SLOTS
    days = (lead_in + len(values)) // DAY_SLOTS + 1
    by_day = np.full(days * DAY_SLOTS, np.nan)
    by_day[lead_in : lead_in + len(values)] = values
    return Quarters(by_day.reshape(days, DAY_SLOTS), lead_in, len(values))


def recent(by_day: Floats, half_life_slots: float) -> Floats:
    """Return at each beginning of a slot the sum of all slots before it, each faded by its age (flat).

    Unknown slots count nothing.
    """
    known = np.nan_to_num(by_day)
    keep = 0.5 ** (1.0 / half_life_slots)
    age = np.arange(DAY_SLOTS)[:, None] - np.arange(DAY_SLOTS)[None, :]
    within = known @ np.where(age > 0, keep ** np.maximum(age - 1, 0), 0.0).T
    whole_day = known @ keep ** np.arange(DAY_SLOTS - 1, -1, -1)
    before = np.zeros(len(known))
    for day in range(1, len(known)):
        before[day] = before[day - 1] * keep**DAY_SLOTS + whole_day[day - 1]
    return np.asarray((within + before[:, None] * keep ** np.arange(DAY_SLOTS)).ravel())
