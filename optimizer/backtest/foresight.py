"""What could have been known beforehand: forecasts from the case's own past, and prices as they come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from optimizer.ahead import Habits
from optimizer.backtest.case import SLOT_MIN, Case, Floats, Foresight, Ints
from optimizer.forecast.load import load_vintages
from optimizer.forecast.past import pv_vintages
from optimizer.forecast.vintages import Vintages
from optimizer.tariffs.asking import wanted_until

_MARKET = ZoneInfo("Europe/Brussels")
"""Single day-ahead coupling: the prices of a day of this zone come out together, the day before."""
_HOUR_SLOTS = 4
_PAST = "past"
_SLOT = timedelta(minutes=SLOT_MIN)


def foreseen(case: Case) -> Foresight:
    """Return the case's foresight; forecasts that it has not are made from its past, vintage by vintage."""
    given = case.foresight
    if given.pv is not None and given.load is not None:
        return given
    pv, load = _of_past(given.whole or case)
    return replace(given, pv=given.pv or pv, load=given.load or load)


def _of_past(case: Case) -> tuple[Vintages, Vintages]:
    """Return forecasts of sun and load, made once."""
    if _PAST not in case.tapes:
        first = round(case.start.timestamp()) // (SLOT_MIN * 60)
        pv = pv_vintages(slot_means(case, case.pv_w), first)
        load = load_vintages(slot_means(case, case.load_w), first, zone=case.zone or UTC)
        case.tapes[_PAST] = pv, load
    made: tuple[Vintages, Vintages] = case.tapes[_PAST]
    return made


def habits_of(habits: Habits, rows: Sequence[int]) -> Habits:
    """Return the rows of a table of habits that are named."""
    if not habits.stay_slots:
        return habits
    stays = np.asarray(habits.stays).reshape(-1, habits.stay_slots)[list(rows)].ravel()
    takes = np.asarray(habits.takes).reshape(-1, habits.take_steps)[list(rows)].ravel()
    return habits._replace(stays=stays.tolist(), takes=takes.tolist())


def slot_means(case: Case, values_w: Floats) -> Floats:
    """Return a column's means by quarter hour of the clock; NaN where nothing is known."""
    slots = len(case.price_eur_per_kwh)
    sums, counts = np.zeros(slots * SLOT_MIN), np.zeros(slots * SLOT_MIN)
    minutes = slice(case.slot_offset, case.slot_offset + case.minutes)
    sums[minutes], counts[minutes] = np.where(case.known, values_w, 0.0), case.known
    total, known = sums.reshape(slots, SLOT_MIN).sum(axis=1), counts.reshape(slots, SLOT_MIN).sum(axis=1)
    return np.where(known > 0, total / np.maximum(known, 1), np.nan)


def published(start: datetime, slots: int) -> Ints:
    """Return for each slot from `start` on (aware, on a quarter hour) before which one prices are known."""
    # By the hour: days begin and prices come out on full ones.
    hour, before = start.replace(minute=0), start.minute // SLOT_MIN
    hours = (hour + timedelta(hours=n) for n in range((before + slots) // _HOUR_SLOTS + 1))
    until = [(wanted_until(at, _MARKET, delay=timedelta(0)) - start) // _SLOT for at in hours]
    return np.asarray(np.minimum(np.repeat(until, _HOUR_SLOTS)[before : before + slots], slots))
