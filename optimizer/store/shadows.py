"""The log of the shadow: what a strategy would have decided that is tried beside the one in use."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from optimizer.domain import Decision, Mode
from optimizer.store.instants import from_text, to_text
from optimizer.store.rows import add_shadow_decision
from optimizer.store.thinning import DecisionMark, keeps_shadow

if TYPE_CHECKING:
    from optimizer.store.writer import Journal


@dataclass(frozen=True, slots=True)
class PastShadow:
    """What a shadow decided in an earlier run; `stands` until a clean stop, which rests the chargers."""

    at: datetime
    charger: str
    strategy: str
    mode: Mode
    stands: bool


class ShadowLog:
    """Decisions that are never sent: posted, never waited for, thinned."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._last: dict[str, DecisionMark] = {}

    def decision(
        self,
        strategy: str,
        decision: Decision,
        inputs: Mapping[str, object],
        context: Mapping[str, object],
        *,
        connected: bool,
    ) -> None:
        """Log a decision of `strategy` if it is another one, or now and then; as `Store.decision` does."""
        mark = DecisionMark.of(decision)
        if keeps_shadow(self._last.get(decision.charger), mark, connected=connected):
            self._last[decision.charger] = mark
            self._journal.post(partial(_add, strategy, decision, inputs, context))


def past_shadows(conn: sqlite3.Connection, since: datetime) -> tuple[PastShadow, ...]:
    """Return what was decided since then, oldest first."""
    rows = conn.execute(
        "SELECT at, charger, strategy, mode,"
        " at > coalesce((SELECT max(at) FROM event WHERE kind = 'stop'), '')"
        " FROM shadow_decision WHERE at >= ? AND charger IN (SELECT DISTINCT charger FROM shadow_decision)"
        " ORDER BY id",
        (to_text(since),),
    )
    return tuple(
        PastShadow(from_text(at), charger, strategy, Mode(mode), bool(stands))
        for at, charger, strategy, mode, stands in rows
    )


def _add(
    strategy: str,
    decision: Decision,
    inputs: Mapping[str, object],
    context: Mapping[str, object],
    conn: sqlite3.Connection,
) -> None:
    add_shadow_decision(conn, strategy, decision, inputs, context)
