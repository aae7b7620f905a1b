"""A verdict of `tune` for people."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from optimizer.tune.told import About, section
from optimizer.tune.verdict import Judged, Side, Verdict

_COLUMNS = (
    "judged on",
    "params",
    "€ a year",
    "sun",
    "unmet kWh",
    "changes a day",
    "skill",
    "better",
    "worse",
)
_LEAST_WIDTH = 96


def show(verdict: Verdict, about: About) -> None:
    """Print what both parameters came to on the held-out weeks, and the section or why there is none."""
    console = Console()
    console.width = max(console.width, _LEAST_WIDTH)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in _COLUMNS[:2] else "right", no_wrap=True)
    for judged in verdict.judged:
        _add(table, judged)
    console.print(table)
    for note in about.notes:
        console.print(note, markup=False, soft_wrap=True)
    if verdict.is_better:
        console.print("Better on weeks that were not tuned on. For config.toml:\n")
        console.print(section(verdict, about), markup=False, highlight=False, soft_wrap=True)
        return
    console.print("No better than what you have:")
    for reason in verdict.against:
        console.print(f"- {reason}", markup=False, soft_wrap=True)


def _add(table: Table, judged: Judged) -> None:
    weeks = judged.split.judged
    name = f"{weeks[0]} to {weeks[-1]}"
    if judged.split.tuned[-1].start > weeks[0].start:
        name = f"{judged.weeks} even weeks"
    table.add_row(name, "in use", *_cells(judged.current))
    table.add_row("", "found", *_cells(judged.tuned), str(judged.better), str(judged.worse))


def _cells(side: Side) -> list[str]:
    return [
        f"{side.cost_eur_per_year:.2f}",
        f"{side.solar_share:.1%}",
        f"{side.figures.unmet_kwh:.1f}",
        f"{side.changes_per_day:.1f}",
        "" if side.skill is None else f"{side.skill:.3f}",
    ]
