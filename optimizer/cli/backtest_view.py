"""A comparison of strategies as a table for people."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from optimizer.backtest.comparison import Comparison, Result
from optimizer.backtest.house_file import stamp

_COLUMNS = ("strategy", "cost €", "car", "sun", "unmet", "import", "export", "changes", "calls")
_BOUNDED = ("regret €", "skill")
_LEAST_WIDTH = 96
"""A narrower table would lose figures; a terminal can break lines, a file need not."""


def show(compared: Comparison) -> None:
    """Print the strategies' figures, the bounds, and what there is to say about the data."""
    console = Console()
    console.width = max(console.width, _LEAST_WIDTH)
    case = compared.case
    need_kwh = sum(visit.energy_kwh for visit in case.visits)
    days = int(case.known.sum()) / 1440
    console.print(f"{case.house}: {stamp(case.start)} to {stamp(case.end)}, {days:.1f} days", markup=False)
    console.print(f"{len(case.visits)} sessions that take {need_kwh:.0f} kWh in all", markup=False)
    console.print(_table(compared))
    if compared.bound is not None and compared.mode_bound is not None:
        console.print(f"best that four modes could have cost: {compared.mode_bound.cost_eur:.2f} €")
        console.print(f"best that anything could have cost: {compared.bound.cost_eur:.2f} €")
    for note in compared.notes:
        console.print(note, markup=False, soft_wrap=True)


def _table(compared: Comparison) -> Table:
    bounded = compared.bound is not None
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        caption="energies in kWh",
        caption_justify="left",
    )
    for name in _COLUMNS + (_BOUNDED if bounded else ()):
        table.add_column(name, justify="left" if name == _COLUMNS[0] else "right", no_wrap=True)
    for result in compared.results:
        table.add_row(*_cells(result, bounded=bounded))
    return table


def _cells(result: Result, *, bounded: bool) -> list[str]:
    totals = result.run.totals
    cells = [
        result.name,
        f"{totals.cost_eur:.2f}",
        f"{totals.ev_kwh:.1f}",
        f"{totals.ev_solar_kwh:.1f}",
        f"{totals.unmet_kwh:.1f}",
        f"{totals.import_kwh:.0f}",
        f"{totals.export_kwh:.0f}",
        f"{totals.mode_changes}",
        f"{totals.api_calls}",
    ]
    if bounded:
        cells += [_number(result.regret_eur, 2), _number(result.skill, 3)]
    return cells


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
