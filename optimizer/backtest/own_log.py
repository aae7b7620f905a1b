"""The owner's own past out of the service's log: the house by the minute, and the cars' sessions.

- A reading is held until the next one, for at most 15 minutes, as the energy accounts do; beyond that the
  general rule for gaps holds, so that a silence of up to an hour is bridged.
- The base load is what the house took without the cars: `pv + grid + battery - ev`, with what the chargers
  told last before, and never below 0.  A charger's reading stands until the log is bound to have the next.
- The log is opened read-only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from optimizer.backtest.house_file import HELD_MIN, HouseData, check_scale, minutes_of
from optimizer.backtest.table_file import Floats, Ints
from optimizer.backtest.visits import NumberedSession
from optimizer.config.words import did_you_mean
from optimizer.control.energy import HOLD
from optimizer.domain import ChargerStatus
from optimizer.errors import InputError
from optimizer.simulation.sessions import Session
from optimizer.store.instants import from_text, to_text
from optimizer.store.queries import reading
from optimizer.store.thinning import CHARGER_READINGS

_EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
_HOLD_S = HOLD.total_seconds()
_CHARGER_HOLD_S = CHARGER_READINGS.idle.total_seconds() + _HOLD_S
_DRAWING = frozenset(int(status) for status in ChargerStatus if status.draws)

_SITE = (
    "SELECT received_at, pv_w, pv_w + grid_w + coalesce(battery_w, 0.0) FROM site_reading"
    " WHERE pv_w IS NOT NULL AND grid_w IS NOT NULL AND received_at >= ? AND received_at < ?"
    " ORDER BY received_at"
)
_CHARGERS = (
    "SELECT received_at, charger, ev_w, status FROM charger_reading"
    " WHERE received_at >= ? AND received_at < ? ORDER BY charger, received_at"
)
_SESSIONS = "SELECT charger, started_at, ended_at, ev_kwh FROM session ORDER BY id"


def read_own_house(
    path: Path, pv_scale: float = 1.0, *, since: datetime = _EVER[0], until: datetime = _EVER[1]
) -> HouseData:
    """Return the house as the log has seen it in `[since, until)`, its production times `pv_scale`.

    Raises:
        InputError: no readable log, or none with at least an hour of readings.

    """
    check_scale(pv_scale)
    span = (to_text(since), to_text(until))
    with reading(path) as conn:
        site = conn.execute(_SITE, span).fetchall()
        chargers = conn.execute(_CHARGERS, span).fetchall()
    if not site:
        raise InputError(f"{path}: the log has no readings of the house yet")
    at_s = _seconds(row[0] for row in site)
    pv_w = np.array([row[1] for row in site], dtype=np.float64)
    base_w = np.array([row[2] for row in site], dtype=np.float64) - _cars_w(chargers, at_s)
    start_s = math.ceil(at_s[0] / 60) * 60
    grid_s = start_s + 60 * np.arange(max(0, int((at_s[-1] + 60 - start_s) // 60)))
    rows = np.searchsorted(at_s, grid_s, side="right") - 1
    stale = grid_s - at_s[rows] >= _HOLD_S
    pv_w, base_w = (np.where(stale, math.nan, np.maximum(w[rows], 0.0)) for w in (pv_w, base_w))
    start = datetime.fromtimestamp(start_s, UTC)
    held_min = HELD_MIN - int(_HOLD_S // 60)
    return minutes_of(path.name, start, pv_w * pv_scale, base_w, step_min=1, held_min=held_min)


def read_own_sessions(
    path: Path, charger: str | None = None
) -> tuple[tuple[NumberedSession, ...], tuple[str, ...]]:
    """Return one charger's sessions that have ended, ascending by arrival, and notes.

    A session's energy is what the car took: whether it would have taken more, nobody knows.

    Raises:
        InputError: no readable log, no session, or a charger that is missing or unknown.

    """
    with reading(path) as conn:
        rows = conn.execute(_SESSIONS).fetchall()
    name = _chosen(path, sorted({row[0] for row in rows}), charger)
    found = [
        NumberedSession(number, Session(from_text(start), from_text(end), ev_kwh, owner))
        for number, (owner, start, end, ev_kwh) in enumerate(rows)
        if owner == name and end is not None
    ]
    still = sum(row[0] == name and row[2] is None for row in rows)
    notes = (f"{path.name}: the session that goes on is left out",) if still else ()
    if not found:
        raise InputError(f"{path}: the log has no session that has ended yet")
    sound = [one for one in found if one.session.departure > one.session.arrival]
    return tuple(sorted(sound, key=lambda one: one.session.arrival)), notes


def _chosen(path: Path, chargers: Sequence[str], charger: str | None) -> str:
    listed = ", ".join(chargers)
    if not chargers:
        raise InputError(f"{path}: the log has no sessions yet")
    if charger is None and len(chargers) > 1:
        raise InputError(
            f"{path}: has sessions of several chargers: name one with --user (there are: {listed})"
        )
    if charger is not None and charger not in chargers:
        near = did_you_mean(charger, chargers)
        raise InputError(f"{path}: no charger '{charger}'{near} (there are: {listed})")
    return charger or chargers[0]


def _cars_w(rows: Iterable[tuple[str, str, float | None, int]], at_s: Ints) -> Floats:
    """Return what all cars drew at these times by the last reading before; NaN where one may have drawn."""
    total_w = np.zeros(len(at_s))
    by_charger: dict[str, list[tuple[str, float]]] = {}
    for received_at, charger, ev_w, status in rows:
        by_charger.setdefault(charger, []).append((received_at, _drawn_w(ev_w, status)))
    for readings in by_charger.values():
        read_s = _seconds(text for text, _ in readings)
        powers_w = np.array([power_w for _, power_w in readings])
        places = np.searchsorted(read_s, at_s, side="right") - 1
        # Before its first reading, and long after the last one, a charger is taken to be idle.
        known = (places >= 0) & (at_s - read_s[places] < _CHARGER_HOLD_S)
        total_w += np.where(known, powers_w[places], 0.0)
    return total_w


def _drawn_w(ev_w: float | None, status: int) -> float:
    if ev_w is not None:
        return max(0.0, ev_w)
    return math.nan if status in _DRAWING else 0.0


def _seconds(texts: Iterable[str]) -> Ints:
    return np.array([int(from_text(text).timestamp()) for text in texts], dtype=np.int64)
