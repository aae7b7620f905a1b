"""What the house will draw: its usual days, by kind and quarter hour, and how this one has gone so far."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, tzinfo

import numpy as np

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
from optimizer.forecast.usual import at_levels, kind_and_clock, ranks, usual_w
from optimizer.forecast.vintages import Floats, Ints, Vintages
from optimizer.forecast.week_ago import days_for_week_ago, week_ago_w

_LEAD_ENDS = np.array([1, 2, 4, 8, 16, 48, 96])
"""Leads are told apart up to these slots; beyond the last they are one."""
_STATES = 8
_RANK_EDGES = np.linspace(0.0, 1.0, 21)
_HALF_LIFE_DAYS = 60.0
_PRIOR_COUNT = 0.3
"""Times the root of the number of leads that are looked at together."""
_SPANS = (2.0, 48.0)
"""Half-lives (slots) of what the last hours and the last day have shown."""
_USUAL_RANK = 0.5
_DAY_LEANS_SLOTS = 8.0
"""The last day leans on so many quarter hours as usual."""
_NOW_FADES_SLOTS, _DAY_FADES_SLOTS = 10.0, 192.0


def load_vintages(
    load_w: Floats, first_slot: int, every_slots: int = 8, width: int = 192, zone: tzinfo = UTC
) -> Vintages:
    """Return what could be said of a house's load at each time from its own log until then.

    `load_w` are quarter-hour means without cars (NaN where unknown), `first_slot` the number of the first one
    since 1970 (UTC); workdays and hours are those of `zone`.  A vintage is issued every so many slots by the
    clock and at the end of the series, for `width` slots from its own on; it knows the slots before it.  NaN
    until a first day was seen.  Where the same slot a week ago would have done better of late, that is said.
    """
    series = quarters(np.maximum(np.asarray(load_w, dtype=np.float64), 0.0), first_slot)
    row = kind_and_clock(first_slot - series.lead_in, series.by_day.size + width, zone)
    house = _House(series, row, series.issues(learning_step(every_slots)), width)
    ours = vintages_of(series, house.issued, width, house.powers_w())
    return asked_for(_or_week_ago(ours, series), series, every_slots)


def _or_week_ago(ours: Vintages, series: Quarters) -> Vintages:
    """Return the vintages; those of days on which the rival is to be believed are its own."""
    issued = ours.known_from + series.lead_in
    rows = days_for_week_ago(series, issued, ours)[issued // DAY_SLOTS]
    if rows.any():
        ours.p10_w[rows], ours.p50_w[rows], ours.p90_w[rows] = np.moveaxis(
            week_ago_w(series, issued[rows], ours.p50_w.shape[1]), -1, 0
        )
    return ours


class _House:
    """What is to be forecast day by day: by vintage (row), issued at slot `issued`, `width` slots each.

    `row` is that of each slot in a usual week.  Learnt is not the load but its level among usual ones.
    """

    def __init__(self, series: Quarters, row: Ints, issued: Ints, width: int) -> None:
        self.issued = issued
        self._row = row
        self._usual_w = usual_w(series.by_day, row)
        rank = ranks(series.by_day, self._usual_w, row)
        self._ranks = Quarters(rank, series.lead_in, series.length)
        self._means = _mean_ranks(rank, issued)
        self._lead = np.arange(width)
        self._group = np.searchsorted(_LEAD_ENDS, self._lead, side="right")

    def powers_w(self) -> Iterator[Floats]:
        """Yield each day's quantiles (vintages, width, 3), W."""
        law = Law(_RANK_EDGES, _prior(len(self._lead)), _HALF_LIFE_DAYS)
        wait_days = len(self._lead) // DAY_SLOTS + 1
        for day, level in enumerate(learnt_quantiles(law, self, self._ranks.days, wait_days)):
            yield at_levels(self._usual_w[day], self._row[self._target(day)], level)

    def cases(self, day: int) -> Cases:
        """Return what each value of a day looks like: by lead, and how usual the last hours and day were."""
        now, today = (mean[self._rows(day), None] for mean in self._means)
        of_now = 0.5 ** (self._lead / _NOW_FADES_SLOTS)
        of_day = (1.0 - of_now) * 0.5 ** (self._lead / _DAY_FADES_SLOTS)
        rank = now * of_now + today * of_day + _USUAL_RANK * (1.0 - of_now - of_day)
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
    parts = (np.where(known, rank, 0.0), known.astype(np.float64))
    now, day = ([recent(part, span)[issued] for part in parts] for span in _SPANS)
    mean_day = (day[0] + _DAY_LEANS_SLOTS * _USUAL_RANK) / (day[1] + _DAY_LEANS_SLOTS)
    return (now[0] + mean_day) / (now[1] + 1.0), mean_day


def _prior(width: int) -> Floats:
    """Return what is believed at first: every level is as likely, whatever the day so far."""
    bins = len(_RANK_EDGES) - 1
    leads = np.diff(np.concatenate(([0], _LEAD_ENDS, [max(width, _LEAD_ENDS[-1] + 1)])))
    return np.full((_STATES, bins), 1.0 / bins) * _PRIOR_COUNT * np.sqrt(leads)[:, None, None]
