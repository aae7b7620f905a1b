"""Reading numbers and times out of providers' answers: each is what it should be, or the answer is bad."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from optimizer.errors import BadAnswer

_MOST = 1e10
"""No time in seconds, no power and no radiation is more."""
_YEARS = range(2000, 2200)


def table(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the object under a key."""
    found = value.get(key)
    if not isinstance(found, dict):
        raise BadAnswer(f"its answer lacks {key}")
    return found


def rows(value: Mapping[str, Any], key: str) -> list[Any]:
    """Return the list under a key."""
    found = value.get(key)
    if not isinstance(found, list):
        raise BadAnswer(f"its answer lacks {key}")
    return found


def numbers(value: Mapping[str, Any], key: str, count: int) -> list[float]:
    """Return the list of `count` numbers under a key."""
    found = rows(value, key)
    if len(found) != count:
        raise BadAnswer(f"its answer has {len(found)} values of {key}, not {count}")
    return [number(one, key) for one in found]


def number(value: Any, key: str) -> float:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadAnswer(f"its answer has something else than numbers in {key}")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not abs(found) <= _MOST:
        raise BadAnswer(f"its answer has something else than numbers in {key}")
    return found


def instant(value: Any, key: str) -> datetime:
    """Return an ISO-8601 time with its offset, as UTC."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise BadAnswer(f"its answer has something else than times in {key}") from None
    if at.tzinfo is None:
        raise BadAnswer(f"its answer has times without a zone in {key}")
    if at.year not in _YEARS:
        raise BadAnswer(f"its answer has times of another age in {key}")
    return at.astimezone(UTC)
