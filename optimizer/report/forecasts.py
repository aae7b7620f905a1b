"""How good the forecasts in the log were: each provider's, against what the house did."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from optimizer.domain import Forecast
from optimizer.errors import InputError
from optimizer.forecast.judge import Verdict, judged
from optimizer.forecast.logged import slot_number, vintages_from
from optimizer.forecast.roof import SLOT, SLOT_H, W_PER_KW, slot_of
from optimizer.forecast.vintages import Floats
from optimizer.store.forecasts import HouseEnergy, read_past, read_providers, read_vintages
from optimizer.store.instants import to_text
from optimizer.store.queries import reading

LOAD = "own-load"
"""The provider that speaks of the house's load; all others speak of the sun."""

_DAY = timedelta(days=1)
_LEAST_KNOWN_S = 450.0
_SLOT_S = SLOT.total_seconds()


@dataclass(frozen=True, slots=True)
class Truth:
    """What the house did by quarter hour from `start` on, W: sun and load without cars; NaN where unknown."""

    start: datetime
    sun_w: Floats
    load_w: Floats

    def of(self, provider: str) -> Floats:
        """Return the series that a provider speaks of."""
        return self.load_w if provider == LOAD else self.sun_w


@dataclass(frozen=True, slots=True)
class Judged:
    """One provider's forecasts with a verdict for each range of leads and, last, one for all."""

    provider: str
    told: tuple[Forecast, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def document(self) -> dict[str, Any]:
        """What there is to tell to programs; what is not known is null."""
        return {
            "provider": self.provider,
            "of": "load" if self.provider == LOAD else "sun",
            "forecasts": len(self.told),
            "by_lead": [_document(verdict) for verdict in self.verdicts[:-1]],
            "all": _document(self.verdicts[-1]),
        }


@dataclass(frozen=True, slots=True)
class ForecastReport:
    """All that `sunmode forecast` tells of."""

    since: datetime
    until: datetime
    truth: Truth
    providers: tuple[Judged, ...]

    @property
    def document(self) -> dict[str, Any]:
        """The report for programs; times in UTC."""
        return {
            "from": to_text(self.since),
            "to": to_text(self.until),
            "providers": [one.document for one in self.providers],
        }

    @property
    def lines(self) -> Iterator[str]:
        """The report as a table for each provider."""
        for one in self.providers:
            noun = "forecast" if len(one.told) == 1 else "forecasts"
            yield f"{one.provider}, of the {one.document['of']}: {len(one.told)} {noun}"
            yield "  lead        cases   pinball   within p10-p90   better than yesterday"
            yield from (f"  {_line(verdict)}" for verdict in one.verdicts)
            yield ""


def forecast_report(path: Path, since: datetime, until: datetime, provider: str | None) -> ForecastReport:
    """Judge the forecasts in a log that were issued from `since` on, by all that is known until `until`.

    Raises:
        InputError: no readable log, or no forecast in it.

    """
    since, until = slot_of(since), slot_of(until)
    with reading(path) as conn:
        names = read_providers(conn, since)
        rows = read_past(conn, since - 2 * _DAY)
        told = {name: read_vintages(conn, name, since) for name in names if provider in {None, name}}
    if not told:
        raise InputError(f"{path}: {_nothing(provider, names)}")
    truth = _truth(rows, since - 2 * _DAY, until)
    found = tuple(_judged(name, forecasts, truth) for name, forecasts in told.items())
    return ForecastReport(since, until, truth, found)


def _nothing(provider: str | None, names: Sequence[str]) -> str:
    if provider is None or not names:
        return "no forecast in this time; the table [forecast] of the configuration says who is asked"
    return f"no forecast of {provider!r} in this time (there are: {', '.join(names)})"


def _judged(provider: str, told: Sequence[Forecast], truth: Truth) -> Judged:
    vintages = vintages_from(told, slot_number(truth.start))
    true_w = truth.of(provider)
    lit = true_w > 0.0 if provider != LOAD else np.ones(len(true_w), dtype=np.bool_)
    return Judged(provider, tuple(told), tuple(judged(vintages, true_w, lit)))


def _truth(rows: Sequence[HouseEnergy], start: datetime, end: datetime) -> Truth:
    count = max(0, (end - start) // SLOT)
    sun_w, load_w = np.full(count, np.nan), np.full(count, np.nan)
    for row in rows:
        number, known_s = (row.start - start) // SLOT, _SLOT_S - row.missing_s
        if 0 <= number < count and known_s >= _LEAST_KNOWN_S:
            to_w = W_PER_KW / SLOT_H * _SLOT_S / known_s
            sun_w[number], load_w[number] = row.pv_kwh * to_w, row.base_load_kwh * to_w
    return Truth(start, np.maximum(sun_w, 0.0), np.maximum(load_w, 0.0))


def _line(verdict: Verdict) -> str:
    begin_h, end_h = verdict.lead_from * SLOT_H, verdict.lead_until * SLOT_H
    lead = f"{begin_h:g}-{end_h:g} h"
    if not verdict.cases:
        return f"{lead:<9} {verdict.cases:>7}         -                -                       -"
    skill = "-" if math.isnan(verdict.skill) else f"{verdict.skill:.0%}"
    return f"{lead:<9} {verdict.cases:>7} {verdict.pinball_w:>7.0f} W {verdict.coverage:>16.0%} {skill:>23}"


def _document(verdict: Verdict) -> dict[str, Any]:
    told = {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in asdict(verdict).items()
    }
    hours = {"lead_from_h": verdict.lead_from * SLOT_H, "lead_until_h": verdict.lead_until * SLOT_H}
    return hours | {name: value for name, value in told.items() if not name.startswith("lead_")}
