"""Where each key of a TOML text stands, since `tomllib` does not tell.

The text is cut into statements: a statement is the shortest run of lines that `tomllib` itself
accepts, so multi-line strings and arrays need no rules of our own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

Where = tuple[str | int, ...]
"""Path of a key: names, and the index inside an array of tables, e.g. `("charger", 1, "serial")`."""

Lines = Mapping[Where, int]

_CLOSERS = ("]", "}", '"""', "'''")


def line_numbers(text: str) -> Lines:
    """Return the 1-based line of every key of `text`, which must be valid TOML.

    Keys inside an inline table or an array have the line of the key that holds them.
    """
    lines: dict[Where, int] = {}
    arrays: dict[Where, int] = {}
    table: Where = ()
    for number, source, parsed in _statements(text):
        if source.startswith("["):
            table = _table(parsed, arrays, is_array=source.startswith("[["))
            _note(lines, table, number)
        else:
            for path in _paths(parsed):
                _note(lines, table + path, number)
    return lines


def line_of(lines: Lines, where: Where) -> int | None:
    """Return the line of `where`, or of the nearest table around it, or None outside the file."""
    for end in range(len(where), 0, -1):
        if where[:end] in lines:
            return lines[where[:end]]
    return None


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    start, pending = 1, ""
    for number, line in enumerate(text.split("\n"), start=1):
        if not pending:
            start = number
        pending += line + "\n"
        # Only a line with a closer can end what a former one opened: this keeps long arrays cheap.
        if start != number and not any(closer in line for closer in _CLOSERS):
            continue
        try:
            parsed = tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue
        if parsed:
            yield start, pending.lstrip(), parsed
        pending = ""


def _table(parsed: dict[str, Any], arrays: dict[Where, int], *, is_array: bool) -> Where:
    """Return the path a header opens; `arrays` holds the last index of each array of tables so far."""
    names = _names(parsed)
    path: Where = ()
    for depth, name in enumerate(names, start=1):
        path += (name,)
        if is_array and depth == len(names):
            arrays[path] = arrays.get(path, -1) + 1
        if path in arrays:
            path += (arrays[path],)
    return path


def _names(parsed: Any) -> tuple[str, ...]:
    names: tuple[str, ...] = ()
    while parsed:
        if isinstance(parsed, list):
            parsed = parsed[0]
        else:
            name, parsed = next(iter(parsed.items()))
            names += (name,)
    return names


def _paths(value: Any) -> Iterator[Where]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (key,)
        for path in _paths(inner):
            yield (key, *path)


def _note(lines: dict[Where, int], where: Where, number: int) -> None:
    for end in range(1, len(where) + 1):
        lines.setdefault(where[:end], number)
