"""When the car is there and what it needs: read from CSV, or made up for a believable commuter.

`python -m optimizer.simulation.sessions --seed 1 --year 2019` writes the sessions of one year:
three days a week at work and the others at home, errands, day trips at the weekend, a
holiday of two weeks with the car.  The car is plugged in at home unless hardly anything is missing.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from optimizer.errors import InputError

KWH_PER_KM = 0.19
"""Of a mid-size electric car, charging losses included (compare the ADAC Ecotest, 0.17-0.21)."""
USABLE_KWH = 52.0
PLUG_IN_ABOVE_KWH = 3.0
CHARGES_AT_W = 6000.0
"""A session is never asked for more than this power could bring; what is left waits for the next one."""
OFFICE_DAYS = frozenset({0, 2, 3})
WEEKEND = frozenset({5, 6})
OFFICE_CHANCE = 0.92
DAY_TRIP_CHANCE = 0.5
ERRAND_CHANCE = 0.55


@dataclass(frozen=True, slots=True)
class Session:
    """The car is plugged in during `[arrival, departure)` (aware) and takes up to `energy_kwh`."""

    arrival: datetime
    departure: datetime
    energy_kwh: float
    user: str | None = None


def read_sessions(path: Path, user: str | None = None) -> tuple[Session, ...]:
    """Read `arrival,departure,energy_kwh[,user]` (ISO times with offset), ascending by arrival.

    `user` keeps only the sessions of that user.  Raises `InputError` with the line for a missing
    column, a time without offset, a departure before the arrival, or an overlap.
    """
    kept = sorted((s for s in session_rows(path) if user is None or s.user == user), key=lambda s: s.arrival)
    for earlier, later in itertools.pairwise(kept):
        if later.arrival < earlier.departure:
            raise InputError(
                f"{path}: the session of {later.arrival.isoformat()} begins before the last ends"
            )
    return tuple(kept)


def session_rows(path: Path) -> tuple[Session, ...]:
    """Return the sessions of all users in the order of the file, which may overlap.

    Raises `InputError` with the line like `read_sessions`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = enumerate(csv.DictReader(file), start=2)
            return tuple(_session(path, number, row) for number, row in rows)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV text") from error


def _session(path: Path, line: int, row: dict[str, str]) -> Session:
    try:
        session = Session(
            datetime.fromisoformat(row["arrival"]),
            datetime.fromisoformat(row["departure"]),
            float(row["energy_kwh"]),
            row.get("user"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}:{line}: needs arrival, departure (ISO with offset), energy_kwh") from error
    if session.arrival.tzinfo is None or session.departure.tzinfo is None:
        raise InputError(f"{path}:{line}: a time needs its offset, such as 2019-05-01T18:04+02:00")
    if not (session.departure > session.arrival and 0.0 <= session.energy_kwh < math.inf):
        raise InputError(f"{path}:{line}: departure must follow arrival, energy_kwh must be at least 0")
    return session


def sessions_from(
    sessions: Sequence[Session], at: datetime, origin: datetime | None = None, period: timedelta | None = None
) -> Iterator[Session]:
    """Yield the sessions that end after `at`, for ever if `period` says that they repeat.

    Repetition counts from `origin` (the beginning of the data); a session that would begin before
    the last one ended is left out at the seam.
    """
    if not sessions:
        return
    cycle = 0 if period is None or origin is None else (at - origin) // period - 1
    last_departure = datetime.min.replace(tzinfo=UTC)
    while True:
        shift = cycle * (period or timedelta())
        for session in sessions:
            arrival, departure = session.arrival + shift, session.departure + shift
            if departure > at and arrival >= last_departure:
                last_departure = departure
                yield Session(arrival, departure, session.energy_kwh, session.user)
        if period is None:
            return
        cycle += 1


def write_sessions(sessions: Iterable[Session]) -> str:
    """Return the sessions as CSV text, times to the minute."""
    rows = [
        f"{s.arrival.isoformat(timespec='minutes')},{s.departure.isoformat(timespec='minutes')},{s.energy_kwh:.2f}"
        for s in sessions
    ]
    return "\n".join(["arrival,departure,energy_kwh", *rows, ""])


@dataclass(frozen=True, slots=True)
class _Trip:
    leaves: datetime
    returns: datetime
    km: float


def commuter_sessions(year: int, zone: ZoneInfo, rng: random.Random) -> tuple[Session, ...]:
    """Make up one year of a commuter; equal seeds give equal sessions, on every platform."""
    trips = [trip for day in _days(year) for trip in _trips(day, zone, rng)]
    missing_kwh, sessions = 8.0, []
    for trip, after in itertools.pairwise(trips):
        missing_kwh = min(USABLE_KWH, missing_kwh + trip.km * KWH_PER_KM)
        hours = (after.leaves.astimezone(UTC) - trip.returns.astimezone(UTC)) / timedelta(hours=1)
        energy_kwh = round(min(missing_kwh, hours * CHARGES_AT_W / 1000.0), 2)
        if energy_kwh >= PLUG_IN_ABOVE_KWH:
            sessions.append(Session(trip.returns, after.leaves, energy_kwh))
            missing_kwh -= energy_kwh
    return tuple(sessions)


def _days(year: int) -> Iterator[date]:
    return (
        date(year, 1, 1) + timedelta(days=n) for n in range((date(year + 1, 1, 1) - date(year, 1, 1)).days)
    )


def _trips(day: date, zone: ZoneInfo, rng: random.Random) -> Iterator[_Trip]:
    """Yield the day's trips in order: work, a day trip, an errand, or none."""
    holiday = date(day.year, 8, 5) <= day < date(day.year, 8, 19)
    if holiday:
        if day == date(day.year, 8, 5):
            back = datetime.combine(date(day.year, 8, 18), time(16, 40), zone)
            yield _Trip(datetime.combine(day, time(7, 20), zone), back, 260.0)
        return
    if day.weekday() in OFFICE_DAYS and rng.random() < OFFICE_CHANCE:
        yield _trip(day, zone, rng, leaves_h=7.4, away_h=9.6, km=46.0)
    elif day.weekday() in WEEKEND and rng.random() < DAY_TRIP_CHANCE:
        yield _trip(day, zone, rng, leaves_h=10.0, away_h=6.5, km=85.0)
    elif rng.random() < ERRAND_CHANCE:
        yield _trip(day, zone, rng, leaves_h=rng.choice((8.6, 16.2)), away_h=1.2, km=14.0)


def _trip(day: date, zone: ZoneInfo, rng: random.Random, leaves_h: float, away_h: float, km: float) -> _Trip:
    leaves = datetime.combine(day, time(), zone) + timedelta(minutes=round(60 * rng.gauss(leaves_h, 0.3)))
    away = timedelta(minutes=max(20, round(60 * away_h * rng.uniform(0.8, 1.2))))
    return _Trip(leaves, leaves + away, km * rng.lognormvariate(0.0, 0.25))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a year of commuter sessions as CSV to standard output or `--out`."""
    parser = argparse.ArgumentParser(prog="python -m optimizer.simulation.sessions", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--year", type=int, default=2019)
    parser.add_argument("--timezone", type=ZoneInfo, default=ZoneInfo("Europe/Berlin"))
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args(arguments)
    rng = random.Random(chosen.seed)  # noqa: S311 - made-up journeys, not a secret
    text = write_sessions(commuter_sessions(chosen.year, chosen.timezone, rng))
    if chosen.out is None:
        sys.stdout.write(text)
    else:
        chosen.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
