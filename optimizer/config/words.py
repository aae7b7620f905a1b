"""How keys and values are named in messages: helpfully, and never a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from optimizer.config.locate import Where

_LONGEST_SHOWN = 15
"""A longer value might be a token in the wrong place (the vendor's have 24 characters)."""

_SECRET_KEY = re.compile(r"token$|secret|passw|api_?key|credential", re.IGNORECASE)
_PLAIN_KEY = re.compile(r"(?=.{1,40}$)[A-Za-z_-]+[0-9]{0,2}([._-][A-Za-z_-]+)*")


def is_secret(key: str) -> bool:
    """Whether what stands under this key must not be repeated, nor stand in the file at all."""
    return _SECRET_KEY.search(key) is not None


def shown(value: Any) -> str | None:
    """Return how a wrong value is repeated, or None where it had better not be."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float | int):
        text = f"{value:g}" if isinstance(value, float) else _digits(value)
    elif isinstance(value, str) and value.isprintable():
        text = f"'{value}'"
    else:
        return None
    return text if len(text) <= _LONGEST_SHOWN else None


def _digits(value: int) -> str:
    # Python refuses to print integers of more than 4,300 digits.
    return str(value) if abs(value) < 10**_LONGEST_SHOWN else "x" * (_LONGEST_SHOWN + 1)


def key_text(where: Where) -> str:
    """Return a path as people write it: `charger[1].max_current_a`."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def key_name(key: str) -> str:
    """Return an unknown key in quotes, unless it looks like no word at all."""
    return f" '{key}'" if _PLAIN_KEY.fullmatch(key) else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean '...'?`, or nothing where no known word is near."""
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), by_lower, n=1)
    return f"; did you mean '{by_lower[close[0]]}'?" if close else ""


def file_name(path: Path) -> str:
    """Return a path as it is, or quoted where it would break the line."""
    return str(path) if str(path).isprintable() else repr(str(path))
