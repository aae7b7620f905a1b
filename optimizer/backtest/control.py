"""How the simulated service looks and acts: the live one's policies, by the minute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from optimizer.control.guards import GuardPolicy, policy_for
from optimizer.control.polling import PollPolicy
from optimizer.domain import ChargerSpec, Mode, Strategy

COMMAND_S = 15.0
"""From a decision to the charger that obeys: the cloud passes commands on within 3 to 25 s."""

_CONNECTED_SHARE = 0.5
"""A charger with a car that does not charge is read half-way between the idle and the active interval."""

_S_PER_MIN = 60.0


@dataclass(frozen=True, slots=True)
class Control:
    """The owner's settings that matter to a backtest; by default the live service's.

    `sample_lag_min` is how many minutes after the house was measured the sample is decided by.
    `calls_per_minute` is what a move that draws more may use of a minute's calls.
    """

    guard: GuardPolicy = field(default_factory=GuardPolicy)
    poll: PollPolicy = field(default_factory=PollPolicy)
    sample_lag_min: int = 1
    calls_per_minute: int = 4
    first_until_soc: float = 0.0


class Rules(NamedTuple):
    """The same in plain numbers, minutes where the name says so; `dwell_s` is in the order of the modes."""

    resting: int
    fresh_s: float
    stale_s: float
    lease_s: float
    dwell_s: tuple[float, float, float, float]
    max_changes: int
    switch_cost_eur: float
    margin_s: float
    release_s: float
    serves_goals: bool
    sample_min: int
    lag_min: int
    active_min: int
    connected_min: int
    idle_min: int
    dark_min: int
    dark_samples: int
    calls_per_minute: int
    power_w: float
    first_until_soc: float


def rules_of(control: Control, charger: ChargerSpec, strategy: Strategy) -> Rules:
    """Return the settings as the kernels take them, for one strategy."""
    guard, poll = policy_for(strategy, control.guard), control.poll
    connected_s = poll.charger_active_s + _CONNECTED_SHARE * (poll.charger_idle_s - poll.charger_active_s)
    return Rules(
        resting=int(guard.resting_mode),
        fresh_s=guard.fresh_s,
        stale_s=guard.stale_s,
        lease_s=min(guard.lease_s, guard.stale_s),
        dwell_s=(
            guard.dwell_s[Mode.STOP],
            guard.dwell_s[Mode.FAST],
            guard.dwell_s[Mode.ECO],
            guard.dwell_s[Mode.GREEN],
        ),
        max_changes=guard.max_changes_per_day,
        switch_cost_eur=guard.switch_cost_eur,
        margin_s=guard.goal_margin_s,
        release_s=guard.goal_release_s,
        serves_goals=strategy.serves_goals,
        sample_min=_minutes(poll.site_interval_s),
        lag_min=control.sample_lag_min,
        active_min=_minutes(poll.charger_active_s),
        connected_min=_minutes(connected_s),
        idle_min=_minutes(poll.charger_idle_s),
        dark_min=_minutes(poll.charger_idle_s * poll.night_factor),
        dark_samples=round(poll.night_factor),
        calls_per_minute=control.calls_per_minute,
        power_w=charger.max_power_w,
        first_until_soc=control.first_until_soc,
    )


def _minutes(seconds: float) -> int:
    return max(1, round(seconds / _S_PER_MIN))
