"""The cloud's JSON, as tolerant as its own guide demands.

The guide shows `ChargingPower` in one place and `chargingPower` in another, calls an object a STRING, and
real answers bring numbers as int, float, string or null.  So keys are matched without case, and a value that
cannot be what it should be is unknown (`None`), never repaired and never an error of the whole answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import from_json

TEXT_CAP = 200
ID_CAP = 64

_NUMBER = re.compile(r"[+-]?\d{1,15}(?:\.\d{0,15})?(?:[eE][+-]?\d{1,2})?", re.ASCII)


def clean_text(text: str, cap: int = TEXT_CAP) -> str:
    """Return `text` as one printable line of at most `cap` characters.

    Control characters (C0, C1), direction marks and line separators become spaces: no forged log line.
    """
    printable = (c if c.isprintable() else " " for c in text[: 4 * cap])
    return " ".join("".join(printable).split())[:cap].rstrip()


def number(value: object) -> float | None:
    """Return a finite number from an int, a float or a decimal string; None from anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value := value.strip()) else None
    if isinstance(value, int):
        return float(value) if abs(value) < 10**15 else None
    return value if isinstance(value, float) and math.isfinite(value) else None


def integer(value: object) -> int | None:
    """Return a whole number from whatever `number` takes; None when it has a fraction."""
    found = number(value)
    return int(found) if found is not None and found.is_integer() else None


def truth(value: object) -> bool | None:
    """Return a JSON boolean, also when it comes as a word or as 0 or 1; None from anything else."""
    word = str(value).strip().lower() if isinstance(value, bool | int | str) else ""
    return {"true": True, "1": True, "false": False, "0": False}.get(word)


def text(value: object) -> str:
    """Return a string, cleaned; empty from anything else."""
    return clean_text(value) if isinstance(value, str) else ""


def identifier(value: object) -> str | None:
    """Return a serial number or task id; None where there is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**ID_CAP else ""
    return clean_text(value, ID_CAP) or None if isinstance(value, str) else None


def json_value(data: bytes | str) -> Any:
    """Return what `data` says; NaN and infinities stay numbers here and are refused field by field.

    Raises:
        ValueError: it is no JSON, not UTF-8, or nested too deep.

    """
    if isinstance(data, bytes):
        data = data.removeprefix(b"\xef\xbb\xbf")
    return from_json(data)


def lower_keys(value: object) -> object:
    """Return a mapping with lower-case keys; of two that differ only in case, the one that is not null."""
    if not isinstance(value, Mapping):
        return value
    lowered: dict[str, Any] = {}
    for key, found in value.items():
        name = str(key).lower()
        if found is not None or name not in lowered:
            lowered[name] = found
    return lowered


def opened(value: object) -> object:
    """Return the object inside a JSON string; everything else, broken JSON too, as it is."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return json_value(value)
        except ValueError:
            return value
    return value


Number = Annotated[float | None, BeforeValidator(number)]
Raw = Annotated[Any, BeforeValidator(lambda value: None if value == "" else value)]
Integer = Annotated[int | None, BeforeValidator(integer)]
Truth = Annotated[bool | None, BeforeValidator(truth)]
Text = Annotated[str, BeforeValidator(text)]
Identifier = Annotated[str | None, BeforeValidator(identifier)]
Stamp = Annotated[str | None, BeforeValidator(lambda value: text(value)[:40] or None)]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return lower_keys(value)

    @property
    def is_empty(self) -> bool:
        """Whether none of the fields was in the answer."""
        return not self.model_fields_set


class Envelope(_Wire):
    """What surrounds every answer: `{"success", "exception", "code", "result"}`."""

    success: Truth = None
    exception: Text = ""
    code: Integer = None
    result: Annotated[Any, BeforeValidator(opened)] = None

    @property
    def told(self) -> str:
        """The cloud's words: its `exception`, and `result` where that is a sentence and not data."""
        return "; ".join(filter(None, (self.exception, text(self.result))))


class PileResult(_Wire):
    """`result` of `getPileInfo`: power in W, energy of the session in kWh."""

    status_code: Integer = Field(None, alias="chargerstatus")
    mode_code: Integer = Field(None, alias="chargingmode")
    power_w: Number = Field(None, alias="chargingpower")
    session_kwh: Number = Field(None, alias="chargeenergy")


class RealtimeResult(_Wire):
    """`result` of `getRealtimeInfo.do`, in the vendor's signs: feed-in + export, battery + charge.

    Where absent (no battery, no such PV string) differs from unreadable, the value is kept as it came.
    """

    ac_w: Number = Field(None, alias="acpower")
    feed_in_w: Number = Field(None, alias="feedinpower")
    battery_charge: Raw = Field(None, alias="batpower")
    pv_string_1: Raw = Field(None, alias="powerdc1")
    pv_string_2: Raw = Field(None, alias="powerdc2")
    pv_string_3: Raw = Field(None, alias="powerdc3")
    pv_string_4: Raw = Field(None, alias="powerdc4")
    soc_percent: Number = Field(None, alias="soc")
    uploaded: Stamp = Field(None, alias="uploadtime")
