"""A charger's cars on one day: when each was there, what it took, and what its goal missed.

A car that is there when the day begins or ends counts with what it took on this day.  Where the house is not
known for long, its stay is cut in two.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from optimizer.backtest.case import SLOT_MIN, Floats
from optimizer.domain import ChargerStatus
from optimizer.store.instants import from_text, optional_instant, to_text

Flags = NDArray[np.bool_]

_MINUTE = timedelta(minutes=1)
_SESSIONS = (
    "SELECT started_at, ended_at, ev_kwh, goal_kwh, goal_deadline FROM session"
    " WHERE charger = ? AND started_at < ? AND (ended_at IS NULL OR ended_at > ?) ORDER BY started_at"
)
_MET_KWH = 0.1
"""What a goal may lack and still count as met."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A car is plugged in during the minutes `[arrival, departure)` of the day and took `took_kwh` then.

    `missed_kwh` is what its goal lacked, had it been able to take it; `before_kwh` what it had taken before
    the stay began, `goes_on` tells that it was still there when the day ended.
    """

    arrival: int
    departure: int
    took_kwh: float
    missed_kwh: float = 0.0
    before_kwh: float = 0.0
    goes_on: bool = False

    @property
    def need_kwh(self) -> float:
        """What it would have taken of somebody who gives enough."""
        return self.took_kwh + self.missed_kwh


@dataclass(frozen=True, slots=True)
class _Session:
    started_at: datetime
    ended_at: datetime | None
    ev_kwh: float
    goal_kwh: float | None
    goal_deadline: datetime | None


def read_stays(
    conn: sqlite3.Connection, charger: str, start: datetime, known: Flags, ev_kwh: Floats
) -> tuple[Stay, ...]:
    """Return the stays of a day that begins at `start`; `ev_kwh` is what the car took by the quarter hour."""
    end = start + len(known) * _MINUTE
    rows = conn.execute(_SESSIONS, (charger, to_text(end), to_text(start))).fetchall()
    stays: list[Stay] = []
    left_kwh = ev_kwh.copy()
    for began, ended, kwh, goal_kwh, deadline in rows:
        session = _Session(
            from_text(began), optional_instant(ended), kwh, goal_kwh, optional_instant(deadline)
        )
        parts = list(_parts(session, start, known, left_kwh))
        missed_kwh = _missed_kwh(conn, charger, session, end)
        if parts and missed_kwh > 0.0:
            parts[-1] = replace(parts[-1], missed_kwh=missed_kwh)
        stays += parts
    return tuple(_apart(stays))


def _parts(session: _Session, start: datetime, known: Flags, left_kwh: Floats) -> Iterator[Stay]:
    """Yield the known parts of a session's time on the day; takes what each took out of `left_kwh`."""
    first = max(0, -((start - session.started_at) // _MINUTE))
    end = len(known) if session.ended_at is None else (session.ended_at - start) // _MINUTE
    last = min(len(known), end)
    spans = list(_known_spans(known, first, last))
    whole = spans == [(first, last)] and session.started_at >= start and 0 <= end <= len(known)
    for begin, until in spans:
        slots = slice(begin // SLOT_MIN, -(-until // SLOT_MIN))
        took_kwh = float(left_kwh[slots].sum())
        left_kwh[slots] = 0.0
        if whole and session.ended_at is not None:
            took_kwh = session.ev_kwh
        before_kwh = max(0.0, session.ev_kwh - took_kwh) if session.started_at < start else 0.0
        goes_on = until == len(known) and (session.ended_at is None or end > len(known))
        yield Stay(begin, until, took_kwh, before_kwh=before_kwh, goes_on=goes_on)


def _known_spans(known: Flags, first: int, last: int) -> Iterator[tuple[int, int]]:
    if first >= last:
        return
    edges = np.flatnonzero(np.diff(np.concatenate(([False], known[first:last], [False])).astype(np.int8)))
    for begin, end in edges.reshape(-1, 2):
        yield first + int(begin), first + int(end)


def _missed_kwh(conn: sqlite3.Connection, charger: str, session: _Session, end: datetime) -> float:
    """Return what the goal lacked when it fell due on this day, 0 where the car itself took no more."""
    if session.goal_kwh is None or session.goal_deadline is None or session.goal_deadline > end:
        return 0.0
    if session.ended_at is None or session.ended_at > end or session.ended_at < session.goal_deadline:
        return 0.0  # it is still there, or its owner left early
    missed_kwh = session.goal_kwh - session.ev_kwh
    if missed_kwh <= _MET_KWH or _was_full(conn, charger, session.started_at, session.ended_at):
        return 0.0
    return missed_kwh


def _was_full(conn: sqlite3.Connection, charger: str, since: datetime, until: datetime) -> bool:
    return (
        conn.execute(
            "SELECT 1 FROM charger_reading WHERE charger = ? AND status = ?"
            " AND received_at >= ? AND received_at <= ? LIMIT 1",
            (charger, int(ChargerStatus.SUSPENDED_EV), to_text(since), to_text(until)),
        ).fetchone()
        is not None
    )


def _apart(stays: Sequence[Stay]) -> Iterator[Stay]:
    """Yield the stays without overlaps, each at least a minute long."""
    end = 0
    for stay in stays:
        begin = max(stay.arrival, end)
        if begin < stay.departure:
            yield replace(stay, arrival=begin)
            end = stay.departure
