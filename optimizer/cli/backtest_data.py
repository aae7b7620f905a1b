"""The options that name a house, its car and its prices: the same for every command that runs past days."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from optimizer.backtest.assemble import CaseOptions
from optimizer.backtest.goals import GoalSource
from optimizer.backtest.house_file import MOST_SCALE, HouseColumns
from optimizer.backtest.price_file import Prices
from optimizer.cli import config_option
from optimizer.cli.backtest_settings import FromConfig

FILE = click.Path(path_type=Path)
_DATE = click.DateTime(["%Y-%m-%d"])


@dataclass(frozen=True, slots=True)
class CaseAsked:
    """These options, as click hands them over."""

    house: tuple[Path, ...]
    sessions: Path | None
    user: str | None
    prices: Path | None
    price_adder: float
    price_factor: float
    price: float | None
    feed_in: float | None
    pv_scale: float
    pv_column: str
    load_column: str
    forecast: Path | None
    goals: str
    since: datetime | None
    until: datetime | None
    config_path: Path | None


_OPTIONS = (
    click.option(
        "--house",
        required=True,
        multiple=True,
        type=FILE,
        help="CSV or Parquet with time, pv_w, load_w (without the car), or your own sunmode.db; repeatable.",
    ),
    click.option(
        "--sessions", type=FILE, help="CSV with arrival, departure, energy_kwh; a sunmode.db brings its own."
    ),
    click.option("--user", help="Whose sessions, where the file has several users (or chargers)."),
    click.option("--prices", type=FILE, help="CSV or Parquet with time, eur_per_kwh."),
    click.option(
        "--price-adder", type=float, default=0.0, help="EUR per kWh on top of the file's: taxes, fees."
    ),
    click.option("--price-factor", type=float, default=1.0, help="Factor on the file's prices, before that."),
    click.option("--price", type=float, help="One price for all times, EUR per kWh; 0.30 if not given."),
    click.option("--feed-in", type=float, help="What exported energy earns, EUR per kWh; 0.08 if not given."),
    click.option(
        "--pv-scale",
        default=1.0,
        type=click.FloatRange(0.0, MOST_SCALE),
        help="Factor on the production: a smaller or larger roof.",
    ),
    click.option("--pv-column", default="pv_w", help="The column of the production; pv_w if not given."),
    click.option("--load-column", default="load_w", help="The column of the load; load_w if not given."),
    click.option(
        "--forecast", type=FILE, help="CSV or Parquet with issued, time, p10_w, p50_w, p90_w, in W."
    ),
    click.option(
        "--goals",
        type=click.Choice([source.value for source in GoalSource]),
        default=GoalSource.ANNOUNCED.value,
        help="Who tells what the car needs: its driver, its habits, or the configuration.",
    ),
    click.option("--from", "since", type=_DATE, help="The first day that counts."),
    click.option("--to", "until", type=_DATE, help="The first day that counts no more."),
    config_option,
)


def data_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def case_options(house: Path, asked: CaseAsked, found: FromConfig) -> CaseOptions:
    """Return what to build the case of one house from; what the command line says goes first."""
    flat, feed_in = asked.price, asked.feed_in
    prices = Prices(
        file=asked.prices,
        factor=asked.price_factor,
        adder=asked.price_adder,
        flat_eur_per_kwh=found.tariff.import_eur_per_kwh if flat is None else flat,
        feed_in_eur_per_kwh=found.tariff.feed_in_eur_per_kwh if feed_in is None else feed_in,
    )
    return CaseOptions(
        house=house,
        sessions=asked.sessions,
        user=asked.user,
        columns=HouseColumns(asked.pv_column, asked.load_column, asked.pv_scale),
        prices=prices,
        goals=GoalSource(asked.goals),
        weekly=found.weekly,
        zone=found.zone,
        home=found.home,
        since=_midnight(asked.since, found),
        until=_midnight(asked.until, found),
        forecast=asked.forecast,
    )


def _midnight(day: datetime | None, found: FromConfig) -> datetime | None:
    """Return the day's beginning in the site's zone, in UTC where none is known."""
    return None if day is None else day.replace(tzinfo=found.zone or UTC).astimezone(UTC)
