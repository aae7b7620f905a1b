"""What the house will draw: its usual days, by kind and quarter hour, and how this one has gone so far."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np

from optimizer.forecast.learnt import Cases, Law, learnt_quantiles, quantiles_of
from optimizer.forecast.quarters import DAY_SLOTS, Quarters, quarters, recent, vintages_of
from optimizer.forecast.vintages import Floats, Ints, Vintages

_EDGES_W = np.append(0.0, np.geomspace(10.0, 40_000.0, 72))
_LEVELS = np.append(np.append(0.005, np.linspace(0.05, 0.95, 19)), 0.995)
_KEEP_PER_DAY = 0.5 ** (1.0 / 21.0)
_NEIGHBOURS = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 9.0
_OTHER_KIND, _ANY_SLOT = 0.3, 0.1
_LEAD_ENDS = np.array([1, 2, 4, 8, 16, 48, 96])
_STATES = 8
_RANK_EDGES = np.linspace(0.0, 1.0, 21)
_HALF_LIFE_DAYS = 60.0
_PRIOR_COUNT = 3.0
_SPANS = (3.0, 48.0)
"""Half-lives (slots) of what the last hours and the last day have shown."""
_USUAL_RANK = 0.5
_DAY_LEANS = 8.0
"""So many quarter hours as usual the last day leans on."""
_NOW_FADES_SLOTS, _DAY_FADES_SLOTS = 6.0, 96.0
_DAY_S, _SLOT_S, _WORKDAYS = 86_400, 900, 5


def load_vintages(
    load_w: Floats, first_slot: int, every_slots: int = 8, width: int = 192, zone: tzinfo = UTC
) -> Vintages:
    """Return what could be said of a house's load at each time from its own log until then.

    `load_w` are quarter-hour means without cars (NaN where unknown), `first_slot` the number of the first one
    since 1970 (UTC); workdays and hours are those of `zone`.  A vintage is issued every so many slots by the
    clock and at the end of the series, for `width` slots from its own on; it knows the slots before it.  NaN
    until a first day was seen.
    """
    series = quarters(np.maximum(np.asarray(load_w, dtype=np.float64), 0.0), first_slot)
    kind, clock = _local(first_slot - series.lead_in, series.by_day.size + width + DAY_SLOTS, zone)
    house = _House(
        series, _usual_w(series.by_day, kind, clock), kind, clock, series.issues(every_slots), width
    )
    return vintages_of(series, house.issued, width, house.powers_w())


def _local(first_slot: int, slots: int, zone: tzinfo) -> tuple[Ints, Ints]:
    """Return kind of day (0 workday, 1 weekend) and quarter hour of each slot, by the zone's clock."""
    days = -(-slots // DAY_SLOTS) + 1
    start = datetime.fromtimestamp(first_slot * _SLOT_S, UTC)
    offsets = [_offset_slots(start + timedelta(days=day), zone) for day in range(days)]
    by_slot = np.repeat(np.array(offsets[:-1]), DAY_SLOTS)
    for day in np.flatnonzero(np.diff(offsets)).tolist():
        hours = [_offset_slots(start + timedelta(days=day, hours=hour), zone) for hour in range(24)]
        by_slot[day * DAY_SLOTS : (day + 1) * DAY_SLOTS] = np.repeat(hours, DAY_SLOTS // 24)
    local = first_slot + np.arange(len(by_slot)) + by_slot
    weekday = (local // DAY_SLOTS + 3) % 7
    return (weekday >= _WORKDAYS).astype(np.int64), local % DAY_SLOTS


def _offset_slots(at: datetime, zone: tzinfo) -> int:
    offset = at.astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds()) // _SLOT_S


def _usual_w(by_day_w: Floats, kind: Ints, clock: Ints) -> Floats:
    """Return the load (days, kinds, 96, levels) at levels of probability, learnt from the days before."""
    counts = np.zeros((2, DAY_SLOTS, len(_EDGES_W) - 1))
    usual = np.full((len(by_day_w), 2, DAY_SLOTS, len(_LEVELS)), np.nan)
    for day, row in enumerate(by_day_w):
        if counts.any():
            usual[day] = quantiles_of(_shared(counts), _EDGES_W, _LEVELS)
        known = np.flatnonzero(~np.isnan(row))
        at = known + day * DAY_SLOTS
        counts *= _KEEP_PER_DAY
        bins = np.clip(np.searchsorted(_EDGES_W, row[known], side="right") - 1, 0, len(_EDGES_W) - 2)
        np.add.at(counts, (kind[at], clock[at], bins), 1.0)
    return usual


def _shared(counts: Floats) -> Floats:
    """Return counts that lean on the quarter hours around, on the other kind of day and on the whole day."""
    near = np.zeros_like(counts)
    for share, step in zip(_NEIGHBOURS, range(-2, 3), strict=True):
        near += share * np.roll(counts, step, axis=1)
    whole_day = counts.sum(axis=(0, 1)) / DAY_SLOTS
    return np.asarray(near + _OTHER_KIND * near[::-1] + _ANY_SLOT * whole_day)


def _ranks(by_day_w: Floats, usual_w: Floats, kind: Ints, clock: Ints) -> Floats:
    """Return the level (flat) at which each slot's load stood among the usual ones; NaN where unknown."""
    flat_w = by_day_w.ravel()
    at = np.arange(len(flat_w))
    rows = usual_w[at // DAY_SLOTS, kind[at], clock[at]]
    above = (rows <= flat_w[:, None]).sum(axis=1)
    low, high = np.clip(above - 1, 0, len(_LEVELS) - 1), np.clip(above, 0, len(_LEVELS) - 1)
    low_w, high_w = rows[at, low], rows[at, high]
    share = np.divide(flat_w - low_w, high_w - low_w, out=np.zeros_like(flat_w), where=high_w > low_w)
    rank = _LEVELS[low] + share * (_LEVELS[high] - _LEVELS[low])
    return np.where(np.isnan(flat_w) | np.isnan(rows[:, 0]), np.nan, rank)


class _House:
    """What is to be forecast day by day: by vintage (row), issued at slot `issued`, `width` slots each."""

    def __init__(
        self, series: Quarters, usual_w: Floats, kind: Ints, clock: Ints, issued: Ints, width: int
    ) -> None:
        self.issued = issued
        self._series = series
        self._usual_w = usual_w
        self._slot = kind * DAY_SLOTS + clock
        rank = _ranks(series.by_day, usual_w, kind, clock)
        self._ranks = Quarters(rank.reshape(series.by_day.shape), series.lead_in, series.length)
        self._means = _mean_ranks(self._ranks.by_day, issued)
        self._lead = np.arange(width)
        self._group = np.searchsorted(_LEAD_ENDS, self._lead, side="right")

    def powers_w(self) -> Iterator[Floats]:
        """Yield each day's quantiles (vintages, width, 3), W."""
        law = Law(_RANK_EDGES, _prior(), _HALF_LIFE_DAYS)
        days, wait_days = self._series.days, len(self._lead) // DAY_SLOTS + 1
        for day, level in enumerate(learnt_quantiles(law, self, days, wait_days)):
            usual_w = self._usual_w[day].reshape(-1, len(_LEVELS))
            yield _at_level(usual_w, self._slot[self._target(day)], level)

    def cases(self, day: int) -> Cases:
        """Return what each value of a day looks like: by lead, and how usual the last hours and day were."""
        now, day_ = (mean[self._rows(day), None] for mean in self._means)
        of_now = 0.5 ** (self._lead / _NOW_FADES_SLOTS)
        of_day = (1.0 - of_now) * 0.5 ** (self._lead / _DAY_FADES_SLOTS)
        rank = now * of_now + day_ * of_day + _USUAL_RANK * (1.0 - of_now - of_day)
        state = np.clip(rank * _STATES - 0.5, 0.0, _STATES - 1.0)
        return Cases(np.broadcast_to(self._group, state.shape), state)

    def outcome(self, day: int) -> Floats:
        """Return at which level of the usual ones the load was in the end."""
        return self._ranks.at(self._target(day))

    def _rows(self, day: int) -> slice:
        return slice(*np.searchsorted(self.issued, (day * DAY_SLOTS, (day + 1) * DAY_SLOTS)))

    def _target(self, day: int) -> Ints:
        return np.asarray(self.issued[self._rows(day), None] + self._lead)


def _mean_ranks(rank: Floats, issued: Ints) -> tuple[Floats, Floats]:
    """Return the mean level of the last hours and of the last day at each time of issue."""
    known = ~np.isnan(rank)
    ranks = np.where(known, rank, 0.0)
    now, day = ([recent(part, span)[issued] for part in (ranks, known.astype(float))] for span in _SPANS)
    mean_day = (day[0] + _DAY_LEANS * _USUAL_RANK) / (day[1] + _DAY_LEANS)
    return (now[0] + mean_day) / (now[1] + 1.0), mean_day


def _prior() -> Floats:
    """Return what is believed at first: every level is as likely, whatever the day so far."""
    bins = len(_RANK_EDGES) - 1
    return np.full((len(_LEAD_ENDS) + 1, _STATES, bins), _PRIOR_COUNT / bins)


def _at_level(usual_w: Floats, row: Ints, level: Floats) -> Floats:
    """Return the loads (vintages, width, 3) at some levels of the usual ones (rows, levels)."""
    place = np.clip(np.searchsorted(_LEVELS, level, side="right") - 1, 0, len(_LEVELS) - 2)
    at = row[..., None] * len(_LEVELS) + place
    low_w, high_w = usual_w.take(at), usual_w.take(at + 1)
    share = (level - _LEVELS[place]) / (_LEVELS[place + 1] - _LEVELS[place])
    return np.asarray(low_w + np.clip(share, 0.0, 1.0) * (high_w - low_w))
