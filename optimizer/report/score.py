"""A day's score: what happened, what each strategy would have made of it, the best there could have been."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from optimizer.backtest.lineup import YARDSTICK
from optimizer.backtest.runs import Totals
from optimizer.backtest.truth import truth_of
from optimizer.errors import InputError
from optimizer.planning.bound import Bound, lp_bound, mode_bound
from optimizer.report.day import DayLog, LocalDay, logged_days, read_day
from optimizer.report.replay import (
    UNMET_EUR_PER_KWH,
    Contender,
    DayCase,
    Replayed,
    Site,
    case_of,
    prices_of,
    replay,
)
from optimizer.store.scores import ScoreRow, read_scores, write_scores

MOST_UNKNOWN = 0.25
"""A day of which more is not known gets no score."""
CATCH_UP = timedelta(days=31)
"""How far back days are looked for that have no score yet."""
ACTUAL, BOUND = "actual", "bound"

_LEAST_EUR = 1e-9


@dataclass(frozen=True, slots=True)
class DayScore:
    """The rows of a day, `actual` first, or why there are none; and what else there is to say."""

    log: DayLog
    rows: tuple[ScoreRow, ...]
    notes: tuple[str, ...]

    @property
    def is_scored(self) -> bool:
        """Whether the strategies were replayed."""
        return any(row.kind != ACTUAL for row in self.rows)


@dataclass(frozen=True, slots=True)
class _Measure:
    """What regret and skill are told against."""

    modes: Bound
    lp: Bound
    fast_eur: float | None

    def regret_eur(self, cost_eur: float) -> float:
        return cost_eur - self.modes.cost_eur

    def skill(self, cost_eur: float) -> float | None:
        if self.fast_eur is None or self.fast_eur - self.modes.cost_eur <= _LEAST_EUR:
            return None
        return 1.0 - self.regret_eur(cost_eur) / (self.fast_eur - self.modes.cost_eur)


def score_day(site: Site, day: date) -> DayScore:
    """Return the score of a day that has ended; nothing is written.

    Raises:
        InputError: no readable log, or nothing in it about this day.

    """
    log = read_day(site.path, LocalDay(day, site.zone), site.home.charger.name)
    if log.unknown_share > MOST_UNKNOWN:
        most = f"more than {MOST_UNKNOWN:.0%} cannot be scored"
        note = f"{day}: {log.unknown_share:.0%} of the day is not known; {most}"
        return DayScore(log, (_actual(log, site, None),), (note,))
    case = case_of(log, site)
    done, failed = replay(case, site, site.contenders)
    measure = _measure(case, done)
    rows = (_actual(log, site, measure), *_rows(log, case, done, measure))
    return DayScore(log, rows, (*site.notes, *_notes(log), *failed))


def catch_up(
    site: Site, today: date, tell: Callable[[str], None], days: timedelta = CATCH_UP
) -> tuple[date, ...]:
    """Score the days before `today` that have no score yet, the newest first; return those that got one.

    Raises:
        InputError: no readable log.
        StoreUnavailable: the score cannot be written.

    """
    extent = logged_days(site.path, site.zone)
    if extent is None:
        return ()
    first, last = max(extent[0], today - days), min(extent[1], today - timedelta(days=1))
    there = {row.day for row in read_scores(site.path, first, last)}
    missing = [last - timedelta(days=back) for back in range((last - first).days + 1)]
    return tuple(day for day in missing if day not in there and record(site, day, tell))


def record(site: Site, day: date, tell: Callable[[str], None]) -> bool:
    """Score a day and write it, in place of an earlier score; tell what came of it and whether it was scored.

    Raises:
        InputError: no readable log.
        StoreUnavailable: the score cannot be written.

    """
    try:
        score = score_day(site, day)
    except InputError as error:
        tell(str(error))
        return False
    for note in score.notes:
        tell(note)
    if not score.is_scored:
        return False
    write_scores(site.path, day, score.rows)
    tell(f"{day}: {_headline(score)}")
    return True


def best_of(rows: Sequence[ScoreRow]) -> ScoreRow | None:
    """Return the replayed strategy that cost least; the one in use where several did."""
    replayed = [row for row in rows if row.kind not in {ACTUAL, BOUND} and row.cost_eur is not None]
    order = {"active": 0, "shadow": 1}
    return min(
        replayed, key=lambda row: (round(row.cost_eur or 0.0, 4), order.get(row.kind, 2)), default=None
    )


def _headline(score: DayScore) -> str:
    actual, best = score.rows[0], best_of(score.rows)
    told = f"cost {actual.cost_eur:.2f} EUR, {actual.ev_kwh:.1f} kWh into the car"
    if best is None:
        return told
    return f"{told}; best replayed: {best.strategy} with {best.cost_eur:.2f} EUR"


def _measure(day: DayCase, done: Sequence[Replayed]) -> _Measure:
    truth = truth_of(day.case)
    fast = (one.totals.cost_eur for one in done if one.contender.entry.name == YARDSTICK)
    return _Measure(mode_bound(truth), lp_bound(truth), next(fast, None))


def _actual(log: DayLog, site: Site, measure: _Measure | None) -> ScoreRow:
    """Return what the accounts say, at the same prices, over the time that is known."""
    known, accounts = log.known_slots, log.accounts
    price, feed_in = prices_of(log, site, log.day.slots)
    import_kwh, export_kwh = accounts.import_kwh[known], accounts.export_kwh[known]
    unmet_kwh = sum(stay.missed_kwh for stay in log.stays)
    house_eur = float(np.sum(import_kwh * price[known]) - np.sum(export_kwh * feed_in[known]))
    totals = Totals(
        cost_eur=house_eur + unmet_kwh * UNMET_EUR_PER_KWH,
        ev_kwh=float(accounts.ev_kwh[known].sum()),
        ev_solar_kwh=float(accounts.ev_solar_kwh[known].sum()),
        ev_grid_kwh=float(accounts.ev_grid_kwh[known].sum()),
        unmet_kwh=unmet_kwh,
        import_kwh=float(import_kwh.sum()),
        export_kwh=float(export_kwh.sum()),
        mode_changes=log.mode_changes,
        api_calls=log.api_calls,
    )
    return _row(log, ACTUAL, totals, measure, {"kind": ACTUAL})


def _rows(log: DayLog, day: DayCase, done: Sequence[Replayed], measure: _Measure) -> Iterator[ScoreRow]:
    for one in done:
        yield _row(log, one.contender.entry.name, one.totals, measure, _who(one.contender))
    for name, bound in (("mode_bound", measure.modes), ("lp_bound", measure.lp)):
        detail = {
            "kind": BOUND,
            "grid_error_eur": bound.grid_error_eur,
            "need_kwh": sum(visit.energy_kwh for visit in day.case.visits),
            "cars": len(day.case.visits),
            "unknown_share": log.unknown_share,
        }
        regret_eur = measure.regret_eur(bound.cost_eur)
        yield ScoreRow(log.day.date, name, bound.cost_eur, regret_eur, None, None, None, None, None, detail)


def _who(contender: Contender) -> dict[str, Any]:
    return {"kind": contender.kind, "name": contender.name, "params": dict(contender.entry.params)}


def _row(
    log: DayLog, strategy: str, totals: Totals, measure: _Measure | None, who: dict[str, Any]
) -> ScoreRow:
    extra = ("import_kwh", "export_kwh", "api_calls")
    sums = asdict(totals)
    detail = {**who, **{name: sums.pop(name) for name in extra}, "unknown_share": log.unknown_share}
    if measure is not None:
        bounds = {"mode": measure.modes.cost_eur, "lp": measure.lp.cost_eur}
        detail |= {"skill": measure.skill(totals.cost_eur), "bounds_eur": bounds}
    regret_eur = None if measure is None else measure.regret_eur(totals.cost_eur)
    return ScoreRow(day=log.day.date, strategy=strategy, regret_eur=regret_eur, detail=detail, **sums)


def _notes(log: DayLog) -> Iterator[str]:
    hours = (len(log.known) - int(log.known.sum())) / 60
    if hours:
        yield f"{log.day.date}: {hours:.1f} h are not known and left out"
