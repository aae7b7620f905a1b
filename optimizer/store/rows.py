"""The statements behind the log's telemetry, one function per table; all run in the writer's thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime

from optimizer.control.energy import EnergyRow
from optimizer.domain import ChargerReading, Decision, Goal, SiteReading
from optimizer.store.instants import optional_text, to_json, to_text

HOUSE = ""
"""The `charger` of an energy row that tells of the house."""


def add_site_reading(conn: sqlite3.Connection, reading: SiteReading) -> None:
    """Append to `site_reading`."""
    conn.execute(
        "INSERT INTO site_reading (received_at, stamp, pv_w, grid_w, battery_w, battery_soc)"
        " VALUES (?,?,?,?,?,?)",
        (
            to_text(reading.received_at),
            reading.stamp,
            reading.pv_w,
            reading.grid_w,
            reading.battery_w,
            reading.battery_soc,
        ),
    )


def add_charger_reading(conn: sqlite3.Connection, charger: str, reading: ChargerReading) -> None:
    """Append to `charger_reading`."""
    conn.execute(
        "INSERT INTO charger_reading (received_at, charger, mode, status, status_code, ev_w, session_kwh)"
        " VALUES (?,?,?,?,?,?,?)",
        (
            to_text(reading.received_at),
            charger,
            None if reading.mode is None else int(reading.mode),
            int(reading.status),
            reading.status_code,
            reading.ev_w,
            reading.session_kwh,
        ),
    )


def add_decision(
    conn: sqlite3.Connection,
    decision: Decision,
    inputs: Mapping[str, object],
    context: Mapping[str, object] | None,
) -> None:
    """Append to `decision`; an equal context is stored once and shared."""
    _insert(conn, "decision", _decided(decision, inputs) | {"context_id": _context_id(conn, context)})


def add_shadow_decision(
    conn: sqlite3.Connection,
    strategy: str,
    decision: Decision,
    inputs: Mapping[str, object],
    context: Mapping[str, object],
) -> None:
    """Append to `shadow_decision`, which is `decision` with the name of who decided."""
    row = _decided(decision, inputs) | {"strategy": strategy, "context_id": _context_id(conn, context)}
    _insert(conn, "shadow_decision", row)


def _insert(conn: sqlite3.Connection, table: str, row: Mapping[str, object]) -> None:
    marks = ",".join("?" * len(row))
    conn.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608 - our own names


def _decided(decision: Decision, inputs: Mapping[str, object]) -> dict[str, object]:
    """Return the columns that both tables of decisions have."""
    reason = decision.reason
    return {
        "at": to_text(decision.at),
        "charger": decision.charger,
        "mode": int(decision.mode),
        "proposed": int(decision.proposed),
        "guard": None if decision.guard is None else decision.guard.value,
        "reason_code": reason.code,
        "reason_params": to_json(reason.params),
        "reason": str(reason),
        "lease_until": optional_text(decision.lease_until),
        "alternatives": to_json(decision.alternatives) if decision.alternatives else None,
        "inputs": to_json(inputs),
    }


def _context_id(conn: sqlite3.Connection, context: Mapping[str, object] | None) -> int | None:
    if context is None:
        return None
    content = to_json(context)
    conn.execute("INSERT INTO context (content) VALUES (?) ON CONFLICT DO NOTHING", (content,))
    return int(conn.execute("SELECT id FROM context WHERE content = ?", (content,)).fetchone()[0])


def add_event(
    conn: sqlite3.Connection,
    at: datetime,
    level: str,
    kind: str,
    message: str,
    charger: str | None,
    detail: Mapping[str, object],
) -> None:
    """Append to `event`."""
    conn.execute(
        "INSERT INTO event (at, level, kind, charger, message, detail) VALUES (?,?,?,?,?,?)",
        (to_text(at), level, kind, charger, message, to_json(detail) if detail else None),
    )


_SUMS = (
    "pv_kwh",
    "base_load_kwh",
    "import_kwh",
    "export_kwh",
    "battery_charge_kwh",
    "battery_discharge_kwh",
    "ev_kwh",
    "ev_solar_kwh",
    "ev_grid_kwh",
    "cost_eur",
    "feed_in_lost_eur",
    "missing_s",
)
_ADD_ENERGY = (
    f"INSERT INTO energy (slot_start, charger, {', '.join(_SUMS)})"  # noqa: S608 - the names stand above
    f" VALUES (?,?{',?' * len(_SUMS)}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMS)
)


def add_energy(conn: sqlite3.Connection, rows: Iterable[EnergyRow]) -> None:
    """Add to the sums of each quarter hour in `energy`."""
    conn.executemany(
        _ADD_ENERGY,
        (
            (
                to_text(row.slot_start),
                HOUSE if row.charger is None else row.charger,
                *(getattr(row, name) for name in _SUMS),
            )
            for row in rows
        ),
    )


def start_session(conn: sqlite3.Connection, charger: str, at: datetime, goal: Goal | None) -> None:
    """Open a session in `session`; one that was left open ends here."""
    conn.execute(
        "UPDATE session SET ended_at = ? WHERE charger = ? AND ended_at IS NULL", (to_text(at), charger)
    )
    conn.execute(
        "INSERT INTO session (charger, started_at, goal_kwh, goal_deadline) VALUES (?,?,?,?)",
        (
            charger,
            to_text(at),
            None if goal is None else goal.energy_kwh,
            None if goal is None else to_text(goal.deadline),
        ),
    )


def update_session(conn: sqlite3.Connection, charger: str, sums: EnergyRow) -> None:
    """Set the sums of the open session."""
    conn.execute(
        "UPDATE session SET ev_kwh = ?, ev_solar_kwh = ?, ev_grid_kwh = ?, cost_eur = ?"
        " WHERE charger = ? AND ended_at IS NULL",
        (sums.ev_kwh, sums.ev_solar_kwh, sums.ev_grid_kwh, sums.cost_eur, charger),
    )


def end_session(conn: sqlite3.Connection, charger: str, at: datetime) -> None:
    """Close the open session."""
    conn.execute(
        "UPDATE session SET ended_at = ? WHERE charger = ? AND ended_at IS NULL", (to_text(at), charger)
    )
