"""What the owner has settled for one site, in the words of the core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from optimizer.control.commands import UNREADABLE_S
from optimizer.control.guards import GuardPolicy
from optimizer.control.polling import PollPolicy
from optimizer.domain import ChargerSpec, Goal, Tariff


def no_goal(charger: str, now: datetime) -> Goal | None:  # noqa: ARG001 - the signature of a source of goals
    """Return None: nothing has to be charged by any time."""
    return None


@dataclass(frozen=True, slots=True)
class HomeBattery:
    """Up to `first_until_soc` (0..1) it comes before the cars, with up to `max_charge_w`."""

    first_until_soc: float
    max_charge_w: float


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that one cycle needs to know beforehand; `share_hold_s` is the patience of `sharing`.

    `reads_per_minute` is what the call budget allows.
    """

    chargers: tuple[ChargerSpec, ...]
    tariff_at: Callable[[datetime], Tariff]
    guard: GuardPolicy = field(default_factory=GuardPolicy)
    poll: PollPolicy = field(default_factory=PollPolicy)
    battery: HomeBattery | None = None
    goal_for: Callable[[str, datetime], Goal | None] = no_goal
    cycle_s: float = 60.0
    override_hold_s: float = 10_800.0
    share_hold_s: float = 900.0
    reads_per_minute: int = 3
    dry_run: bool = False

    @property
    def readable_s(self) -> float:
        """How old the reading of a charger may be that is sent what draws more: two rounds of reading."""
        round_s = 60.0 * (1 + len(self.chargers)) / self.reads_per_minute
        return max(UNREADABLE_S, 2.0 * max(round_s, self.poll.charger_idle_s))
