"""`sunmode tune`: search a strategy's parameters on past weeks, and judge them on others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from optimizer.backtest.assemble import assemble
from optimizer.backtest.lineup import lineup
from optimizer.backtest.table_file import is_sqlite
from optimizer.cli.backtest_data import FILE, CaseAsked, case_options, data_options
from optimizer.cli.backtest_settings import FromConfig, from_config
from optimizer.errors import InputError
from optimizer.plugins import load_strategy
from optimizer.store.instants import to_json
from optimizer.tune.evaluate import Problem
from optimizer.tune.space import Space, space_of
from optimizer.tune.splits import splits_of
from optimizer.tune.study import Study
from optimizer.tune.told import About, document, section
from optimizer.tune.tuning import OnProgress, Options, Tuning
from optimizer.tune.verdict import Verdict
from optimizer.tune.weeks import weeks_of
from optimizer.tune.workers import Pool, cores, local_pool

_MOST_TRIALS = 100_000
_CACHE = Path("data/cache")


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options beside those of the data, as click hands them over."""

    strategy: str
    settings: tuple[str, ...]
    trials: int
    seed: int
    max_changes_per_day: float
    param: tuple[str, ...]
    jobs: int | None
    dask: str | None
    study: Path | None
    as_json: bool
    out: Path | None
    reference: bool


_OPTIONS = (
    click.option(
        "--strategy", default="threshold", help="The strategy, or module:Class; threshold if not given."
    ),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="A parameter as it is in use; repeatable.",
    ),
    click.option(
        "--trials",
        default=200,
        show_default=True,
        type=click.IntRange(1, _MOST_TRIALS),
        help="How many parameters each search tries.",
    ),
    click.option(
        "--seed", default=1, show_default=True, type=click.IntRange(0), help="Equal seeds, equal results."
    ),
    click.option(
        "--max-changes-per-day",
        default=8.0,
        show_default=True,
        type=click.FloatRange(0.0, min_open=True),
        help="How often the mode may change on a day with a car, on average.",
    ),
    click.option("--param", multiple=True, metavar="NAME", help="Search this one only; repeatable."),
    click.option(
        "--jobs", type=click.IntRange(1), help="Processes on this machine; as many as it has cores."
    ),
    click.option(
        "--dask", metavar="tcp://HOST:PORT", help="Run trials on the Dask cluster of this scheduler."
    ),
    click.option("--study", type=FILE, help="The file that keeps trials; the same command goes on with it."),
    click.option("--json", "as_json", is_flag=True, help="As one JSON object."),
    click.option("--out", type=FILE, help="Write the section for config.toml there, if there is one."),
    click.option("--reference", is_flag=True, help="In plain Python, uncompiled: the same, slowly."),
)


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command("tune")
@data_options
@_options
def tune_command(**options: Any) -> None:
    """Search a strategy's parameters on past weeks, and judge them on others."""
    own = {name: options.pop(name) for name in _Asked.__dataclass_fields__}
    asked, data = _Asked(**own), CaseAsked(**options)
    found = from_config(data.config_path, os.environ) if data.config_path else FromConfig()
    problem, space, about = _prepared(asked, data, found)
    tuning = Tuning(problem, space, Options(asked.trials, asked.seed, asked.max_changes_per_day))
    path = asked.study or _usual_study(problem, space, asked, data)
    with (
        Study.opened(path, _identity(problem, space, asked)) as study,
        _pool(problem, asked) as pool,
        _progress() as on_progress,
    ):
        verdict = tuning.run(pool, study, on_progress)
    _tell(verdict, about, asked)


def _prepared(asked: _Asked, data: CaseAsked, found: FromConfig) -> tuple[Problem, Space, About]:
    if len(data.house) > 1:
        raise InputError("--house: tune takes one house")
    (entry,) = lineup([asked.strategy], asked.settings, found.tables)
    if not entry.params:
        raise InputError(f"--strategy {asked.strategy}: has no parameters that could be searched")
    strategy = load_strategy(asked.strategy)
    space = space_of(strategy, asked.strategy, entry.params, asked.param)
    case, said = assemble(case_options(data.house[0], data, found))
    weeks = weeks_of(case, found.zone)
    problem = Problem(case, found.control, asked.strategy, splits_of(weeks), compiled=not asked.reference)
    about = About(
        entry.name,
        case.house,
        data.goals,
        asked.trials,
        asked.seed,
        asked.max_changes_per_day,
        (*found.notes, *said),
    )
    return problem, space, about


def _identity(problem: Problem, space: Space, asked: _Asked) -> dict[str, str]:
    """Return what a study is about; `--trials` may grow, and where it runs does not matter."""
    return {
        **problem.parts,
        "--strategy": asked.strategy,
        "--seed": str(asked.seed),
        "--max-changes-per-day": f"{asked.max_changes_per_day:g}",
        "--param": ", ".join(knob.name for knob in space.knobs),
        "parameters in use": to_json(dict(space.current)),
    }


def _usual_study(problem: Problem, space: Space, asked: _Asked, data: CaseAsked) -> Path:
    """Return the file of exactly this study: beside the log, or in the usual cache."""
    import hashlib

    house = data.house[0]
    folder = house.parent / "cache" if is_sqlite(house) else _CACHE
    name = hashlib.sha256(to_json(_identity(problem, space, asked)).encode()).hexdigest()[:12]
    return folder / f"tune-{name}.jsonl"


def _pool(problem: Problem, asked: _Asked) -> AbstractContextManager[Pool]:
    if asked.dask is None:
        return local_pool(problem, asked.jobs or cores())
    from optimizer.tune.cluster import cluster_pool

    return cluster_pool(problem, asked.dask, lambda told: click.echo(f"sunmode: warning: {told}", err=True))


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """Show on a terminal's standard error how far it is, what is left, and what has been gained."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _now: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as shown:
        bar = shown.add_task("trials", total=None)
        yield lambda now: shown.update(
            bar,
            completed=now.done,
            total=now.total,
            description=f"trials, {now.gain_eur:.2f} € gained so far",
        )


def _tell(verdict: Verdict, about: About, asked: _Asked) -> None:
    if asked.out is not None and verdict.is_better:
        try:
            asked.out.write_text(section(verdict, about), encoding="utf-8")
        except OSError as error:
            raise InputError(f"--out {asked.out}: {error.strerror}") from error
    if asked.as_json:
        click.echo(to_json(document(verdict, about)))
        return
    from optimizer.cli.tune_view import show

    show(verdict, about)
