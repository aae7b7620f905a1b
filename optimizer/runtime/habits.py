"""Learns on a car's arrival what it will probably do, where the strategy wants to know and no goal says it.

- stale: a habit belongs to one visit; the next car that comes is looked at anew
- safe state: without enough earlier visits nothing is assumed, and only the sun is taken
- who retries: the next minute
- what the human sees: the event "habit", and reasons that begin with "by habit"
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from optimizer.domain import Habit
from optimizer.errors import InputError
from optimizer.runtime.world import ChargerView, World
from optimizer.store.log import Store
from optimizer.store.queries import ended_sessions

LEAST_SESSIONS = 5
"""Fewer earlier visits than these tell nothing."""
LEARNT_FROM = timedelta(days=365)
_DIGITS = 4


def learnt(path: Path, charger: str, arrival: datetime, zone: ZoneInfo) -> Habit | None:
    """Return what a charger's earlier visits let expect of a car that came at `arrival` (aware UTC).

    None where they are too few, or the log cannot be read.
    """
    from optimizer.forecast.habit import habit_of

    try:
        stays = ended_sessions(path, charger, arrival - LEARNT_FROM, arrival)
    except InputError:
        return None
    if len(stays) < LEAST_SESSIONS:
        return None
    habit = habit_of(arrival, stays, zone)
    return Habit(_rounded(habit.stays), _rounded(habit.takes))


def _rounded(chances: tuple[float, ...]) -> tuple[float, ...]:
    """Return chances as they are logged: what decides live decides again in a replay."""
    return tuple(round(chance, _DIGITS) for chance in chances)


@dataclass(frozen=True, slots=True)
class Habits:
    """The job that does it each minute; `inline` reads the log in the loop's own thread (virtual time)."""

    store: Store
    world: World
    zone: ZoneInfo
    inline: bool

    async def run(self) -> None:
        """Look at each car that has come since the last time."""
        for name, view in self.world.chargers.items():
            if view.came_at is not None and view.habit_of != view.came_at:
                await self._look(name, view, view.came_at)

    async def _look(self, name: str, view: ChargerView, came_at: datetime) -> None:
        await self.store.flush()
        work = partial(learnt, self.store.path, name, came_at, self.zone)
        habit = work() if self.inline else await asyncio.to_thread(work)
        if view.came_at != came_at:
            return
        view.habit, view.habit_of = habit, came_at
        if habit is not None:
            self.store.event("habit", f"{name}: earlier visits stand in while no goal is set", charger=name)
