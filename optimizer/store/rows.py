"""The statements behind the log's telemetry, one function per table; all run in the writer's thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime

from optimizer.control.energy import EnergyRow
from optimizer.domain import ChargerReading, Decision, Forecast, Goal, SiteReading
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
    reason = decision.reason
    conn.execute(
        "INSERT INTO decision (at, charger, mode, proposed, guard, reason_code, reason_params, reason,"
        " lease_until, alternatives, inputs, context_id) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            to_text(decision.at),
            decision.charger,
            int(decision.mode),
            int(decision.proposed),
            None if decision.guard is None else decision.guard.value,
            reason.code,
            to_json(reason.params),
            str(reason),
            optional_text(decision.lease_until),
            to_json(decision.alternatives) if decision.alternatives else None,
            to_json(inputs),
            None if context is None else _context_id(conn, to_json(context)),
        ),
    )


def _context_id(conn: sqlite3.Connection, content: str) -> int:
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


def add_forecast(conn: sqlite3.Connection, forecast: Forecast) -> None:
    """Write one vintage to `forecast`; the same vintage again replaces itself."""
    issued = to_text(forecast.issued_at)
    conn.executemany(
        "INSERT OR REPLACE INTO forecast (provider, issued, slot, p10_w, p50_w, p90_w) VALUES (?,?,?,?,?,?)",
        (
            (forecast.provider, issued, to_text(slot.start_including), slot.p10_w, slot.p50_w, slot.p90_w)
            for slot in forecast.slots
        ),
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
