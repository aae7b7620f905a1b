"""How much the log grows in a year: four weeks, one of each season, with the shipped config."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from life import live
from places import workplace
from result import Result

COMMAND = "python benchmarks/run.py log"
LIMIT_MB = 40.0
_WEEK = 7.0
_SEASONS = tuple(datetime(2019, month, 14, tzinfo=UTC) for month in (1, 4, 7, 10))
_CALL_DAYS = 35.0
"""How long the service keeps the ledger of its calls; everything else stays for years."""


def measure() -> list[Result]:
    """Return the growth with the ledger pruned, as the service does, and what the tables have of it."""
    growth: Counter[str] = Counter()
    with workplace() as folder:
        empty = _bytes_by_table(_lived(folder / "empty.db", _SEASONS[0], 0.0))
        for start in _SEASONS:
            growth.update(_bytes_by_table(_lived(folder / f"{start:%m}.db", start, _WEEK)))
            growth.subtract(empty)
    per_day = {table: count / (_WEEK * len(_SEASONS)) for table, count in growth.items()}
    return [
        Result("log after a year", _mb(per_day, 365.0), "MB", LIMIT_MB, COMMAND),
        Result("of it the calls (35 days)", _mb({"call": per_day["call"]}, 365.0), "MB", None, COMMAND),
        Result("log grown in the 28 days measured", sum(growth.values()) / 1e6, "MB", None, COMMAND),
        *(
            Result(f"  table {table} and its indexes, a day", count / 1e3, "kB", None, COMMAND)
            for table, count in sorted(per_day.items(), key=lambda item: -item[1])
            if count > 500
        ),
    ]


def _lived(database: Path, start: datetime, days: float) -> Path:
    live(database, start, days)
    return database


def _mb(per_day: Mapping[str, float], days: float) -> float:
    """Return what lies on the disk after so many days."""
    kept = {table: min(days, _CALL_DAYS) if table == "call" else days for table in per_day}
    return sum(per_day[table] * kept[table] for table in per_day) / 1e6


def _bytes_by_table(database: Path) -> dict[str, int]:
    """Return the bytes of each table with its indexes, whole pages as they lie on the disk."""
    query = (
        "SELECT m.tbl_name, sum(s.pgsize) FROM dbstat s JOIN sqlite_schema m ON m.name = s.name GROUP BY 1"
    )
    with closing(sqlite3.connect(database)) as conn:
        return dict(conn.execute(query).fetchall())
