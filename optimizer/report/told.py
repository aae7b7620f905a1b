"""What is told of a day or a month: the same lines for text, page and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from optimizer.report.day import DayLog
from optimizer.report.score import ACTUAL, BOUND
from optimizer.store.scores import ScoreRow

COLUMNS = ("", "cost €", "car kWh", "sun", "unmet kWh", "changes", "regret €", "skill")
_BOUNDS = {"mode_bound": "best of four modes", "lp_bound": "best of all"}
_ORDER = {ACTUAL: 0, "active": 1, "shadow": 2, "strategy": 3, BOUND: 4}


@dataclass(frozen=True, slots=True)
class Line:
    """One strategy's figures over a day, or their sums over `days`."""

    strategy: str
    kind: str
    name: str
    cost_eur: float | None
    regret_eur: float | None
    ev_kwh: float | None
    ev_solar_kwh: float | None
    unmet_kwh: float | None
    mode_changes: int | None
    skill: float | None
    days: int = 1

    @property
    def label(self) -> str:
        """How the line is called for people."""
        if self.kind == BOUND:
            return _BOUNDS.get(self.strategy, self.strategy)
        return f"{self.strategy} ({self.name})" if self.name not in {"", self.strategy} else self.strategy

    @property
    def solar_share(self) -> float | None:
        """How much of the car's energy was sun, 0 to 1."""
        if not self.ev_kwh or self.ev_solar_kwh is None:
            return None
        return self.ev_solar_kwh / self.ev_kwh

    @property
    def cells(self) -> tuple[str, ...]:
        """The figures as text, in the order of `COLUMNS`."""
        share = self.solar_share
        return (
            self.label,
            _number(self.cost_eur, 2),
            _number(self.ev_kwh, 1),
            "" if share is None else f"{share:.0%}",
            _number(self.unmet_kwh, 1),
            "" if self.mode_changes is None else str(self.mode_changes),
            _number(self.regret_eur, 2),
            _number(self.skill, 2),
        )

    def document(self) -> Mapping[str, Any]:
        """Return the line as plain values."""
        return {**asdict(self), "solar_share": self.solar_share}


def line_of(row: ScoreRow) -> Line:
    """Return the line of one row of table `score`."""
    return Line(
        strategy=row.strategy,
        kind=row.kind,
        name=str(row.detail.get("name", "")),
        cost_eur=row.cost_eur,
        regret_eur=row.regret_eur,
        ev_kwh=row.ev_kwh,
        ev_solar_kwh=row.ev_solar_kwh,
        unmet_kwh=row.unmet_kwh,
        mode_changes=row.mode_changes,
        skill=row.detail.get("skill"),
    )


def in_order(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return what happened first, the strategies by cost, the bounds last."""
    return tuple(sorted(lines, key=_rank))


def _rank(line: Line) -> tuple[int, float, str]:
    cost_eur = line.cost_eur or 0.0
    # The bound that regret is told against comes first, though the other is lower.
    return _ORDER.get(line.kind, 3), -cost_eur if line.kind == BOUND else cost_eur, line.strategy


def headline(log: DayLog) -> str:
    """Return the day's result in a sentence."""
    car_kwh, sun_kwh = float(log.accounts.ev_kwh.sum()), float(log.accounts.ev_solar_kwh.sum())
    day = f"{log.day.date:%A, %-d %B %Y}"
    if car_kwh <= 0.0:
        return f"{day}: nothing into the car"
    return f"{day}: {car_kwh:.1f} kWh into the car, {sun_kwh / car_kwh:.0%} of them sun"


def text_table(lines: Sequence[Line]) -> Iterator[str]:
    """Yield the table as lines of text."""
    rows = [COLUMNS, *(line.cells for line in lines)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS))]
    for row in rows:
        first, *others = (
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join((first, *others)).rstrip()


def _number(value: float | None, digits: int) -> str:
    """Return a number, without the minus of a zero."""
    if value is None:
        return ""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0.0 else text
