"""The tables, as migrations: a released one never changes, what is new gets a function of its own.

Instants are ISO-8601 UTC text ending in `Z`; `*_s` are seconds on the clock that `boot_id` names; modes and
statuses are the vendor's numbers; powers and energies have the signs of `optimizer.domain`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from optimizer.store.sqlite import sqlite_utils_without_pandas

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

APPLICATION_ID = 0x53554E4D
"""`SUNM`, in the file's header: tells our file from any other SQLite database."""

SCHEMA_VERSION = 5
"""How many migrations there are; kept in `PRAGMA user_version`."""

_READINGS = (
    """CREATE TABLE site_reading (
        id INTEGER PRIMARY KEY,
        received_at TEXT NOT NULL,
        stamp TEXT,           -- the vendor's own time, verbatim
        pv_w REAL, grid_w REAL, battery_w REAL, battery_soc REAL
    ) STRICT""",
    """CREATE TABLE charger_reading (
        id INTEGER PRIMARY KEY,
        received_at TEXT NOT NULL,
        charger TEXT NOT NULL,
        mode INTEGER, status INTEGER NOT NULL, status_code INTEGER,
        ev_w REAL, session_kwh REAL
    ) STRICT""",
    """CREATE TABLE forecast (
        provider TEXT NOT NULL, issued TEXT NOT NULL, slot TEXT NOT NULL,
        p10_w REAL NOT NULL, p50_w REAL NOT NULL, p90_w REAL NOT NULL,
        PRIMARY KEY (provider, issued, slot)
    ) STRICT, WITHOUT ROWID""",
)

_DECISIONS = (
    """CREATE TABLE context (
        id INTEGER PRIMARY KEY,
        content TEXT NOT NULL UNIQUE  -- JSON: what seldom changes; shared by many decisions
    ) STRICT""",
    """CREATE TABLE decision (
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        charger TEXT NOT NULL,
        mode INTEGER NOT NULL,
        proposed INTEGER NOT NULL,    -- what the strategy wanted
        guard TEXT,                   -- who had the last word where it was not the strategy
        reason_code TEXT NOT NULL,
        reason_params TEXT NOT NULL,  -- JSON
        reason TEXT NOT NULL,         -- the sentence
        lease_until TEXT,
        alternatives TEXT,            -- JSON: [{mode, cost_eur}]
        inputs TEXT NOT NULL,         -- JSON: all that is needed to replay, with `context`
        context_id INTEGER REFERENCES context (id)
    ) STRICT""",
    "CREATE INDEX decision_of_charger ON decision (charger, at)",
)

_COMMANDS = (
    """CREATE TABLE command (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        charger TEXT NOT NULL, serial TEXT NOT NULL,
        mode INTEGER NOT NULL,
        decision_at TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        toward_safety INTEGER NOT NULL,
        reason TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN
            ('intent', 'sent', 'accepted', 'acknowledged', 'confirmed', 'failed', 'unknown', 'superseded')),
        task_id TEXT,
        boot_id TEXT NOT NULL, intended_s REAL NOT NULL, intended_at TEXT NOT NULL,
        sent_at TEXT
    ) STRICT""",
    """CREATE INDEX command_open ON command (state)
        WHERE state IN ('intent', 'sent', 'accepted', 'acknowledged')""",
    "CREATE INDEX command_task ON command (task_id) WHERE task_id IS NOT NULL",
    """CREATE TABLE command_event (
        id INTEGER PRIMARY KEY,
        command_id INTEGER NOT NULL REFERENCES command (id) ON DELETE CASCADE,
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT
    ) STRICT""",
    "CREATE INDEX command_event_of_command ON command_event (command_id)",
)

_LEDGER = (
    # AUTOINCREMENT: ids have no gaps and never come back, so that the n-th newest call is found by its id.
    """CREATE TABLE call (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        boot_id TEXT NOT NULL,
        reserved_s REAL NOT NULL, reserved_at TEXT NOT NULL,
        completed_s REAL, completed_at TEXT,
        endpoint TEXT NOT NULL, subject TEXT NOT NULL,
        toward_safety INTEGER NOT NULL,
        outcome TEXT,                 -- NULL: under way, or lost with its process
        http_status INTEGER, code INTEGER, ms INTEGER
    ) STRICT""",
    """CREATE TABLE breaker (
        name TEXT PRIMARY KEY,
        boot_id TEXT NOT NULL,
        open_until_s REAL NOT NULL, open_until TEXT NOT NULL,
        strikes INTEGER NOT NULL, kind TEXT
    ) STRICT, WITHOUT ROWID""",
)

_ACCOUNTS = (
    """CREATE TABLE energy (
        slot_start TEXT NOT NULL,     -- a quarter hour, half-open
        charger TEXT NOT NULL,        -- '' is the house
        pv_kwh REAL NOT NULL, base_load_kwh REAL NOT NULL,
        import_kwh REAL NOT NULL, export_kwh REAL NOT NULL,
        battery_charge_kwh REAL NOT NULL, battery_discharge_kwh REAL NOT NULL,
        ev_kwh REAL NOT NULL, ev_solar_kwh REAL NOT NULL, ev_grid_kwh REAL NOT NULL,
        cost_eur REAL NOT NULL, feed_in_lost_eur REAL NOT NULL,
        missing_s REAL NOT NULL,
        PRIMARY KEY (slot_start, charger)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE session (
        id INTEGER PRIMARY KEY,
        charger TEXT NOT NULL,
        started_at TEXT NOT NULL, ended_at TEXT,
        ev_kwh REAL NOT NULL DEFAULT 0, ev_solar_kwh REAL NOT NULL DEFAULT 0,
        ev_grid_kwh REAL NOT NULL DEFAULT 0, cost_eur REAL NOT NULL DEFAULT 0,
        goal_kwh REAL, goal_deadline TEXT
    ) STRICT""",
    "CREATE UNIQUE INDEX session_open ON session (charger) WHERE ended_at IS NULL",
    """CREATE TABLE score (
        day TEXT NOT NULL, strategy TEXT NOT NULL,
        cost_eur REAL, regret_eur REAL,
        ev_kwh REAL, ev_solar_kwh REAL, ev_grid_kwh REAL, unmet_kwh REAL,
        mode_changes INTEGER, detail TEXT,
        PRIMARY KEY (day, strategy)
    ) STRICT, WITHOUT ROWID""",
)

_HAPPENINGS = (
    """CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL, level TEXT NOT NULL, kind TEXT NOT NULL,
        charger TEXT, message TEXT NOT NULL, detail TEXT
    ) STRICT""",
    """CREATE TABLE override (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        set_at TEXT NOT NULL,
        charger TEXT,                 -- NULL: all of them
        mode INTEGER,                 -- NULL: automatic
        until TEXT NOT NULL,
        origin TEXT NOT NULL,
        cleared_at TEXT
    ) STRICT""",
    "CREATE INDEX override_active ON override (until) WHERE cleared_at IS NULL",
    """CREATE TABLE state (
        name TEXT PRIMARY KEY, value TEXT NOT NULL  -- JSON
    ) STRICT, WITHOUT ROWID""",
)

_SHADOW = (
    """CREATE TABLE shadow_decision (
        id INTEGER PRIMARY KEY,
        strategy TEXT NOT NULL,       -- who decided; everything else is as in `decision`
        at TEXT NOT NULL,
        charger TEXT NOT NULL,
        mode INTEGER NOT NULL,
        proposed INTEGER NOT NULL,
        guard TEXT,
        reason_code TEXT NOT NULL,
        reason_params TEXT NOT NULL,
        reason TEXT NOT NULL,
        lease_until TEXT,
        alternatives TEXT,
        inputs TEXT NOT NULL,
        context_id INTEGER REFERENCES context (id)
    ) STRICT""",
    "CREATE INDEX shadow_decision_of_charger ON shadow_decision (charger, at)",
)


_PRICES = (
    """CREATE TABLE price (
        slot TEXT PRIMARY KEY,        -- from this quarter hour on, until the next row
        import_eur_per_kwh REAL NOT NULL, feed_in_eur_per_kwh REAL NOT NULL,
        known INTEGER NOT NULL        -- 0: a guess stood in
    ) STRICT, WITHOUT ROWID""",
)


_EXPERIENCE = (
    """CREATE TABLE experience (
        serial TEXT NOT NULL,
        what TEXT NOT NULL,           -- 'power' or 'green'
        charger TEXT NOT NULL,
        at TEXT NOT NULL,
        value TEXT NOT NULL,          -- JSON
        PRIMARY KEY (serial, what)
    ) STRICT, WITHOUT ROWID""",
)


_GOALS = (
    """CREATE TABLE goal (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        set_at TEXT NOT NULL,
        charger TEXT NOT NULL,
        energy_kwh REAL NOT NULL,
        deadline TEXT NOT NULL,
        origin TEXT NOT NULL,
        cleared_at TEXT
    ) STRICT""",
    "CREATE INDEX goal_standing ON goal (deadline) WHERE cleared_at IS NULL",
)


def migrations() -> Migrations:
    """Return all steps from an empty file to today's tables, in order."""
    steps: Migrations = sqlite_utils_without_pandas().Migrations("sunmode")

    @steps()
    def m001_first_tables(db: Database) -> None:
        for group in (_READINGS, _DECISIONS, _COMMANDS, _LEDGER, _ACCOUNTS, _HAPPENINGS):
            _run(db, group)

    @steps()
    def m002_shadow_decisions(db: Database) -> None:
        _run(db, _SHADOW)

    @steps()
    def m003_prices(db: Database) -> None:
        _run(db, _PRICES)

    @steps()
    def m004_experience(db: Database) -> None:
        _run(db, _EXPERIENCE)

    @steps()
    def m005_goals(db: Database) -> None:
        _run(db, _GOALS)

    return steps


def _run(db: Database, statements: Iterable[str]) -> None:
    for statement in statements:
        db.execute(statement)
