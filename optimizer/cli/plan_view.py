"""How a plan is shown: as a table, in colours on a terminal, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from optimizer.config import Settings
from optimizer.domain import Forecast, Mode
from optimizer.runtime.planned import Band, Plan, Prospect, Stretch

HEADS = ("time", "mode", "EUR/kWh", "surplus kW (p10 p50 p90)", "kWh", "EUR")
COLOURS = {"STOP": "grey50", "GREEN": "green", "ECO": "yellow", "FAST": "red"}

_STANDS = timedelta(hours=1)
_W_PER_KW = 1000.0
_LABEL = 10
_MODE = HEADS.index("mode")


def show(plans: Mapping[str, Plan | None], settings: Settings, now: datetime, *, is_newest: bool) -> None:
    """Print the plans; `is_newest` where they shall be of now."""
    console = Console()
    for name, plan in plans.items():
        if plan is None:
            click.echo(f"{name}: nothing has been decided yet")
            continue
        for line in _head(name, plan, settings, now, is_newest=is_newest):
            click.echo(line)
        _table(plan, settings.zone, console)
        for label, text in _foot(plan, settings.zone):
            click.echo(f"  {label:<{_LABEL}}{text}")


def _head(name: str, plan: Plan, settings: Settings, now: datetime, *, is_newest: bool) -> Iterator[str]:
    decision, zone = plan.decision, settings.zone
    ago = f" ({_span(now - decision.at)} ago)" if is_newest else ""
    seen = f"{decision.at.astimezone(zone):%Y-%m-%d %H:%M}{ago}"
    yield f"{name}: the plan of {plan.strategy}, by what was seen at {seen}"
    if decision.strategy != plan.strategy:
        yield f"  {decision.strategy} decided then; this is how {plan.strategy} would go on"
    if decision.guard is not None:
        yield f"  for now {decision.mode.name}: the guard {decision.guard.value} has its way"
    if is_newest and now - decision.at > _STANDS + timedelta(seconds=3 * settings.control.cycle_s):
        yield f"  old: nothing was decided for {_span(now - decision.at)}; is the service running?"
    if plan.nothing:
        yield f"  no plan: {plan.nothing}"


def _table(plan: Plan, zone: ZoneInfo, console: Console) -> None:
    rows = [_cells(one, zone) for one in plan.stretches]
    if not rows:
        return
    if not console.is_terminal:
        for line in _plain(rows):
            click.echo(line)
        return
    table = Table(box=SIMPLE_HEAD)
    for head in HEADS:
        table.add_column(head, justify="left" if head in {"time", "mode"} else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row, style=COLOURS[row[_MODE]])
    console.print(table)


def _plain(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield the table as lines of text: words to the left, numbers to the right."""
    table = [HEADS, *rows]
    widths = [max(len(row[at]) for row in table) for at in range(len(HEADS))]
    for row in table:
        cells = (
            cell.ljust(width) if at <= _MODE else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  " + "  ".join(cells).rstrip()


def _cells(one: Stretch, zone: ZoneInfo) -> tuple[str, ...]:
    start, end = one.start.astimezone(zone), one.end.astimezone(zone)
    until = f"{end:%H:%M}" if end.date() == start.date() else f"{end:%a %H:%M}"
    return (
        f"{start:%a %H:%M} - {until}",
        one.mode.name,
        f"{one.price_eur_per_kwh:.3f}" + ("" if one.is_known else "?"),
        _band(one.band),
        f"{one.kwh:.2f}",
        f"{_unsigned_zero(one.eur, 2)}",
    )


def _band(band: Band | None) -> str:
    if band is None:
        return "not known"
    numbers = (band.p10_w, band.p50_w, band.p90_w)
    return " ".join(f"{_unsigned_zero(power_w / _W_PER_KW, 1):>4}" for power_w in numbers)


def _unsigned_zero(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0.0 else text


def _foot(plan: Plan, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    total = plan.total
    if total is not None:
        split = "" if total.sun_kwh is None else f" ({total.sun_kwh:.1f} sun, {total.grid_kwh:.1f} grid)"
        yield "sum", f"{total.kwh:.1f} kWh{split}, {_unsigned_zero(total.eur, 2)} EUR"
    yield "goal", "none" if plan.prospect is None else _goal(plan.prospect, plan, zone)
    seen = plan.situation
    for label, name, told in (
        ("sun", "forecast", seen.forecast),
        ("house", "load_forecast", seen.load_forecast),
    ):
        yield label, _forecast(told, seen.now, zone, is_lost=name in plan.lost)
    if not all(one.is_known for one in plan.quarters):
        yield "prices", "those marked ? are not known yet: the newest known day's stand in"


def _goal(prospect: Prospect, plan: Plan, zone: ZoneInfo) -> str:
    goal = prospect.goal
    by = f"{goal.energy_kwh:g} kWh by {goal.deadline.astimezone(zone):%a %H:%M}"
    told = f"{by}; {prospect.taken_kwh:.1f} are in the car"
    if prospect.taken_kwh >= goal.energy_kwh:
        return f"{told}: met"
    if plan.nothing:
        return f"{told}; nothing is planned"
    told += f", {prospect.planned_kwh:.1f} planned"
    if prospect.is_met is None:
        return f"{told} as far as the plan reaches"
    missing = f"{prospect.short_kwh:.1f} kWh will be missing"
    return f"{told}: will be met" if prospect.is_met else f"{told}: {missing}"


def _forecast(told: Forecast | None, seen_at: datetime, zone: ZoneInfo, *, is_lost: bool) -> str:
    if told is None:
        return "the forecast that there was is in the log no more" if is_lost else "no forecast"
    issued = f"issued {told.issued_at.astimezone(zone):%a %H:%M}"
    return f"forecast by {told.provider}, {issued}, {_span(seen_at - told.issued_at)} old then"


def _span(length: timedelta) -> str:
    minutes = max(0, round(length / timedelta(minutes=1)))
    hours = minutes / 60.0
    if minutes < 2 * 60:
        return f"{minutes} min"
    return f"{hours:.0f} h" if hours < 2 * 24 else f"{hours / 24:.0f} days"


def document(plans: Mapping[str, Plan | None], zone: ZoneInfo, now: datetime) -> Mapping[str, Any]:
    """Return the plans for programs: one row for each quarter hour."""
    chargers = {name: None if plan is None else _plan_document(plan) for name, plan in plans.items()}
    return {"now": now, "timezone": str(zone), "chargers": chargers}


def _plan_document(plan: Plan) -> Mapping[str, Any]:
    decision, seen, prospect, total = plan.decision, plan.situation, plan.prospect, plan.total
    return {
        "seen_at": seen.now,
        "strategy": plan.strategy,
        "decided": {
            "by": decision.strategy,
            "mode": decision.mode.name,
            "proposed": decision.proposed.name,
            "guard": decision.guard,
            "reason": decision.reason,
        },
        "nothing": plan.nothing or None,
        "steps": [_step_document(one) for one in plan.quarters],
        "total": None if total is None else {name: getattr(total, name) for name in _SUMS},
        "goal": None
        if prospect is None
        else {
            **asdict(prospect.goal),
            "taken_kwh": prospect.taken_kwh,
            "planned_kwh": prospect.planned_kwh,
            "short_kwh": prospect.short_kwh,
            "is_met": prospect.is_met,
        },
        "forecast": _forecast_document(seen.forecast, seen.now),
        "load_forecast": _forecast_document(seen.load_forecast, seen.now),
        "lost_forecasts": plan.lost,
    }


_SUMS = ("kwh", "sun_kwh", "grid_kwh", "eur")


def _step_document(one: Stretch) -> Mapping[str, Any]:
    return {
        "start": one.start,
        "end": one.end,
        "mode": Mode(one.mode).name,
        "price_eur_per_kwh": one.price_eur_per_kwh,
        "price_is_known": one.is_known,
        "surplus": None if one.band is None else asdict(one.band),
        **{name: getattr(one, name) for name in _SUMS},
    }


def _forecast_document(told: Forecast | None, seen_at: datetime) -> Mapping[str, Any] | None:
    if told is None:
        return None
    age_s = (seen_at - told.issued_at).total_seconds()
    return {"provider": told.provider, "issued": told.issued_at, "age_s": age_s}
