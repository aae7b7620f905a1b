"""Who gets the surplus when several cars want it.

By rank: a lower `priority` number comes first.  Of equal ones the car comes first in which a kWh is worth
most, where the strategy can tell that.  Of those again the ones come first that miss energy of a goal, the
earliest deadline before the others: there a kWh of sun saves one from the grid.  What is left is by name.  A
charger that is served keeps its share, unless one that comes before it could have had its floor for `hold_s`
in a row: charging that moves to and fro between cars serves neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Claim:
    """What one charger can use: nothing sensible below `floor_w`, nothing at all above `max_w`.

    `wants` is False while no car is plugged in, or it is full, or the owner has taken the charger in hand.
    `due_s` is the time of the deadline by which its car still misses energy, infinite without one, and
    `worth_eur_per_kwh` what the next kWh saves there, to the cent: what differs by less does not decide.
    """

    name: str
    priority: int
    floor_w: float
    max_w: float
    wants: bool
    due_s: float = math.inf
    worth_eur_per_kwh: float = 0.0

    @property
    def rank(self) -> tuple[int, float, float, str]:
        """Its place among the claims, the lowest first."""
        return self.priority, -round(self.worth_eur_per_kwh, 2), self.due_s, self.name


@dataclass(frozen=True, slots=True)
class Shares:
    """Watts of each charger, who is served, and for how long another split would have been due."""

    watts: tuple[tuple[str, float], ...]
    served: frozenset[str]
    contested_s: float = 0.0

    def of(self, name: str) -> float:
        """Return the share of the charger called `name`, in W."""
        return dict(self.watts)[name]


NOBODY = Shares((), frozenset())
"""Before the first split."""


def share(surplus_w: float, claims: Sequence[Claim], before: Shares, dt_s: float, hold_s: float) -> Shares:
    """Split the surplus `dt_s` after the split `before`.

    Each served charger gets its floor, then all fill up to their maximum by rank, served ones first; who
    wants nothing comes last, so that its strategy sees what a car would find.  No share exceeds its
    charger's maximum, and together they do not exceed `max(0, surplus_w)`.  A deficit goes whole to the
    one charger that is still served in it, else to the first: it is the one to give way.
    """
    ranked = sorted(claims, key=lambda claim: claim.rank)
    wanting = [claim for claim in ranked if claim.wants]
    kept = [claim for claim in wanting if claim.name in before.served]
    held = _affordable(surplus_w, [*kept, *(c for c in wanting if c not in kept)], spare_first=bool(kept))
    ideal = _affordable(surplus_w, wanting, spare_first=False)
    contested_s = before.contested_s + dt_s if ideal and ideal != held else 0.0
    if contested_s > hold_s:
        held, contested_s = ideal, 0.0
    return Shares(_watts(surplus_w, _in_order(ranked, held), held), held, contested_s)


def _affordable(surplus_w: float, claims: Iterable[Claim], *, spare_first: bool) -> frozenset[str]:
    """Return whose floors the surplus covers in this order; `spare_first` lets the first stay in a dip."""
    left_w, served = surplus_w, set[str]()
    for claim in claims:
        if claim.floor_w <= left_w or (spare_first and not served):
            served.add(claim.name)
            left_w -= claim.floor_w
    return frozenset(served)


def _in_order(ranked: Sequence[Claim], served: frozenset[str]) -> list[Claim]:
    return sorted(ranked, key=lambda claim: (claim.name not in served, not claim.wants))


def _watts(surplus_w: float, order: Sequence[Claim], served: frozenset[str]) -> tuple[tuple[str, float], ...]:
    if surplus_w < 0.0:
        return tuple((claim.name, 0.0 if rank else surplus_w) for rank, claim in enumerate(order))
    left_w, watts = surplus_w, dict.fromkeys((claim.name for claim in order), 0.0)
    for claim in order:
        if claim.name in served:
            watts[claim.name] = min(claim.floor_w, claim.max_w, left_w)
            left_w -= watts[claim.name]
    for claim in order:
        more_w = min(left_w, max(0.0, claim.max_w - watts[claim.name]))
        watts[claim.name] += more_w
        left_w -= more_w
    return tuple(watts.items())
