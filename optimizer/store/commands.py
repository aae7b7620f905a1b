"""The life of a command in the log: committed as an intent before anything is sent, then followed to its end.

`intent → sent → accepted → acknowledged → confirmed`, or `failed`, `superseded`; `unknown` after a restart,
for nobody can tell whether it left.  Only a read-back confirms; a callback adds an event and no more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from optimizer.domain import Mode
from optimizer.errors import SunmodeError
from optimizer.store.instants import to_json, to_text
from optimizer.store.ledger import Instant

INTENT_LIFE_S = 60.0
"""An intent older than this is not sent any more: the decision behind it is stale."""


class StaleIntent(SunmodeError):  # noqa: N818 - the state, not the mishap
    """Decide anew: the intent is too old, or of another boot, to be sent now."""


class CommandState(StrEnum):
    """Where a command is."""

    INTENT = "intent"
    SENT = "sent"
    ACCEPTED = "accepted"
    ACKNOWLEDGED = "acknowledged"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SUPERSEDED = "superseded"


OPEN_STATES = (CommandState.INTENT, CommandState.SENT, CommandState.ACCEPTED, CommandState.ACKNOWLEDGED)
"""States that a restart turns into `unknown`."""

OPEN_LIST = ",".join(f"'{state.value}'" for state in OPEN_STATES)
"""The same, for SQL."""

_ACKNOWLEDGE = "UPDATE command SET state = 'acknowledged' WHERE id = ? AND state IN ('sent', 'accepted')"
_ENDS = frozenset({CommandState.CONFIRMED, CommandState.SUPERSEDED})
_NEVER_LEFT = frozenset({CommandState.INTENT})


@dataclass(frozen=True, slots=True)
class Intent:
    """What is about to be sent to one charger, and why; `attempt` counts from 1."""

    charger: str
    serial: str
    mode: Mode
    decision_at: datetime
    attempt: int
    toward_safety: bool
    reason: str


def insert_intents(conn: sqlite3.Connection, intents: Sequence[Intent], now: Instant) -> list[int]:
    """Write one row each, in state `intent`, and return their ids in the same order."""
    ids = []
    for intent in intents:
        row = conn.execute(
            "INSERT INTO command (charger, serial, mode, decision_at, attempt, toward_safety, reason, state,"
            " boot_id, intended_s, intended_at) VALUES (?,?,?,?,?,?,?,'intent',?,?,?) RETURNING id",
            (
                intent.charger,
                intent.serial,
                int(intent.mode),
                to_text(intent.decision_at),
                intent.attempt,
                intent.toward_safety,
                intent.reason,
                now.boot_id,
                now.s,
                to_text(now.at),
            ),
        ).fetchone()
        ids.append(int(row[0]))
        _append(conn, ids[-1], now.at, CommandState.INTENT, None)
    return ids


def mark(
    conn: sqlite3.Connection,
    command_ids: Sequence[int],
    state: CommandState,
    now: Instant,
    task_id: str | None,
    detail: Mapping[str, object] | None,
) -> None:
    """Move commands to `state` and append it to their events; all of them or none.

    A command that has ended keeps its state; the event is appended all the same.

    Raises:
        StaleIntent: to be `sent`, but older than 60 s, of another boot, or sent before.
        ValueError: no such command, or a way back to `intent`.

    """
    if state is CommandState.INTENT:
        raise ValueError("a command does not become an intent again")
    for command_id in command_ids:
        before = _state_of(conn, command_id)
        if state is CommandState.SENT:
            _refuse_stale(conn, command_id, before, now)
            conn.execute("UPDATE command SET sent_at = ? WHERE id = ?", (to_text(now.at), command_id))
        if before not in _ENDS:
            conn.execute("UPDATE command SET state = ? WHERE id = ?", (state.value, command_id))
        if task_id is not None:
            conn.execute("UPDATE command SET task_id = ? WHERE id = ?", (task_id, command_id))
        _append(conn, command_id, now.at, state.value, detail)


@dataclass(frozen=True, slots=True)
class Callback:
    """What the cloud says about a task: of one device (`serial`) or of all.

    With `acknowledges` the device says that it has done it: a hint that only a read-back makes true.
    """

    task_id: str
    kind: str
    detail: Mapping[str, object]
    serial: str | None = None
    acknowledges: bool = False


def add_callback(conn: sqlite3.Connection, callback: Callback, at: datetime) -> tuple[str, ...]:
    """Append a callback to the commands of its task; return their chargers, or nobody.

    An unknown task and a repeated callback change nothing and return nobody.
    """
    told, kind = to_json(callback.detail), callback.kind
    chargers = []
    rows = conn.execute(
        "SELECT id, charger FROM command WHERE task_id = ?1 AND (?2 IS NULL OR serial = ?2) ORDER BY id",
        (callback.task_id, callback.serial),
    ).fetchall()
    for command_id, charger in rows:
        known = conn.execute(
            "SELECT 1 FROM command_event WHERE command_id = ? AND kind = ? AND detail = ?",
            (command_id, kind, told),
        ).fetchone()
        if known is None:
            _append(conn, command_id, at, kind, callback.detail)
            chargers.append(str(charger))
            if callback.acknowledges:
                conn.execute(_ACKNOWLEDGE, (command_id,))
    return tuple(dict.fromkeys(chargers))


def _state_of(conn: sqlite3.Connection, command_id: int) -> CommandState:
    row = conn.execute("SELECT state FROM command WHERE id = ?", (command_id,)).fetchone()
    if row is None:
        raise ValueError(f"no command {command_id} in the log")
    return CommandState(row[0])


def _refuse_stale(conn: sqlite3.Connection, command_id: int, state: CommandState, now: Instant) -> None:
    boot_id, intended_s = conn.execute(
        "SELECT boot_id, intended_s FROM command WHERE id = ?", (command_id,)
    ).fetchone()
    if state not in _NEVER_LEFT:
        raise StaleIntent(f"command {command_id} is {state.value}, not an intent")
    if boot_id != now.boot_id or now.s - intended_s > INTENT_LIFE_S:
        raise StaleIntent(f"command {command_id} was meant more than {INTENT_LIFE_S:g} s ago")


def _append(
    conn: sqlite3.Connection, command_id: int, at: datetime, kind: str, detail: Mapping[str, object] | None
) -> None:
    conn.execute(
        "INSERT INTO command_event (command_id, at, kind, detail) VALUES (?,?,?,?)",
        (command_id, to_text(at), kind, None if detail is None else to_json(detail)),
    )
