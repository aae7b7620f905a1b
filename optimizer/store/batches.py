"""Several pieces of work in one transaction, in which a bad row takes no other along."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, TypeVar

import structlog

from optimizer.store.logfile import Work
from optimizer.store.sqlite import trouble_of

T = TypeVar("T")

_log = structlog.stdlib.get_logger("sunmode.store")


def in_order(vital: Sequence[Work[Any]], call: Work[T] | None) -> Work[tuple[int, T | None]]:
    """Return work that does all of them and tells how many were refused and what the call returned."""
    first = all_of(vital)

    def work(conn: sqlite3.Connection) -> tuple[int, T | None]:
        return first(conn), None if call is None else call(conn)

    return work


def all_of(posts: Sequence[Work[Any]]) -> Work[int]:
    """Return work that does all posts and counts those refused for a fault of their own."""

    def work(conn: sqlite3.Connection) -> int:
        return sum(not _done(conn, post) for post in posts)

    return work


def _done(conn: sqlite3.Connection, post: Work[Any]) -> bool:
    conn.execute("SAVEPOINT post")
    try:
        post(conn)
    except Exception as error:  # one bad row may not take the others along
        if isinstance(error, sqlite3.Error) and trouble_of(error) is not None:
            raise
        conn.execute("ROLLBACK TO post")
        _log.warning("a row was refused", error=str(error))
        return False
    finally:
        if conn.in_transaction:
            conn.execute("RELEASE post")
    return True
