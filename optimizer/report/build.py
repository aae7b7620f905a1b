"""A report: the scores of a day or of a month, those that the log lacks worked out on the spot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from optimizer.errors import InputError
from optimizer.report.day import DayLog, LocalDay, logged_days, read_day
from optimizer.report.picture import Best, DayPicture
from optimizer.report.replay import Site, case_of, prices_of, replay
from optimizer.report.score import ACTUAL, BOUND, DayScore, best_of, score_day
from optimizer.report.told import Line, headline, in_order, line_of
from optimizer.store.scores import ScoreRow, read_scores

_ONE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DayReport:
    """One day: its score as stored or as worked out now."""

    site: Site
    log: DayLog
    rows: tuple[ScoreRow, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """The day in a sentence."""
        return headline(self.log)

    @property
    def lines(self) -> tuple[Line, ...]:
        """What happened first."""
        return in_order(line_of(row) for row in self.rows)

    def picture(self) -> DayPicture:
        """Return what there is to draw; the best strategy is run once more, for its trace."""
        price, _ = prices_of(self.log, self.site, self.log.day.slots)
        return DayPicture(self.title, self.log, price, self._best())

    def document(self) -> Mapping[str, Any]:
        """Return the report as plain values."""
        day = self.log.day
        return {
            "day": day.date,
            "from": day.start,
            "to": day.end,
            "charger": self.log.charger,
            "unknown_share": self.log.unknown_share,
            "strategies": [
                {**line.document(), "detail": _detail(self.rows, line.strategy)} for line in self.lines
            ],
            "notes": list(self.notes),
        }

    def _best(self) -> Best | None:
        best = best_of(self.rows)
        who = [one for one in self.site.contenders if best is not None and one.entry.name == best.strategy]
        if best is None or not self.log.stays or not who:
            return None
        done, _failed = replay(case_of(self.log, self.site), self.site, who, trace=True)
        if not done or done[0].trace is None:
            return None
        name = best.strategy if best.kind == "strategy" else who[0].name
        return Best.of(name, done[0].trace, self.log.day.minutes)


@dataclass(frozen=True, slots=True)
class MonthDay:
    """One day of a month: its rows, of which there may be none."""

    date: date
    rows: tuple[ScoreRow, ...]

    def of_kind(self, kind: str, strategy: str | None = None) -> ScoreRow | None:
        """Return the first row of this kind, and of this strategy if one is named."""
        return next((r for r in self.rows if r.kind == kind and strategy in {None, r.strategy}), None)


@dataclass(frozen=True, slots=True)
class MonthReport:
    """A month's days that are in the log, and their sums; only days that are scored count."""

    month: date
    charger: str
    days: tuple[MonthDay, ...]
    notes: tuple[str, ...]

    @property
    def scored(self) -> tuple[MonthDay, ...]:
        """The days whose strategies were replayed."""
        return tuple(day for day in self.days if day.of_kind(BOUND) is not None)

    @property
    def title(self) -> str:
        """The month in a sentence."""
        actual = next((line for line in self.lines if line.kind == ACTUAL), None)
        days = len(self.scored)
        told = f"{self.month:%B %Y}, {days} {'day' if days == 1 else 'days'} scored"
        if actual is None or actual.solar_share is None:
            return told
        return f"{told}: {actual.ev_kwh:.0f} kWh into the car, {actual.solar_share:.0%} of them sun"

    @property
    def lines(self) -> tuple[Line, ...]:
        """Sums over the days that are scored."""
        sums: dict[str, Line] = {}
        for day in self.scored:
            for row in day.rows:
                line, before = line_of(row), sums.get(row.strategy)
                sums[row.strategy] = line if before is None else _plus(before, line)
        return in_order(_with_skill(line, sums) for line in sums.values())

    def document(self) -> Mapping[str, Any]:
        """Return the report as plain values."""
        return {
            "month": f"{self.month:%Y-%m}",
            "charger": self.charger,
            "scored_days": [day.date for day in self.scored],
            "strategies": [line.document() for line in self.lines],
            "days": [
                {"day": day.date, "strategies": [line_of(row).document() for row in day.rows]}
                for day in self.days
            ],
            "notes": list(self.notes),
        }


def day_report(site: Site, day: date) -> DayReport:
    """Return the report of a day that has ended.

    Raises:
        InputError: no readable log, or nothing in it about this day.

    """
    rows = read_scores(site.path, day, day)
    if rows:
        log = read_day(site.path, LocalDay(day, site.zone), site.home.charger.name)
        return DayReport(site, log, rows, site.notes)
    score: DayScore = score_day(site, day)
    return DayReport(site, score.log, score.rows, score.notes)


def month_report(site: Site, month: date, today: date) -> MonthReport:
    """Return the report of a month, up to yesterday; `month` is its first day.

    Raises:
        InputError: no readable log, or nothing in it about this month.

    """
    extent = logged_days(site.path, site.zone)
    after = (month + 32 * _ONE).replace(day=1)
    first, last = month, min(after, today) - _ONE
    if extent is not None:
        first, last = max(first, extent[0]), min(last, extent[1])
    if extent is None or first > last:
        goes = "it is empty" if extent is None else f"it goes from {extent[0]} to {extent[1]}"
        raise InputError(f"{site.path}: has no whole day of {month:%Y-%m}; {goes}")
    notes: list[str] = list(site.notes)
    days = tuple(_month_days(site, first, last, notes))
    return MonthReport(month, site.home.charger.name, days, tuple(notes))


def _month_days(site: Site, first: date, last: date, notes: list[str]) -> Iterator[MonthDay]:
    stored: dict[date, list[ScoreRow]] = {}
    for row in read_scores(site.path, first, last):
        stored.setdefault(row.day, []).append(row)
    for back in range((last - first).days + 1):
        day = first + back * _ONE
        if day in stored:
            yield MonthDay(day, tuple(stored[day]))
            continue
        try:
            score = score_day(site, day)
        except InputError as error:
            notes.append(str(error))
            continue
        notes += [note for note in score.notes if note not in notes]
        yield MonthDay(day, score.rows)


def _detail(rows: Sequence[ScoreRow], strategy: str) -> Mapping[str, Any]:
    return next(row.detail for row in rows if row.strategy == strategy)


def _plus(one: Line, other: Line) -> Line:
    return replace(
        one,
        cost_eur=_sum(one.cost_eur, other.cost_eur),
        regret_eur=_sum(one.regret_eur, other.regret_eur),
        ev_kwh=_sum(one.ev_kwh, other.ev_kwh),
        ev_solar_kwh=_sum(one.ev_solar_kwh, other.ev_solar_kwh),
        unmet_kwh=_sum(one.unmet_kwh, other.unmet_kwh),
        mode_changes=None if one.mode_changes is None else one.mode_changes + (other.mode_changes or 0),
        days=one.days + other.days,
    )


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _with_skill(line: Line, sums: Mapping[str, Line]) -> Line:
    """Return the line with its skill over all days, where both ends of the scale cover the same days."""
    fast, bound = sums.get("fast"), sums.get("mode_bound")
    if line.kind == BOUND or fast is None or bound is None or not fast.days == bound.days == line.days:
        return replace(line, skill=None)
    if line.cost_eur is None or fast.cost_eur is None or bound.cost_eur is None:
        return replace(line, skill=None)
    reach_eur = fast.cost_eur - bound.cost_eur
    skill = 1.0 - (line.cost_eur - bound.cost_eur) / reach_eur if reach_eur > 0.0 else None
    return replace(line, skill=skill)
