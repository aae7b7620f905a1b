"""What price services answer, brought into one form: aWATTar, energy-charts, any list of times and prices.

The shapes are those of api.awattar.de/v1/marketdata and api.energy-charts.info/price; answers are JSON that
has been decoded already.  Everything is checked, nothing is guessed: an unknown unit is an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from optimizer.errors import BadAnswer
from optimizer.tariffs.slots import Period

_PER_KWH = {"eur/kwh": 1.0, "eur/mwh": 1e-3, "ct/kwh": 1e-2}
_MILLISECONDS_FROM = 1e11
"""A number of seconds beyond this lies in the year 5138."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Where a service keeps what: `rows` leads to the list (names joined by dots, "" for the answer itself).

    `unit` is `EUR/kWh`, `EUR/MWh` or `ct/kWh`.
    """

    rows: str = ""
    time: str = "time"
    price: str = "price"
    unit: str = "EUR/kWh"


def awattar_periods(answer: Any) -> list[Period]:
    """Return the prices of `{"data": [{"start_timestamp", "end_timestamp", "marketprice", "unit"}]}`."""
    return [
        Period(
            instant_from(_entry(row, "start_timestamp")),
            instant_from(_entry(row, "end_timestamp")),
            _price(_entry(row, "marketprice"), _factor(row.get("unit"))),
        )
        for row in _rows(answer, "data")
    ]


def energy_charts_periods(answer: Any) -> list[Period]:
    """Return the prices of `{"unix_seconds": [...], "price": [...], "unit": "EUR / MWh"}`."""
    times, prices = _listed(_entry(answer, "unix_seconds")), _listed(_entry(answer, "price"))
    if len(times) != len(prices):
        raise BadAnswer(f"{len(times)} times but {len(prices)} prices")
    factor = _factor(answer.get("unit"))
    return [
        Period(instant_from(at), None, _price(price, factor)) for at, price in zip(times, prices, strict=True)
    ]


def json_periods(answer: Any, fields: Fields) -> list[Period]:
    """Return the prices of a list of objects; times are ISO with an offset, or seconds or ms since 1970."""
    factor = _factor(fields.unit)
    return [
        Period(instant_from(value_at(row, fields.time)), None, _price(value_at(row, fields.price), factor))
        for row in _rows(answer, fields.rows)
    ]


def value_at(answer: Any, path: str) -> Any:
    """Return what stands at `a.b.2`: names of objects and places in lists, joined by dots; "" is all of it.

    Raises:
        BadAnswer: it leads nowhere.

    """
    for name in path.split(".") if path else ():
        if isinstance(answer, list) and name.isdecimal() and int(name) < len(answer):
            answer = answer[int(name)]
        else:
            answer = _entry(answer, name)
    return answer


def instant_from(value: Any) -> datetime:
    """Return the instant that an answer names.

    Raises:
        BadAnswer: it names none.

    """
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            if at.tzinfo is None:
                raise BadAnswer("a time without its offset from UTC")
            return at.astimezone(UTC)
        seconds = number_from(value)
        seconds = seconds / 1000.0 if abs(seconds) >= _MILLISECONDS_FROM else seconds
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise BadAnswer("a time that is none") from error


def number_from(value: Any) -> float:
    """Return a number that came as one, or as its text.

    Raises:
        BadAnswer: it is none, or not finite.

    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise BadAnswer("not a number where one should be")
    return number


def _price(value: Any, factor: float) -> float | None:
    return None if value is None else number_from(value) * factor


def _factor(unit: Any) -> float:
    name = unit.replace(" ", "").lower() if isinstance(unit, str) else ""
    if name not in _PER_KWH:
        raise BadAnswer("the unit is not EUR/MWh, EUR/kWh or ct/kWh")
    return _PER_KWH[name]


def _rows(answer: Any, path: str) -> Iterator[Mapping[str, Any]]:
    for row in _listed(value_at(answer, path)):
        if not isinstance(row, Mapping):
            raise BadAnswer("an entry of the list is no object")
        yield row


def _listed(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise BadAnswer("no list where the prices should be")
    return value


def _entry(row: Any, name: str) -> Any:
    if not isinstance(row, Mapping) or name not in row:
        raise BadAnswer(f"{name!r} is missing in the answer")
    return row[name]
