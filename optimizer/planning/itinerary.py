"""How the plan goes on if the day goes as expected, and what would change the mode now: for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Protocol, runtime_checkable

from optimizer.ahead import DAY_SLOTS, SLOT_H, SLOT_S, Ahead
from optimizer.domain import Situation
from optimizer.planning.choice import Now, cheapest, fill_modes_eur, now_of, value_modes
from optimizer.planning.expected import Task, leaves_within, price_at
from optimizer.planning.lookahead import FIRST, SLOTS, STEP_KWH, TOP_KWH, Model, surplus_at
from optimizer.planning.outcome import outcome
from optimizer.planning.sky import SCORE_OF_P90, Sky
from optimizer.sensed import Sensed

_HALVINGS = 7
_BEYOND = 1.2
"""Of full power: more surplus than this changes nothing."""
_NOTHING_KWH = 1e-6


class Step(NamedTuple):
    """One quarter hour of a plan, or what is left of it.

    `slot` is its number since 1970, `low_w` to `high_w` are the 10, 50 and 90 % quantiles of the surplus,
    `kwh` is what the car is expected to take in `mode`, at `eur`.
    """

    slot: int
    mode: int
    low_w: float
    mean_w: float
    high_w: float
    price_eur_per_kwh: float
    kwh: float
    eur: float


@runtime_checkable
class Plans(Protocol):
    """A strategy that can tell how it expects to go on."""

    def steps(self, situation: Situation) -> Sequence[Step]:
        """Return the plan from now on, slot by slot; nothing where there is nothing to plan. Pure."""
        ...


class Start(NamedTuple):
    """How a slot begins, as far as it matters: mode, level of the sky, and how many levels of energy miss.

    Slots of one plan that begin alike go on alike.
    """

    slot: int
    mode: int
    sky: int
    missing: int


class Edges(NamedTuple):
    """The surplus below and above which another mode would be cheapest now; None where none would be."""

    low_w: float | None
    low_mode: int
    high_w: float | None
    high_mode: int


def itinerary(seen: Sensed, ahead: Ahead, task: Task, model: Model) -> Iterator[Step]:
    """Yield the plan's quarter hours from now on, as the weather now and the median forecast let expect."""
    value_modes(seen, ahead, task, model)
    now = now_of(seen, ahead, task, model)
    for slot, mode, kwh, eur in _walk(seen.slot, seen.mode, now, ahead, task, model):
        yield _step(slot, mode, kwh, eur, ahead, task, model)


def next_change(start: Start, ahead: Ahead, task: Task, model: Model) -> tuple[int, int] | None:
    """Return the slot and the mode of the first change that is expected within a day; None without one.

    A car that has all that the plan can give it draws nothing in any mode: no change comes after that.  The
    tables must hold the plan.
    """
    missing_kwh = start.missing * model.tables.span[STEP_KWH]
    kwh = model.tables.span[TOP_KWH] - missing_kwh
    now = _next(start.slot, float(start.sky), kwh, ahead, task, model)
    for slot, mode, drawn_kwh, _eur in islice(
        _walk(start.slot, start.mode, now, ahead, task, model), DAY_SLOTS
    ):
        if mode != start.mode:
            return slot, mode
        missing_kwh -= drawn_kwh
        if missing_kwh <= _NOTHING_KWH:
            break
    return None


def start_of(mode: int, seen: Sensed, ahead: Ahead, task: Task, model: Model) -> Start:
    """Return how the next slot begins if a mode stands until then."""
    now = now_of(seen, ahead, task, model)
    price, feed_in = price_at(ahead.price, task.known, seen.slot), ahead.feed_in[seen.slot]
    kw, _ = outcome(mode, now.mean_w, now.wide_w, price, feed_in, model.drive)
    missing_kwh = max(0.0, task.top_kwh - now.session_kwh - kw * SLOT_H * now.left)
    return Start(
        seen.slot + 1, mode, round(now.sky), math.ceil(missing_kwh / model.tables.span[STEP_KWH] - 1e-6)
    )


def edges(seen: Sensed, ahead: Ahead, task: Task, model: Model) -> Edges:
    """Return what surplus would change the mode now, to within one in 2^7 of the range."""

    def mode_at(surplus_w: float) -> int:
        pv_w = max(0.0, seen.pv_w + surplus_w - seen.surplus_w)
        value_modes(seen._replace(surplus_w=surplus_w, pv_w=pv_w), ahead, task, model)
        return cheapest(seen.mode, model.tables.eur, model.costs.switch_eur)

    here = mode_at(seen.surplus_w)

    def edge(far_w: float) -> tuple[float | None, int]:
        there = mode_at(far_w)
        if here == there:
            return None, here
        near_w = seen.surplus_w
        for _ in range(_HALVINGS):
            middle_w = 0.5 * (near_w + far_w)
            other = mode_at(middle_w)
            near_w, far_w, there = (middle_w, far_w, there) if other == here else (near_w, middle_w, other)
        return far_w, there

    low, high = edge(min(0.0, seen.surplus_w)), edge(max(_BEYOND * model.drive.max_w, seen.surplus_w))
    value_modes(seen, ahead, task, model)
    return Edges(*low, *high)


def _walk(
    slot: int, mode: int, now: Now, ahead: Ahead, task: Task, model: Model
) -> Iterator[tuple[int, int, float, float]]:
    """Yield slot, mode, energy and its cost from a slot on to the plan's end."""
    tables, sky = model.tables, now.sky
    last = int(tables.span[FIRST] + tables.span[SLOTS]) - ahead.origin
    for here in range(slot, min(last, len(ahead.price))):
        fill_modes_eur(here, now, ahead, task, model)
        mode = cheapest(mode, tables.eur, model.costs.switch_eur)
        price, feed_in = price_at(ahead.price, task.known, here), ahead.feed_in[here]
        kw, eur_per_kwh = outcome(mode, now.mean_w, now.wide_w, price, feed_in, model.drive)
        kwh = min(kw * SLOT_H * now.left, max(0.0, task.top_kwh - now.session_kwh))
        yield here, mode, kwh, eur_per_kwh * kwh
        sky = _towards_median(sky, model.weather.sky)
        now = _next(here + 1, sky, now.session_kwh + kwh, ahead, task, model)


def _step(slot: int, mode: int, kwh: float, eur: float, ahead: Ahead, task: Task, model: Model) -> Step:
    low_w, mean_w, high_w = (
        surplus_at(ahead, task, slot, score, model.weather)[0] for score in (-SCORE_OF_P90, 0.0, SCORE_OF_P90)
    )
    price = price_at(ahead.price, task.known, slot)
    return Step(ahead.origin + slot, mode, low_w, mean_w, high_w, price, kwh, eur)


def _next(slot: int, sky: float, session_kwh: float, ahead: Ahead, task: Task, model: Model) -> Now:
    scores = model.weather.sky.scores
    reach = scores[-1]
    score = reach * (2.0 * sky / (len(scores) - 1) - 1.0) if len(scores) > 1 else 0.0
    mean_w, wide_w = surplus_at(ahead, task, slot, score, model.weather)
    left = min(1.0, max(0.0, task.ends + task.ends_share - slot))
    return Now(mean_w, wide_w, left, leaves_within(ahead, task, slot, slot + left), sky, session_kwh)


def _towards_median(place: float, sky: Sky) -> float:
    """Return the place a slot later: the chain comes back to the median step by step."""
    scores, moves = sky.scores, sky.moves
    if len(scores) == 1:
        return place
    fades = sum(chance * score for chance, score in zip(moves[-1], scores, strict=True)) / scores[-1]
    middle = 0.5 * (len(scores) - 1)
    return float(middle + (place - middle) * fades)


def hours_until(slot: int, seen: Sensed) -> float:
    """Return how long it is until a slot of the columns begins, h."""
    return (slot - seen.slot) * SLOT_H - seen.into_slot_s / (SLOT_S / SLOT_H)
