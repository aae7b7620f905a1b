"""`sunmode backtest`: what strategies would have made of past days, in euros and kilowatt hours."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from optimizer.backtest.assemble import CaseOptions, assemble
from optimizer.backtest.case import Case
from optimizer.backtest.comparison import Comparison, OnRun, RunOptions, compare, document
from optimizer.backtest.lineup import Entry, lineup
from optimizer.backtest.runs import Run
from optimizer.backtest.trace_file import write_trace
from optimizer.cli.backtest_data import CaseAsked, case_options, data_options
from optimizer.cli.backtest_settings import FromConfig, from_config
from optimizer.store.instants import to_json


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options beside those of the data, as click hands them over."""

    strategy: tuple[str, ...]
    settings: tuple[str, ...]
    bound: bool
    trace: Path | None
    as_json: bool
    reference: bool


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option("--strategy", multiple=True, help="A strategy, a mode, or module:Class; repeatable."),
    click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter; or STRATEGY.KEY=VALUE."
    ),
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
)


@click.command("backtest")
@data_options
@_options
def backtest_command(**options: Any) -> None:
    """Tell what strategies would have made of past days."""
    asked = _Asked(**{name: options.pop(name) for name in _Asked.__dataclass_fields__})
    data = CaseAsked(**options)
    found = from_config(data.config_path, os.environ) if data.config_path else FromConfig()
    entries = lineup(asked.strategy, asked.settings, found.tables)
    cases = [_assembled(case_options(house, data, found), found.notes) for house in data.house]
    running = RunOptions(found.control, not asked.reference, asked.trace is not None, asked.bound)
    compared = _compared(cases, entries, running, asked)
    if asked.as_json:
        documents = [document(one) for one in compared]
        click.echo(to_json(documents if len(documents) > 1 else documents[0]))
        return
    from optimizer.cli.backtest_view import show

    for one in compared:
        show(one)


def _assembled(options: CaseOptions, notes: tuple[str, ...]) -> tuple[Case, tuple[str, ...]]:
    case, said = assemble(options)
    return case, (*notes, *said)


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
