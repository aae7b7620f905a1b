"""What lies ahead, in plain columns that plain Python and compiled kernels read alike.

Slots are quarter hours; slot `n` of the columns is number `origin + n` since 1970 (UTC).  Columns of rows are
flat: value `j` of row `r` stands at `r * width + j`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

SLOT_S = 900.0
"""A slot of tariff, forecast and plan lasts a quarter hour."""
SLOT_H = 0.25
DAY_SLOTS = 96

TAKEN_STEP_KWH = 0.25
"""Distance of the values in `Habits.takes`."""


class Outlook(NamedTuple):
    """Vintages of one forecast.

    `known_from` is the slot at whose beginning each vintage was there (ascending), `first` the slot of
    its first value, both counted like those of the prices.  `p10_w` to `p90_w` have `width` values a vintage;
    NaN where it says nothing.
    """

    known_from: Sequence[int]
    first: Sequence[int]
    width: int
    p10_w: Sequence[float]
    p50_w: Sequence[float]
    p90_w: Sequence[float]


class Habits(NamedTuple):
    """What is expected of each car that comes, by row.

    `stays` has `stay_slots` values in a row: the chance that it is still there when that many and one quarter
    hours have passed since it came.  `takes` has `take_steps`: the chance that it takes more than `j` times
    `TAKEN_STEP_KWH`.
    """

    stay_slots: int
    stays: Sequence[float]
    take_steps: int
    takes: Sequence[float]


class Ahead(NamedTuple):
    """All that may be looked up about the time to come.

    `price` and `feed_in` are EUR/kWh; of slot `n` on, the prices before slot `priced_until[n]` are known.
    """

    origin: int
    price: Sequence[float]
    feed_in: Sequence[float]
    priced_until: Sequence[int]
    pv: Outlook
    load: Outlook
    habits: Habits


NOTHING_SAID = Outlook((), (), 0, (), (), ())
NO_HABITS = Habits(0, (), 0, ())
NOTHING = Ahead(0, (), (), (), NOTHING_SAID, NOTHING_SAID, NO_HABITS)
"""For kernels that do not look ahead."""
