"""The clairvoyant bound: what no controller whatever could have cost less than.

Three values for the whole time, each at most the next and all at most what any simulated strategy costs:
- `lp_bound`: any power up to the maximum by the quarter hour, and a home battery that does what is best;
- `free_current_bound`: any power by the minute, the home battery under its own rule;
- `mode_bound`: what the modes can do, by the minute, the home battery under its own rule: regret is told
  against this one.

Without a home battery all three are free of grid error and hold for every run that `optimizer.plant` can
simulate. With one the first still is; the others are as exact as the grid of the battery's content, and say
how exact that is.
"""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.planning.buffered import (
    Action,
    buffered_bound_eur,
    free_actions,
    mixed_actions,
    mode_actions,
)
from optimizer.planning.lp import linear_programme_eur, merit_order_eur
from optimizer.planning.priced import edges_of, free_current, priced_bound_eur
from optimizer.planning.truth import Truth


@dataclass(frozen=True, slots=True)
class Bound:
    """A cost that no run undercuts by more than `grid_error_eur`; `kind`: `lp`, `free_current` or `mode`."""

    cost_eur: float
    kind: str
    grid_error_eur: float = 0.0


def lp_bound(truth: Truth) -> Bound:
    """Return the strict bound: by merit order, or by HiGHS where a home battery ties the visits together."""
    cost_eur = merit_order_eur(truth) if truth.battery is None else linear_programme_eur(truth)
    return Bound(cost_eur, "lp")


def free_current_bound(truth: Truth) -> Bound:
    """Return the bound of a charger that may draw any power from 0 to its maximum."""
    if truth.battery is None:
        return Bound(priced_bound_eur(truth, free_current(truth)), "free_current")
    return _buffered(truth, free_actions(truth), "free_current")


def mode_bound(truth: Truth, switch_cost_eur: float = 0.0) -> Bound:
    """Return the bound of a charger with four modes, each change of which costs `switch_cost_eur`.

    Without a price of changes the charger may share a stage between modes; with one it keeps to one mode for
    each.
    """
    if switch_cost_eur > 0.0:
        return _buffered(truth, mode_actions(truth), "mode", switch_cost_eur)
    if truth.battery is None:
        return Bound(priced_bound_eur(truth, edges_of(truth)), "mode")
    return _buffered(truth, mixed_actions(truth), "mode")


def _buffered(truth: Truth, actions: tuple[Action, ...], kind: str, switch_cost_eur: float = 0.0) -> Bound:
    cost_eur, error_eur = buffered_bound_eur(truth, actions, switch_cost_eur)
    return Bound(cost_eur, kind, error_eur)
