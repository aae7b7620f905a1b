"""Reading the file itself; every refusal names the file, and the line and column where there is one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from optimizer.config.words import file_name
from optimizer.errors import ConfigError

_LARGEST_BYTES = 256 * 1024
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_NAMES = re.compile(r"\('.*'\)|\('.*',\)|\(\)", re.DOTALL)


class TomlFile(NamedTuple):
    """A file's text and what it says."""

    text: str
    values: dict[str, Any]


def read_toml(path: Path) -> TomlFile:
    """Read a TOML file; a byte order mark and Windows line ends are accepted.

    Raises:
        ConfigError: it is missing, not a file, too large, not UTF-8 or not TOML.

    """
    text = _decoded(path, _raw(path)).removeprefix("\ufeff").replace("\r\n", "\n")
    return TomlFile(text, _parsed(path, text))


def _raw(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{file_name(path)}: {(error.strerror or 'cannot be read').lower()}") from error
    except ValueError as error:
        raise ConfigError(f"{file_name(path)}: no name of a file") from error
    if len(raw) > _LARGEST_BYTES:
        raise ConfigError(
            f"{file_name(path)}: larger than {_LARGEST_BYTES // 1024} KiB; this is no configuration"
        )
    return raw


def _decoded(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = _position(raw[: error.start].decode("utf-8"))
        found = raw[error.start]
    # Not chained: the error holds the whole file.
    raise ConfigError(f"{file_name(path)}:{line}:{column}: not UTF-8 text (byte 0x{found:02x})")


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
    except RecursionError:
        said = "nested too deeply (at end of document)"
    except ValueError:
        said = "a number has too many digits (at end of document)"
    place = _PLACE.search(said)
    line, column = (place[1], place[2]) if place and place[1] else _position(text)
    what = _NAMES.sub("this name", said[: place.start()] if place else said)
    # Not chained: newer Pythons keep the whole text in the error.
    raise ConfigError(f"{file_name(path)}:{line}:{column}: not valid TOML: {what[:1].lower()}{what[1:]}")


def _position(before: str) -> tuple[int, int]:
    """Return the 1-based line and column just behind a text."""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
