"""One service per database and per token: kernel locks, held for life, freed by any kind of death."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from optimizer.errors import AnotherInstance, SunmodeError


@contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Hold an exclusive lock on `path`.

    The file is never deleted: deleting it would let a second process in.

    Raises:
        AnotherInstance: another process holds it.
        SunmodeError: there can be no such file; without it nothing would keep a second process out.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise SunmodeError(f"{path}: the lock for {what} cannot be made: {error.strerror}") from error
    try:
        _lock(fd, path, what)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, path: Path, what: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise AnotherInstance(f"another sunmode runs with {what} ({path} is locked)") from error


def database_lock(database: Path) -> AbstractContextManager[None]:
    """The lock beside `database`."""
    return held(database.with_suffix(".lock"), "the same database")


def account_lock(base_url: str, token: str) -> AbstractContextManager[None]:
    """The lock of all services of this user that use one token at one cloud: they would share its budget.

    The name holds a one-way fingerprint, nothing that leads back to the token.
    """
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    account = f"{base_url}\n{token}".encode()
    fingerprint = hashlib.pbkdf2_hmac("sha256", account, b"sunmode account lock", 10_000).hex()[:16]
    return held(folder / f"sunmode-{os.getuid()}-{fingerprint}.lock", "the same token")
