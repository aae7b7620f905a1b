"""The kinds of value that a key can hold; each refuses what it would have to guess at."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SecretStr,
    Strict,
    StringConstraints,
    ValidationError,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from optimizer.config.locate import Where
from optimizer.config.words import did_you_mean, shown

VIRTUAL = "virtual"
"""The `base_url` that means the built-in home instead of a cloud."""

LONGEST_TOKEN = 200


class Section(BaseModel):
    """A table of the configuration: immutable, and every key is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)


class Complaint(NamedTuple):
    """What is wrong with a combination of values, and at which key to say so."""

    where: Where
    text: str


def refuse(title: str, complaints: Iterable[Complaint]) -> None:
    """Raise all complaints as one `ValidationError`, so that each is told with its own line; or return."""
    found = [refusal(where, text) for where, text in complaints]
    if found:
        raise ValidationError.from_exception_data(title, found, hide_input=True)


def refusal(where: Where, text: str) -> InitErrorDetails:
    """Return one line of a `ValidationError`."""
    kind = PydanticCustomError("refused", "{text}", {"text": text})
    return InitErrorDetails(type=kind, loc=where, input=None)


def _exact_int(value: Any) -> Any:
    # A literal takes true for 1 and 6.0 for 6.
    if isinstance(value, (bool, float)):
        raise ValueError("needs a whole number")  # noqa: TRY004 - pydantic collects ValueError only
    return value


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("has control characters")
    return value


def _one_word(value: str) -> str:
    if not value or any(c.isspace() or not c.isprintable() for c in value):
        raise ValueError("needs at least one character, and neither spaces nor control characters")
    return value


def _ascii_secret(value: str) -> str:
    if not fits_token(value):
        raise ValueError(f"needs 1 to {LONGEST_TOKEN} visible ASCII characters without spaces")
    return value


def fits_token(value: str) -> bool:
    """Whether this can be a token at all: visible ASCII without spaces, 1 to 200 characters."""
    return 0 < len(value) <= LONGEST_TOKEN and all("!" <= c <= "~" for c in value)


def _not_empty(value: Any) -> Any:
    if value == "":
        raise ValueError("is empty; leave the key out instead")
    if isinstance(value, str) and not value.isprintable():
        raise ValueError("has control characters")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = did_you_mean(value, available_timezones())
        raise ValueError(f"{shown(value) or 'this'} is no time zone{near}") from None
    return value


def _time_of_day(value: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError('needs a time of day, "HH:MM"')
    return value


def split_url(value: str) -> SplitResult:
    """Split an absolute URL; the refusals never repeat it, for it may hold a password.

    Raises:
        ValueError: no host, an impossible port, a user name, a fragment, or something unprintable.

    """
    try:
        parts = urlsplit(value)
        good = bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
        parts = SplitResult("", "", "", "", "")
    if not good or any(c.isspace() or not c.isprintable() for c in value):
        raise ValueError("is not a URL like https://host or https://host:port/path")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password")
    if "#" in value:
        raise ValueError("must not have a fragment (#...)")
    return parts


def is_loopback(host: str) -> bool:
    """Whether a host name or address never leaves this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _cloud_url(value: str) -> str:
    if value == VIRTUAL:
        return value
    parts = split_url(value)
    if "?" in value:
        raise ValueError("must not have a query (?...)")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("needs https; plain http is for this machine only (127.0.0.1, ::1, localhost)")
    if parts.scheme not in {"http", "https"}:
        raise ValueError('needs "virtual" or a URL that begins with https://')
    return value.rstrip("/")


def _day(value: str) -> str:
    try:
        good = date.fromisoformat(value).isoformat() == value
    except ValueError:
        good = False
    if not good:
        raise ValueError('needs a day, "YYYY-MM-DD"')
    return value


def _source_url(value: str) -> str:
    if split_url(value).scheme not in {"http", "https"}:
        raise ValueError("needs a URL that begins with https:// or http://")
    return value


def _quarter(value: str) -> str:
    if int(_time_of_day(value)[3:]) % 15:
        raise ValueError('needs a quarter hour, "HH:00", "HH:15", "HH:30" or "HH:45"')
    return value


def _callback_url(value: str) -> str:
    if value == "":
        return value
    if split_url(value).scheme not in {"http", "https"}:
        raise ValueError("needs a URL that begins with https:// or http://, or nothing")
    if "?" in value:
        raise ValueError("must not have a query (?...)")
    return value.rstrip("/")


Real = Annotated[float, Strict(), AllowInfNan(False)]
Whole = Annotated[int, Strict()]
WholeChoice = BeforeValidator(_exact_int)
Flag = Annotated[bool, Strict()]
Line = Annotated[str, Strict(), StringConstraints(min_length=1, max_length=100), AfterValidator(_printable)]
Word = Annotated[str, Strict(), StringConstraints(max_length=100), AfterValidator(_one_word)]
Secret = Annotated[SecretStr, AfterValidator(lambda s: SecretStr(_ascii_secret(s.get_secret_value())))]
FilePath = Annotated[Path, BeforeValidator(_not_empty)]
Zone = Annotated[str, Strict(), AfterValidator(_zone)]
TimeOfDay = Annotated[str, Strict(), AfterValidator(_time_of_day)]
DayText = Annotated[str, Strict(), AfterValidator(_day)]
QuarterOfDay = Annotated[str, Strict(), AfterValidator(_quarter)]
SourceUrl = Annotated[str, Strict(), StringConstraints(max_length=2000), AfterValidator(_source_url)]
CloudUrl = Annotated[str, Strict(), AfterValidator(_cloud_url)]
CallbackUrl = Annotated[str, Strict(), AfterValidator(_callback_url)]
