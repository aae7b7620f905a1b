"""The log of the shadow: what a strategy would have decided that is tried beside the one in use."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from optimizer.domain import Decision
from optimizer.store import rows
from optimizer.store.thinning import DecisionMark, keeps_shadow

if TYPE_CHECKING:
    from optimizer.store.writer import Journal


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
    ) -> None:
        """Log a decision of `strategy` if it is another one, or once an hour; as `Store.decision` does."""
        mark = DecisionMark.of(decision)
        if keeps_shadow(self._last.get(decision.charger), mark):
            self._last[decision.charger] = mark
            self._journal.post(partial(_add, strategy, decision, inputs, context))


def _add(
    strategy: str,
    decision: Decision,
    inputs: Mapping[str, object],
    context: Mapping[str, object],
    conn: sqlite3.Connection,
) -> None:
    rows.add_shadow_decision(conn, strategy, decision, inputs, context)
