"""How good each day was, per strategy; any process may write it, in one short transaction per day."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from optimizer.store.instants import to_json
from optimizer.store.queries import reading
from optimizer.store.sqlite import StoreUnavailable, connect_writer

_BUSY_MS = 5000
_COLUMNS = (
    "cost_eur, regret_eur, ev_kwh, ev_solar_kwh, ev_grid_kwh, unmet_kwh, mode_changes, detail, day, strategy"
)


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One row of table `score`; `day` is the site's local day, `detail` goes there as JSON."""

    day: date
    strategy: str
    cost_eur: float | None
    regret_eur: float | None
    ev_kwh: float | None
    ev_solar_kwh: float | None
    ev_grid_kwh: float | None
    unmet_kwh: float | None
    mode_changes: int | None
    detail: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """What the row tells of: `actual`, `active`, `shadow`, `strategy` or `bound`."""
        return str(self.detail.get("kind", "strategy"))


def write_scores(path: Path, day: date, rows: Sequence[ScoreRow]) -> None:
    """Put the day's rows in place of those that are there.

    Raises:
        InputError: no log of ours.
        StoreUnavailable: it is locked, or cannot be written.

    """
    with reading(path):
        pass  # a file that is not ours is left alone
    try:
        with closing(connect_writer(path, durable=True, busy_ms=_BUSY_MS)) as conn:
            conn.execute("BEGIN IMMEDIATE")
            conn.execute("DELETE FROM score WHERE day = ?", (day.isoformat(),))
            conn.executemany(
                f"INSERT INTO score ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)",  # noqa: S608 - our columns
                [_values(row) for row in rows],
            )
            conn.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{path}: the score of {day} cannot be written: {error}") from error


def read_scores(path: Path, first: date, last: date) -> tuple[ScoreRow, ...]:
    """Return the rows of the days from `first` to `last`, both included.

    Raises:
        InputError: no readable log.

    """
    query = f"SELECT {_COLUMNS} FROM score WHERE day BETWEEN ? AND ? ORDER BY day, strategy"  # noqa: S608
    with reading(path) as conn:
        found = conn.execute(query, (first.isoformat(), last.isoformat())).fetchall()
    return tuple(_row(*values) for values in found)


def _row(*values: Any) -> ScoreRow:
    *numbers, detail, day, strategy = values
    found: list[Any] = [date.fromisoformat(day), strategy, *numbers, json.loads(detail or "{}")]
    return ScoreRow(*found)


def _values(row: ScoreRow) -> tuple[object, ...]:
    return (
        row.cost_eur,
        row.regret_eur,
        row.ev_kwh,
        row.ev_solar_kwh,
        row.ev_grid_kwh,
        row.unmet_kwh,
        row.mode_changes,
        to_json(row.detail),
        row.day.isoformat(),
        row.strategy,
    )
