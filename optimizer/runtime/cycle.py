"""One cycle is one sentence: read, decide, command, record; on a monotonic loop, never on the calendar.

- stale: a cycle that was late or blocked finds its leases run out, and the first thing it decides is to rest
- safe state: see `control.guards`
- who retries: the next cycle, at the latest after `cycle_s`
- giving up: never; what is not a `CloudError` ends the service, whose supervisor starts it anew
- what the human sees: each change of decision, a stepped clock, and the watchdog's silence
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from optimizer.clock import Clock
from optimizer.control.budget import Priority
from optimizer.domain import Mode
from optimizer.runtime.commander import Commander
from optimizer.runtime.decider import Decider, Deliberation
from optimizer.runtime.notify import Notifier
from optimizer.runtime.owner import Owner
from optimizer.runtime.reader import Reader
from optimizer.runtime.recorder import Recorder
from optimizer.runtime.rules import Rules
from optimizer.runtime.shadow import Shadow
from optimizer.runtime.world import ChargerView, World
from optimizer.store.log import Store

_STEP_S = 2.0
_SHORTEST_WAIT_S = 0.2
_ONCE_MORE_S = 1.0

_log = structlog.stdlib.get_logger("sunmode.cycle")


@dataclass(slots=True)
class Pulse:
    """How the loop is doing.

    `ended_at_s` is when the last whole cycle ended, `wall_start` the wall time of the monotonic zero.
    """

    cycles: int = 0
    ended_at_s: float | None = None
    wall_start: datetime | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Parts:
    """Who does what in a cycle; the shadow, if there is one, comes when all is done."""

    reader: Reader
    owner: Owner
    decider: Decider
    commander: Commander
    recorder: Recorder
    shadow: Shadow | None = None


class Cycle:
    """Runs the parts, one after the other, until it is told to stop."""

    def __init__(
        self, world: World, rules: Rules, parts: Parts, store: Store, clock: Clock, notifier: Notifier
    ) -> None:
        self.pulse = Pulse()
        self._world = world
        self._rules = rules
        self._parts = parts
        self._store = store
        self._clock = clock
        self._notifier = notifier
        self._modes: dict[str, Mode] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Cycle until `stop` is set."""
        while not stop.is_set():
            began_s = self._clock.monotonic_s()
            await self.once()
            if not stop.is_set():
                await self._rest(began_s)

    async def once(self) -> list[Deliberation]:
        """Go through one whole cycle and return what was decided."""
        parts = self._parts
        await parts.reader.read_due()
        now, now_s = self._clock.now(), self._clock.monotonic_s()
        self._mind_the_wall(now, now_s)
        await parts.owner.refresh(now, now_s)
        decided = await self._decide(now, now_s)
        parts.recorder.cycle(now, now_s, decided)
        if not self._rules.dry_run:
            await parts.commander.pursue([one.decision for one in decided])
        if parts.shadow is not None:
            parts.shadow.follow(decided)
        self.pulse.cycles += 1
        self.pulse.ended_at_s = self._clock.monotonic_s()
        self._notifier.alive("; ".join(f"{one.decision.charger}: {one.decision.reason}" for one in decided))
        return decided

    async def rest_all(self) -> None:
        """Send every charger to rest until the cloud has taken it: the last thing before a stop."""
        await self._parts.owner.refresh(self._clock.now(), self._clock.monotonic_s())
        if self.pulse.cycles == 0:
            # A stop right after the start: what a run before left drawing is not known yet.
            await self._parts.reader.read_unseen_chargers()
        resting, order = self._rules.guard.resting_mode, self._parts.decider.by_order
        while views := self._restless(resting):
            now = self._clock.now()
            orders = [order(view.spec.name, resting, "sunmode stops", now) for view in views]
            await self._parts.commander.pursue(orders, unread=True)
            await self._clock.sleep(_ONCE_MORE_S)
            for view in self._restless(resting):
                view.pursuit = None

    def left_drawing(self) -> list[str]:
        """Return the chargers that may go on drawing from the grid after a stop, for all that is known."""
        restless = self._restless(self._rules.guard.resting_mode)
        return [view.spec.name for view in restless if view.may_import]

    def _restless(self, resting: Mode) -> list[ChargerView]:
        """Return the chargers that are not at rest and were not told to be, as far as is known."""
        views = self._world.chargers.values()
        known = [view for view in views if view.mode is not None and not _is_as_ordered(view)]
        arrived = {view.spec.name for view in known if view.mode is resting and view.awaited is None}
        return [view for view in known if view.accepted is not resting and view.spec.name not in arrived]

    def wake(self) -> None:
        """End the rest between two cycles: something has happened."""
        self.pulse.wake.set()

    async def _decide(self, now: datetime, now_s: float) -> list[Deliberation]:
        decider = self._parts.decider
        decided = decider.decide(now, now_s)
        if any(one.raises for one in decided) and not await self._slot_is_free():
            decided = [decider.without_slot(one) for one in decided]
        for one in decided:
            decider.adopt(one)
            self._tell(one)
        return decided

    async def _slot_is_free(self) -> bool:
        return await self._store.ledger.free_at_s(Priority.RISE) <= self._clock.monotonic_s()

    def _tell(self, one: Deliberation) -> None:
        decision = one.decision
        if self._modes.get(decision.charger) is not decision.mode:
            self._modes[decision.charger] = decision.mode
            would = "would set" if self._rules.dry_run else "decided"
            _log.info(would, charger=decision.charger, mode=decision.mode.name, why=str(decision.reason))

    def _mind_the_wall(self, now: datetime, now_s: float) -> None:
        """Tell of a wall clock that was set; nothing here depends on it but prices, goals and the log."""
        start = now - timedelta(seconds=now_s)
        before, self.pulse.wall_start = self.pulse.wall_start, start
        step_s = 0.0 if before is None else (start - before).total_seconds()
        if abs(step_s) > _STEP_S:
            _log.warning("the wall clock was set", by_s=round(step_s))
            self._parts.recorder.clock_stepped(step_s)

    async def _rest(self, began_s: float) -> None:
        """Wait for the next cycle, the next read that is due, or a reason to wake."""
        due_s = min(began_s + self._rules.cycle_s, max(self._parts.reader.next_due_s(), began_s))
        wait_s = max(_SHORTEST_WAIT_S, due_s - self._clock.monotonic_s())
        sleep = asyncio.ensure_future(self._clock.sleep(wait_s))
        sleep.add_done_callback(self._slept)
        try:
            await self.pulse.wake.wait()
        finally:
            sleep.cancel()
        self.pulse.wake.clear()

    def _slept(self, sleep: asyncio.Future[None]) -> None:
        if not sleep.cancelled():
            self.pulse.wake.set()


def _is_as_ordered(view: ChargerView) -> bool:
    """Tell whether the owner's hand wants it to be left: not one that ordered less than it may be drawing."""
    order = view.override
    return order is not None and (order.mode.draws_from_grid or not view.may_import)


async def first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    """Return when the first of the awaitables is done; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
