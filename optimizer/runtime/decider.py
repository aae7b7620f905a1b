"""From the world to one guarded decision per charger; nothing here waits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from optimizer.control.guards import GuardInputs, GuardPolicy, guard, policy_for
from optimizer.control.sharing import Claim, share
from optimizer.control.surplus import available_to_car
from optimizer.domain import Decision, Goal, Mode, Proposal, Reason, Situation, Strategy
from optimizer.planning.choice import Appraiser
from optimizer.runtime.rules import Rules
from optimizer.runtime.world import ChargerView, World

OnFault = Callable[[str, Exception], None]

_SEVERAL = 2


@dataclass(frozen=True, slots=True)
class Deliberation:
    """One charger's decision with all that led to it."""

    situation: Situation
    proposal: Proposal
    inputs: GuardInputs
    decision: Decision

    @property
    def raises(self) -> bool:
        """Whether the decided mode may draw more than the one before."""
        before = self.inputs.current
        return before is None or self.decision.mode.draw_rank > before.draw_rank


class Decider:
    """Asks the strategy about each charger and lets the guards rule on its answer.

    A strategy that raises has proposed the resting mode; `on_fault` hears of it.
    """

    def __init__(self, world: World, rules: Rules, strategy: Strategy, on_fault: OnFault) -> None:
        self._world = world
        self._rules = rules
        self._strategy = strategy
        self._guard = policy_for(strategy, rules.guard)
        self._on_fault = on_fault

    def decide(self, now: datetime, now_s: float) -> list[Deliberation]:
        """Return what each charger shall do, in the order of the rules; changes nothing but the shares."""
        goals = {name: self._goal(view, now) for name, view in self._world.chargers.items()}
        self._share(goals, now, now_s)
        views = self._world.chargers.items()
        return [self._deliberate(view, goals[name], now, now_s) for name, view in views]

    def without_slot(self, one: Deliberation) -> Deliberation:
        """Return the same deliberation for when the budget has no call left for a rise."""
        return ruled(one.situation, one.proposal, replace(one.inputs, slot_free=False), self._guard)

    def adopt(self, one: Deliberation) -> None:
        """Let the decision stand: the next one starts from it."""
        view, now_s = self._world.chargers[one.decision.charger], one.inputs.now_s
        view.memory, view.proposed_at_s = one.proposal.memory, now_s
        before, view.current = view.current, one.decision.mode
        view.decision = one.decision
        if before is not None and before is not one.decision.mode:
            view.changed_at_s = now_s
            view.changes_s.append(now_s)

    def by_order(self, name: str, mode: Mode, why: str, now: datetime) -> Decision:
        """Return a decision that neither strategy nor guards were asked about."""
        reason = Reason("by_order", "{mode}, for {why}", {"mode": mode.name, "why": why})
        return Decision(now, name, mode, reason, proposed=mode)

    def _share(self, goals: Mapping[str, Goal | None], now: datetime, now_s: float) -> None:
        world = self._world
        since_s = 0.0 if world.shared_at_s is None else now_s - world.shared_at_s
        surplus_w = self._available_w()
        if surplus_w is not None:
            claims = [_claim(view, goals[name]) for name, view in world.chargers.items()]
            world.shares = share(
                surplus_w,
                self._appraised(claims, goals, now, now_s),
                world.shares,
                since_s,
                self._rules.share_hold_s,
            )
        world.shared_at_s = now_s

    def _appraised(
        self, claims: Sequence[Claim], goals: Mapping[str, Goal | None], now: datetime, now_s: float
    ) -> list[Claim]:
        """Return the claims with what a kWh is worth in each car, as far as that decides between them."""
        strategy = self._strategy
        rivals = Counter(claim.priority for claim in claims if claim.wants)
        if not isinstance(strategy, Appraiser) or max(rivals.values(), default=0) < _SEVERAL:
            return list(claims)

        def worth_eur_per_kwh(name: str) -> float:
            situation = self._situation(self._world.chargers[name], goals[name], now, now_s, None)
            try:
                worth = float(strategy.worth_eur_per_kwh(situation))
            except Exception as fault:  # noqa: BLE001 - a stranger's code must not end the control of a charger
                self._on_fault(name, fault)
                return 0.0
            return worth if math.isfinite(worth) else 0.0

        return [
            replace(claim, worth_eur_per_kwh=worth_eur_per_kwh(claim.name)) if claim.wants else claim
            for claim in claims
        ]

    def _available_w(self) -> float | None:
        """Return what is left to share: cars in the owner's hand and the home battery come first."""
        site, battery = self._world.site, self._rules.battery
        if site.estimate is None or site.reading is None:
            return None
        surplus_w = site.estimate.surplus_w - self._taken_by_hand_w()
        if battery is None:
            return surplus_w
        return available_to_car(
            surplus_w,
            site.reading.battery_w,
            site.reading.battery_soc,
            battery.first_until_soc,
            battery.max_charge_w,
        )

    def _taken_by_hand_w(self) -> float:
        views = self._world.chargers.values()
        return sum(view.ev_w or 0.0 for view in views if view.override is not None)

    def _deliberate(self, view: ChargerView, goal: Goal | None, now: datetime, now_s: float) -> Deliberation:
        is_known = self._world.site.estimate is not None
        surplus_w = self._world.shares.of(view.spec.name) if is_known else None
        situation = self._situation(view, goal, now, now_s, surplus_w)
        proposal = proposed(self._strategy, situation, self._rules.guard.resting_mode, self._on_fault)
        return ruled(situation, proposal, self._inputs(view, situation, now_s), self._guard)

    def _situation(
        self, view: ChargerView, goal: Goal | None, now: datetime, now_s: float, surplus_w: float | None
    ) -> Situation:
        site = self._world.site
        habit = view.habit if goal is None else None
        return Situation(
            now=now,
            charger=view.spec,
            status=view.status,
            mode=view.mode if view.current is None else view.current,
            ev_w=view.ev_w,
            session_kwh=view.session_kwh,
            surplus_w=surplus_w,
            site=site.reading,
            data_age_s=_rounded(site.age_s(now_s)),
            elapsed_s=0.0 if view.proposed_at_s is None else round(now_s - view.proposed_at_s, 3),
            goal=goal,
            tariff=self._rules.tariff_at(now),
            forecast=self._world.forecast,
            load_forecast=self._world.load_forecast,
            habit=habit,
            stayed_s=0.0 if habit is None or view.came_at is None else _seconds(now - view.came_at),
            memory=view.memory,
        )

    def _goal(self, view: ChargerView, now: datetime) -> Goal | None:
        # A full car shows it only while it may charge: its goal would be at risk again in STOP.
        return None if view.had_enough else self._rules.goal_for(view.spec.name, now)

    def _inputs(self, view: ChargerView, situation: Situation, now_s: float) -> GuardInputs:
        left_s = _left_s(situation.goal, situation.now)
        return GuardInputs(
            now_s=now_s,
            current=view.mode if view.current is None else view.current,
            changed_at_s=view.changed_at_s,
            changes_24h=view.changes_24h(now_s),
            freshness=self._world.site.freshness,
            connected=situation.connected,
            override=view.override,
            serves_goals=serves_goals(self._strategy, situation),
            need_kwh=situation.need_kwh,
            power_w=view.spec.max_power_w,
            goal_left_s=left_s,
        )


def proposed(strategy: Strategy, situation: Situation, resting: Mode, on_fault: OnFault) -> Proposal:
    """Return what a strategy proposes; one that raises proposes to rest, and `on_fault` hears of it."""
    try:
        return checked(strategy.propose(situation))
    except Exception as fault:  # noqa: BLE001 - a stranger's code must not end the control of a charger
        on_fault(situation.charger.name, fault)
        numbers = {"mode": resting.name, "fault": type(fault).__name__}
        return Proposal(
            resting, Reason("strategy_failed", "{mode}, for the strategy failed with {fault}", numbers)
        )


def ruled(situation: Situation, proposal: Proposal, inputs: GuardInputs, policy: GuardPolicy) -> Deliberation:
    """Return a deliberation with what the guards made of the proposal."""
    ruling = guard(proposal, inputs, policy)
    lease_s = ruling.lease_until_s
    decision = Decision(
        at=situation.now,
        charger=situation.charger.name,
        mode=ruling.mode,
        reason=ruling.reason or proposal.reason,
        proposed=Mode(proposal.mode),
        guard=ruling.guard,
        lease_until=None if lease_s is None else situation.now + timedelta(seconds=lease_s - inputs.now_s),
        alternatives=proposal.alternatives,
    )
    return Deliberation(situation, proposal, inputs, decision)


def serves_goals(strategy: Strategy, situation: Situation) -> bool:
    """Tell whether a goal may overrule the strategy: not where it says no, nor for a car that is full."""
    is_full = situation.status is not None and situation.status.finished
    return strategy.serves_goals and not is_full


def checked(proposal: Proposal) -> Proposal:
    """Return a stranger's proposal if everything that is made of it later can be made.

    Raises:
        AttributeError, TypeError, ValueError, LookupError: something in it is not what it should be.

    """
    numbers = [*proposal.memory, *(alternative.cost_eur for alternative in proposal.alternatives)]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("memory and costs must be finite")
    str(proposal.reason)
    alternatives = tuple(replace(one, mode=Mode(one.mode)) for one in proposal.alternatives)
    return replace(proposal, mode=Mode(proposal.mode), alternatives=alternatives)


def _claim(view: ChargerView, goal: Goal | None) -> Claim:
    spec = view.spec
    wants = view.connected and not _is_full(view) and view.override is None
    misses = goal is not None and goal.missing_kwh(view.session_kwh) > 0.0
    due_s = goal.deadline.timestamp() if goal is not None and misses else math.inf
    return Claim(spec.name, spec.priority, spec.green_floor_w, spec.max_power_w, wants, due_s)


def _is_full(view: ChargerView) -> bool:
    return view.status is not None and view.status.finished


def _rounded(seconds: float | None) -> float | None:
    """Return a time to the millisecond: each digit is written with each decision."""
    return None if seconds is None else round(seconds, 3)


def _seconds(span: timedelta) -> float:
    """Return a span in whole seconds, at least 0: a clock may have been set back."""
    return float(max(0, round(span.total_seconds())))


def _left_s(goal: Goal | None, now: datetime) -> float | None:
    return None if goal is None else (goal.deadline - now).total_seconds()
