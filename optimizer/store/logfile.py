"""The log's file and its mishaps: locked, full, broken, deleted under us.  One thread owns it.

- locked by someone: `StoreLocked`, nothing was written, try again
- disk full: the ballast file is given up, the journal folded in, the work tried once more; the ballast comes
  back when the disk has room again
- broken, deleted or replaced: a new file (or the one that lies there now) is opened, the loss is told
- what the human sees: an event row for each, and `StoreUnavailable` where work was refused
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from optimizer.errors import SunmodeError
from optimizer.store.database import FileId, file_id, open_log, put_aside
from optimizer.store.sqlite import StoreLocked, StoreUnavailable, Trouble, sidecar, trouble_of

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

WAL_LIMIT_BYTES = 4 * 1024 * 1024
"""A journal of this size is cut short, so that it stays below 8 MB between two looks."""
_UPKEEP_COMMITS = 64
_ZEROS = bytes(1024 * 1024)


class Abandoned(StoreUnavailable):
    """Whoever asked gave up before the commit: nothing was written."""


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How the file is kept.  `ballast_bytes` of 0 means none."""

    durable: bool = True
    busy_ms: int = 50
    ballast_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Mishap:
    """What befell the file: `lost` if an earlier log could not be read on, else the disk was full."""

    lost: bool
    message: str


OnMishap = Callable[[sqlite3.Connection, Mishap], None]
"""Called in the first transaction that succeeds afterwards, before its work."""


class LogFile:
    """The only connection that writes; opened by `open` or by the first work, in the thread that uses it."""

    def __init__(self, path: Path, options: FileOptions, on_mishap: OnMishap) -> None:
        self.path = path
        self._options = options
        self._on_mishap = on_mishap
        self._ballast = Ballast(sidecar(path, ".ballast"), options.ballast_bytes)
        self._conn: sqlite3.Connection | None = None
        self._file_id: FileId | None = None
        self._untold: list[Mishap] = []
        self._commits = 0
        self._certain: bool | None = None

    def open(self) -> None:
        """Open the file now, so that its faults show at the start.

        Raises:
            StoreUnavailable: it cannot be opened for writing.
            InputError: a newer sunmode has written it.

        """
        self._guarded(lambda: self._connection().execute("SELECT 1"))
        if self._untold:
            self.transact(lambda _: None)

    def transact(
        self, work: Work[T], may_commit: Callable[[], bool] = lambda: True, *, certain: bool = True
    ) -> T:
        """Do `work` in one transaction and return its result; all of it is written or nothing.

        `may_commit` is asked last, when nothing but the commit is left to do.  A commit that is not `certain`
        survives the death of the process, a power cut only after the next one that is: it waits for no disk.

        Raises:
            StoreLocked: somebody else writes; try again.
            Abandoned: `may_commit` said no.
            StoreUnavailable: full, read-only or broken.

        """
        result = self._guarded(lambda: self._attempt(work, may_commit, certain=certain))
        self._commits += 1
        return result

    @property
    def is_upkeep_due(self) -> bool:
        """Whether enough was written for `upkeep` to be worth its time."""
        return self._commits >= _UPKEEP_COMMITS

    def upkeep(self) -> None:
        """Fold the journal in, which waits for the disk, and restore the ballast: best while nobody waits."""
        self._commits = 0
        wal = sidecar(self.path, "-wal")
        with suppress(OSError, SunmodeError):
            if wal.stat().st_size > WAL_LIMIT_BYTES:
                self.checkpoint()
            else:
                self._fold("PASSIVE")
        self._ballast.restore()

    def checkpoint(self) -> None:
        """Fold the journal into the file, as far as open readers let us."""
        self._fold("TRUNCATE")

    def close(self) -> None:
        """Fold the journal in and close; what cannot be folded is played back at the next start."""
        if self._conn is not None:
            with suppress(sqlite3.Error):
                self._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._forget()

    def _fold(self, how: str) -> None:
        self._guarded(lambda: self._connection().execute(f"PRAGMA wal_checkpoint({how})").fetchone())

    def _guarded(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except sqlite3.Error as error:
            trouble = trouble_of(error)
            if trouble is None:
                raise
            if trouble is Trouble.LOCKED:
                raise StoreLocked(f"{self.path}: {error}") from error
            if trouble is Trouble.BROKEN:
                self._start_anew(str(error))
            elif self._make_room():
                return self._once_more(act)
            raise StoreUnavailable(f"{self.path}: {error}") from error
        except OSError as error:
            raise StoreUnavailable(f"{self.path}: {error.strerror}") from error

    def _once_more(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self.path}: {error}") from error

    def _attempt(self, work: Work[T], may_commit: Callable[[], bool], *, certain: bool) -> T:
        conn = self._connection()
        if self._options.durable and self._certain is not certain:
            conn.execute(f"PRAGMA synchronous = {'FULL' if certain else 'NORMAL'}")
            self._certain = certain
        conn.execute("BEGIN IMMEDIATE")
        try:
            for mishap in self._untold:
                self._on_mishap(conn, mishap)
            result = work(conn)
            self._ask(may_commit)
            conn.execute("COMMIT")
        except BaseException:
            if conn.in_transaction:
                conn.execute("ROLLBACK")
            raise
        self._untold.clear()
        return result

    def _ask(self, may_commit: Callable[[], bool]) -> None:
        if not may_commit():
            raise Abandoned(f"{self.path}: given up before the commit")

    def _connection(self) -> sqlite3.Connection:
        """Return the open connection, after a look whether its file is still the one at the path."""
        if self._conn is not None:
            if self._file_id == self._id_at_path():
                return self._conn
            self._lost("the file was deleted or replaced while in use", None)
            self._forget()
        opened = open_log(self.path, durable=self._options.durable, busy_ms=self._options.busy_ms)
        self._conn, self._file_id = opened.conn, opened.file_id
        if opened.loss is not None:
            self._lost(opened.loss.reason, opened.loss.kept_as)
        self._ballast.restore()
        return opened.conn

    def _lost(self, reason: str, kept_as: Path | None) -> None:
        kept = "" if kept_as is None else f"; what was there is kept as {kept_as.name}"
        self._untold.append(Mishap(lost=True, message=f"a new log was started: {reason}{kept}"))

    def _id_at_path(self) -> FileId | None:
        try:
            return file_id(self.path)
        except FileNotFoundError:
            return None

    def _forget(self) -> None:
        if self._conn is not None:
            with suppress(sqlite3.Error):
                self._conn.close()
        self._conn = self._file_id = self._certain = None

    def _start_anew(self, reason: str) -> None:
        self._forget()
        with suppress(FileNotFoundError):
            loss = put_aside(self.path, reason)
            self._lost(loss.reason, loss.kept_as)

    def _make_room(self) -> bool:
        if not self._ballast.give_up():
            return False
        self._untold.append(Mishap(lost=False, message="the disk was full: the ballast file was given up"))
        if self._conn is not None:
            with suppress(sqlite3.Error):
                self._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return True


class Ballast:
    """Space kept aside for the day when the disk is full: deleting rows needs room, too."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes

    def restore(self) -> None:
        """Make the file if there is none and the disk has four times its size left."""
        if self._size_bytes == 0 or self._path.exists():
            return
        with suppress(OSError):
            room = os.statvfs(self._path.parent)
            if room.f_bavail * room.f_frsize >= 4 * self._size_bytes:
                self._fill()

    def _fill(self) -> None:
        fd = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                for begin in range(0, self._size_bytes, len(_ZEROS)):
                    file.write(_ZEROS[: self._size_bytes - begin])
        except OSError:
            self._path.unlink(missing_ok=True)
            raise

    def give_up(self) -> bool:
        """Free the space; False if there was none."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
