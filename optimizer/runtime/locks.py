"""One service per database and per token: kernel locks, held for life, freed by any kind of death."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from pathlib import Path
from types import TracebackType

from optimizer.errors import AnotherInstance


class InstanceLock:
    """An exclusive `flock` on `path`; the file is never deleted, for that would let a second one in."""

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._fd: int | None = None

    def __enter__(self) -> InstanceLock:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise AnotherInstance(
                f"another sunmode runs with {self._what} ({self._path} is locked)"
            ) from error
        self._fd = fd
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def database_lock(database: Path) -> InstanceLock:
    """The lock beside `database`."""
    return InstanceLock(database.with_suffix(".lock"), "the same database")


def token_lock(token: str) -> InstanceLock:
    """The lock of all services of this user that share one token: they would share its call budget.

    The name holds a one-way fingerprint of the token, nothing that leads back to it.
    """
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    fingerprint = hashlib.pbkdf2_hmac("sha256", token.encode(), b"sunmode instance lock", 10_000).hex()[:16]
    return InstanceLock(folder / f"sunmode-{os.getuid()}-{fingerprint}.lock", "the same token")
