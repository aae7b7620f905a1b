"""Reading a secret from a file.

No message repeats what stands in it, nor the file's name: that may be the secret, put under the wrong key.
"""

from __future__ import annotations

import stat
from pathlib import Path

from optimizer.config.kinds import LONGEST_TOKEN, fits_token
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
        raise ConfigError((error.strerror or "cannot be read").lower()) from None
    except ValueError:
        raise ConfigError("no name of a file") from None
    text = raw.removeprefix(b"\xef\xbb\xbf").decode("latin-1").strip()
    if not fits_token(text):
        raise ConfigError(f"needs the token alone, on one line, {LONGEST_TOKEN} characters at most")
    return text


def others_may_read(path: Path) -> bool:
    """Whether the file's mode lets anybody but its owner read it."""
    try:
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False
