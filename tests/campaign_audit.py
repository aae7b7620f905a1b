"""Who judges a life afterwards: what its log says beside what the cloud and the strangers have seen."""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from campaign_oracles import in_outage
from campaign_outside import Outside
from campaign_plan import DAY_S, Plan

from optimizer.domain import Mode
from optimizer.service import CALLS_KEPT
from optimizer.simulation.cloud import VirtualCloud
from optimizer.simulation.faults import FaultKind
from optimizer.simulation.wire import COMMAND

INTENT_LIFE_S = 60.0
EXCHANGE_S = 20.0
"""A call reaches the cloud within this time of its row: waiting for the commit included."""

_CALLS_KEPT_DAYS = CALLS_KEPT.days - 2.0
"""The service tidies up at night."""
_TOO_OFTEN = frozenset((FaultKind.THROTTLED.value, FaultKind.TOO_MANY_REQUESTS.value, "minute", "banned"))
_NEVER_UNTOLD = 5
_MOSTLY_SUN = 0.6
"""What nobody has asked for comes mostly from the roof: else a kWh costs more than it is worth."""


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
