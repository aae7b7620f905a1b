"""The owner's word: a mode until some time, for one charger or for all; any process may write it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from optimizer.domain import Mode
from optimizer.store.instants import from_text, to_text


@dataclass(frozen=True, slots=True)
class Override:
    """`charger` None means all; `mode` None exempts one charger from an order for all."""

    set_at: datetime
    charger: str | None
    mode: Mode | None
    until: datetime
    origin: str


def override_for(charger: str, overrides: Sequence[Override]) -> Override | None:
    """Return what holds for `charger` among `overrides` (newest first), or None: automatic."""
    for override in overrides:
        if override.charger in (None, charger):
            return None if override.mode is None else override
    return None


def write_override(conn: sqlite3.Connection, override: Override) -> None:
    """Put an order into force; earlier ones for the same charger (or, for all, every one) end."""
    at = to_text(override.set_at)
    conn.execute(
        "UPDATE override SET cleared_at = ?1 WHERE cleared_at IS NULL AND (?2 IS NULL OR charger = ?2)",
        (at, override.charger),
    )
    mode = None if override.mode is None else int(override.mode)
    if override.charger is None and mode is None:
        return  # automatic for all: nothing is left that could be in force
    conn.execute(
        "INSERT INTO override (set_at, charger, mode, until, origin) VALUES (?,?,?,?,?)",
        (at, override.charger, mode, to_text(override.until), override.origin),
    )


def read_overrides(conn: sqlite3.Connection, now: datetime) -> tuple[Override, ...]:
    """Return the orders in force at `now`, newest first."""
    rows = conn.execute(
        "SELECT set_at, charger, mode, until, origin FROM override"
        " WHERE cleared_at IS NULL AND until > ? ORDER BY id DESC",
        (to_text(now),),
    )
    return tuple(
        Override(from_text(set_at), charger, None if mode is None else Mode(mode), from_text(until), origin)
        for set_at, charger, mode, until, origin in rows
    )
