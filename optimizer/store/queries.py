"""Reading the log from outside the service: for the command line, for notebooks, for other tools.

Every connection is read-only and short-lived, so that a notebook can neither block the service nor keep its
journal from being folded in.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimizer.domain import ChargerReading, Guard, Mode, SiteReading
from optimizer.errors import InputError
from optimizer.store.instants import from_text, optional_instant, to_text
from optimizer.store.overrides import Override, read_overrides
from optimizer.store.recovery import OpenSession, last_charger_readings, last_site_reading, open_sessions
from optimizer.store.schema import APPLICATION_ID
from optimizer.store.sqlite import connect_reader, sidecar
from optimizer.store.thinning import SHADOWS

if TYPE_CHECKING:
    import pandas as pd

TABLES = (
    "site_reading",
    "charger_reading",
    "decision",
    "shadow_decision",
    "context",
    "command",
    "command_event",
    "call",
    "forecast",
    "energy",
    "price",
    "session",
    "score",
    "event",
    "override",
    "goal",
    "experience",
)
"""What a reader may want; the rest is bookkeeping."""

INSTANTS = frozenset(
    {
        "at",
        "received_at",
        "reserved_at",
        "completed_at",
        "intended_at",
        "decision_at",
        "sent_at",
        "lease_until",
        "issued",
        "slot",
        "slot_start",
        "started_at",
        "ended_at",
        "goal_deadline",
        "set_at",
        "until",
        "cleared_at",
        "deadline",
    }
)
"""Columns that hold instants; frames have them as UTC times."""

_BUSY_MS = 2000
_DECIDED = (
    "SELECT d.at, d.charger, d.mode, d.proposed, d.guard, d.reason_code, d.reason_params, d.reason,"
    " d.lease_until, d.alternatives, d.inputs, c.content FROM {table} d"
    " LEFT JOIN context c ON c.id = d.context_id"
)
_SHADOW_STANDS = SHADOWS.idle + timedelta(minutes=10)
"""What is older is of a shadow that is no more, for one is written at least each time that `idle` is over."""


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """A decision as it was written; it stood until the next one of its charger."""

    at: datetime
    charger: str
    mode: Mode
    proposed: Mode
    guard: Guard | None
    reason_code: str
    reason_params: Mapping[str, Any]
    reason: str
    lease_until: datetime | None
    alternatives: tuple[tuple[Mode, float], ...]
    inputs: Mapping[str, Any]
    context: Mapping[str, Any]

    @property
    def strategy(self) -> str:
        """Whose proposal it was, as far as it was written down."""
        return str(self.context.get("strategy", "unknown"))


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """Something that happened."""

    at: datetime
    level: str
    kind: str
    charger: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Status:
    """The newest of everything; calls are counted by wall time.

    `lifecycle` is the last start or clean stop of the service.
    """

    site: SiteReading | None
    chargers: Mapping[str, ChargerReading]
    decisions: Mapping[str, LoggedDecision]
    shadows: Mapping[str, LoggedDecision]
    overrides: tuple[Override, ...]
    sessions: Mapping[str, OpenSession]
    calls_last_minute: int
    calls_last_day: int
    calls_held_until: datetime | None
    events: tuple[LoggedEvent, ...]
    lifecycle: LoggedEvent | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DayEnergy:
    """Sums over a stretch of time, kWh: the house, and of its load what all cars took."""

    pv_kwh: float
    base_load_kwh: float
    import_kwh: float
    export_kwh: float
    battery_charge_kwh: float
    battery_discharge_kwh: float
    ev_kwh: float
    ev_solar_kwh: float
    ev_grid_kwh: float
    cost_eur: float
    feed_in_lost_eur: float
    missing_s: float


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the log at `path` for reading.

    Raises:
        InputError: there is none, it is not ours, or it cannot be read.

    """
    if not path.is_file():
        raise InputError(f"{path}: no such log; the service makes it when it runs")
    try:
        conn = connect_reader(path, busy_ms=_BUSY_MS)
        try:
            if conn.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise InputError(f"{path}: not a log of sunmode")
            yield conn
        finally:
            conn.close()
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def read_frame(path: Path, source: str, params: Sequence[object] = ()) -> pd.DataFrame:
    """Return a table (by name) or the result of a SELECT as a frame; its instants are UTC times.

    Raises:
        InputError: no such table, a faulty query, or no readable log.

    """
    with reading(path) as conn:
        return _frame(conn, source, params)


def _frame(conn: sqlite3.Connection, source: str, params: Sequence[object]) -> pd.DataFrame:
    import pandas as pd

    query = f"SELECT * FROM {source}" if source in TABLES else source  # noqa: S608 - the reader's own query
    cursor = conn.execute(query, tuple(params))
    frame = pd.DataFrame(cursor.fetchall(), columns=[column[0] for column in cursor.description or ()])
    for name in INSTANTS.intersection(frame.columns):
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
    return frame


def export_parquet(path: Path, out_dir: Path) -> list[Path]:
    """Write every table to `out_dir/<table>.parquet` and return the files; an older log has fewer.

    Raises:
        InputError: no readable log, or the folder cannot be written to.

    """
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with reading(path) as conn:
            conn.execute("BEGIN")  # one moment for all tables
            files = []
            for table in filter(partial(has_table, conn), TABLES):
                files.append(out_dir / f"{table}.parquet")
                _frame(conn, table, ()).to_parquet(files[-1], index=False)
            return files
    except OSError as error:
        raise InputError(f"{out_dir}: {error.strerror}") from error


def last_status(path: Path, now: datetime, events: int = 10) -> Status:
    """Return the newest of everything, as of `now`.

    Raises:
        InputError: no readable log.

    """
    with reading(path) as conn:
        return Status(
            site=last_site_reading(conn),
            chargers=last_charger_readings(conn),
            decisions=_decisions_at(conn, now),
            shadows=_shadows_at(conn, now),
            overrides=read_overrides(conn, now),
            sessions=open_sessions(conn),
            calls_last_minute=_calls_since(conn, now - timedelta(minutes=1), now),
            calls_last_day=_calls_since(conn, now - timedelta(days=1), now),
            calls_held_until=_held_until(conn, now),
            events=_events(conn, count=events),
            lifecycle=next(iter(_events(conn, "WHERE kind IN ('start', 'stop')", count=1)), None),
            size_bytes=path.stat().st_size + _wal_bytes(path),
        )


def ended_sessions(
    path: Path, charger: str, since: datetime, until: datetime
) -> tuple[tuple[datetime, datetime, float], ...]:
    """Return arrival, departure (aware UTC) and energy, kWh, of the sessions in `[since, until)`, ascending.

    Raises:
        InputError: no readable log.

    """
    with reading(path) as conn:
        rows = conn.execute(
            "SELECT started_at, ended_at, ev_kwh FROM session WHERE charger = ? AND started_at >= ?"
            " AND ended_at < ? ORDER BY started_at",
            (charger, to_text(since), to_text(until)),
        ).fetchall()
    return tuple((from_text(came), from_text(left), kwh) for came, left, kwh in rows)


def decision_at(path: Path, at: datetime) -> dict[str, LoggedDecision]:
    """Return for each charger the decision that stood at `at`.

    Raises:
        InputError: no readable log.

    """
    with reading(path) as conn:
        return _decisions_at(conn, at)


def shadows_at(path: Path, at: datetime) -> dict[str, LoggedDecision]:
    """Return for each charger what the shadow would have had it do at `at`; nothing where there was none.

    Raises:
        InputError: no readable log.

    """
    with reading(path) as conn:
        return _shadows_at(conn, at)


def day_energy(path: Path, start_including: datetime, end_excluding: datetime) -> DayEnergy:
    """Return the sums over `[start_including, end_excluding)`.

    Raises:
        InputError: no readable log.

    """
    names = ", ".join(f"coalesce(sum({name}), 0.0)" for name in DayEnergy.__slots__[:-1])
    with reading(path) as conn:
        row = conn.execute(
            f"SELECT {names}, coalesce(sum(missing_s) FILTER (WHERE charger = ''), 0.0) FROM energy"  # noqa: S608
            " WHERE slot_start >= ? AND slot_start < ?",
            (to_text(start_including), to_text(end_excluding)),
        ).fetchone()
    return DayEnergy(*row)


def _shadows_at(conn: sqlite3.Connection, at: datetime) -> dict[str, LoggedDecision]:
    if not has_table(conn, "shadow_decision"):
        return {}
    started = "SELECT max(at) FROM event WHERE kind = 'start' AND at <= ?"
    start = optional_instant(conn.execute(started, (to_text(at),)).fetchone()[0])
    since = max(at - _SHADOW_STANDS, start or at - _SHADOW_STANDS)
    found = _decisions_at(conn, at, "shadow_decision")
    return {name: shadow for name, shadow in found.items() if shadow.at >= since}


def has_table(conn: sqlite3.Connection, table: str) -> bool:
    """Tell whether the log has a table: no service has brought an older one up to date yet."""
    query = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
    return conn.execute(query, (table,)).fetchone() is not None


def _decisions_at(
    conn: sqlite3.Connection, at: datetime, table: str = "decision"
) -> dict[str, LoggedDecision]:
    query = f"SELECT DISTINCT charger FROM {table} ORDER BY charger"  # noqa: S608 - one of our tables
    chargers = [row[0] for row in conn.execute(query)]
    rows = (
        conn.execute(
            f"{_DECIDED.format(table=table)} WHERE d.charger = ? AND d.at <= ?"
            " ORDER BY d.at DESC, d.id DESC LIMIT 1",
            (charger, to_text(at)),
        ).fetchone()
        for charger in chargers
    )
    return {row[1]: _decision(row) for row in rows if row is not None}


def _decision(row: tuple[Any, ...]) -> LoggedDecision:
    at, charger, mode, proposed, guard, code, params, reason, lease_until, alternatives, inputs, context = row
    return LoggedDecision(
        at=from_text(at),
        charger=charger,
        mode=Mode(mode),
        proposed=Mode(proposed),
        guard=None if guard is None else Guard(guard),
        reason_code=code,
        reason_params=json.loads(params),
        reason=reason,
        lease_until=optional_instant(lease_until),
        alternatives=tuple(
            (Mode(item["mode"]), item["cost_eur"]) for item in json.loads(alternatives or "[]")
        ),
        inputs=json.loads(inputs),
        context=json.loads(context or "{}"),
    )


def _calls_since(conn: sqlite3.Connection, since: datetime, now: datetime) -> int:
    (count,) = conn.execute(
        "SELECT count(*) FROM call WHERE coalesce(completed_at, reserved_at) > ? AND reserved_at <= ?",
        (to_text(since), to_text(now)),
    ).fetchone()
    return int(count)


def _held_until(conn: sqlite3.Connection, now: datetime) -> datetime | None:
    (until,) = conn.execute(
        "SELECT max(open_until) FROM breaker WHERE open_until > ?", (to_text(now),)
    ).fetchone()
    return optional_instant(until)


def _wal_bytes(path: Path) -> int:
    try:
        return sidecar(path, "-wal").stat().st_size
    except FileNotFoundError:
        return 0


def _events(conn: sqlite3.Connection, where: str = "", *, count: int) -> tuple[LoggedEvent, ...]:
    rows = conn.execute(
        f"SELECT at, level, kind, charger, message FROM event {where} ORDER BY id DESC LIMIT ?",  # noqa: S608
        (count,),
    )
    return tuple(LoggedEvent(from_text(at), *rest) for at, *rest in rows)
