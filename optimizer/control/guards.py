"""Who may have a say after the strategy: safety lease, data age, owner, goal, hysteresis, call budget.

The first two say what is permitted at all, and nothing behind them can widen that: every later guard only
chooses among what they leave.  One hand is above them: a mode that the owner has set stands until the end
that he gave it.  It is a permission by hand with an end of its own, hence its own lease, and it holds even
when the cloud shows us nothing.

- stale: FAST and ECO need a lease that only fresh, proven data renews; its end does not depend on us
- safe state: the resting mode, GREEN where it was commissioned (it regulates itself), else STOP
- who retries: the next cycle; a guard keeps no state
- giving up: never; a goal that nobody may serve is reported as at risk
- what the human sees: the guard, and its sentence with the numbers

Moves to a mode that may draw less (`Mode.draw_rank`) pass hysteresis and budget.  Without a car nothing is
worth a call, but FAST and ECO must not wait for the next car: they are lowered to the resting mode.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from optimizer.control.freshness import Band, Freshness, band, lease_until_s
from optimizer.domain import Guard, Mode, Reason
from optimizer.goals import goal_at_risk
from optimizer.plant.charger import draw_rank

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optimizer.domain import Proposal, ReasonParams, Strategy

PASSED, LEASE, NO_CAR_LEASE, NO_CAR, HELD, STALE, GOAL, DWELL, CHANGES, GAIN, BUDGET = range(11)
"""Codes of the kernels: what changed the proposal, PASSED if nothing did."""

LAST_MOMENT_S = 120.0
"""A command on its way, a contactor that closes, a car that wakes up: two minutes."""

_FRESH, _HOLD = 0, 1
_FAST, _ECO = 1, 2


def lower_mode(one: int, other: int) -> int:
    """Return the mode of the two that may draw less."""
    return one if draw_rank(one) <= draw_rank(other) else other


def draws_from_grid(mode: int) -> bool:
    """Tell whether a mode goes on importing when nobody watches."""
    return mode in (_FAST, _ECO)


def unleased_mode(current: int, resting: int) -> int:
    """Return what stands without a permission: what is on, unless that draws from the grid."""
    return resting if draws_from_grid(current) else current


def permitted_mode(
    wish: int, current: int, resting: int, age_band: int, leased: bool, connected: bool
) -> tuple[int, int]:
    """Return the mode that lease and data age leave of the wish, and the code of who changed it."""
    mode, code = wish, PASSED
    if not connected:
        mode = unleased_mode(current, resting)
        if mode != wish:
            code = NO_CAR_LEASE if draws_from_grid(current) else NO_CAR
    elif draws_from_grid(wish) and not leased:
        mode, code = unleased_mode(current, resting), LEASE
    if age_band == _FRESH:
        return mode, code
    aged = lower_mode(mode, current)
    if age_band != _HOLD:
        aged = lower_mode(aged, resting)
    if aged == mode:
        return mode, code
    return aged, HELD if age_band == _HOLD else STALE


def raise_code(
    since_s: float,
    dwell_s: float,
    changes: int,
    max_changes: int,
    gain_eur: float,
    switch_cost_eur: float,
    urgent: bool,
    slot_free: bool,
) -> int:
    """Return PASSED if the mode may rise now, else the code of who says no."""
    if not urgent:
        if since_s < dwell_s:
            return DWELL
        if changes >= max_changes:
            return CHANGES
        if gain_eur < switch_cost_eur:
            return GAIN
    return PASSED if slot_free else BUDGET


def guard_mode(
    proposed: int,
    current: int,
    resting: int,
    age_band: int,
    leased: bool,
    connected: bool,
    at_risk: bool,
    veto: int,
) -> tuple[int, int]:
    """Return the guarded mode and the code of who had the last word; `veto` is the `raise_code` of a rise."""
    wish = _FAST if at_risk else proposed
    mode, code = permitted_mode(wish, current, resting, age_band, leased, connected)
    if code == PASSED and wish != proposed:
        code = GOAL
    if veto != PASSED and draw_rank(mode) > draw_rank(current):
        return current, veto
    return mode, code


@dataclass(frozen=True, slots=True)
class Override:
    """A mode set by the owner's hand, until `until_s`."""

    mode: Mode
    until_s: float


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """The owner's settings; `dwell_s` is how long each mode stands before one that draws more may follow."""

    fresh_s: float = 420.0
    stale_s: float = 900.0
    lease_s: float = 900.0
    green_commissioned: bool = False
    dwell_s: Mapping[Mode, float] = field(default_factory=lambda: dict.fromkeys(Mode, 300.0))
    max_changes_per_day: int = 24
    switch_cost_eur: float = 0.01
    goal_margin_s: float = 1800.0
    goal_release_s: float = 900.0

    @property
    def resting_mode(self) -> Mode:
        """What is safe when nobody watches: GREEN if it was seen to work on this site, else STOP."""
        return Mode.GREEN if self.green_commissioned else Mode.STOP


def policy_for(strategy: Strategy, policy: GuardPolicy) -> GuardPolicy:
    """Return the policy for a strategy: one that plans its goals is overruled at the last moment only."""
    if not getattr(strategy, "plans_goals", False):
        return policy
    margin_s = min(policy.goal_margin_s, LAST_MOMENT_S)
    return replace(policy, goal_margin_s=margin_s, goal_release_s=min(policy.goal_release_s, LAST_MOMENT_S))


@dataclass(frozen=True, slots=True)
class GuardInputs:
    """All that the guards look at, for one charger; instants are monotonic.

    `current` is the mode decided last, at first the one read from the charger; None counts as the resting
    mode.  `changed_at_s` is when it was decided (None: longer ago than any dwell), `changes_24h` how many
    changes were decided within 24 h.  `goal_left_s` is the time to the goal's deadline, `power_w` what the
    car takes in FAST.  `slot_free` tells whether a normal call could go now.
    """

    now_s: float
    current: Mode | None
    changed_at_s: float | None
    changes_24h: int
    freshness: Freshness | None
    connected: bool
    slot_free: bool = True
    override: Override | None = None
    serves_goals: bool = True
    need_kwh: float = 0.0
    power_w: float = 0.0
    goal_left_s: float | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """The guarded mode, who changed it and why, and until when a mode that draws from the grid may stand."""

    mode: Mode
    guard: Guard | None = None
    reason: Reason | None = None
    lease_until_s: float | None = None


def guard(proposal: Proposal, inputs: GuardInputs, policy: GuardPolicy) -> Ruling:
    """Return what becomes of a proposal."""
    owner = inputs.override
    if owner is not None and _stands(owner, inputs.now_s, policy):
        return _by_hand(owner, inputs.now_s)
    lease_s = lease_until_s(inputs.freshness, policy.lease_s, policy.stale_s)
    current = policy.resting_mode if inputs.current is None else inputs.current
    at_risk = _at_risk(inputs, current, policy)
    number, code = guard_mode(
        int(proposal.mode),
        int(current),
        int(policy.resting_mode),
        int(_age_band(inputs, policy)),
        lease_s is not None and lease_s > inputs.now_s,
        inputs.connected,
        at_risk,
        _veto(proposal, inputs, policy, current, urgent=at_risk),
    )
    mode = Mode(number)
    lease_until = lease_s if mode.draws_from_grid else None
    if code == PASSED:
        return Ruling(mode, lease_until_s=lease_until)
    who, name, sentence = _WORDS[code]
    numbers = _numbers(proposal, inputs, policy, current)
    numbers["mode"] = mode.name
    return Ruling(mode, who, Reason.telling(f"guard.{name}", sentence, numbers), lease_until)


def _stands(owner: Override, now_s: float, policy: GuardPolicy) -> bool:
    """Tell whether an order holds: not FAST or ECO where no lease is given, for nobody sees its end."""
    return owner.until_s > now_s and (policy.lease_s > 0.0 or not owner.mode.draws_from_grid)


def _by_hand(owner: Override, now_s: float) -> Ruling:
    left: ReasonParams = {"mode": owner.mode.name, "left_min": (owner.until_s - now_s) / 60.0}
    reason = Reason("guard.override", "set by hand to {mode} for another {left_min:.0f} min", left)
    lease_until_s = owner.until_s if owner.mode.draws_from_grid else None
    return Ruling(owner.mode, Guard.OVERRIDE, reason, lease_until_s)


def _age_band(inputs: GuardInputs, policy: GuardPolicy) -> Band:
    seen = inputs.freshness
    if seen is None:
        return Band.STALE
    return band(seen.age_s(inputs.now_s), proven=seen.proven, fresh_s=policy.fresh_s, stale_s=policy.stale_s)


def _at_risk(inputs: GuardInputs, current: Mode, policy: GuardPolicy) -> bool:
    """Tell whether the goal takes over; once FAST runs it is let go later than it was taken up."""
    if inputs.goal_left_s is None or not (inputs.serves_goals and inputs.connected):
        return False
    margin_s = policy.goal_margin_s + (policy.goal_release_s if current is Mode.FAST else 0.0)
    return goal_at_risk(inputs.need_kwh, inputs.power_w, inputs.goal_left_s, margin_s)


def _since_s(inputs: GuardInputs) -> float:
    return math.inf if inputs.changed_at_s is None else inputs.now_s - inputs.changed_at_s


def _gain_eur(proposal: Proposal, current: Mode) -> float:
    """Return what the change saves; infinite where the strategy does not price both modes."""
    costs_eur = {alternative.mode: alternative.cost_eur for alternative in proposal.alternatives}
    if current not in costs_eur or proposal.mode not in costs_eur:
        return math.inf
    return costs_eur[current] - costs_eur[proposal.mode]


def _veto(
    proposal: Proposal, inputs: GuardInputs, policy: GuardPolicy, current: Mode, *, urgent: bool
) -> int:
    return raise_code(
        _since_s(inputs),
        policy.dwell_s[current],
        inputs.changes_24h,
        policy.max_changes_per_day,
        _gain_eur(proposal, current),
        policy.switch_cost_eur,
        urgent,
        inputs.slot_free,
    )


def _numbers(
    proposal: Proposal, inputs: GuardInputs, policy: GuardPolicy, current: Mode
) -> dict[str, float | int | str]:
    return {
        "proposed": proposal.mode.name,
        "data": _data(inputs.freshness, inputs.now_s),
        "need_kwh": inputs.need_kwh,
        "left_h": (inputs.goal_left_s or 0.0) / 3600.0,
        "since_s": _since_s(inputs),
        "dwell_s": policy.dwell_s[current],
        "changes": inputs.changes_24h,
        "max_changes": policy.max_changes_per_day,
        "gain_eur": _gain_eur(proposal, current),
        "switch_cost_eur": policy.switch_cost_eur,
    }


def _data(freshness: Freshness | None, now_s: float) -> str:
    if freshness is None:
        return "there is no data of the house yet"
    age_min = freshness.age_s(now_s) / 60.0
    return f"the data is {age_min:.0f} min old" + ("" if freshness.proven else ", or older")


_WORDS: dict[int, tuple[Guard, str, str]] = {
    LEASE: (Guard.LEASE, "lease", "{mode} instead of {proposed}, for grid power needs fresh data: {data}"),
    NO_CAR_LEASE: (
        Guard.LEASE,
        "no_car_lease",
        "{mode}, for grid power is not given while no car is plugged in",
    ),
    NO_CAR: (Guard.HYSTERESIS, "no_car", "{mode} stays, for no car is plugged in"),
    HELD: (Guard.DATA_AGE, "data_held", "{mode} instead of {proposed}, nothing that draws more: {data}"),
    STALE: (Guard.DATA_AGE, "data_stale", "{mode} instead of {proposed}, safe unseen: {data}"),
    GOAL: (Guard.GOAL, "goal", "{need_kwh:.1f} kWh are due in {left_h:.1f} h, so FAST can wait no longer"),
    DWELL: (Guard.HYSTERESIS, "dwell", "{mode} stays: on for {since_s:.0f} s of at least {dwell_s:.0f} s"),
    CHANGES: (
        Guard.HYSTERESIS,
        "changes",
        "{mode} stays: {changes} changes in 24 h, {max_changes} are allowed",
    ),
    GAIN: (
        Guard.HYSTERESIS,
        "gain",
        "{mode} stays: {proposed} saves {gain_eur:.3f} EUR, a change costs {switch_cost_eur:.3f} EUR",
    ),
    BUDGET: (Guard.BUDGET, "budget", "{mode} stays: the calls left now are kept for moves toward safety"),
}
