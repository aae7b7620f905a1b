"""Brings chargers into their decided modes: intent, sending, read-back; one call carries all of one mode.

- stale: an intent is committed before anything leaves, and dies unsent after 60 s; one without a slot is not
  begun
- safe state: while the log cannot be written, only moves toward safety are sent
- who retries: the command machine, at 90 s, 3 min, 6 min and so on, each time as a new intent
- giving up: never; one alarm says that a charger does not obey, one event that it does again
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from optimizer.clock import Clock
from optimizer.control.budget import Priority
from optimizer.control.commands import Kind, Observed, Pursuit, next_step
from optimizer.domain import Decision, Mode
from optimizer.errors import CloudError, RateLimited, Refused
from optimizer.runtime.recorder import Recorder
from optimizer.runtime.world import ChargerView, World
from optimizer.solax.client import Accepted, in_batches
from optimizer.store.commands import CommandState, Intent, StaleIntent
from optimizer.store.log import Store
from optimizer.store.recovery import PastCommand
from optimizer.store.sqlite import StoreUnavailable

_log = structlog.stdlib.get_logger("sunmode.commander")


class Hands(Protocol):
    """What can be told to the cloud."""

    async def set_mode(
        self,
        mode: Mode,
        serials: Sequence[str],
        *,
        toward_safety: bool = False,
        leaving: Callable[[], Awaitable[None]] | None = None,
    ) -> Accepted:
        """Tell chargers to go to `mode`; `leaving` is awaited when nothing but the sending is left to do."""
        ...


@dataclass(frozen=True, slots=True)
class _Order:
    """One charger's part of a call; `pursuit` is what holds once it has left."""

    view: ChargerView
    decision: Decision
    pursuit: Pursuit


class Commander:
    """Pursues the decided modes; `dry_run` looks and sends nothing."""

    def __init__(
        self,
        hands: Hands,
        world: World,
        store: Store,
        recorder: Recorder,
        clock: Clock,
        readable_s: float,
    ) -> None:
        self._hands = hands
        self._world = world
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._readable_s = readable_s
        self._open: defaultdict[str, dict[int, Mode]] = defaultdict(dict)

    def take_over(self, interrupted: Iterable[PastCommand]) -> None:
        """Go on following commands whose fate the last run did not see."""
        for command in interrupted:
            self._open[command.charger][command.id] = command.mode

    async def pursue(self, decisions: Sequence[Decision], *, unread: bool = False) -> None:
        """Take the next step toward each decision; what must be sent goes out in as few calls as can be.

        What the cloud refused to show goes in a call of its own, for it may have a whole call refused.
        `unread` goes by what an earlier run saw of a charger that this one has not read: for a last command.
        """
        calls: defaultdict[tuple[bool, bool, Mode], list[_Order]] = defaultdict(list)
        for decision in decisions:
            order = await self._step(decision, unread=unread)
            if order is not None:
                calls[not order.pursuit.toward_safety, order.view.refused, decision.mode].append(order)
        for (_, _, mode), orders in sorted(calls.items(), key=lambda call: call[0]):
            by_serial = {order.view.spec.serial: order for order in orders}
            for serials in in_batches(tuple(by_serial)):
                await self._send(mode, [by_serial[serial] for serial in serials])

    async def _step(self, decision: Decision, *, unread: bool) -> _Order | None:
        view = self._world.chargers[decision.charger]
        if view.is_stranger:
            return None
        now_s, observed = self._clock.monotonic_s(), view.observed
        if observed is None and unread and view.mode is not None:
            observed = Observed(view.mode, -math.inf)
        step = next_step(view.pursuit, decision.mode, observed, now_s, self._readable_s)
        match step.kind:
            case Kind.SEND if step.pursuit is not None:
                return _Order(view, decision, step.pursuit)
            case Kind.CONFIRMED | Kind.NOTHING:
                await self._close(view, decision.mode)
            case Kind.ALARM:
                self._alarm(view, decision)
            case _:
                pass
        view.pursuit = step.pursuit
        return None

    async def _send(self, mode: Mode, orders: Sequence[_Order]) -> None:
        """Commit the intents, send, and note how it went; what did not leave is tried in the next cycle."""
        toward_safety = orders[0].pursuit.toward_safety
        ledger, priority = self._store.ledger, Priority.SAFETY if toward_safety else Priority.RISE
        if await ledger.free_at_s(priority) > self._clock.monotonic_s():
            return
        try:
            ids = [] if ledger.is_blind else await self._intend(orders)
        except StoreUnavailable:
            if not toward_safety:
                return
            ids = []
        try:
            await self._dispatch(mode, orders, ids, toward_safety=toward_safety)
        except (RateLimited, StaleIntent, StoreUnavailable) as held:
            _log.info("held back", mode=mode.name, why=str(held))
            self._store.note(ids, CommandState.FAILED, detail={"not_sent": str(held)})

    async def _intend(self, orders: Sequence[_Order]) -> list[int]:
        intents = [
            Intent(
                charger=order.view.spec.name,
                serial=order.view.spec.serial,
                mode=order.decision.mode,
                decision_at=order.decision.at,
                attempt=order.pursuit.attempts,
                toward_safety=order.pursuit.toward_safety,
                reason=str(order.decision.reason),
            )
            for order in orders
        ]
        return await self._store.intend(intents)

    async def _dispatch(
        self, mode: Mode, orders: Sequence[_Order], ids: list[int], *, toward_safety: bool
    ) -> None:
        async def leaving() -> None:
            if ids:
                await self._store.mark(ids, CommandState.SENT)
            self._left(orders, ids)

        serials = [order.view.spec.serial for order in orders]
        try:
            answer = await self._hands.set_mode(mode, serials, toward_safety=toward_safety, leaving=leaving)
        except RateLimited:
            raise
        except CloudError as error:
            state = CommandState.FAILED if isinstance(error, Refused) else CommandState.UNKNOWN
            _log.warning("not accepted", mode=mode.name, error=str(error))
            self._store.note(ids, state, detail={"error": str(error)})
        else:
            for order in orders:
                order.view.accepted = mode
            self._store.note(ids, CommandState.ACCEPTED, task_id=answer.task_id)

    def _left(self, orders: Sequence[_Order], ids: Sequence[int]) -> None:
        now_s = self._clock.monotonic_s()
        for order in orders:
            name, mode = order.view.spec.name, order.decision.mode
            older = [id_ for id_, wanted in self._open[name].items() if wanted is not mode]
            self._store.note(older, CommandState.SUPERSEDED)
            for id_ in older:
                del self._open[name][id_]
            order.view.pursuit = order.pursuit
            order.view.note_sent(mode, now_s)
            _log.info("sent", charger=name, mode=mode.name, attempt=order.pursuit.attempts)
        for order, id_ in zip(orders, ids, strict=False):
            self._open[order.view.spec.name][id_] = order.decision.mode

    async def _close(self, view: ChargerView, mode: Mode) -> None:
        """End the charger's open commands: it is where it shall be."""
        if view.pursuit is not None and view.pursuit.alarmed:
            self._recorder.event("obeys", f"{view.spec.name} obeys again", charger=view.spec.name)
        commands = self._open.pop(view.spec.name, {})
        reached = [id_ for id_, wanted in commands.items() if wanted is mode]
        self._store.note(reached, CommandState.CONFIRMED)
        self._store.note([id_ for id_ in commands if id_ not in reached], CommandState.SUPERSEDED)

    def _alarm(self, view: ChargerView, decision: Decision) -> None:
        seen = "unknown" if view.mode is None else view.mode.name
        message = (
            f"{view.spec.name} does not obey: {decision.mode.name} was sent again and again, it is {seen}"
        )
        _log.error("charger does not obey", charger=view.spec.name, wanted=decision.mode.name, seen=seen)
        self._recorder.event("not_obeying", message, charger=view.spec.name, level="error")
