"""Open the log, whatever lies at its path.

- a missing file: a new one, readable by its owner only
- an older one: copied (`*.before-<version>`), then brought up to date in one transaction
- not ours, torn or emptied: put aside (`*.corrupt-<last write, UTC>`), a new one started, the loss told
- a newer one: refused, for today's code cannot know what it means
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from optimizer.errors import InputError
from optimizer.store.schema import APPLICATION_ID, SCHEMA_VERSION, migrations
from optimizer.store.sqlite import Trouble, connect_writer, sidecar, sqlite_utils_without_pandas, trouble_of

FileId = tuple[int, int]
"""Device and inode: the identity that a rename or a deletion changes."""

_SIDECARS = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Loss:
    """An earlier log that could not be read on; `kept_as` is where it lies, if anything was left of it."""

    reason: str
    kept_as: Path | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A log that is ready to be written."""

    conn: sqlite3.Connection
    file_id: FileId
    loss: Loss | None


def open_log(path: Path, *, durable: bool, busy_ms: int) -> Opened:
    """Open or make the log at `path`; slow on a large file, for all of it is checked.

    Raises:
        sqlite3.Error: it is locked, or cannot be written.
        InputError: a newer sunmode has written it.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    loss = None
    fault = _fault(path)
    if fault is not None:
        loss = put_aside(path, fault)
    path.touch(mode=0o600)
    path.chmod(0o600)
    conn = connect_writer(path, durable=durable, busy_ms=busy_ms)
    try:
        _bring_up_to_date(conn, path)
    except BaseException:
        conn.close()
        raise
    return Opened(conn, file_id(path), loss)


def file_id(path: Path) -> FileId:
    """Return who the file at `path` is.

    Raises:
        FileNotFoundError: nobody.

    """
    status = path.stat()
    return status.st_dev, status.st_ino


def put_aside(path: Path, reason: str) -> Loss:
    """Rename the file and its journals by its last write, so that a new one can take its place."""
    if path.stat().st_size == 0:
        for suffix in _SIDECARS:
            sidecar(path, suffix).unlink(missing_ok=True)
        return Loss(reason, None)
    stamp = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = _unused(sidecar(path, f".corrupt-{stamp}"))
    for suffix in _SIDECARS:
        if sidecar(path, suffix).exists():
            sidecar(path, suffix).rename(sidecar(aside, suffix))
    return Loss(reason, aside)


def _unused(path: Path) -> Path:
    number, candidate = 1, path
    while candidate.exists():
        number += 1
        candidate = sidecar(path, f"-{number}")
    return candidate


def _fault(path: Path) -> str | None:
    """Say why the file at `path` cannot be used, or None if it can or there is none."""
    if not path.exists():
        return None
    if path.stat().st_size == 0:
        return "the file was empty"
    # A writing connection, for a reader could not play back a journal that a crash has left.
    with closing(sqlite3.connect(path, isolation_level=None, timeout=1.0)) as conn:
        try:
            return _fault_of(conn, path)
        except sqlite3.DatabaseError as error:
            if trouble_of(error) is Trouble.BROKEN:
                return str(error)
            raise


def _fault_of(conn: sqlite3.Connection, path: Path) -> str | None:
    application_id = _pragma(conn, "application_id")
    version = _pragma(conn, "user_version")
    if application_id != APPLICATION_ID:
        # A process that died while it made the file leaves a header without a table: nothing to lose.
        tables = int(conn.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        return "the file was not written by sunmode" if tables or application_id else None
    if version > SCHEMA_VERSION:
        raise InputError(f"{path}: written by a newer sunmode (schema {version}, not {SCHEMA_VERSION})")
    verdict = conn.execute("PRAGMA quick_check(1)").fetchone()[0]
    return None if verdict == "ok" else str(verdict)


def _bring_up_to_date(conn: sqlite3.Connection, path: Path) -> None:
    version = _pragma(conn, "user_version")
    if version == SCHEMA_VERSION:
        return
    if version > 0:
        copy_to(conn, sidecar(path, f".before-{SCHEMA_VERSION}"))
    db = sqlite_utils_without_pandas().Database(conn, execute_plugins=False)
    with db.atomic():
        migrations().apply(db)
        conn.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def copy_to(conn: sqlite3.Connection, target: Path) -> None:
    """Write a consistent copy, readable by its owner only; it appears whole or not at all."""
    part = sidecar(target, ".part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(part)) as copy:
        conn.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
    part.replace(target)


def _pragma(conn: sqlite3.Connection, name: str) -> int:
    return int(conn.execute(f"PRAGMA {name}").fetchone()[0])
