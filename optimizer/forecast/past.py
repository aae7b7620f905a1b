"""The sun's power to come, from the owner's past only: its clear-sky envelope and what clouds left of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from optimizer.forecast.daylight import Place
from optimizer.forecast.envelope import clear_sky_w
from optimizer.forecast.learnt import Cases, Law, learnt_quantiles
from optimizer.forecast.quarters import (
    DAY_SLOTS,
    Quarters,
    asked_for,
    learning_step,
    quarters,
    recent,
    vintages_of,
)
from optimizer.forecast.vintages import Floats, Ints, Vintages

_LEAD_ENDS = np.array([2, 4, 8, 16, 32, 64, 96])
"""Leads are told apart up to these slots; beyond the last they are one."""
_HEIGHTS = np.array([0.03, 0.2, 0.6])
"""Shares of the day's highest clear-sky power by which the sun's height is told apart."""
_NOTHING = 0.001
"""Power below this share of the day's highest is none: dusk, by a plant that may be asleep already."""
_STATES = 8
_EDGES = np.concatenate(([0.0, 1e-4], np.linspace(0.05, 1.5, 30), [3.0]))
"""The first bin is for a roof that gives nothing at all."""
_HALF_LIFE_DAYS = 45.0
_PRIOR_COUNT = 0.15
"""Times the number of leads that are looked at together."""
_SPANS = (1.0, 8.0, 36.0, 1500.0)
"""Half-lives (slots) of what the last minutes, hours, day and season have shown."""
_FADES = (4.0, 22.0, 120.0)
"""Leads (slots) at which half is left of what each of these but the last says more than the next."""
_FIRST_INDEX = 0.6


def pv_vintages(
    pv_w: Floats, first_slot: int, every_slots: int = 8, width: int = 192, place: Place | None = None
) -> Vintages:
    """Return what could be said of a plant's power at each time from what it had done until then.

    `pv_w` are quarter-hour means of its production (NaN where unknown), `first_slot` the number of the first
    one since 1970 (UTC).  A vintage is issued every so many slots by the clock and at the end of the series,
    for `width` slots from its own on; it knows the slots before it.  NaN until a first day was seen.  Without
    a `place` that, too, is guessed from the past.
    """
    series = quarters(np.maximum(np.asarray(pv_w, dtype=np.float64), 0.0), first_slot)
    clear_w = clear_sky_w(series.by_day, first_slot // DAY_SLOTS, place)
    roof = _Roof(series, clear_w, series.issues(learning_step(every_slots)), width)
    law = Law(_EDGES, _prior(width), _HALF_LIFE_DAYS)
    return asked_for(vintages_of(series, roof.issued, width, roof.powers_w(law)), series, every_slots)


class _Roof:
    """What is to be forecast day by day: by vintage (row), issued at slot `issued`, `width` slots each."""

    def __init__(self, series: Quarters, clear_w: Floats, issued: Ints, width: int) -> None:
        self.issued = issued
        self._series = series
        self._clear_w = clear_w
        self._peak_w = np.maximum(1.0, np.nan_to_num(clear_w).max(axis=1))
        self._lead = np.arange(width)
        self._group = np.searchsorted(_LEAD_ENDS, self._lead, side="right") * (len(_HEIGHTS) + 1)
        self._means = _mean_indices(series.by_day, clear_w, issued)

    def powers_w(self, law: Law) -> Iterator[Floats]:
        """Yield each day's quantiles (vintages, width, 3), W."""
        days, wait_days = self._series.days, len(self._lead) // DAY_SLOTS + 1
        for day, index in enumerate(learnt_quantiles(law, self, days, wait_days)):
            power_w = index * self._ahead_w(day)[..., None]
            yield np.where(power_w < _NOTHING * self._peak_w[day], 0.0, power_w)

    def cases(self, day: int) -> Cases:
        """Return what each value of a day looks like: by lead, height of the sun and state of the sky."""
        ahead_w = self._ahead_w(day)
        height = np.searchsorted(_HEIGHTS, ahead_w / self._peak_w[day], side="right")
        index = self._means[-1][self._rows(day), None]
        for mean, fades in zip(self._means[-2::-1], _FADES[::-1], strict=True):
            index = index + 0.5 ** (self._lead / fades) * (mean[self._rows(day), None] - index)
        return Cases(self._group + height, np.clip(index, 0.0, 1.0) * (_STATES - 1))

    def outcome(self, day: int) -> Floats:
        """Return what share of the clear-sky power there was in the end."""
        ahead_w, seen_w = self._ahead_w(day), self._series.at(self._target(day))
        index = np.divide(seen_w, ahead_w, out=np.full(seen_w.shape, np.nan), where=ahead_w > 0.0)
        return np.asarray(index)

    def _rows(self, day: int) -> slice:
        return slice(*np.searchsorted(self.issued, (day * DAY_SLOTS, (day + 1) * DAY_SLOTS)))

    def _target(self, day: int) -> Ints:
        return np.asarray(self.issued[self._rows(day), None] + self._lead)

    def _ahead_w(self, day: int) -> Floats:
        """Return the clear-sky power of each slot to come, as it is known on a day."""
        return np.asarray(self._clear_w[day][self._target(day) % DAY_SLOTS])


def _mean_indices(by_day_w: Floats, clear_w: Floats, issued: Ints) -> list[Floats]:
    """Return the index of the last minutes to season at each time of issue; each leans on the next."""
    both = ~np.isnan(by_day_w) & ~np.isnan(clear_w)
    made_w, could_w = np.where(both, by_day_w, 0.0), np.where(both, clear_w, 0.0)
    mean = np.full(len(issued), _FIRST_INDEX)
    means = []
    for span in reversed(_SPANS):
        made, could = (recent(part, span)[issued] for part in (made_w, could_w))
        mean = (made + mean) / (could + 1.0)
        means.append(mean)
    return means[::-1]


def _prior(width: int) -> Floats:
    """Return what is believed of a sky before anything was seen: around its state, and wide."""
    middles = (_EDGES[1:] + _EDGES[:-1]) / 2.0
    centre = 0.25 + 0.5 * np.arange(_STATES) / (_STATES - 1)
    shape = np.exp(-0.5 * ((middles - centre[:, None]) / 0.35) ** 2) * np.diff(_EDGES)
    shape /= shape.sum(axis=1, keepdims=True)
    leads = np.diff(np.concatenate(([0], _LEAD_ENDS, [max(width, _LEAD_ENDS[-1] + 1)])))
    count = _PRIOR_COUNT * leads
    return np.asarray(np.repeat(count, len(_HEIGHTS) + 1)[:, None, None] * shape)
