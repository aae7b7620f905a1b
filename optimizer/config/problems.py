"""From pydantic's errors to one line each that says where, what, and what is allowed.

A value is repeated only where it helps and cannot be a secret; it is looked up in the sources,
for pydantic is told to keep inputs out of its errors.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from optimizer.config.annotations import choices
from optimizer.config.locate import Lines, Where, line_of
from optimizer.config.schema import Schema, allowed, needed
from optimizer.config.words import did_you_mean, is_secret, key_name, key_text, shown


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the values came from: the file, and what overrides it by which variable or file."""

    name: str
    document: Mapping[str, Any]
    lines: Lines
    overrides: Mapping[str, Any]
    origins: Mapping[Where, str]
    schema: Schema

    def value(self, where: Where) -> Any:
        """Return the value that was given for a key, or None."""
        source = self.document if self.origin(where) is None else self.overrides
        return _value(source, where)

    def origin(self, where: Where) -> str | None:
        """Return which variable or credential file gave a key, or None where the file did."""
        for end in range(len(where), 0, -1):
            if where[:end] in self.origins:
                return self.origins[where[:end]]
        return None

    def line(self, where: Where) -> int | None:
        """Return the line of the file that a key, or the table around it, stands in."""
        return None if self.origin(where) else line_of(self.lines, where)

    def place(self, where: Where, named: Where) -> str:
        """Return what stands in front of a message: the variable, or file, line and key."""
        if self.origins.get(where) is not None:
            return self.origins[where]
        line = self.line(where)
        at = self.origin(where) or (self.name if line is None else f"{self.name}:{line}")
        return f"{at}: {key_text(named)}" if named else at


def messages(found: Iterable[Mapping[str, Any]], sources: Sources) -> list[str]:
    """Return one line for each of pydantic's error details, in the order of the file."""
    errors = sorted(found, key=lambda error: sources.line(error["loc"]) or sys.maxsize)
    return list(dict.fromkeys(_message(error, sources) for error in errors if not _follows(error, errors)))


def _follows(error: Mapping[str, Any], errors: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a list is called too short only because pydantic left out what it refused in it."""
    where = error["loc"]
    return error["type"] == "too_short" and any(
        len(other["loc"]) > len(where) and other["loc"][: len(where)] == where for other in errors
    )


def _message(error: Mapping[str, Any], sources: Sources) -> str:
    where: Where = error["loc"]
    # An unknown key is not repeated as part of the path: it might be anything.
    named = where[:-1] if error["type"] == "extra_forbidden" else where
    # One problem is one line, whatever a stranger's strategy has to say.
    return f"{sources.place(where, named)}: {_text(error, sources)}".partition("\n")[0]


def _text(error: Mapping[str, Any], sources: Sources) -> str:
    kind, where, field = error["type"], error["loc"], sources.schema.field_at(error["loc"])
    match kind:
        case "extra_forbidden":
            return _unknown(where, sources.schema)
        case "missing":
            return f"missing: it needs {needed(where, field)}"
        case "value_error":
            return str(error["ctx"]["error"])
        case "refused":
            return str(error["msg"])
    given = sources.value(where)
    value = None if any(is_secret(str(part)) for part in where) else shown(given)
    if field is None or kind not in _WORDINGS:
        return f"needs {needed(where, field)}, not {_given(given, value)}"
    near = did_you_mean(
        given if isinstance(given, str) else "", [str(choice) for choice in choices(field.annotation)]
    )
    facts = error.get("ctx", {}) | {"value": value or "this", "allowed": allowed(field), "near": near}
    return _WORDINGS[kind].format(**facts)


def _unknown(where: Where, schema: Schema) -> str:
    key = str(where[-1])
    table = schema.model_at(where[:-1])
    near = did_you_mean(key, schema.known_names(table)) if table else ""
    return f"unknown key{key_name(key)}{_elsewhere(key, schema) or near}"


def _elsewhere(key: str, schema: Schema) -> str:
    """Return where a key belongs that stands in the wrong table."""
    homes = [key_text(one.where) for one in schema.all_keys() if one.where[-1] == key]
    return f"; did you mean '{homes[0]}'?" if len(homes) == 1 else ""


_WORDINGS = {
    "greater_than_equal": "{value} is less than allowed ({allowed})",
    "greater_than": "{value} is less than allowed ({allowed})",
    "less_than_equal": "{value} is more than allowed ({allowed})",
    "less_than": "{value} is more than allowed ({allowed})",
    "literal_error": "{value} is not one of {allowed}{near}",
    "word": "{value} is not one of {allowed}{near}",
    "finite_number": "{value} is not a finite number ({allowed})",
    "too_long": "has more than {max_length} entries",
    "too_short": "is empty",
    "string_too_long": "has more than {max_length} characters",
    "string_too_short": "is empty",
}

_GIVEN: tuple[tuple[Any, str], ...] = (
    (str, "text"),
    (list | tuple, "a list"),
    (Mapping, "a table"),
    (datetime, "a date and time"),
    (date, "a date alone"),
)


def _given(value: Any, text: str | None) -> str:
    """Return what was given instead: its kind, or a number as it stands."""
    return next((words for kind, words in _GIVEN if isinstance(value, kind)), text or "this")


def _value(source: Any, where: Where) -> Any:
    for part in where:
        if isinstance(part, str):
            source = source.get(part) if isinstance(source, Mapping) else None
        else:
            source = source[part] if isinstance(source, list | tuple) and part < len(source) else None
    return source
