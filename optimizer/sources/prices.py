"""Where market prices come from: a service on the web, or a file that something else writes."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from optimizer.errors import BadAnswer, Unavailable
from optimizer.sources.http_json import JsonSource
from optimizer.tariffs.answers import (
    Fields,
    awattar_periods,
    energy_charts_periods,
    json_periods,
)
from optimizer.tariffs.slots import Period, Slots, midnight, slots_from

FILE_CAP_BYTES = 8 * 1024 * 1024
_BEFORE = timedelta(days=1)
_COLUMNS = ("time", "eur_per_kwh")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: the local days from today to tomorrow, at `now`."""

    now: datetime
    zone: ZoneInfo

    @property
    def start(self) -> datetime:
        """Today's first moment, UTC."""
        return midnight(self.now.astimezone(self.zone).date(), self.zone)

    @property
    def end(self) -> datetime:
        """The first moment after tomorrow, UTC."""
        return midnight(self.now.astimezone(self.zone).date() + timedelta(days=2), self.zone)


class PriceSource(Protocol):
    """Gives prices when asked; EUR per kWh by the quarter hour."""

    async def prices(self, asked: Asked) -> Slots:
        """Return what is known of the days; more or less than that is no error.

        Raises:
            CloudError: nothing came that can be used.

        """
        ...


class WebPrices:
    """A price service: `params` names the days in its own way, `periods` reads its answer."""

    def __init__(
        self,
        source: JsonSource,
        params: Callable[[Asked], Mapping[str, str]],
        periods: Callable[[Any], list[Period]],
    ) -> None:
        self._source = source
        self._params = params
        self._periods = periods

    async def prices(self, asked: Asked) -> Slots:
        """Ask the service."""
        answer = await self._source.get(asked.now, self._params(asked))
        try:
            return slots_from(self._periods(answer))
        except BadAnswer as error:
            raise BadAnswer(f"{self._source.host}: {error}") from None


class FilePrices:
    """A CSV file `time,eur_per_kwh`; times are ISO with an offset, or UTC without one.  Read each time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def prices(self, asked: Asked) -> Slots:
        """Read the file, of which yesterday, today and tomorrow are kept."""
        try:
            if self._path.stat().st_size > FILE_CAP_BYTES:
                raise Unavailable(f"{self._path}: longer than {FILE_CAP_BYTES} bytes")
            text = self._path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise Unavailable(f"{self._path}: {reason}") from error
        try:
            near = (one for one in file_periods(text) if _is_near(one, asked))
            return slots_from(near)
        except BadAnswer as error:
            raise BadAnswer(f"{self._path}: {error}") from None


def _is_near(period: Period, asked: Asked) -> bool:
    return asked.start - _BEFORE <= period.start_including < asked.end


def file_periods(text: str) -> list[Period]:
    """Return the rows of a price file; an empty price is not known.

    Raises:
        BadAnswer: a column is missing, or a line holds no time or no number.

    """
    rows = csv.DictReader(StringIO(text))
    missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise BadAnswer(f"no column {' and '.join(missing)}; it needs {','.join(_COLUMNS)}")
    return [_row(row, rows.line_num) for row in rows]


def _row(row: Mapping[str, str | None], line: int) -> Period:
    at_text, price_text = (row[name] or "" for name in _COLUMNS)
    try:
        at = datetime.fromisoformat(at_text.strip())
        price = float(price_text) if price_text.strip() else None
    except ValueError as error:
        raise BadAnswer(f"line {line}: needs a time and a number") from error
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return Period(at, None, price)


def awattar(source: JsonSource) -> WebPrices:
    """Return aWATTar's service, which is told the range in milliseconds."""
    return WebPrices(
        source, lambda asked: {"start": _ms(asked.start), "end": _ms(asked.end)}, awattar_periods
    )


def energy_charts(source: JsonSource) -> WebPrices:
    """Return the service of energy-charts.info, which is told the first and the last instant."""
    return WebPrices(
        source,
        lambda asked: {"start": _iso(asked.start), "end": _iso(asked.end - timedelta(seconds=1))},
        energy_charts_periods,
    )


def any_json(source: JsonSource, fields: Fields) -> WebPrices:
    """Return a service whose address says it all, and whose answer is a list of times and prices."""
    return WebPrices(source, lambda _: {}, partial(json_periods, fields=fields))


def _ms(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
