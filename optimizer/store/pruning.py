"""What of the log is removed with age, in small steps that let others write between."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from optimizer.store.commands import OPEN_LIST
from optimizer.store.instants import to_text

PRUNED = (
    ("site_reading", "received_at"),
    ("charger_reading", "received_at"),
    ("decision", "at"),
    ("shadow_decision", "at"),
    ("command", "intended_at"),
    ("forecast", "issued"),
    ("event", "at"),
    ("override", "until"),
    ("goal", "deadline"),
)
"""Tables with the column that tells a row's age."""

_PRUNE_ROWS = 2000


def prune_step(conn: sqlite3.Connection, *, table: str, column: str, end: datetime) -> int:
    """Delete some rows that are older than `end`; return how many. A command under way stays."""
    open_ones = f" AND state NOT IN ({OPEN_LIST})" if table == "command" else ""
    keys = "provider, issued, slot" if table == "forecast" else "id"
    return conn.execute(
        f"DELETE FROM {table} WHERE ({keys}) IN"  # noqa: S608 - the names stand above
        f" (SELECT {keys} FROM {table} WHERE {column} < ?{open_ones} LIMIT {_PRUNE_ROWS})",
        (to_text(end),),
    ).rowcount


def drop_unused(conn: sqlite3.Connection) -> None:
    """Forget contexts that no decision needs any more, and give freed pages back to the disk."""
    conn.execute(
        "DELETE FROM context WHERE id NOT IN (SELECT context_id FROM decision WHERE context_id NOT NULL"
        " UNION SELECT context_id FROM shadow_decision WHERE context_id NOT NULL)"
    )
    conn.execute("PRAGMA incremental_vacuum(2000)").fetchall()  # one page a step
