"""Who judges a life: at the border to the cloud, once a minute from above, and in the log afterwards.

The promises, I1 to I5, are the ones of the service: its budget, no grid power on old data, the decided mode
reached, no command without an intent, the owner's hand respected and never imagined.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
from campaign_outside import Outside
from campaign_plan import DAY_S, Outage, Plan
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
NOTICED_S = 1080.0
"""A change by hand is seen by then: an idle charger is read every 15 min at night."""
INTENT_LIFE_S = 60.0
EXCHANGE_S = 20.0
"""A call reaches the cloud within this time of its row: waiting for the commit included."""

_CALLS_KEPT_DAYS = 12.0
"""The service keeps its calls for 14 days and tidies up at night."""

_FRESH_S, _STALE_S = 420.0, 900.0
_LAG_S = 120.0
"""From a lapsed lease to a charger in another mode, beyond one cycle: reads, the command, its way."""
_UNSEEN_S = 420.0
"""A sample may be younger to us than it is, by as long as it may lie unread and still count as fresh."""
_HAMPERING = frozenset((*ANSWER_FAULTS, *COMMAND_FAULTS, FaultKind.CHARGER_OFFLINE, FaultKind.CHARGER_FROZEN))
_BY_HAND = frozenset((FaultKind.MANUAL_CHANGE, FaultKind.FALLBACK_TO_FAST))
_TOO_OFTEN = frozenset((FaultKind.THROTTLED.value, FaultKind.TOO_MANY_REQUESTS.value, "minute", "banned"))
_NEVER_UNTOLD = 5
_MOSTLY_SUN = 0.6
"""What nobody has asked for comes mostly from the roof: else a kWh costs more than it is worth."""
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


@dataclass(frozen=True, slots=True)
class Boots:
    """When each boot of the machine began, on the cloud's time."""

    began_s: dict[str, float]

    def t_s(self, boot_id: str, s: float) -> float:
        """Translate a moment of a boot's clock."""
        return self.began_s[boot_id] + s


def audit(
    conn: sqlite3.Connection, plan: Plan, cloud: VirtualCloud, boots: Boots, kills: int
) -> Iterator[str]:
    """Yield what the log and the cloud's own record do not agree on."""
    budget = plan.settings(Path()).budget
    if cloud.worst_minute() > budget.calls_per_minute or cloud.worst_day() > budget.calls_per_day:
        yield f"I1: {cloud.worst_minute()} calls in a minute, {cloud.worst_day()} in a day"
    yield from _commands(conn, plan, cloud, boots)
    yield from _calls(conn, plan, cloud, boots, kills)
    yield from _restraint(plan, cloud)
    yield from _hands(conn, plan, cloud)
    yield from _happenings(conn)
    yield from _energy(conn, cloud)


def _commands(conn: sqlite3.Connection, plan: Plan, cloud: VirtualCloud, boots: Boots) -> Iterator[str]:
    """I4: each command that arrived has an intent of its own, not older than 60 s."""
    rows = conn.execute(
        "SELECT serial, mode, boot_id, intended_s FROM command WHERE sent_at IS NOT NULL ORDER BY id"
    )
    intents = _Queues((serial, Mode(mode), boots.t_s(boot, s), None) for serial, mode, boot, s in rows)
    for call in cloud.calls:
        if call.endpoint == COMMAND and call.mode is not None:
            for serial in call.subject.split(","):
                found = intents.take(serial, call.mode, call.t_s, INTENT_LIFE_S)
                if found is None and not in_outage(plan, call.t_s, EXCHANGE_S):
                    yield f"I4: {call.t_s:.0f} s: {call.mode.name} to {serial} has no intent of its own"


def _calls(
    conn: sqlite3.Connection, plan: Plan, cloud: VirtualCloud, boots: Boots, kills: int
) -> Iterator[str]:
    """Compare the ledger with the cloud's own count: a call is lost only with its process.

    Of a long life only the last weeks are compared, for the ledger forgets what no limit asks for any more.
    """
    kept_s = max(0.0, plan.days - _CALLS_KEPT_DAYS) * DAY_S
    rows = conn.execute(
        "SELECT endpoint, subject, boot_id, reserved_s, outcome FROM call"
        " WHERE outcome IS NOT 'not_sent' ORDER BY id"
    )
    ledger = _Queues(
        (endpoint, subject, boots.t_s(boot, s), outcome)
        for endpoint, subject, boot, s, outcome in rows
        if boots.t_s(boot, s) >= kept_s
    )
    for call in cloud.calls:
        if call.t_s < kept_s + EXCHANGE_S and kept_s > 0.0:
            continue
        found = ledger.take(call.endpoint.removesuffix(".do"), call.subject, call.t_s, EXCHANGE_S)
        if found is None and not in_outage(plan, call.t_s, EXCHANGE_S):
            yield f"calls: {call.t_s:.0f} s: {call.endpoint} of {call.subject} is not in the ledger"
        elif found is not None and call.outcome == "ok" and found[1] not in ("ok", None):
            yield f"calls: {call.t_s:.0f} s: {call.endpoint} was served, the ledger says {found[1]}"
    if ledger.left() > kills + (kept_s > 0.0):
        yield f"calls: {ledger.left()} rows of the ledger never reached the cloud, with {kills} kills"


_Found = tuple[float, str | None]


def _restraint(plan: Plan, cloud: VirtualCloud) -> Iterator[str]:
    """I1: who is told that he calls too often is silent for a minute, unless he dies of it."""
    for call, following in pairwise(cloud.calls):
        killed = any(call.t_s <= brk.at_s <= following.t_s for brk in plan.breaks)
        if call.outcome in _TOO_OFTEN and following.t_s - call.t_s < 60.0 and not killed:
            yield f"I1: {following.t_s:.0f} s: a call {following.t_s - call.t_s:.0f} s after {call.outcome}"


class _Queues:
    """Rows of the log that wait for what the cloud saw of them, oldest first for each kind."""

    def __init__(self, rows: Iterable[tuple[object, object, float, str | None]]) -> None:
        self._waiting: dict[tuple[object, object], deque[_Found]] = {}
        self._passed = 0
        for one, other, t_s, outcome in sorted(rows, key=lambda row: row[2]):
            self._waiting.setdefault((one, other), deque()).append((t_s, outcome))

    def take(
        self, one: object, other: object, t_s: float, within_s: float
    ) -> tuple[float, str | None] | None:
        """Take the oldest row of this kind that was written at most `within_s` before `t_s`."""
        queue = self._waiting.get((one, other), deque())
        while queue and queue[0][0] < t_s - within_s:
            queue.popleft()
            self._passed += 1
        return queue.popleft() if queue and queue[0][0] <= t_s else None

    def left(self) -> int:
        """Return how many rows were passed over or are still there."""
        return self._passed + sum(map(len, self._waiting.values()))


def _hands(conn: sqlite3.Connection, plan: Plan, cloud: VirtualCloud) -> Iterator[str]:
    """I5: no hand was seen where there was none."""
    names = {spec.serial: spec.name for spec in plan.virtual.chargers}
    changes = [(names[c.serial], int(c.mode)) for c in cloud.home.mode_changes if c.cause != "command"]
    for seen in conn.execute("SELECT charger, mode FROM override WHERE origin = 'charger' ORDER BY id"):
        if seen in changes:
            changes.remove(seen)
        else:
            yield f"I5: {seen[0]} was never set to {Mode(seen[1]).name} by hand"


def _happenings(conn: sqlite3.Connection) -> Iterator[str]:
    """Nothing failed inside but what an unwritable log makes fail."""
    for kind, message in conn.execute(
        "SELECT kind, message FROM event WHERE kind IN ('job_failed', 'strategy_failed', 'log_lost')"
    ):
        if "StoreUnavailable" not in message and "StoreLocked" not in message:
            yield f"{kind}: {message}"


def _energy(conn: sqlite3.Connection, cloud: VirtualCloud) -> Iterator[str]:
    """The sessions of the log hold what the cars took."""
    told_kwh = conn.execute("SELECT total(ev_kwh) FROM session").fetchone()[0]
    truth_kwh = cloud.home.truth().ev_kwh
    least_kwh = conn.execute("SELECT min(ev_kwh) FROM session").fetchone()[0] or 0.0
    if least_kwh < -0.01:
        yield f"energy: a session has {least_kwh:.2f} kWh"
    if abs(told_kwh - truth_kwh) > 1.0 + 0.05 * truth_kwh:
        yield f"energy: the sessions have {told_kwh:.2f} kWh, the cars took {truth_kwh:.2f} kWh"


def foreseen(conn: sqlite3.Connection, plan: Plan, outside: Outside) -> Iterator[str]:
    """Nothing is drawn from the grid because somebody else fails or lies, and who fails is told of."""
    told = [text for (text,) in conn.execute("SELECT message FROM event WHERE kind = 'forecast_lost'")]
    for name, times in outside.failed.items():
        if times >= _NEVER_UNTOLD and not any(text.startswith(name) for text in told):
            yield f"forecast: {name} failed {times} times, and nobody says so"
    settings = plan.settings(Path())
    if settings.strategy.name != "planner" or settings.tariff.source is not None:
        return
    powers = {spec.name: (spec.max_power_w, spec.eco_floor_w) for spec in settings.charger_specs()}
    rows = conn.execute(
        "SELECT at, charger, mode, inputs FROM decision"
        " WHERE guard IS NULL AND reason_code = 'planner.spare' AND mode IN (?,?)",
        (int(Mode.FAST), int(Mode.ECO)),
    )
    for at, charger, number, text in rows:
        inputs, (most_w, floor_w) = json.loads(text), powers[charger]
        surplus_w = inputs.get("surplus_w") or 0.0
        draws_w = most_w if Mode(number) is Mode.FAST else max(floor_w, surplus_w)
        if surplus_w < _MOSTLY_SUN * draws_w:
            yield f"unasked: {at}: {Mode(number).name} of {draws_w:.0f} W at {surplus_w:.0f} W of surplus"


def trace_rows(conn: sqlite3.Connection, cloud: VirtualCloud) -> Iterator[object]:
    """Yield what happened, at the cloud and in our own head."""
    yield from cloud.calls
    yield from conn.execute("SELECT at, charger, mode, guard, reason, inputs FROM decision ORDER BY id")
