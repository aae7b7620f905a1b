"""A second strategy that decides beside the one in use, each cycle, and is never sent.

It sees the situations of the one in use and lives on as if its own decisions had been sent: its own mode,
dwell, changes and memory.  It spends no calls and has no owner's hand above it.  What it cannot see is the
house as it would be then: the car's power and energy are what the strategy in use makes of them.

- stale, safe state: the same guards as for the one in use
- who retries: the next cycle
- giving up: never; a strategy that raises proposes to rest, as the one in use would
- what the human sees: one event per charger and kind of fault, never the end of the service
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from optimizer.control.guards import GuardInputs, policy_for
from optimizer.domain import Mode, Situation, Strategy
from optimizer.runtime.decider import Deliberation, proposed, ruled, serves_goals
from optimizer.runtime.replay import Contexts, inputs_of
from optimizer.runtime.rules import Rules
from optimizer.store.log import Store
from optimizer.store.shadows import PastShadow

_DAY_S = 86_400.0

_log = structlog.stdlib.get_logger("sunmode.shadow")


@dataclass(slots=True)
class _Course:
    """What has become of one charger in the shadow; `current` None: it begins where the charger is."""

    current: Mode | None = None
    changed_at_s: float | None = None
    changes_s: deque[float] = field(default_factory=deque)
    memory: tuple[float, ...] = ()
    proposed_at_s: float | None = None

    def seen_from(self, situation: Situation, now_s: float) -> Situation:
        """Return what the shadow's strategy sees where the one in use saw `situation`."""
        return replace(
            situation,
            mode=situation.mode if self.current is None else self.current,
            elapsed_s=0.0 if self.proposed_at_s is None else now_s - self.proposed_at_s,
            memory=self.memory,
        )

    def guarded_by(self, inputs: GuardInputs, *, serves_goals: bool) -> GuardInputs:
        """Return what the guards look at: nothing of calls, nothing of the owner's hand."""
        while self.changes_s and self.changes_s[0] < inputs.now_s - _DAY_S:
            self.changes_s.popleft()
        return replace(
            inputs,
            current=inputs.current if self.current is None else self.current,
            changed_at_s=self.changed_at_s,
            changes_24h=len(self.changes_s),
            slot_free=True,
            override=None,
            serves_goals=serves_goals,
        )

    def adopt(self, one: Deliberation) -> None:
        """Go on from a decision as if it had been sent."""
        self.memory, self.proposed_at_s = one.proposal.memory, one.inputs.now_s
        self._go(one.inputs.current, one.decision.mode, one.inputs.now_s)

    def resume(self, past: PastShadow, at_s: float) -> None:
        """Take in a decision of an earlier run, the oldest first; a clean stop put the charger to rest."""
        self._go(self.current, past.mode, at_s)
        if not past.stands:
            self.current = None

    def _go(self, before: Mode | None, mode: Mode, at_s: float) -> None:
        self.current = mode
        if before is not None and before is not mode:
            self.changed_at_s = at_s
            self.changes_s.append(at_s)


class Shadow:
    """Follows the decisions in use with those of `strategy`, and hands them to the log alone."""

    def __init__(self, strategy: Strategy, rules: Rules, store: Store) -> None:
        self._strategy = strategy
        self._rules = rules
        self._store = store
        self._courses = {spec.name: _Course() for spec in rules.chargers}
        self._contexts = Contexts(rules, strategy)
        self._faults: set[tuple[str, str]] = set()

    def take_over(self, past: Iterable[PastShadow], now: datetime, now_s: float) -> None:
        """Go on with what this strategy decided in an earlier run."""
        for one in past:
            course = self._courses.get(one.charger)
            if course is not None and one.strategy == self._strategy.name:
                course.resume(one, now_s - max(0.0, (now - one.at).total_seconds()))

    def follow(self, decided: Sequence[Deliberation]) -> None:
        """Decide for the same chargers at the same instant; whatever goes wrong here stays here."""
        for one in decided:
            try:
                self._follow(one)
            except (Exception, SystemExit) as fault:  # noqa: BLE001 - what is only tried may not end the service
                self._tell(one.decision.charger, fault)

    def _follow(self, in_use: Deliberation) -> None:
        name = in_use.decision.charger
        course, policy = self._courses[name], policy_for(self._strategy, self._rules.guard)
        situation = course.seen_from(in_use.situation, in_use.inputs.now_s)
        inputs = course.guarded_by(in_use.inputs, serves_goals=serves_goals(self._strategy, situation))
        proposal = proposed(self._strategy, situation, policy.resting_mode, self._tell)
        one = ruled(situation, proposal, inputs, policy)
        course.adopt(one)
        self._store.shadows.decision(
            self._strategy.name,
            one.decision,
            inputs_of(one),
            self._contexts.of(situation),
            connected=situation.connected,
        )

    def _tell(self, charger: str, fault: BaseException) -> None:
        kind = type(fault).__name__
        if (charger, kind) in self._faults:
            return
        self._faults.add((charger, kind))
        _log.warning("the shadow strategy failed", charger=charger, fault=kind, exc_info=fault)
        message = f"the shadow strategy {self._strategy.name} failed: {kind}"
        self._store.event("shadow_failed", message, charger=charger, level="warning")
