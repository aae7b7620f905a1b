"""SQLite as the log needs it: a light import, what an error means, and how a connection is opened."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path
from types import ModuleType

from optimizer.errors import SunmodeError

_HEAVY = ("pandas", "numpy")


class StoreUnavailable(SunmodeError):  # noqa: N818 - the state, not the mishap
    """Go on without the log: it cannot be written now (locked, full, read-only or broken)."""


class StoreLocked(StoreUnavailable):
    """Another connection writes right now; try again."""


class Trouble(Enum):
    """What a database error asks for."""

    LOCKED = auto()
    """Wait: somebody else writes."""
    UNWRITABLE = auto()
    """Make room: the disk is full or refuses to write."""
    BROKEN = auto()
    """Start a new file: this one is no database any more."""


_TROUBLE_OF_CODE = {
    sqlite3.SQLITE_BUSY: Trouble.LOCKED,
    sqlite3.SQLITE_LOCKED: Trouble.LOCKED,
    sqlite3.SQLITE_PROTOCOL: Trouble.LOCKED,
    sqlite3.SQLITE_FULL: Trouble.UNWRITABLE,
    sqlite3.SQLITE_IOERR: Trouble.UNWRITABLE,
    sqlite3.SQLITE_READONLY: Trouble.UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: Trouble.UNWRITABLE,
    sqlite3.SQLITE_PERM: Trouble.UNWRITABLE,
    sqlite3.SQLITE_CORRUPT: Trouble.BROKEN,
    sqlite3.SQLITE_NOTADB: Trouble.BROKEN,
}


def trouble_of(error: sqlite3.Error) -> Trouble | None:
    """Classify by SQLite's primary result code; None means a fault in the statement itself."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else _TROUBLE_OF_CODE.get(code & 0xFF)


def sqlite_utils_without_pandas() -> ModuleType:
    """Import sqlite-utils without what it would pull in for frames that the service never makes.

    It imports pandas and numpy when they are installed (about 70 MB resident and a second).  What of them is
    not loaded yet is hidden for the moment of its import.
    """
    with _hidden([name for name in _HEAVY if name not in sys.modules]):
        import sqlite_utils
    return sqlite_utils


@contextmanager
def _hidden(names: Sequence[str]) -> Iterator[None]:
    """Let `import name` fail inside the block: Python's own meaning of None in `sys.modules`."""
    for name in names:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)


def connect_writer(path: Path, *, durable: bool, busy_ms: int) -> sqlite3.Connection:
    """Open the one connection that writes, in autocommit mode, with its PRAGMAs set.

    `durable` commits survive a power cut (`synchronous=FULL`); otherwise they survive only the death of the
    process, which is all that simulated time needs.  Memory mapping stays off, the journal stays small: it is
    folded in by `LogFile.upkeep`, when nobody waits, and by a commit itself only where that does not come.
    """
    conn = sqlite3.connect(path, isolation_level=None, timeout=busy_ms / 1000.0)
    try:
        for pragma in (
            "auto_vacuum = INCREMENTAL",
            "journal_mode = WAL",
            f"synchronous = {'FULL' if durable else 'OFF'}",
            "foreign_keys = ON",
            "mmap_size = 0",
            "cache_size = -1024",
            "wal_autocheckpoint = 1024",
            "journal_size_limit = 4194304",
        ):
            conn.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        conn.close()
        raise
    return conn


def connect_reader(path: Path, *, busy_ms: int = 0) -> sqlite3.Connection:
    """Open a connection that cannot write; in WAL mode it never waits for a writer.

    Where the folder may not be written to and no journal is left (a stopped service, another user), the file
    cannot change under us either and is opened as immutable.
    """
    location = path.absolute().as_uri()
    conn = sqlite3.connect(f"{location}?mode=ro", uri=True, isolation_level=None, timeout=busy_ms / 1000.0)
    try:
        conn.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.OperationalError as error:
        conn.close()
        if trouble_of(error) is not Trouble.UNWRITABLE or sidecar(path, "-wal").exists():
            raise
        return sqlite3.connect(f"{location}?mode=ro&immutable=1", uri=True, isolation_level=None)
    except sqlite3.DatabaseError:
        conn.close()
        raise
    return conn


def sidecar(path: Path, suffix: str) -> Path:
    """Return the file beside `path` that SQLite names by adding `suffix`."""
    return path.with_name(path.name + suffix)
