"""Who judges a life while it is lived: at the border to the cloud, and once a minute from above.

The promises, I1 to I5, are the ones of the service: its budget, no grid power on old data, the decided mode
reached, no command without an intent, the owner's hand respected and never imagined.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from campaign_plan import Outage, Plan
from typing_extensions import override

from optimizer.clock import Clock
from optimizer.domain import Mode
from optimizer.runtime.world import ChargerView
from optimizer.service import Service
from optimizer.simulation.cloud import VirtualCloud
from optimizer.simulation.faults import ANSWER_FAULTS, COMMAND_FAULTS, FaultKind
from optimizer.simulation.home import ModeChange
from optimizer.simulation.transport import VirtualTransport
from optimizer.simulation.wire import COMMAND
from optimizer.store.ledger import Instant
from optimizer.store.sqlite import connect_reader

CONVERGED_S = 300.0
"""I3: the decided mode is the true one after so long without trouble."""
SETTLED_S = 360.0
"""What went wrong is over after so long: the last repetition of a command is answered for by then."""
NOTICED_S = 600.0
"""A change by hand is seen by then: an idle charger is read every two minutes, several of them in turn."""

_FRESH_S, _STALE_S = 420.0, 900.0
_LAG_S = 120.0
"""From a lapsed lease to a charger in another mode, beyond one cycle: reads, the command, its way."""
_UNSEEN_S = 420.0
"""A sample may be younger to us than it is, by as long as it may lie unread and still count as fresh."""
_HAMPERING = frozenset((*ANSWER_FAULTS, *COMMAND_FAULTS, FaultKind.CHARGER_OFFLINE, FaultKind.CHARGER_FROZEN))
_BY_HAND = frozenset((FaultKind.MANUAL_CHANGE, FaultKind.FALLBACK_TO_FAST))
_CALM = frozenset(("ok", FaultKind.INVERTER_OFFLINE.value))


class Border(httpx.AsyncBaseTransport):
    """The way out to the cloud: a command that has left arrives, even if its sender is dead by then.

    Each command that passes is held against the log as it is on the disk at that moment.
    """

    def __init__(self, cloud: VirtualCloud, log: Path, plan: Plan, violations: list[str]) -> None:
        self._inner = VirtualTransport(cloud)
        self._cloud = cloud
        self._log = log
        self._plan = plan
        self._violations = violations
        self._read: set[str] = set()

    def begin(self) -> None:
        """A run of the service begins: it has read nothing yet."""
        self._read.clear()

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(COMMAND):
            self._judge(json.loads(request.content))
            return await self._certainly(request)
        response = await self._inner.handle_async_request(request)
        self._read.add(request.url.params.get("pileSn", ""))
        return response

    async def _certainly(self, request: httpx.Request) -> httpx.Response:
        """Let a command arrive even if nobody waits for its answer any more."""
        exchange = asyncio.ensure_future(self._inner.handle_async_request(request))
        exchange.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(exchange)

    def _judge(self, body: dict[str, Any]) -> None:
        t_s, mode = self._cloud.elapsed_s(), Mode(int(body["cmdValue"]))
        with closing(connect_reader(self._log)) as conn:
            for serial in body["sns"]:
                if mode.draws_from_grid and serial not in self._read:
                    self._violations.append(f"I4: {t_s:.0f} s: {mode.name} to {serial}, which was not read")
                newest = conn.execute(
                    "SELECT mode, state FROM command WHERE serial = ? ORDER BY id DESC LIMIT 1", (serial,)
                ).fetchone()
                if newest != (int(mode), "sent") and not self._is_blind(mode, t_s):
                    self._violations.append(f"I4: {t_s:.0f} s: {mode.name} left, the log says {newest}")

    def _is_blind(self, mode: Mode, t_s: float) -> bool:
        """Tell whether a command may leave without a row: toward safety, while none can be written."""
        return mode is not Mode.FAST and in_outage(self._plan, t_s)


def in_outage(plan: Plan, t_s: float, tail_s: float = 0.0) -> bool:
    """Tell whether the log could not be written at `t_s`, or shortly before."""
    return any(_covers(outage, t_s, tail_s) for outage in plan.outages)


def _covers(outage: Outage, t_s: float, tail_s: float) -> bool:
    return outage.at_s <= t_s <= outage.at_s + outage.lasts_s + tail_s


@dataclass(slots=True)
class _Watched:
    """One charger as the watcher saw it last.

    `apart_s` is since when its mode is not the decided one, `by_hand_s` when the owner's word last held,
    `hand` what somebody else has set and the service has not noticed yet, with the time and what was decided
    then, `order` the owner's word that the service knows.
    """

    decided: Mode | None = None
    apart_s: float | None = None
    by_hand_s: float = 0.0
    hand: tuple[Mode, float, Mode | None] | None = None
    order: Mode | None = None


@dataclass(slots=True)
class Watcher:
    """Looks at the truth once a minute and holds it against what the service believes and wants."""

    plan: Plan
    cloud: VirtualCloud
    log: Path
    violations: list[str]
    calm_minutes: int = 0
    hampered_s: float = 0.0
    struck_s: float = 0.0
    seen_calls: int = 0
    seen_changes: int = 0
    chargers: dict[str, _Watched] = field(default_factory=dict)
    reader: sqlite3.Connection | None = None
    seen: Service | None = None

    def close(self) -> None:
        """Let go of the log."""
        if self.reader is not None:
            self.reader.close()

    def look(self, service: Service | None, clock: Clock) -> None:
        """Take one sample; `service` is None while it is down."""
        self.cloud.advance()
        t_s = self.cloud.elapsed_s()
        is_other, self.seen = service is not self.seen, service
        if is_other:
            self.chargers.clear()
        if service is None or is_other or self._is_struck(t_s, clock):
            self.struck_s = self.hampered_s = t_s
        if self._is_by_hand(t_s):
            self.hampered_s = t_s
        if service is None:
            return
        self._hands(service, t_s)
        calm = t_s - self.hampered_s >= SETTLED_S
        self.calm_minutes += calm
        for view in service.world.chargers.values():
            truth = self.cloud.home.charger(view.spec.serial)
            self._on_old_data(view, truth.mode, t_s, service.rules.cycle_s)
            self._converged(view, truth.mode, t_s, calm=calm)

    def _is_struck(self, t_s: float, clock: Clock) -> bool:
        """Tell whether anything keeps the service from seeing or moving a charger."""
        lasting = any(f.kind in _HAMPERING and f.start_s <= t_s <= f.end_s for f in self.plan.faults)
        calls, before = self.cloud.calls, self.seen_calls
        self.seen_calls = len(calls)
        refused = any(calls[index].outcome not in _CALM for index in range(before - len(calls), 0))
        return lasting or refused or in_outage(self.plan, t_s) or self._is_held(clock)

    def _is_by_hand(self, t_s: float) -> bool:
        """Tell whether somebody else has moved a charger, perhaps unnoticed until now."""
        hands = (fault for fault in self.plan.faults if fault.kind in _BY_HAND)
        return any(hand.start_s <= t_s <= hand.start_s + NOTICED_S for hand in hands)

    def _is_held(self, clock: Clock) -> bool:
        """Tell whether the breaker keeps all calls back."""
        now = Instant.of(clock)
        if self.reader is None:
            self.reader = connect_reader(self.log)
        rows = self.reader.execute("SELECT boot_id, open_until_s, open_until FROM breaker")
        return any(now.s_of(*row) > now.s for row in rows.fetchall())

    def _hands(self, service: Service, t_s: float) -> None:
        """I5: a mode that somebody else has set is noticed, unless it looks like a late echo.

        An owner who has set `override_hold_s` to 0 wants every hand overruled: then nothing is owed to it.
        """
        changes, before = self.cloud.home.mode_changes, self.seen_changes
        self.seen_changes = len(changes)
        for view in service.world.chargers.values():
            watched = self.chargers.setdefault(view.spec.name, _Watched())
            if service.rules.override_hold_s > 0.0:
                for change in changes[before:]:
                    if change.serial == view.spec.serial:
                        self._touch(view, watched, change, t_s)
                self._notice(view, watched, t_s)
            self._obey(view, watched, t_s)

    def _obey(self, view: ChargerView, watched: _Watched, t_s: float) -> None:
        """I5: the owner's word is what is decided."""
        order = None if view.override is None else view.override.mode
        decided = None if view.decision is None else view.decision.mode
        if order is not None and order is watched.order and decided is not None and decided is not order:
            self.violations.append(f"I5: {t_s:.0f} s: {order.name} was ordered, not {decided.name}")
        watched.order = order

    def _touch(self, view: ChargerView, watched: _Watched, change: ModeChange, t_s: float) -> None:
        """Remember a hand; a command that only repeats what was decided before it has overruled it."""
        if change.cause != "command":
            seen = change.mode is view.mode
            watched.hand = None if seen else (change.mode, t_s, watched.decided)
        elif watched.hand is not None:
            mode, since_s, decided = watched.hand
            watched.hand = None
            if change.mode is decided and t_s - since_s > _LAG_S and self.struck_s < since_s - SETTLED_S:
                self.violations.append(f"I5: {t_s:.0f} s: {mode.name} at {view.spec.name} was overruled")

    def _notice(self, view: ChargerView, watched: _Watched, t_s: float) -> None:
        if watched.hand is None:
            return
        mode, since_s, _ = watched.hand
        held = view.override is not None and view.override.mode is mode
        echo = any(sent is mode for sent, _ in view.sent)
        if held or echo or self.struck_s >= since_s - SETTLED_S:
            watched.hand = None
        elif t_s - since_s > NOTICED_S + self.plan.look_s:
            watched.hand = None
            self.violations.append(f"I5: {t_s:.0f} s: nobody noticed {mode.name} at {view.spec.name}")

    def _on_old_data(self, view: ChargerView, mode: Mode, t_s: float, cycle_s: float) -> None:
        """I2: nothing draws from the grid, or more than before, on old data, unless the owner has said so."""
        watched = self.chargers.setdefault(view.spec.name, _Watched())
        if view.override is not None:
            watched.by_hand_s = t_s
        if t_s - watched.by_hand_s <= cycle_s + _LAG_S:
            return
        age_s, quiet_s = self.cloud.source_age_s(), t_s - self.hampered_s
        limit_s = _STALE_S + cycle_s + _LAG_S
        too_old = quiet_s >= age_s > limit_s or (quiet_s >= SETTLED_S and age_s > limit_s + _UNSEEN_S)
        if mode.draws_from_grid and too_old:
            self.violations.append(f"I2: {t_s:.0f} s: {mode.name} on data {age_s:.0f} s old")
        before, now = watched.decided, None if view.decision is None else view.decision.mode
        rises = before is not None and now is not None and now.draw_rank > before.draw_rank
        if rises and quiet_s >= age_s > _FRESH_S + _LAG_S:
            self.violations.append(f"I2: {t_s:.0f} s: a rise was decided on data {age_s:.0f} s old")

    def _converged(self, view: ChargerView, mode: Mode, t_s: float, *, calm: bool) -> None:
        """I3: in quiet times a charger is where it shall be, or on its way for less than 5 min."""
        watched = self.chargers.setdefault(view.spec.name, _Watched())
        decided = None if view.decision is None else view.decision.mode
        if decided is mode or decided is not watched.decided or not calm:
            watched.apart_s = None if decided is mode else t_s
        watched.decided = decided
        if watched.apart_s is not None and t_s - watched.apart_s > CONVERGED_S:
            wanted = "nothing" if decided is None else decided.name
            self.violations.append(f"I3: {t_s:.0f} s: {view.spec.name} is {mode.name}, decided was {wanted}")
