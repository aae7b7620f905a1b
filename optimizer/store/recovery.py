"""What a starting service takes over from the one before it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from optimizer.domain import ChargerReading, ChargerStatus, Mode, SiteReading
from optimizer.store.accounts import Accounts, read_accounts
from optimizer.store.commands import OPEN_LIST, CommandState, mark
from optimizer.store.instants import from_text, optional_instant, to_text
from optimizer.store.ledger import Instant
from optimizer.store.overrides import Override, read_overrides
from optimizer.store.prices import Remembered, read_memories
from optimizer.store.shadows import PastShadow, past_shadows

_KEPT = timedelta(hours=24)
_STAMP = "site_stamp"


@dataclass(frozen=True, slots=True)
class PastCommand:
    """A command of an earlier run, or of the last 24 hours; `sent_at` None: it is not known to have left."""

    id: int
    charger: str
    serial: str
    mode: Mode
    attempt: int
    state: CommandState
    intended_at: datetime
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A charging session that has not ended."""

    charger: str
    started_at: datetime
    ev_kwh: float
    ev_solar_kwh: float
    ev_grid_kwh: float
    cost_eur: float


@dataclass(frozen=True, slots=True)
class Recovered:
    """All that must survive a restart.

    `interrupted` commands may or may not have reached the charger: read it before the first one is sent.
    `stamp_age_s` is the time since the vendor's stamp was first seen, so that data does not become young by a
    restart; `stamp_proven` tells whether it followed another within `watched_s`, so that it was new then.
    `commands` and `shadows` are those of the last 24 h, oldest first, `overrides` the newest first.
    `accounts` tells what of the cars' energy is in the log, None where nothing was ever told.
    `prices` is what each source of prices said last.
    """

    interrupted: tuple[PastCommand, ...]
    commands: tuple[PastCommand, ...]
    chargers: Mapping[str, ChargerReading]
    site: SiteReading | None
    stamp_age_s: float | None
    stamp_proven: bool
    overrides: tuple[Override, ...]
    sessions: Mapping[str, OpenSession]
    accounts: Accounts | None
    shadows: tuple[PastShadow, ...] = ()
    prices: Mapping[str, Remembered] = field(default_factory=dict)


NOTHING = Recovered(
    interrupted=(),
    commands=(),
    chargers={},
    site=None,
    stamp_age_s=None,
    stamp_proven=False,
    overrides=(),
    sessions={},
    accounts=None,
)
"""What is known where the log cannot be read: every charger is a stranger, all data is unproven."""


def recover(conn: sqlite3.Connection, now: Instant, watched_s: float = 420.0) -> Recovered:
    """Turn what was under way into `unknown` and gather the rest, once, at the start."""
    interrupted = _commands(conn, f"state IN ({OPEN_LIST})", ())
    mark(conn, [command.id for command in interrupted], CommandState.UNKNOWN, now, None, None)
    return Recovered(
        interrupted=interrupted,
        commands=_commands(conn, "intended_at >= ?", (to_text(now.at - _KEPT),)),
        chargers=last_charger_readings(conn),
        site=last_site_reading(conn),
        stamp_age_s=_stamp_age_s(conn, now),
        stamp_proven=_stamp_proven(conn, watched_s),
        overrides=read_overrides(conn, now.at),
        sessions=open_sessions(conn),
        accounts=read_accounts(conn),
        shadows=past_shadows(conn, now.at - _KEPT),
        prices=read_memories(conn),
    )


def write_stamp_seen(conn: sqlite3.Connection, stamp: str | None, now: Instant) -> None:
    """Note when a new stamp was first seen."""
    seen = json.dumps({"stamp": stamp, "boot_id": now.boot_id, "seen_s": now.s, "seen_at": to_text(now.at)})
    conn.execute("INSERT OR REPLACE INTO state (name, value) VALUES (?,?)", (_STAMP, seen))


def last_site_reading(conn: sqlite3.Connection) -> SiteReading | None:
    """Return the newest reading of the house."""
    row = conn.execute(
        "SELECT received_at, stamp, pv_w, grid_w, battery_w, battery_soc FROM site_reading ORDER BY id DESC"
    ).fetchone()
    return None if row is None else SiteReading(from_text(row[0]), *row[1:])


def last_charger_readings(conn: sqlite3.Connection) -> dict[str, ChargerReading]:
    """Return the newest reading of each charger."""
    rows = conn.execute(
        "SELECT charger, received_at, mode, status, status_code, ev_w, session_kwh FROM charger_reading"
        " WHERE id IN (SELECT max(id) FROM charger_reading GROUP BY charger)"
    )
    return {
        charger: ChargerReading(
            received_at=from_text(received_at),
            mode=None if mode is None else Mode(mode),
            status=ChargerStatus(status),
            status_code=status_code,
            ev_w=ev_w,
            session_kwh=session_kwh,
        )
        for charger, received_at, mode, status, status_code, ev_w, session_kwh in rows
    }


def open_sessions(conn: sqlite3.Connection) -> dict[str, OpenSession]:
    """Return the sessions that have not ended, by charger."""
    rows = conn.execute(
        "SELECT charger, started_at, ev_kwh, ev_solar_kwh, ev_grid_kwh, cost_eur FROM session"
        " WHERE ended_at IS NULL"
    )
    return {row[0]: OpenSession(row[0], from_text(row[1]), *row[2:]) for row in rows}


def _commands(conn: sqlite3.Connection, where: str, values: tuple[str, ...]) -> tuple[PastCommand, ...]:
    rows = conn.execute(
        "SELECT id, charger, serial, mode, attempt, state, intended_at, sent_at FROM command"  # noqa: S608
        f" WHERE {where} ORDER BY id",
        values,
    )
    return tuple(
        PastCommand(
            row_id,
            charger,
            serial,
            Mode(mode),
            attempt,
            CommandState(state),
            from_text(at),
            optional_instant(sent),
        )
        for row_id, charger, serial, mode, attempt, state, at, sent in rows
    )


def _stamp_proven(conn: sqlite3.Connection, watched_s: float) -> bool:
    rows = conn.execute("SELECT received_at FROM site_reading ORDER BY id DESC LIMIT 2").fetchall()
    if len(rows) < 2:  # noqa: PLR2004 - the last and the one before
        return False
    return (from_text(rows[0][0]) - from_text(rows[1][0])).total_seconds() <= watched_s


def _stamp_age_s(conn: sqlite3.Connection, now: Instant) -> float | None:
    row = conn.execute("SELECT value FROM state WHERE name = ?", (_STAMP,)).fetchone()
    if row is None:
        return None
    seen = json.loads(row[0])
    return max(0.0, now.s - now.s_of(seen["boot_id"], seen["seen_s"], seen["seen_at"]))
