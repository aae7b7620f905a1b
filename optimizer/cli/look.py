"""`sunmode status`, `why` and `export`: what the log says, for people and for programs; they only read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, time, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from optimizer.cli import config_option
from optimizer.cli.experience_view import experience_document, experience_lines
from optimizer.cli.goal_state import goal_documents, goal_lines, goal_states
from optimizer.clock import SystemClock
from optimizer.config import Settings
from optimizer.config.loading import find_config, load_settings
from optimizer.errors import InputError
from optimizer.store.instants import to_json
from optimizer.store.queries import (
    LoggedDecision,
    LoggedEvent,
    Status,
    decision_at,
    export_parquet,
    last_status,
    shadows_at,
)


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object, times in UTC.")
@click.option("--quiet", is_flag=True, help="Print nothing; exit 1 if no cycle has ended lately.")
@config_option
def status_command(as_json: bool, quiet: bool, config_path: Path | None) -> None:
    """Show what the service sees and does now."""
    settings = _settings(config_path)
    now = SystemClock().now()
    if quiet:
        raise click.exceptions.Exit(0 if _is_well(settings, now) else 1)
    status = last_status(settings.store.path, now)
    if as_json:
        click.echo(to_json(_document(status, settings, now)))
    else:
        for line in _lines(status, settings, now):
            click.echo(line)


@click.command("why")
@click.argument("moment", metavar="[TIME]", required=False)
@config_option
def why_command(moment: str | None, config_path: Path | None) -> None:
    """Explain the decision that holds now or held at TIME ("14:30", "2026-06-01 14:30", ISO with offset)."""
    settings = _settings(config_path)
    now = SystemClock().now()
    at = now if moment is None else parsed_time(moment, settings.zone, now)
    if at > now:
        raise InputError(f"{moment!r} lies ahead: only what has been decided can be explained")
    found = decision_at(settings.store.path, at)
    if not found:
        raise InputError(f"nothing was decided before {at.astimezone(settings.zone):%Y-%m-%d %H:%M}")
    shadows = shadows_at(settings.store.path, at)
    for name, decision in found.items():
        for line in _explained(decision, settings.zone):
            click.echo(line)
        if name in shadows:
            click.echo(_in_the_shadow(shadows[name], settings.zone))


@click.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@config_option
def export_command(folder: Path, config_path: Path | None) -> None:
    """Write every table of the log to FOLDER as Parquet."""
    for path in export_parquet(_settings(config_path).store.path, folder):
        click.echo(str(path))


def parsed_time(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """Return the moment meant by `text`, in the site's zone where it names none.

    A time of day alone is the latest one.

    Raises:
        InputError: it is no time.

    """
    try:
        if len(text) <= len("23:59:59") and ":" in text:
            local = now.astimezone(zone)
            of_day = time.fromisoformat(text)
            at = datetime.combine(local.date(), of_day, of_day.tzinfo or zone)
            return (at if at <= local else at - timedelta(days=1)).astimezone(UTC)
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InputError(f'{text!r} is no time like "14:30" or "2026-06-01 14:30"') from error


def _settings(config_path: Path | None) -> Settings:
    return load_settings(find_config(config_path, os.environ), os.environ)


def _is_well(settings: Settings, now: datetime) -> bool:
    try:
        return _is_alive(last_status(settings.store.path, now), settings, now)
    except InputError:
        return False


def _is_alive(status: Status, settings: Settings, now: datetime) -> bool:
    """Tell whether the service has not stopped and a decision is young: one is written each hour at least."""
    if status.lifecycle is not None and status.lifecycle.kind == "stop":
        return False
    newest = max((decision.at for decision in status.decisions.values()), default=None)
    return newest is not None and now - newest < timedelta(hours=1, seconds=3 * settings.control.cycle_s)


def _lines(status: Status, settings: Settings, now: datetime) -> Iterator[str]:
    zone = settings.zone
    yield f"{settings.site.name}, {now.astimezone(zone):%Y-%m-%d %H:%M}"
    if not _is_alive(status, settings, now):
        yield f"  service   {_end(status.lifecycle, now)}"
    yield from _readings(status, now)
    for decision in status.decisions.values():
        since = _ago(decision.at, now)
        yield f"  decision  {decision.charger}: {decision.mode.name}, written {since}: {decision.reason}"
    for shadow in status.shadows.values():
        by = f"{shadow.mode.name} by {shadow.strategy}, written {_ago(shadow.at, now)}"
        yield f"  shadow    {shadow.charger}: {by}: {shadow.reason}"
    for line in goal_lines(goal_states(settings, status.sessions, now), zone):
        yield f"  goal      {line}"
    for order in status.overrides:
        until = f"until {order.until.astimezone(zone):%a %H:%M}"
        held = "automatic" if order.mode is None else f"{order.mode.name} {until}"
        yield f"  by hand   {order.charger or 'all'}: {held}"
    for what, text in experience_lines(settings):
        yield f"  {what:<9} {text}"
    budget = settings.budget
    minute = f"{status.calls_last_minute} of {budget.calls_per_minute} calls in the last minute"
    yield f"  budget    {minute}, {status.calls_last_day} of {budget.calls_per_day} in the last day"
    if status.calls_held_until is not None:
        yield f"            calls are held back until {status.calls_held_until.astimezone(zone):%H:%M:%S}"
    for event in status.events:
        if event.level != "info":
            yield f"  {event.level:<9} {event.at.astimezone(zone):%a %H:%M} {event.message}"
    yield f"  log       {settings.store.path}, {status.size_bytes / 1e6:.1f} MB"


def _end(last: LoggedEvent | None, now: datetime) -> str:
    """Return what became of a service that is not alive."""
    if last is not None and last.kind == "stop":
        return f"stopped {_ago(last.at, now)}"
    return "gives no sign of life"


def _readings(status: Status, now: datetime) -> Iterator[str]:
    site = status.site
    if site is None:
        yield "  house     never read"
    else:
        powers = f"PV {_watts(site.pv_w)}, grid {_watts(site.grid_w)}, battery {_watts(site.battery_w)}"
        soc = "" if site.battery_soc is None else f" ({site.battery_soc:.0%})"
        yield f"  house     {powers}{soc}; logged {_ago(site.received_at, now)}"
    for name, reading in status.chargers.items():
        state = (
            f"{_name(reading.mode) or 'mode unknown'}, {reading.status.name.lower()}, {_watts(reading.ev_w)}"
        )
        car = status.sessions.get(name)
        session = "" if car is None else f", {car.ev_kwh:.2f} kWh in this session"
        yield f"  {name:<9} {state}{session}; logged {_ago(reading.received_at, now)}"


def _watts(power_w: float | None) -> str:
    return "unknown" if power_w is None else f"{power_w:.0f} W"


def _ago(at: datetime, now: datetime) -> str:
    seconds = max(0.0, (now - at).total_seconds())
    return f"{seconds:.0f} s ago" if seconds < 120 else f"{seconds / 60:.0f} min ago"  # noqa: PLR2004 - two minutes


def _explained(decision: LoggedDecision, zone: ZoneInfo) -> Iterator[str]:
    at = decision.at.astimezone(zone)
    yield f"{decision.charger}: {decision.mode.name}, as decided at {at:%Y-%m-%d %H:%M:%S}"
    reason, _, following = decision.reason.partition(" Next: ")
    yield f"  {reason}"
    if following:
        yield f"  next: {following}"
    if decision.guard is not None:
        yield f"  the strategy wanted {decision.proposed.name}, the guard {decision.guard.value} had its way"
    if decision.lease_until is not None:
        until = decision.lease_until.astimezone(zone)
        yield f"  may draw from the grid until {until:%H:%M:%S}, unless new data renews it"
    yield from _priced(decision)


def _priced(decision: LoggedDecision) -> Iterator[str]:
    """Yield what each mode would cost from here on beside the one that holds, the cheapest first."""
    costs = dict(decision.alternatives)
    here_eur = costs.get(decision.mode, min(costs.values(), default=0.0))
    if costs:
        yield "  from here on, all told:"
    for mode, cost_eur in sorted(costs.items(), key=itemgetter(1)):
        more_eur = round(cost_eur - here_eur, 2)
        told = f"{abs(more_eur):.2f} EUR {'more' if more_eur > 0.0 else 'less'}" if more_eur else "the same"
        yield f"    {mode.name:<6} {'this mode' if mode is decision.mode else told}"


def _in_the_shadow(shadow: LoggedDecision, zone: ZoneInfo) -> str:
    by = f"{shadow.mode.name} by {shadow.strategy}, as decided at {shadow.at.astimezone(zone):%H:%M:%S}"
    return f"  in the shadow: {by}: {shadow.reason}"


def _decided(decision: LoggedDecision) -> dict[str, Any]:
    return {
        "at": decision.at,
        "mode": decision.mode.name,
        "proposed": decision.proposed.name,
        "guard": decision.guard,
        "reason_code": decision.reason_code,
        "reason": decision.reason,
        "lease_until": decision.lease_until,
    }


def _document(status: Status, settings: Settings, now: datetime) -> Mapping[str, Any]:
    return {
        "now": now,
        "site": status.site,
        "chargers": {
            name: {**asdict(reading), "mode": _name(reading.mode), "status": reading.status.name}
            for name, reading in status.chargers.items()
        },
        "decisions": {name: _decided(decision) for name, decision in status.decisions.items()},
        "shadows": {
            name: {"strategy": shadow.strategy, **_decided(shadow)} for name, shadow in status.shadows.items()
        },
        "overrides": [{**asdict(order), "mode": _name(order.mode)} for order in status.overrides],
        "sessions": status.sessions,
        "goals": goal_documents(goal_states(settings, status.sessions, now)),
        "experience": experience_document(settings),
        "budget": {
            "calls_last_minute": status.calls_last_minute,
            "calls_per_minute": settings.budget.calls_per_minute,
            "calls_last_day": status.calls_last_day,
            "calls_per_day": settings.budget.calls_per_day,
            "held_until": status.calls_held_until,
        },
        "events": status.events,
        "alive": _is_alive(status, settings, now),
        "lifecycle": status.lifecycle,
        "log_bytes": status.size_bytes,
    }


def _name(mode: Any) -> str | None:
    return None if mode is None else mode.name
