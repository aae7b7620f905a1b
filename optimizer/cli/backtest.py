"""`sunmode backtest`: what strategies would have made of past days, in euros and kilowatt hours."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from optimizer.backtest.assemble import CaseOptions, assemble, check_forecast
from optimizer.backtest.case import Case
from optimizer.backtest.comparison import Comparison, OnRun, RunOptions, compare, document
from optimizer.backtest.goals import GoalSource
from optimizer.backtest.house_file import MOST_SCALE, HouseColumns
from optimizer.backtest.lineup import Entry, lineup
from optimizer.backtest.price_file import Prices
from optimizer.backtest.runs import Run
from optimizer.backtest.trace_file import write_trace
from optimizer.cli import config_option
from optimizer.cli.backtest_settings import FromConfig, from_config
from optimizer.store.instants import to_json

_FILE = click.Path(path_type=Path)
_DATE = click.DateTime(["%Y-%m-%d"])


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options of the command line, as click hands them over."""

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
    strategy: tuple[str, ...]
    settings: tuple[str, ...]
    goals: str
    since: datetime | None
    until: datetime | None
    bound: bool
    trace: Path | None
    as_json: bool
    reference: bool
    config_path: Path | None


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option(
        "--house",
        required=True,
        multiple=True,
        type=_FILE,
        help="CSV or Parquet with time, pv_w, load_w (without the car), or your own sunmode.db; repeatable.",
    ),
    click.option(
        "--sessions", type=_FILE, help="CSV with arrival, departure, energy_kwh; a sunmode.db brings its own."
    ),
    click.option("--user", help="Whose sessions, where the file has several users (or chargers)."),
    click.option("--prices", type=_FILE, help="CSV or Parquet with time, eur_per_kwh."),
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
        "--forecast", type=_FILE, help="CSV or Parquet with issued, time, p10_w, p50_w, p90_w; not used yet."
    ),
    click.option("--strategy", multiple=True, help="A strategy, a mode, or module:Class; repeatable."),
    click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter; or STRATEGY.KEY=VALUE."
    ),
    click.option(
        "--goals",
        type=click.Choice([source.value for source in GoalSource]),
        default=GoalSource.ANNOUNCED.value,
        help="Who tells what the car needs: its driver, its habits, or the configuration.",
    ),
    click.option("--from", "since", type=_DATE, help="The first day that counts."),
    click.option("--to", "until", type=_DATE, help="The first day that counts no more."),
    click.option("--bound", is_flag=True, help="Reckon the best there could have been; regret and skill."),
    click.option(
        "--trace",
        type=click.Path(file_okay=False, path_type=Path),
        help="A folder for each minute of each run, as Parquet.",
    ),
    click.option(
        "--json", "as_json", is_flag=True, help="As one JSON object; a list of them for many houses."
    ),
    click.option("--reference", is_flag=True, help="In plain Python, uncompiled: the same, slowly."),
    config_option,
)


@click.command("backtest")
@_options
def backtest_command(**options: Any) -> None:
    """Tell what strategies would have made of past days."""
    asked = _Asked(**options)
    found = from_config(asked.config_path, os.environ) if asked.config_path else FromConfig()
    entries = lineup(asked.strategy, asked.settings, found.tables)
    if asked.forecast is not None:
        check_forecast(asked.forecast)
    cases = [_assembled(_case_options(house, asked, found), found.notes) for house in asked.house]
    running = RunOptions(found.control, not asked.reference, asked.trace is not None, asked.bound)
    compared = _compared(cases, entries, running, asked)
    if asked.as_json:
        documents = [document(one) for one in compared]
        click.echo(to_json(documents if len(documents) > 1 else documents[0]))
        return
    from optimizer.cli.backtest_view import show

    for one in compared:
        show(one)


def _case_options(house: Path, asked: _Asked, found: FromConfig) -> CaseOptions:
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
    )


def _assembled(options: CaseOptions, notes: tuple[str, ...]) -> tuple[Case, tuple[str, ...]]:
    case, said = assemble(options)
    return case, (*notes, *said)


def _midnight(day: datetime | None, found: FromConfig) -> datetime | None:
    """Return the day's beginning in the site's zone, in UTC where none is known."""
    return None if day is None else day.replace(tzinfo=found.zone or UTC).astimezone(UTC)


def _compared(
    cases: Sequence[tuple[Case, tuple[str, ...]]],
    entries: Sequence[Entry],
    running: RunOptions,
    asked: _Asked,
) -> list[Comparison]:
    names = _folders([case.house for case, _ in cases])
    with _progress(len(cases) * len(entries)) as advance:
        return [
            compare(case, notes, entries, running, _on_run(case, name, asked.trace, advance))
            for (case, notes), name in zip(cases, names, strict=True)
        ]


def _folders(houses: Sequence[str]) -> list[str]:
    """Return the folder of each house's traces below the one named: none for a single house."""
    if len(houses) == 1:
        return [""]
    stems = [Path(house).stem for house in houses]
    return [stem if stems.count(stem) == 1 else f"{stem}-{n}" for n, stem in enumerate(stems, start=1)]


def _on_run(case: Case, folder: str, trace: Path | None, advance: Callable[[str], None]) -> OnRun:
    def ended(entry: Entry, run: Run) -> None:
        if trace is not None and run.trace is not None:
            write_trace(trace / folder / f"{entry.name}.parquet", case, run.trace)
        advance(entry.name)

    return ended


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """Show how far it is on a terminal's standard error; elsewhere nothing."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _name: None
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("backtest", total=total)
        yield lambda name: progress.update(task, advance=1, description=f"{name} done")
