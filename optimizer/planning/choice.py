"""What each mode costs from this very moment on: by what is measured now, and by the plan after it."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol, runtime_checkable

from optimizer.ahead import SLOT_H, SLOT_S, Ahead
from optimizer.domain import Situation
from optimizer.planning.expected import Task, leaves_within, price_at, taken_kwh
from optimizer.planning.lookahead import (
    FIRST,
    LEVELS,
    MODES,
    STEP_KWH,
    TOP_KWH,
    Model,
    Row,
    Tables,
    plan,
    spread_w,
    surplus_at,
)
from optimizer.planning.outcome import outcome
from optimizer.planning.sky import Sky, place_of, power_w, score_of
from optimizer.plant.charger import ECO, FAST, GREEN, STOP
from optimizer.sensed import Sensed

_NEXT_KWH = 1.0


@runtime_checkable
class Appraiser(Protocol):
    """A strategy that can tell what energy is worth in a car: by that the sun is shared among several."""

    def worth_eur_per_kwh(self, situation: Situation) -> float:
        """Return what the next kWh in this car saves later, whatever the surplus is now.  Pure."""
        ...


class Now(NamedTuple):
    """The rest of the slot.

    Mean and spread of the surplus, the share of a slot that is left, the chance that the car leaves in it,
    the sky's level (a place between two), and what the car has taken.
    """

    mean_w: float
    wide_w: float
    left: float
    leaves: float
    sky: float
    session_kwh: float


def value_modes(seen: Sensed, ahead: Ahead, task: Task, model: Model) -> None:
    """Set `model.tables.eur` to what each mode costs if kept for the rest of the slot, without a change.

    For that time the surplus is what was measured; and as the sun is now against the forecast, so the day may
    go on.
    """
    plan(seen, ahead, task, model)
    fill_modes_eur(seen.slot, now_of(seen, ahead, task, model), ahead, task, model)


def fill_modes_eur(slot: int, now: Now, ahead: Ahead, task: Task, model: Model) -> None:
    """Set what each mode costs for the rest of a slot that the plan covers, and after it."""
    tables, price, feed_in = model.tables, price_at(ahead.price, task.known, slot), ahead.feed_in[slot]
    later = tables.values[int(ahead.origin + slot - tables.span[FIRST]) + 1]
    fill_chances(now.sky, model.weather.sky, tables.chances)
    low, share = between(now.session_kwh, tables)
    taken_kwh = tables.taken[low] + (tables.taken[low + 1] - tables.taken[low]) * share
    for mode in range(MODES):
        kw, eur_per_kwh = outcome(mode, now.mean_w, now.wide_w, price, feed_in, model.drive)
        tables.eur[mode] = mode_eur(kw, eur_per_kwh, later[mode], taken_kwh, now, tables)


def worth_eur_per_kwh(seen: Sensed, ahead: Ahead, task: Task, model: Model) -> float:
    """Return what the next kWh in the car saves from the next slot on: how steep the plan's values are there.

    It is reckoned between whole levels of energy, the lowest of which may lie below nothing.
    """
    plan(seen, ahead, task, model)
    tables, now = model.tables, now_of(seen, ahead, task, model)
    later = tables.values[int(ahead.origin + seen.slot - tables.span[FIRST]) + 1][seen.mode]
    step_kwh, last = tables.span[STEP_KWH], int(tables.span[LEVELS]) - 1
    below, share = between(now.session_kwh, tables)
    low = min(below + math.ceil(share), last - 1)
    high = min(low + max(1, round(_NEXT_KWH / step_kwh)), last)
    fill_chances(now.sky, model.weather.sky, tables.chances)
    saved_eur = [values[low] - values[high] for values in later]
    return float(
        sum(chance * eur for chance, eur in zip(tables.chances, saved_eur, strict=True))
        / ((high - low) * step_kwh)
    )


def now_of(seen: Sensed, ahead: Ahead, task: Task, model: Model) -> Now:
    """Return what is known of the rest of the slot."""
    place, into = place_of(ahead.pv, task.pv_row, seen.slot), seen.into_slot_s / SLOT_S
    mean_w, wide_w = surplus_at(ahead, task, seen.slot, 0.0, model.weather)
    if seen.known:
        pv_w = 0.0 if math.isnan(seen.pv_w) else seen.pv_w
        mean_w = seen.surplus_w
        wide_w = spread_w(pv_w, max(pv_w, power_w(ahead.pv, place, 2.0)), model.weather)
    left = max(0.0, min(1.0 - into, task.ends + task.ends_share - seen.slot - into))
    leaves = leaves_within(ahead, task, seen.slot + into, seen.slot + into + left)
    sky = level_of(score_of(ahead.pv, place, seen.pv_w), model.weather.sky)
    return Now(mean_w, wide_w, left, leaves, sky, taken_kwh(seen))


def level_of(score: float, sky: Sky) -> float:
    """Return the place of a score among the levels of the sky."""
    levels = len(sky.scores)
    if levels == 1:
        return 0.0
    reach = sky.scores[levels - 1]
    return float(min(max(0.5 * (score / reach + 1.0), 0.0), 1.0) * (levels - 1))


def fill_chances(place: float, sky: Sky, chances: Row) -> None:
    """Set the chance of each level of the sky a slot after a place between two."""
    levels = len(sky.scores)
    low = min(math.floor(place), max(levels - 2, 0))
    high, share = min(low + 1, levels - 1), place - low
    for level in range(levels):
        chances[level] = (1.0 - share) * sky.moves[low][level] + share * sky.moves[high][level]


def mode_eur(kw: float, eur_per_kwh: float, later: Row, taken_kwh: float, now: Now, tables: Tables) -> float:
    """Return what a mode of this power costs for the rest of the slot, and what comes `later`.

    `taken_kwh` is what was expected to be taken until now.
    """
    low, share = between(now.session_kwh + kw * SLOT_H * now.left, tables)
    high, stays = low + 1, 1.0 - now.leaves
    eur = eur_per_kwh * (tables.taken[low] + (tables.taken[high] - tables.taken[low]) * share - taken_kwh)
    if now.leaves > 0.0:
        eur += now.leaves * (tables.leaving[low] + (tables.leaving[high] - tables.leaving[low]) * share)
    for level in range(len(tables.chances)):
        chance = tables.chances[level]
        if chance > 0.0:
            values = later[level]
            eur += stays * chance * (values[low] + (values[high] - values[low]) * share)
    return float(eur)


def between(kwh: float, tables: Tables) -> tuple[int, float]:
    """Return the level of energy below, and the share of the way to the next one.

    Beyond the first and the last one their values stand on.
    """
    levels = int(tables.span[LEVELS])
    place = levels - 1.0 - (tables.span[TOP_KWH] - kwh) / tables.span[STEP_KWH]
    low = min(max(math.floor(place), 0), levels - 2)
    return low, min(max(place - low, 0.0), 1.0)


def cheapest(mode: int, eur: Row, switch_eur: float) -> int:
    """Return the mode that costs least, a change from `mode` included."""
    best, best_eur = mode, eur[mode]
    for other in (STOP, GREEN, ECO, FAST):  # of two that cost the same the one that draws less
        if eur[other] + switch_eur < best_eur:
            best, best_eur = other, eur[other] + switch_eur
    return best
