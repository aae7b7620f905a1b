"""Reading a secret from a file; no message repeats what stands in it."""

from __future__ import annotations

import stat
from pathlib import Path

from optimizer.config.kinds import LONGEST_TOKEN, fits_token
from optimizer.config.words import file_name
from optimizer.errors import ConfigError


def read_secret(path: Path) -> str:
    """Return the only line of the file.

    Raises:
        ConfigError: the file cannot be read, or holds anything but one visible word.

    """
    try:
        with path.open("rb") as file:
            raw = file.read(LONGEST_TOKEN * 2)
    except OSError as error:
        raise ConfigError(f"{file_name(path)}: {error.strerror or 'cannot be read'}") from error
    text = raw.removeprefix(b"\xef\xbb\xbf").decode("latin-1").strip()
    if not fits_token(text):
        raise ConfigError(
            f"{file_name(path)}: needs the token alone, on one line, {LONGEST_TOKEN} characters at most"
        )
    return text


def others_may_read(path: Path) -> bool:
    """Whether the file's mode lets anybody but its owner read it."""
    try:
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False
