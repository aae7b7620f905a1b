"""Anybody's forecast of the sun, set right by what this roof made of the earlier ones.

- Each quantile first gets what the forecast overlooks at that time of day (`shading`).
- Then its distance from the middle is learnt, in units of the spread that the forecast itself states, by
  lead, height of the sun and how sunny it says it will be.
- Corrections are bounded, a day that is like no other counts as one, and where little was seen the forecast
  stays as it came.
- Only days that were over when a vintage came are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from optimizer.forecast.daylight import Place
from optimizer.forecast.envelope import clear_sky_w
from optimizer.forecast.learnt import Cases, Law, learnt_quantiles
from optimizer.forecast.quarters import DAY_SLOTS, Quarters, before_each_day, quarters, vintages_of
from optimizer.forecast.shading import shading
from optimizer.forecast.vintages import Floats, Ints, Vintages

_LEAD_ENDS = np.array([4, 16, 48, 96])
_HEIGHTS = np.array([0.03, 0.2, 0.6])
_STATES = 8
_TOP_INDEX = 1.1
"""A forecast of so much of the clear-sky power is the sunniest."""
_STEPS = np.array(
    [0.03, 0.07, 0.12, 0.18, 0.25, 0.35, 0.45, 0.6, 0.8, 1.0, 1.2, 1.5, 1.9, 2.4, 3.0, 4.0, 6.0]
)
_EDGES = np.concatenate((-_STEPS[::-1], [0.0], _STEPS))
"""Distances from the middle, in units of the stated spread: p10 is at -1, p90 at 1."""
_PRIOR_COUNT = 0.3
"""Times the number of leads that are looked at together."""
_HALF_LIFE_DAYS = 60.0
_LEVELS = np.array([0.09, 0.5, 0.91])
"""A little wide: neighbouring hours err together, so that there are fewer witnesses than it seems."""
_GAIN = 0.02
_LEAST_SPREAD, _ABOVE_CLEAR, _LEAST_ROOM = 0.1, 1.1, 0.25
"""Shares of clear-sky power: the least spread, the most power, and the least room above a middle."""
_TRUST_DAYS = 10.0
_TELLS = 0.02
"""Below this share of the day's highest clear-sky power nothing is learnt."""


def calibrated(raw: Vintages, truth_w: Floats, first_slot: int, place: Place | None = None) -> Vintages:
    """Return the vintages as they could have been set right when they came.

    `truth_w` is the plant's production by quarter hour (NaN where unknown); its first slot, to which `raw`
    counts, is number `first_slot` since 1970 (UTC).  Vintages may reach beyond its end.
    """
    if not len(raw.known_from):
        return raw
    unseen = max(0, -int(raw.known_from[0]))
    truth_w = np.concatenate((np.full(unseen, np.nan), np.asarray(truth_w, dtype=np.float64)))
    series = quarters(np.maximum(truth_w, 0.0), first_slot - unseen)
    issued = raw.known_from + unseen + series.lead_in
    series = series.until(int(issued[-1]) // DAY_SLOTS + 1)
    counted = replace(raw, known_from=issued, first=raw.first + unseen + series.lead_in)
    forecast = _Forecast(
        counted, series, clear_sky_w(series.by_day, (first_slot - unseen) // DAY_SLOTS, place)
    )
    fixed = vintages_of(series, issued, raw.p50_w.shape[1], forecast.powers_w())
    return replace(fixed, known_from=raw.known_from, first=raw.first)


class _Forecast:
    """The vintages of each day: what they say, in terms of this roof, and what became of it.

    They count slots from the midnight at which the series' days begin.
    """

    def __init__(self, raw: Vintages, series: Quarters, clear_w: Floats) -> None:
        self._raw, self._series, self._clear_w = raw, series, np.nan_to_num(clear_w)
        self._peak_w = np.maximum(1.0, self._clear_w.max(axis=1))
        self._issued, self._first = raw.known_from, raw.first
        self._factor = shading(series.by_day, _latest_w(raw, series))
        seen = before_each_day(np.asarray((~np.isnan(series.by_day)).any(axis=1), dtype=np.float64))
        self._trust = seen / (seen + _TRUST_DAYS)

    def powers_w(self) -> Iterator[Floats]:
        """Yield each day's quantiles (vintages, width, 3), W."""
        width = self._raw.p50_w.shape[1]
        law = Law(_EDGES, _prior(width), _HALF_LIFE_DAYS, _LEVELS, _GAIN)
        ends = (self._first + width - 1) // DAY_SLOTS - self._issued // DAY_SLOTS
        wait_days = 1 + int(ends.max(initial=0))
        for day, distance in enumerate(learnt_quantiles(law, self, self._series.days, wait_days)):
            middle_w, below_w, above_w = (part[..., None] for part in self._said_w(day))
            yield np.maximum(0.0, middle_w + distance * np.where(distance < 0.0, below_w, above_w))

    def cases(self, day: int) -> Cases:
        """Return what a day's values look like: by lead, height of the sun and how sunny it shall be."""
        middle_w, clear_w = self._said_w(day)[0], self._ahead_w(day)
        height = np.searchsorted(_HEIGHTS, clear_w / self._peak_w[day], side="right")
        lead = self._target(day) - self._issued[self._rows(day), None]
        group = np.searchsorted(_LEAD_ENDS, lead, side="right")
        index = np.divide(middle_w, clear_w, out=np.zeros(clear_w.shape), where=clear_w > 0.0)
        state = np.clip(np.nan_to_num(index) / _TOP_INDEX, 0.0, 1.0) * (_STATES - 1)
        return Cases(group * (len(_HEIGHTS) + 1) + height, state)

    def outcome(self, day: int) -> Floats:
        """Return how far from the middle the truth was, in units of the spread."""
        middle_w, below_w, above_w = self._said_w(day)
        off_w = self._series.at(self._target(day)) - middle_w
        unit_w = np.where(off_w < 0.0, below_w, above_w)
        distance = np.divide(off_w, unit_w, out=np.full(off_w.shape, np.nan), where=unit_w > 0.0)
        tells = self._ahead_w(day) >= _TELLS * self._peak_w[day]
        return np.where(tells, np.clip(distance, _EDGES[0], _EDGES[-1]), np.nan)

    def _said_w(self, day: int) -> tuple[Floats, Floats, Floats]:
        """Return the middle and the spread to either side (vintages, width), within what this roof can do."""
        rows, clear_w, trust = self._rows(day), self._ahead_w(day), self._trust[day]
        factor = self._factor[day][self._target(day) % DAY_SLOTS]
        low_w, middle_w, high_w = (
            part[rows] * factor for part in (self._raw.p10_w, self._raw.p50_w, self._raw.p90_w)
        )
        least_w = _LEAST_SPREAD * clear_w
        below_w, above_w = middle_w - low_w, high_w - middle_w
        room_w = np.maximum(_ABOVE_CLEAR * clear_w - middle_w, _LEAST_ROOM * clear_w)
        below_w = below_w + trust * (np.clip(below_w, least_w, np.maximum(middle_w, least_w)) - below_w)
        above_w = above_w + trust * (np.clip(above_w, least_w, room_w) - above_w)
        return middle_w, below_w, above_w

    def _rows(self, day: int) -> slice:
        return slice(*np.searchsorted(self._issued, (day * DAY_SLOTS, (day + 1) * DAY_SLOTS)))

    def _target(self, day: int) -> Ints:
        return np.asarray(self._first[self._rows(day), None] + np.arange(self._raw.p50_w.shape[1]))

    def _ahead_w(self, day: int) -> Floats:
        return np.asarray(self._clear_w[day][self._target(day) % DAY_SLOTS])


def _latest_w(raw: Vintages, series: Quarters) -> Floats:
    """Return what the latest vintage said of each slot (days, 96) when it began; NaN where none did."""
    slot = np.arange(series.by_day.size)
    row = np.searchsorted(raw.known_from, slot, side="right") - 1
    column = slot - raw.first[row]
    says = (row >= 0) & (column >= 0) & (column < raw.p50_w.shape[1])
    said_w = raw.p50_w[row, np.clip(column, 0, raw.p50_w.shape[1] - 1)]
    return np.where(says, said_w, np.nan).reshape(-1, DAY_SLOTS)


def _prior(width: int) -> Floats:
    """Return what is believed before anything was seen: what the forecast says, a tenth beyond either end."""
    middles = (_EDGES[1:] + _EDGES[:-1]) / 2.0
    stated = np.abs(middles) < 1.0
    inside = np.where(stated, 1.0, 0.0) * np.diff(_EDGES)
    outside = np.where(stated, 0.0, np.exp(-np.abs(middles))) * np.diff(_EDGES)
    shape = 0.8 * inside / inside.sum() + 0.2 * outside / outside.sum()
    leads = np.diff(np.concatenate(([0], np.minimum(_LEAD_ENDS, width), [width])))
    count = _PRIOR_COUNT * np.maximum(leads, 1)
    return np.asarray(np.repeat(count, len(_HEIGHTS) + 1)[:, None, None] * np.tile(shape, (_STATES, 1)))
