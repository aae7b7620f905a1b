"""The owner's hand: modes set in the app, at the charger or by `sunmode set`, and goals that were given."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from optimizer.control import guards
from optimizer.runtime.goals import Goals
from optimizer.runtime.recorder import Recorder
from optimizer.runtime.rules import Rules
from optimizer.runtime.world import ChargerView, World
from optimizer.store.log import Store
from optimizer.store.overrides import Override, override_for
from optimizer.store.sqlite import StoreUnavailable

_log = structlog.stdlib.get_logger("sunmode.owner")


class Owner:
    """Notices what the owner does, keeps it in the log, and tells each charger's view what holds now."""

    def __init__(self, world: World, rules: Rules, store: Store, recorder: Recorder, goals: Goals) -> None:
        self._goals = goals
        self._world = world
        self._rules = rules
        self._store = store
        self._recorder = recorder
        self._unwritten: tuple[Override, ...] = ()

    def noticed(self, view: ChargerView, now: datetime) -> None:
        """Take a mode that nobody here has sent as the owner's order for the coming hours."""
        if view.mode is None or self._rules.override_hold_s <= 0:
            return
        until = now + timedelta(seconds=self._rules.override_hold_s)
        self._unwritten = (Override(now, view.spec.name, view.mode, until, "charger"), *self._unwritten)
        hours = self._rules.override_hold_s / 3600.0
        message = f"{view.spec.name} was set to {view.mode.name} by hand; automation waits for {hours:g} h"
        _log.info("set by hand", charger=view.spec.name, mode=view.mode.name)
        self._recorder.event("override", message, charger=view.spec.name)

    async def refresh(self, now: datetime, now_s: float) -> None:
        """Write what was noticed, read what holds, and tell the views."""
        try:
            while self._unwritten:
                first = self._unwritten[-1]
                await self._store.set_override(first.charger, first.mode, first.until, first.origin)
                self._unwritten = self._unwritten[:-1]
        except StoreUnavailable as error:
            _log.warning("the owner's order is kept in memory only", error=str(error))
        self._goals.take(self._store.goals.standing(now))
        written = self._store.active_overrides(now)
        orders = [order for order in (*self._unwritten, *written) if order.until > now]
        for name, view in self._world.chargers.items():
            order = override_for(name, orders)
            view.override = None
            if order is not None and order.mode is not None:
                until_s = now_s + (order.until - now).total_seconds()
                view.override = guards.Override(order.mode, until_s)
