"""How much the log grows in a year: four weeks, one of each season, with the shipped config."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from life import live
from places import workplace
from result import Result

from optimizer.service import CALLS_KEPT
from optimizer.store.forecasts import OWN, OWN_RULES, RULES

COMMAND = "python benchmarks/run.py log"
LIMIT_MB = 40.0
_WEEK, _YEAR = 7.0, timedelta(days=365)
_SEASONS = tuple(datetime(2019, month, 14, tzinfo=UTC) for month in (1, 4, 7, 10))


def measure() -> list[Result]:
    """Return the growth with the ledger pruned, as the service does, and what the tables have of it."""
    growth: Counter[str] = Counter()
    forecasts = 0.0
    with workplace() as folder:
        empty = _bytes_by_table(_lived(folder / "empty.db", _SEASONS[0], 0.0))
        for start in _SEASONS:
            log = _lived(folder / f"{start:%m}.db", start, _WEEK)
            growth.update(_bytes_by_table(log))
            growth.subtract(empty)
            forecasts += _bytes_of_forecasts(log) / len(_SEASONS)
    per_day = {table: count / (_WEEK * len(_SEASONS)) for table, count in growth.items()}
    year = sum(_kept_bytes(table, per_day, forecasts) for table in per_day)
    return [
        Result("log after a year", year / 1e6, "MB", LIMIT_MB, COMMAND),
        Result("of it the calls", _kept_bytes("call", per_day, forecasts) / 1e6, "MB", None, COMMAND),
        Result("of it the forecasts", forecasts / 1e6, "MB", None, COMMAND),
        Result("log grown in the 28 days measured", sum(growth.values()) / 1e6, "MB", None, COMMAND),
        *(
            Result(f"  table {table} and its indexes, a day", count / 1e3, "kB", None, COMMAND)
            for table, count in sorted(per_day.items(), key=lambda item: -item[1])
            if count > 500 and table != "forecast"
        ),
    ]


_TOLD = """
SELECT provider, count(*), count(DISTINCT issued), count(DISTINCT CASE WHEN issued > last_day THEN issued END)
FROM forecast, (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', max(issued), '-1 day') AS last_day FROM forecast)
GROUP BY 1
"""
"""Rows, vintages, and vintages of the last day by provider."""


def _lived(database: Path, start: datetime, days: float) -> Path:
    live(database, start, days)
    return database


def _kept_bytes(table: str, per_day: Mapping[str, float], forecasts: float) -> float:
    """Return what a table has on the disk after a year: all of it, but for calls and forecasts."""
    if table == "forecast":
        return forecasts
    return per_day[table] * (CALLS_KEPT if table == "call" else _YEAR).days


def _bytes_of_forecasts(database: Path) -> float:
    """Return what a year's forecasts come to by the rules that thin them, from those of some days."""
    with closing(sqlite3.connect(database)) as conn:
        (size,) = conn.execute("SELECT sum(pgsize) FROM dbstat WHERE name = 'forecast'").fetchone()
        told = conn.execute(_TOLD).fetchall()
    per_row = size / sum(rows for _, rows, _, _ in told)
    return sum(
        per_row * rows / vintages * _vintages(provider, a_day) for provider, rows, vintages, a_day in told
    )


def _vintages(provider: str, a_day: int) -> float:
    """Return how many vintages of a provider stand after a year that made so many a day."""
    count, before = 0.0, timedelta()
    for rule in OWN_RULES if provider.startswith(OWN) else RULES:
        span = min(rule.until, _YEAR) - before
        count += span / rule.every if rule.every else a_day * (span / timedelta(days=1))
        before += span
    return count


def _bytes_by_table(database: Path) -> dict[str, int]:
    """Return the bytes of each table with its indexes, whole pages as they lie on the disk."""
    query = (
        "SELECT m.tbl_name, sum(s.pgsize) FROM dbstat s JOIN sqlite_schema m ON m.name = s.name GROUP BY 1"
    )
    with closing(sqlite3.connect(database)) as conn:
        return dict(conn.execute(query).fetchall())
