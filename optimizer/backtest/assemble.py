"""From files and options to the case of a backtest: all is read and checked before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from optimizer.ahead import NO_HABITS
from optimizer.backtest.case import SLOT_MIN, Case, Foresight, GoalSpan, Home, Visit
from optimizer.backtest.forecast_file import read_forecast
from optimizer.backtest.foresight import published
from optimizer.backtest.goals import GoalSource, announced_goals, habit_goals, visit_habits, weekly_goals
from optimizer.backtest.habit import REFERENCE, HabitLaw
from optimizer.backtest.house_file import HouseColumns, HouseData, read_house
from optimizer.backtest.own_log import read_own_house, read_own_sessions
from optimizer.backtest.price_file import Prices, feed_in_prices, import_prices
from optimizer.backtest.table_file import is_sqlite
from optimizer.backtest.visits import NumberedSession, one_at_a_time, read_numbered, visits_of
from optimizer.config.sections import WeeklyGoal
from optimizer.errors import InputError


@dataclass(frozen=True, slots=True)
class CaseOptions:
    """What to build a case from; what is left out is as in the reference case.

    `house` is CSV, Parquet or sunmode's own log; only a log brings its sessions with it.  Of the time only
    `[since, until)` is used.  `weekly` are the goals of a configuration, `zone` the site's.
    """

    house: Path
    sessions: Path | None = None
    user: str | None = None
    columns: HouseColumns = field(default_factory=HouseColumns)
    prices: Prices = field(default_factory=Prices)
    goals: GoalSource = GoalSource.ANNOUNCED
    weekly: tuple[WeeklyGoal, ...] = ()
    zone: ZoneInfo | None = None
    home: Home = field(default_factory=Home)
    since: datetime | None = None
    until: datetime | None = None
    habit: HabitLaw = REFERENCE
    forecast: Path | None = None


def assemble(options: CaseOptions) -> tuple[Case, tuple[str, ...]]:
    """Return the case, and what there is to say about the data it is made of.

    Raises:
        InputError: what is wrong, with the file, its column and line, and what would be right.

    """
    own_log = is_sqlite(options.house)
    house = _house(options, own_log=own_log).between(options.since, options.until)
    sessions, said = _sessions(options, own_log=own_log)
    source = (options.sessions or options.house).name
    kept, overlaps = one_at_a_time(source, sessions)
    visits, left_out = visits_of(source, kept, house)
    slots = -(-(len(house.pv_w) + house.start.minute % SLOT_MIN) // SLOT_MIN)
    prices, stood = import_prices(options.prices, house.start, slots)
    case = Case(
        house=str(options.house),
        start=house.start,
        pv_w=house.pv_w,
        load_w=house.load_w,
        known=house.known,
        visits=visits,
        goals=_goals(options, visits, kept, house),
        price_eur_per_kwh=prices,
        feed_in_eur_per_kwh=feed_in_prices(options.prices, slots),
        home=options.home,
        foresight=_foresight(options, visits, kept, house, slots),
        zone=options.zone,
    )
    return case, (*house.notes, *said, *overlaps, *left_out, *stood)


def _house(options: CaseOptions, *, own_log: bool) -> HouseData:
    if own_log:
        return read_own_house(options.house, options.columns.pv_scale)
    return read_house(options.house, options.columns)


def _sessions(options: CaseOptions, *, own_log: bool) -> tuple[tuple[NumberedSession, ...], tuple[str, ...]]:
    if options.sessions is not None:
        return read_numbered(options.sessions, options.user), ()
    if own_log:
        return read_own_sessions(options.house, options.user)
    raise InputError("no sessions: name a file with arrival, departure, energy_kwh by --sessions")


def _foresight(
    options: CaseOptions,
    visits: Sequence[Visit],
    sessions: Sequence[NumberedSession],
    house: HouseData,
    slots: int,
) -> Foresight:
    """Return the forecast that was given, what the cars are thought to do, and when prices are known."""
    first = house.start - timedelta(minutes=house.start.minute % SLOT_MIN)
    by_habit = options.goals is GoalSource.HABIT
    return Foresight(
        pv=None if options.forecast is None else read_forecast(options.forecast, first, slots),
        habits=visit_habits(visits, sessions, options.zone) if by_habit else NO_HABITS,
        priced_until=None if options.prices.file is None else published(first, slots),
    )


def _goals(
    options: CaseOptions, visits: Sequence[Visit], sessions: Sequence[NumberedSession], house: HouseData
) -> tuple[GoalSpan, ...]:
    match options.goals:
        case GoalSource.ANNOUNCED:
            return announced_goals(visits)
        case GoalSource.HABIT:
            return habit_goals(visits, sessions, house, options.zone, options.habit)
        case GoalSource.CONFIG:
            if not options.weekly or options.zone is None:
                raise InputError("--goals config: the configuration has no [[charger.goal]]")
            return weekly_goals(options.weekly, options.zone, house)
