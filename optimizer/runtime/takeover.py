"""What a run takes over from the one before: no command is repeated or forgotten, no data gets younger."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from optimizer.control.commands import resumed
from optimizer.control.freshness import Freshness
from optimizer.control.presence import Presence
from optimizer.domain import ChargerStatus
from optimizer.runtime.world import ChargerView, World
from optimizer.store.commands import CommandState
from optimizer.store.recovery import PastCommand, Recovered

_HOLDS = frozenset({CommandState.CONFIRMED, CommandState.FAILED, CommandState.SUPERSEDED})


def take_over(world: World, past: Recovered, now: datetime, now_s: float) -> None:
    """Fill the views from the log; every charger is read before anything is sent to it."""
    if past.site is not None and past.stamp_age_s is not None:
        changed_at_s = now_s - past.stamp_age_s
        world.site.freshness = Freshness(
            past.site.stamp, changed_at_s, past.stamp_proven, past.site.grid_w, past.site.pv_w
        )
    for name, view in world.chargers.items():
        reading = past.chargers.get(name)
        if reading is not None:
            view.mode, view.current = reading.mode, reading.mode
        view.presence = _presence(name, past)
        view.came_at = past.sessions[name].started_at if name in past.sessions else None
        commands = [command for command in past.commands if command.charger == name]
        _take_over_commands(view, commands, now, now_s)


def _presence(name: str, past: Recovered) -> Presence | None:
    """Return what the run before knew of the car: it was there if its session is open."""
    account = None if past.accounts is None else past.accounts.chargers.get(name)
    counter_kwh = None if account is None else account.counter_kwh
    if name not in past.sessions:
        return None if counter_kwh is None else Presence(ChargerStatus.AVAILABLE, counter_kwh)
    reading = past.chargers.get(name)
    status = ChargerStatus.PREPARING if reading is None else reading.status
    base_kwh = None if past.accounts is None else past.accounts.bases_kwh.get(name)
    return Presence(status if status.connected else ChargerStatus.PREPARING, counter_kwh, base_kwh)


def _take_over_commands(
    view: ChargerView, commands: Iterable[PastCommand], now: datetime, now_s: float
) -> None:
    last: PastCommand | None = None
    for command in commands:
        left_s = _left_s(command, now, now_s)
        if left_s is None:
            continue
        view.sent.append((command.mode, left_s))
        if command.attempt == 1:
            view.changes_s.append(left_s)
            view.changed_at_s = left_s
        view.current, last = command.mode, command
    if last is not None and last.state not in _HOLDS:
        left_s = view.sent[-1][1]
        view.pursuit = resumed(last.mode, left_s, left_s, last.attempt)
        view.awaited = last.mode


def _left_s(command: PastCommand, now: datetime, now_s: float) -> float | None:
    """Return when a command left, or may have left; None if it certainly did not."""
    if command.sent_at is None and command.state is not CommandState.UNKNOWN:
        return None
    return now_s - max(0.0, (now - (command.sent_at or command.intended_at)).total_seconds())
