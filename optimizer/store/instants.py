"""How instants and structures are written into the log's text columns."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any


def to_text(at: datetime) -> str:
    """Write an aware instant as `2026-06-01T09:15:00.000Z`; such texts sort as the instants do.

    Raises:
        ValueError: `at` has no zone, so it names no instant.

    """
    if at.tzinfo is None:
        raise ValueError(f"{at!r} has no time zone")
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def from_text(text: str) -> datetime:
    """Read what `to_text` wrote."""
    return datetime.fromisoformat(text)


def optional_text(at: datetime | None) -> str | None:
    """Write an instant, or NULL."""
    return None if at is None else to_text(at)


def optional_instant(text: str | None) -> datetime | None:
    """Read an instant, or NULL."""
    return None if text is None else from_text(text)


def to_json(value: object) -> str:
    """Write nested values compactly: dataclasses as objects, instants as text, NaN and infinity as text.

    SQLite's own JSON functions can read the result; floats keep every digit, so that a decision can be
    replayed bit by bit.
    """
    try:
        return json.dumps(value, default=_plain, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(_spelt(value), separators=(",", ":"), allow_nan=False)


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, datetime):
        return to_text(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be written to the log")


def _spelt(value: Any) -> Any:
    """Replace NaN and infinities, which JSON has no word for, by their names."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): _spelt(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spelt(item) for item in value]
    return _spelt(_plain(value))
