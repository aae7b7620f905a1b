"""Asks the cars that are plugged in for their state of charge, where a goal depends on it.

- stale: an answer counts for `charger.car.stale_s`, and only for the car's present stay
- safe state: without one the goal's own energy counts
- who retries: the next time, after `refresh_s` or as long as the service asks for
- giving up: never
- what the human sees: one event when a car's charge is not known any more, one when it is
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import structlog

from optimizer.clock import Clock
from optimizer.config import Settings
from optimizer.errors import SunmodeError, Throttled
from optimizer.goals import Charge
from optimizer.runtime.goals import Goals
from optimizer.runtime.price_feeds import token_from
from optimizer.runtime.world import ChargerView, World
from optimizer.sources.car import CarSource
from optimizer.sources.http_json import JsonSource
from optimizer.store.log import Store

_log = structlog.stdlib.get_logger("sunmode.cars")


@dataclass(slots=True)
class Asking:
    """One car's source: how often it is asked, when it may be asked again, whether it failed last time."""

    source: CarSource
    refresh: timedelta
    not_before: datetime | None = None
    failed: bool = False


def askings_from(settings: Settings, client: httpx.AsyncClient) -> dict[str, Asking]:
    """Return the sources of the chargers that have a goal in state of charge."""
    found: dict[str, Asking] = {}
    for charger in settings.charger:
        car = charger.car
        if car is not None and any(goal.soc is not None for goal in charger.goal):
            source = JsonSource(client, car.soc_url, token_from(car.token_file))
            asked = CarSource(source, car.soc, car.soc_unit)
            found[charger.name] = Asking(asked, timedelta(seconds=car.refresh_s))
    return found


class Cars:
    """Keeps the goals informed of what the cars tell."""

    def __init__(
        self, askings: Mapping[str, Asking], goals: Goals, world: World, store: Store, clock: Clock
    ) -> None:
        self._askings = askings
        self._goals = goals
        self._world = world
        self._store = store
        self._clock = clock

    async def refresh(self) -> None:
        """Ask each car that is there and due; forget what a car told that is gone."""
        for name, asking in self._askings.items():
            view, now = self._world.chargers[name], self._clock.now()
            if not view.connected:
                asking.not_before, asking.failed = None, False
                self._note(name, None)
            elif asking.not_before is None or not now < asking.not_before <= now + timedelta(days=1):
                await self._ask(name, asking, view, now)

    async def _ask(self, name: str, asking: Asking, view: ChargerView, now: datetime) -> None:
        asking.not_before = now + asking.refresh
        try:
            soc = await asking.source.soc(now)
        except SunmodeError as error:
            wait_s = (error.retry_after_s if isinstance(error, Throttled) else None) or 0.0
            longest = min(timedelta(days=1), timedelta(seconds=wait_s))
            asking.not_before = now + max(asking.refresh, longest)
            self._tell_failed(name, asking, error)
            return
        self._note(name, Charge(soc, now, view.session_kwh or 0.0))
        if asking.failed:
            asking.failed = False
            self._store.event(
                "car_known", f"the car at {name} tells its charge again: {soc:.0%}", charger=name
            )

    def _note(self, name: str, charge: Charge | None) -> None:
        if charge != self._goals.charge_of(name):
            self._goals.note_charge(name, charge)
            self._store.goals.charge(name, charge)

    def _tell_failed(self, name: str, asking: Asking, error: SunmodeError) -> None:
        if asking.failed:
            return
        asking.failed = True
        _log.warning("a car does not tell its charge", charger=name, why=str(error))
        message = f"the charge of the car at {name} is not told ({error}); without it energy_kwh counts"
        self._store.event("car_unknown", message, charger=name, level="warning")
