"""What the demo tells at its end: the day's account out of its log, and where to look next."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich import box
from rich.table import Table

from optimizer.config import Settings
from optimizer.domain import Goal
from optimizer.store.queries import DayEnergy, day_energy, reading

_COUNTS = {
    "decisions written": "SELECT count(*) FROM decision",
    "commands sent": "SELECT count(*) FROM command WHERE sent_at NOT NULL",
    "  confirmed by reading back": "SELECT count(*) FROM command WHERE state = 'confirmed'",
    "calls made": "SELECT count(*) FROM call WHERE outcome IS NOT 'not_sent'",
}


@dataclass(frozen=True, slots=True)
class CloudCount:
    """What the virtual cloud has counted, by itself."""

    calls: int
    worst_minute: int


@dataclass(frozen=True, slots=True)
class Day:
    """The stretch that was played, and where its log is."""

    log: Path
    start: datetime
    end: datetime
    goal: Goal | None


def account(settings: Settings, day: Day, cloud: CloudCount) -> Table:
    """Return the account; every figure but the cloud's own count comes out of the log."""
    zone = settings.zone
    start, end = day.start.astimezone(zone), day.end.astimezone(zone)
    title = f"{start:%d %B %Y, %H:%M} to {end:%H:%M}, as its log has it"
    table = Table(title=title, title_justify="left", show_header=False, box=box.SIMPLE_HEAD)
    table.add_column()
    table.add_column(justify="right")
    energy = day_energy(day.log, day.start, day.end)
    for name, value in (*_energies(energy), *_money(settings, energy), *_goal(day, settings), *_counts(day)):
        table.add_row(name, value)
    table.add_row("calls counted by the cloud", f"{cloud.calls}")
    table.add_row("  most in any minute (10 are refused)", f"{cloud.worst_minute}")
    return table


def _energies(energy: DayEnergy) -> Iterator[tuple[str, str]]:
    yield "sun on the roof", f"{energy.pv_kwh:.1f} kWh"
    yield "house without the car", f"{energy.base_load_kwh:.1f} kWh"
    yield "into the car", f"{energy.ev_kwh:.1f} kWh"
    share = "" if energy.ev_kwh <= 0.0 else f" ({energy.ev_solar_kwh / energy.ev_kwh:.0%})"
    yield f"  of it sun{share}", f"{energy.ev_solar_kwh:.1f} kWh"
    yield "  of it from the grid", f"{energy.ev_grid_kwh:.1f} kWh"


def _money(settings: Settings, energy: DayEnergy) -> Iterator[tuple[str, str]]:
    yield "paid for the car's grid energy", f"{energy.cost_eur:.2f} EUR"
    yield "feed-in given up for its sun", f"{energy.feed_in_lost_eur:.2f} EUR"
    grid_only_eur = energy.ev_kwh * settings.tariff.import_eur_per_kwh
    yield "all of it from the grid would cost", f"{grid_only_eur:.2f} EUR"


def _goal(day: Day, settings: Settings) -> Iterator[tuple[str, str]]:
    if day.goal is None or day.goal.deadline > day.end:
        return
    by = f"{day.goal.deadline.astimezone(settings.zone):%H:%M}"
    taken_kwh = day_energy(day.log, day.start, day.goal.deadline).ev_kwh
    yield f"wanted by {by}: {day.goal.energy_kwh:g} kWh; taken by then", f"{taken_kwh:.1f} kWh"


def _counts(day: Day) -> Iterator[tuple[str, str]]:
    with reading(day.log) as conn:
        for name, query in _COUNTS.items():
            yield name, str(conn.execute(query).fetchone()[0])


def next_steps(day: Day, settings: Settings) -> Iterator[str]:
    """Yield where the log lies and three commands to copy."""
    log = _short(day.log)
    command = _short(Path(sys.argv[0])) if Path(sys.argv[0]).name == "sunmode" else "sunmode"
    middle = (day.start + (day.end - day.start) * 0.4).astimezone(settings.zone)
    yield f"The log is {log}. Three ways to look into it:"
    for what in ("why", "plan"):
        yield f'  SUNMODE_STORE__PATH={log} {command} {what} "{middle:%Y-%m-%d %H:%M}"'
    yield f"  SUNMODE_STORE__PATH={log} {command} export {log.with_suffix('')}"


def _short(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
