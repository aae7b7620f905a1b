"""Which car is there when, out of a sessions file or the owner's own log.

A visit lasts from the first whole minute after the arrival to the last one before the departure: never longer
than the car was there.  What touches time that is not known, or lies partly outside of it, is left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from optimizer.backtest.case import Visit
from optimizer.backtest.house_file import HouseData, stamp
from optimizer.backtest.table_file import csv_header, missing
from optimizer.config.words import did_you_mean
from optimizer.errors import InputError
from optimizer.simulation.sessions import Session, session_rows

MOST_KWH = 200.0
"""More than any car's battery holds."""

_COLUMNS = ("arrival", "departure", "energy_kwh")
_MINUTE = timedelta(minutes=1)
_TOLD = 5


@dataclass(frozen=True, slots=True)
class NumberedSession:
    """A session and its row in the file, counted from 0."""

    number: int
    session: Session


def read_numbered(path: Path, user: str | None = None) -> tuple[NumberedSession, ...]:
    """Read one user's sessions, ascending by arrival; they may overlap.

    Raises:
        InputError: what is wrong, with file and line; the list is empty; a user is missing or unknown.

    """
    header = csv_header(path)
    for name in _COLUMNS:
        if name not in header:
            raise missing(path, name, header)
    found = tuple(itertools.starmap(NumberedSession, enumerate(session_rows(path))))
    if not found:
        raise InputError(f"{path}: has no sessions")
    kept = sorted(_of_user(path, found, user), key=lambda one: one.session.arrival)
    for one in kept:
        if one.session.energy_kwh > MOST_KWH:
            told = f"energy_kwh is {one.session.energy_kwh:g}: more than {MOST_KWH:g} kWh goes into no car"
            raise InputError(f"{path}:{one.number + 2}: {told} (is it in Wh?)")
    return tuple(kept)


def one_at_a_time(
    name: str, sessions: Sequence[NumberedSession]
) -> tuple[tuple[NumberedSession, ...], tuple[str, ...]]:
    """Return the sessions (ascending) without those that begin before the last one ends, and a note.

    Some households have two cars under one name; a charger has one at a time.
    """
    kept: list[NumberedSession] = []
    left: list[NumberedSession] = []
    for one in sessions:
        overlaps = bool(kept) and one.session.arrival < kept[-1].session.departure
        (left if overlaps else kept).append(one)
    told = _left_out(left, "begins", "begin", "before the one before ends")
    return tuple(kept), (f"{name}: {told}",) if left else ()


def visits_of(
    name: str, sessions: Sequence[NumberedSession], house: HouseData
) -> tuple[tuple[Visit, ...], tuple[str, ...]]:
    """Return the visits within the house's known time, and what has to be said about the others.

    Raises:
        InputError: there is none.

    """
    visits, outside, partly, unknown, short = [], 0, [], [], []
    for one in sessions:
        visit = _visit(one, house)
        if one.session.departure <= house.start or one.session.arrival >= house.end:
            outside += 1
        elif one.session.arrival < house.start or one.session.departure > house.end:
            partly.append(one)
        elif visit.arrival >= visit.departure:
            short.append(one)
        elif not house.known[visit.arrival : visit.departure].all():
            unknown.append(one)
        else:
            visits.append(visit)
    if not visits:
        raise InputError(_none_left(name, sessions, house))
    notes = (
        [f"{name}: {_number(outside)} outside of the house's time {_be(outside)} left out"] if outside else []
    )
    for left, what in (
        (partly, ("lies", "lie", "partly outside of the house's time")),
        (unknown, ("touches", "touch", "a gap in the house's data")),
        (short, ("is", "are", "shorter than a minute")),
    ):
        if left:
            notes.append(f"{name}: {_left_out(left, *what)}")
    return tuple(visits), tuple(notes)


def _of_user(path: Path, found: tuple[NumberedSession, ...], user: str | None) -> tuple[NumberedSession, ...]:
    users = sorted({one.session.user for one in found if one.session.user})
    if user is None and len(users) <= 1:
        return found
    listed = ", ".join(users) or "none: the file has no column 'user'"
    if user is None:
        raise InputError(f"{path}: has sessions of several users: name one with --user (there are: {listed})")
    if user not in users:
        raise InputError(f"{path}: no user '{user}'{did_you_mean(user, users)} (there are: {listed})")
    return tuple(one for one in found if one.session.user == user)


def _visit(one: NumberedSession, house: HouseData) -> Visit:
    arrival = -((house.start - one.session.arrival) // _MINUTE)
    return Visit(one.number, arrival, house.minute(one.session.departure), one.session.energy_kwh)


def _none_left(name: str, sessions: Sequence[NumberedSession], house: HouseData) -> str:
    span = f"{stamp(house.start)} to {stamp(house.end)}"
    if not sessions:
        return f"{name}: has no sessions"
    first, last = sessions[0].session, sessions[-1].session
    told = f"from {first.arrival.isoformat()} to {last.departure.isoformat()}"
    return f"{name}: none of the {len(sessions)} sessions ({told}) lies within the house's data ({span})"


def _left_out(sessions: Sequence[NumberedSession], does: str, do: str, what: str) -> str:
    count = len(sessions)
    verb = does if count == 1 else do
    return f"{_number(count)} {verb} {what} and {_be(count)} left out: {_listed(sessions)}"


def _number(count: int) -> str:
    return f"{count} session" if count == 1 else f"{count} sessions"


def _be(count: int) -> str:
    return "is" if count == 1 else "are"


def _listed(sessions: Sequence[NumberedSession]) -> str:
    arrivals = ", ".join(one.session.arrival.isoformat(timespec="minutes") for one in sessions[:_TOLD])
    return arrivals + (f" and {len(sessions) - _TOLD} more" if len(sessions) > _TOLD else "")
