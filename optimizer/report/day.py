"""What the log says of one local day: the house by the minute, the accounts by the quarter hour, the car.

- The day is the site's own: 92 or 100 quarter hours where the clocks change.
- The house is without the car of the charger that is looked at; what other chargers' cars took is part of it.
- Time that is not known for more than an hour is left out of everything, of what happened as of what is
  replayed: the car counts as unplugged meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from optimizer.backtest.case import SLOT_MIN, Floats
from optimizer.backtest.own_log import read_own_house
from optimizer.domain import Goal, Mode
from optimizer.errors import InputError
from optimizer.report.cars import Flags, Stay, read_stays
from optimizer.store.instants import from_text, to_text
from optimizer.store.queries import reading

_MINUTE = timedelta(minutes=1)
_SLOT = timedelta(minutes=SLOT_MIN)
_BEFORE, _AFTER = timedelta(hours=2), timedelta(hours=1)
"""What is read around a day, for readings stand on."""
_KNOWN_SLOT = 0.5
_LEAST_TOLD_S = 60.0
_W_PER_KWH_A_SLOT = 4000.0
_HOUSE_COLUMNS = ("pv_kwh", "base_load_kwh", "import_kwh", "export_kwh")
_CAR_COLUMNS = ("ev_kwh", "ev_solar_kwh", "ev_grid_kwh")


@dataclass(frozen=True, slots=True)
class LocalDay:
    """A day on the site's own clock."""

    date: date
    zone: ZoneInfo

    @property
    def start(self) -> datetime:
        """Its first moment, in UTC."""
        return _midnight(self.date, self.zone)

    @property
    def end(self) -> datetime:
        """The first moment after it, in UTC."""
        return _midnight(self.date + timedelta(days=1), self.zone)

    @property
    def minutes(self) -> int:
        """How long it is."""
        return (self.end - self.start) // _MINUTE

    @property
    def slots(self) -> int:
        """How many quarter hours it has."""
        return -(-self.minutes // SLOT_MIN)


@dataclass(frozen=True, slots=True)
class Accounts:
    """kWh by the quarter hour, from table `energy`; 0 where it has no row.

    A house without a car is looked at so seldom that the accounts have gaps: there its powers stand on, as
    they do in what is replayed.
    """

    pv_kwh: Floats
    base_load_kwh: Floats
    import_kwh: Floats
    export_kwh: Floats
    ev_kwh: Floats
    ev_solar_kwh: Floats
    ev_grid_kwh: Floats
    others_kwh: Floats


@dataclass(frozen=True, slots=True)
class DayLog:
    """One day of one charger's house; minutes that are not `known` have 0 W.

    `modes` are those that the charger was read in, each with its time; the first stood when the day began.
    """

    day: LocalDay
    charger: str
    pv_w: Floats
    load_w: Floats
    known: Flags
    accounts: Accounts
    stays: tuple[Stay, ...]
    modes: tuple[tuple[datetime, Mode], ...]
    goals: tuple[Goal, ...]
    mode_changes: int
    api_calls: int
    battery_soc: float | None

    @property
    def unknown_share(self) -> float:
        """How much of the day is not known, 0 to 1."""
        return 1.0 - float(self.known.mean())

    @property
    def known_slots(self) -> Flags:
        """Which quarter hours are known, for the most part."""
        return _known_slots(self.known)


def read_day(path: Path, day: LocalDay, charger: str) -> DayLog:
    """Return what the log at `path` has of the day.

    Raises:
        InputError: no readable log, or nothing in it about this day.

    """
    pv_w, load_w, known = _house(path, day)
    with reading(path) as conn:
        accounts = _accounts(conn, day, charger, _known_slots(known))
        if not known.any() and not accounts.pv_kwh.any() and not accounts.base_load_kwh.any():
            raise InputError(f"{path}: has nothing about {day.date}; {_extent(conn, day.zone)}")
        others_w = np.repeat(accounts.others_kwh * _W_PER_KWH_A_SLOT, SLOT_MIN)[: day.minutes]
        return DayLog(
            day=day,
            charger=charger,
            pv_w=pv_w,
            load_w=np.where(known, load_w + others_w, 0.0),
            known=known,
            accounts=accounts,
            stays=read_stays(conn, charger, day.start, known, accounts.ev_kwh),
            modes=_modes(conn, day, charger),
            goals=_goals(conn, day, charger),
            mode_changes=_mode_changes(conn, day, charger),
            api_calls=_count(
                conn, "SELECT count(*) FROM call WHERE reserved_at >= ? AND reserved_at < ?", day
            ),
            battery_soc=_soc(conn, day),
        )


def logged_days(path: Path, zone: ZoneInfo) -> tuple[date, date] | None:
    """Return the first and the last local day that the log tells of, None if it has none.

    Raises:
        InputError: no readable log.

    """
    with reading(path) as conn:
        return _days(conn, zone)


def _known_slots(known: Flags) -> Flags:
    starts = np.arange(0, len(known), SLOT_MIN)
    return np.asarray(np.add.reduceat(known.astype(float), starts) >= _KNOWN_SLOT * SLOT_MIN)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return when a day begins; where the clock skips midnight, what comes in its place."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def _house(path: Path, day: LocalDay) -> tuple[Floats, Floats, Flags]:
    """Return production and load of each minute of the day, and which are known."""
    pv_w, load_w = np.zeros(day.minutes), np.zeros(day.minutes)
    known = np.zeros(day.minutes, dtype=np.bool_)
    try:
        house = read_own_house(path, since=day.start - _BEFORE, until=day.end + _AFTER)
        house = house.between(day.start, day.end)
    except InputError:
        with reading(path):  # a log that cannot be read is told; one without readings is not known
            return pv_w, load_w, known
    first = (house.start - day.start) // _MINUTE
    there = slice(first, first + len(house.pv_w))
    pv_w[there], load_w[there], known[there] = house.pv_w, house.load_w, house.known
    return pv_w, load_w, known


def _accounts(conn: sqlite3.Connection, day: LocalDay, charger: str, known: Flags) -> Accounts:
    columns = (*_HOUSE_COLUMNS, *_CAR_COLUMNS)
    rows = conn.execute(
        f"SELECT slot_start, charger, missing_s, {', '.join(columns)} FROM energy"  # noqa: S608 - our own columns
        " WHERE slot_start >= ? AND slot_start < ?",
        _span(day),
    ).fetchall()
    sums = {name: np.zeros(day.slots) for name in (*columns, "others_kwh")}
    told_s = np.zeros(day.slots)
    for slot_start, whose, missing_s, *values in rows:
        slot = (from_text(slot_start) - day.start) // _SLOT
        row = dict(zip(columns, values, strict=True))
        if whose not in {"", charger}:
            sums["others_kwh"][slot] += row["ev_kwh"]
            continue
        for name in _CAR_COLUMNS if whose else _HOUSE_COLUMNS:
            sums[name][slot] += row[name]
        if not whose:
            told_s[slot] = max(0.0, _SLOT.total_seconds() - missing_s)
    for name in _HOUSE_COLUMNS:
        sums[name] = _filled(sums[name], told_s, known)
    return Accounts(**sums)


def _filled(kwh: Floats, told_s: Floats, known: Flags) -> Floats:
    """Return energies with what is not told of a known quarter hour at the power of the last time that is."""
    told = told_s >= _LEAST_TOLD_S
    if not told.any():
        return kwh
    last = np.maximum.accumulate(np.where(told, np.arange(len(kwh)), -1))
    last = np.where(last < 0, int(np.argmax(told)), last)
    per_s = kwh[last] / told_s[last]
    return np.asarray(np.where(known, kwh + per_s * (_SLOT.total_seconds() - told_s), kwh))


def _modes(conn: sqlite3.Connection, day: LocalDay, charger: str) -> tuple[tuple[datetime, Mode], ...]:
    before = conn.execute(
        "SELECT mode FROM charger_reading WHERE charger = ? AND mode NOT NULL AND received_at < ?"
        " AND received_at >= ? ORDER BY received_at DESC LIMIT 1",
        (charger, to_text(day.start), to_text(day.start - _BEFORE)),
    ).fetchone()
    found = [] if before is None else [(day.start, Mode(before[0]))]
    rows = conn.execute(
        "SELECT received_at, mode FROM charger_reading WHERE charger = ? AND mode NOT NULL"
        " AND received_at >= ? AND received_at < ? ORDER BY received_at",
        (charger, *_span(day)),
    )
    for at, mode in rows:
        if not found or found[-1][1] != mode:
            found.append((from_text(at), Mode(mode)))
    return tuple(found)


def _goals(conn: sqlite3.Connection, day: LocalDay, charger: str) -> tuple[Goal, ...]:
    """Return what was wanted on this day by the cars that were there."""
    rows = conn.execute(
        "SELECT DISTINCT goal_deadline, goal_kwh FROM session WHERE charger = ?"
        " AND goal_deadline > ? AND goal_deadline < ? AND goal_kwh > 0 AND started_at < goal_deadline",
        (charger, *_span(day)),
    )
    return tuple(Goal(from_text(deadline), kwh) for deadline, kwh in rows)


def _mode_changes(conn: sqlite3.Connection, day: LocalDay, charger: str) -> int:
    """Return how often another mode was decided than stood before."""
    rows = conn.execute(
        "SELECT at, mode, lag(mode) OVER (ORDER BY at, id) FROM decision"
        " WHERE charger = ? AND at >= ? AND at < ? ORDER BY at, id",
        (charger, to_text(day.start - _BEFORE), to_text(day.end)),
    )
    begin = to_text(day.start)
    return sum(at >= begin and before is not None and mode != before for at, mode, before in rows)


def _soc(conn: sqlite3.Connection, day: LocalDay) -> float | None:
    row = conn.execute(
        "SELECT battery_soc FROM site_reading WHERE received_at >= ? AND received_at < ?"
        " AND battery_soc NOT NULL ORDER BY received_at LIMIT 1",
        _span(day),
    ).fetchone()
    return None if row is None else float(row[0])


def _count(conn: sqlite3.Connection, query: str, day: LocalDay) -> int:
    return int(conn.execute(query, _span(day)).fetchone()[0])


def _span(day: LocalDay) -> tuple[str, str]:
    return to_text(day.start), to_text(day.end)


def _days(conn: sqlite3.Connection, zone: ZoneInfo) -> tuple[date, date] | None:
    texts: Sequence[str | None] = conn.execute(
        "SELECT min(slot_start), max(slot_start) FROM energy"
    ).fetchone()
    days = [from_text(text).astimezone(zone).date() for text in texts if text is not None]
    return (days[0], days[-1]) if days else None


def _extent(conn: sqlite3.Connection, zone: ZoneInfo) -> str:
    found = _days(conn, zone)
    return "it is empty" if found is None else f"it goes from {found[0]} to {found[1]}"
