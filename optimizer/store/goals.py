"""Goals that were given, and what the cars told of their charge; any process may write and read them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from optimizer.domain import Goal
from optimizer.goals import Charge, Given
from optimizer.store.instants import from_text, to_json, to_text
from optimizer.store.queries import has_table, reading
from optimizer.store.writer import Journal

T = TypeVar("T")
Ask = Callable[[Callable[[sqlite3.Connection], T]], "T | None"]

_CAR = "car."


class GoalLog:
    """The goals of one open log; what cannot be read now is as it was read last."""

    def __init__(self, journal: Journal, ask: Ask[tuple[Given, ...]]) -> None:
        self._journal = journal
        self._ask = ask
        self._known: tuple[Given, ...] = ()

    async def give(self, row: Given, now: datetime) -> None:
        """Let a goal stand, in place of the one that was given for this charger before.

        Raises:
            StoreUnavailable: it could not be committed.

        """
        await self._journal.call(partial(_give, row, now))

    async def clear(self, charger: str | None, now: datetime) -> int:
        """End the given goals of one charger or of all (None); return how many there were.

        Raises:
            StoreUnavailable: it could not be committed.

        """
        return await self._journal.call(partial(_clear, charger, now))

    def standing(self, now: datetime) -> tuple[Given, ...]:
        """Return the given goals whose time has not come; cheap enough for every cycle; it never waits."""
        found = self._ask(partial(read_goals, now=now))
        if found is not None:
            self._known = found
        return tuple(row for row in self._known if row.goal.deadline > now)

    def charge(self, charger: str, row: Charge | None) -> None:
        """Note what a car told; None: it is not there any more."""
        self._journal.post(partial(_write_charge, charger, row))


def standing_goals(path: Path, now: datetime) -> tuple[Given, ...]:
    """Return the given goals in the log at `path` whose time has not come.

    Raises:
        InputError: no readable log.

    """
    with reading(path) as conn:
        return read_goals(conn, now) if has_table(conn, "goal") else ()


def last_charges(path: Path) -> dict[str, Charge]:
    """Return what the cars that are there told last, by charger.

    Raises:
        InputError: no readable log.

    """
    with reading(path) as conn:
        return read_charges(conn)


def read_goals(conn: sqlite3.Connection, now: datetime) -> tuple[Given, ...]:
    """Return the goals that stand at `now`, by charger."""
    rows = conn.execute(
        "SELECT charger, deadline, energy_kwh, origin FROM goal"
        " WHERE cleared_at IS NULL AND deadline > ? ORDER BY charger, id",
        (to_text(now),),
    )
    return tuple(
        Given(charger, Goal(from_text(deadline), energy_kwh), origin)
        for charger, deadline, energy_kwh, origin in rows
    )


def read_charges(conn: sqlite3.Connection) -> dict[str, Charge]:
    """Return what is written of the cars in `state`."""
    rows = conn.execute("SELECT name, value FROM state WHERE name GLOB ?", (f"{_CAR}*",))
    told = {name.removeprefix(_CAR): json.loads(value) for name, value in rows}
    return {name: Charge(one["soc"], from_text(one["at"]), one["session_kwh"]) for name, one in told.items()}


def _give(row: Given, now: datetime, conn: sqlite3.Connection) -> None:
    _clear(row.charger, now, conn)
    conn.execute(
        "INSERT INTO goal (set_at, charger, energy_kwh, deadline, origin) VALUES (?,?,?,?,?)",
        (to_text(now), row.charger, row.goal.energy_kwh, to_text(row.goal.deadline), row.origin),
    )


def _clear(charger: str | None, now: datetime, conn: sqlite3.Connection) -> int:
    return conn.execute(
        "UPDATE goal SET cleared_at = ?1"
        " WHERE cleared_at IS NULL AND deadline > ?1 AND (?2 IS NULL OR charger = ?2)",
        (to_text(now), charger),
    ).rowcount


def _write_charge(charger: str, row: Charge | None, conn: sqlite3.Connection) -> None:
    name = _CAR + charger
    if row is None:
        conn.execute("DELETE FROM state WHERE name = ?", (name,))
        return
    conn.execute("INSERT OR REPLACE INTO state (name, value) VALUES (?,?)", (name, to_json(row)))
