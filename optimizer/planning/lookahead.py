"""The closed-loop programme: what each mode is worth from here on, over all that sun and car may do.

Backward over quarter hours by stochastic dynamic programming.  A state is the energy that the car has taken,
the mode it is in, and how good the weather is compared with the forecast (see `sky`).  Values are costs in
euros, weighted by the chance that the car still takes more: so one recursion serves a goal that was told, and
a habit of which only chances are known.  With `C` the energy that is expected to be taken out of what is
offered, `T` the cost of leaving now, `h` the chance to leave in a slot, and a mode that gives `g` at `u`
EUR/kWh,

    V(x) = min over modes of u (C(x + g) - C(x)) + (1 - h) E[V'(x + g)] + h T(x + g) + price of a change.

Between levels of energy values are interpolated.  A plan depends on forecasts, prices, and goal or habit, not
on what is measured: it is made anew only when one of them changes, and what is measured chooses the mode by
it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from optimizer.ahead import SLOT_H, Ahead
from optimizer.planning.expected import (
    MOST_SLOTS,
    Costs,
    Task,
    expected_kwh,
    leaves_within,
    price_at,
)
from optimizer.planning.outcome import Drive, outcome
from optimizer.planning.sky import Sky, place_of, power_w
from optimizer.sensed import Sensed

MODES = 4
FIRST, SLOTS, STEP_KWH, LEVELS, TOP_KWH = 0, 1, 2, 3, 4
"""Places in `Tables.span`."""
PLENTY_W = 50_000.0
"""More than any charger takes."""

_KEY = 9
_NEVER = -1e18
_UNLIKELY = 1e-4
"""A change of the sky that is less likely is not followed."""
_FINEST = 4
"""In so many parts an ampere for a quarter hour is told apart at most: finer steps change no plan."""

Row = Any
"""Numbers to read and to set: an array or a list."""

Key = tuple[float, float, float, float, float, float, float, float, float]


class Weather(NamedTuple):
    """The sky's levels, and how much the surplus comes and goes within a slot.

    Between no sun and all of it that is `cloud_share` of the sun's power; the house adds `load_spread_w`.
    `base_load_w` stands in where no load is forecast.
    """

    sky: Sky
    cloud_share: float
    load_spread_w: float
    base_load_w: float


class Tables(NamedTuple):
    """Room for one plan, made once.

    `key` tells what the plan was made from; `span` is its first slot since 1970, how many it covers, the
    distance of the levels of energy, kWh, how many there are, and the energy of the last one.  `values` are
    by slot, mode, level of the sky and level of energy, `mixed` what is expected of them a slot later;
    `taken` and `leaving` are `C` and `T`; `rows` and `eur` are by mode.
    """

    key: Row
    span: Row
    values: Any
    mixed: Any
    rows: Any
    taken: Row
    leaving: Row
    eur: Row
    chances: Row


class Model(NamedTuple):
    """All that never changes, and the room to work in."""

    costs: Costs
    drive: Drive
    weather: Weather
    tables: Tables


def tables_of(sky_levels: int, energy_levels: int) -> Tables:
    """Return empty tables, as lists."""

    def by_level(*sizes: int) -> list[Any]:
        return [by_level(*sizes[1:]) for _ in range(sizes[0])] if sizes else [0.0] * energy_levels

    return Tables(
        key=[_NEVER] * _KEY,
        span=[0.0] * 5,
        values=by_level(MOST_SLOTS + 1, MODES, sky_levels),
        mixed=by_level(MODES, sky_levels),
        rows=by_level(MODES),
        taken=by_level(),
        leaving=by_level(),
        eur=[0.0] * MODES,
        chances=[0.0] * sky_levels,
    )


def plan(seen: Sensed, ahead: Ahead, task: Task, model: Model) -> None:
    """Fill the tables for a task from the present slot on, unless they hold its plan already."""
    tables, key = model.tables, key_of(ahead, task, seen.power_w)
    if is_planned(ahead.origin + seen.slot, key, tables):
        return
    fill_energy(ahead, task, model)
    slots = min(task.ends - seen.slot + (1 if task.ends_share > 0.0 else 0), MOST_SLOTS)
    for mode in range(MODES):
        for level in range(len(model.weather.sky.scores)):
            end = tables.values[slots][mode][level]
            for place in range(int(tables.span[LEVELS])):
                end[place] = tables.leaving[place]
    for number in range(slots - 1, -1, -1):
        step_back(number, seen.slot + number, ahead, task, model)
    tables.span[FIRST], tables.span[SLOTS] = ahead.origin + seen.slot, slots
    for place in range(_KEY):
        tables.key[place] = key[place]


def is_planned(slot: int, key: Key, tables: Tables) -> bool:
    """Tell whether the tables hold a plan made from the same that covers a slot (since 1970)."""
    number = slot - tables.span[FIRST]
    if number < 0 or number >= tables.span[SLOTS]:
        return False
    for place in range(_KEY):  # noqa: SIM110 - a generator is not compiled
        if tables.key[place] != key[place]:
            return False
    return True


def forget(tables: Tables) -> None:
    """Let the next plan be made anew: its key tells neither prices nor vintages of one quarter hour apart."""
    tables.span[SLOTS] = 0.0


def key_of(ahead: Ahead, task: Task, power_w: float) -> Key:
    """Return what a plan follows from, apart from what never changes."""
    origin = float(ahead.origin)
    pv = _NEVER if task.pv_row < 0 else origin + ahead.pv.known_from[task.pv_row]
    load = _NEVER if task.load_row < 0 else origin + ahead.load.known_from[task.load_row]
    when = task.ends + task.ends_share if task.habit < 0 else round(task.came, 3)
    # Where all that is looked at is known, its end says nothing.
    known = _NEVER if task.known >= len(ahead.price) else origin + task.known
    return (
        pv,
        load,
        known,
        origin + when,
        task.goal_kwh,
        task.top_kwh,
        task.missing_eur,
        float(task.habit),
        power_w,
    )


def fill_energy(ahead: Ahead, task: Task, model: Model) -> None:
    """Set the levels of energy, what is expected to be taken up to each, and the cost of leaving there.

    They are counted down from the most that is thought of, in steps of so many amperes for a quarter hour
    that there is room for them, or of a whole part of one: a mode that gives whole amperes then moves by
    whole levels, and nothing blurs but what lies between two to begin with.
    """
    tables, costs = model.tables, model.costs
    ampere_kwh, most = model.drive.step_w * SLOT_H / 1000.0, len(tables.taken) - 1
    amperes = task.top_kwh / (ampere_kwh * most)
    parts = min(_FINEST, max(1, math.floor(1.0 / amperes + 1e-9)))
    step_kwh = ampere_kwh / parts if parts > 1 else ampere_kwh * max(1, math.ceil(amperes - 1e-9))
    levels = min(most, math.ceil(task.top_kwh / step_kwh - 1e-9)) + 1
    tables.span[STEP_KWH], tables.span[LEVELS], tables.span[TOP_KWH] = step_kwh, levels, task.top_kwh
    for level in range(levels):
        kwh = max(0.0, task.top_kwh - (levels - 1 - level) * step_kwh)
        tables.taken[level] = kwh if task.habit < 0 else expected_kwh(ahead, task.habit, kwh)
    wanted_kwh = task.goal_kwh if task.habit < 0 else tables.taken[levels - 1]
    for level in range(levels):
        missing_kwh = wanted_kwh - tables.taken[level]
        worth_eur = task.missing_eur if missing_kwh > 0.0 else costs.spare_eur_per_kwh
        tables.leaving[level] = missing_kwh * worth_eur


def surplus_at(ahead: Ahead, task: Task, slot: int, score: float, weather: Weather) -> tuple[float, float]:
    """Return mean and spread of the surplus that is expected in a slot at a level of the sky, W.

    Of a sun that nobody forecasts it is hoped that it suffices: then the car waits for it, and nothing is
    drawn from the grid before the goal's last moment.
    """
    sun, load = place_of(ahead.pv, task.pv_row, slot), place_of(ahead.load, task.load_row, slot)
    if sun < 0:
        return PLENTY_W, 0.0
    pv_w, clear_w = power_w(ahead.pv, sun, score), power_w(ahead.pv, sun, 2.0)
    load_w = weather.base_load_w if load < 0 else power_w(ahead.load, load, 0.0)
    return pv_w - load_w, spread_w(pv_w, clear_w, weather)


def spread_w(pv_w: float, clear_w: float, weather: Weather) -> float:
    """Return how much the surplus comes and goes within a slot: most between no sun and all of it."""
    if pv_w <= 0.0 or clear_w <= 0.0:
        return 0.0
    cloud_w = weather.cloud_share * pv_w * math.sqrt(max(0.0, 1.0 - pv_w / clear_w))
    return math.sqrt(cloud_w * cloud_w + weather.load_spread_w * weather.load_spread_w)


def step_back(number: int, slot: int, ahead: Ahead, task: Task, model: Model) -> None:
    """Set the values at the beginning of a slot, the plan's `number`, from those at its end."""
    tables, moves = model.tables, model.weather.sky.moves
    levels = int(tables.span[LEVELS])
    mix(tables.values[number + 1], moves, tables.mixed, levels)
    used_h = SLOT_H * (task.ends_share if slot == task.ends else 1.0)
    leaves = leaves_within(ahead, task, slot, slot + 1.0)
    if leaves > 0.0:
        leave(tables, leaves, levels)
    price, feed_in = price_at(ahead.price, task.known, slot), ahead.feed_in[min(slot, len(ahead.feed_in) - 1)]
    for level in range(len(moves)):
        mean_w, wide_w = surplus_at(ahead, task, slot, model.weather.sky.scores[level], model.weather)
        for mode in range(MODES):
            kw, eur_per_kwh = outcome(mode, mean_w, wide_w, price, feed_in, model.drive)
            steps = kw * used_h / tables.span[STEP_KWH]
            fill_row(tables.rows[mode], tables.mixed[mode][level], steps, eur_per_kwh, tables)
        delay_eur_per_kwh = model.costs.delay_eur_per_kwh_h * used_h
        choose(tables.values[number], level, model.costs.switch_eur, delay_eur_per_kwh, tables)


def fill_row(row: Row, later: Row, steps: float, eur_per_kwh: float, tables: Tables) -> None:
    """Set a mode's row to what it costs from each level of energy on, when it gives so many levels more.

    Between two levels there is a straight line; beyond the last one its value stands on.
    """
    taken, last = tables.taken, int(tables.span[LEVELS]) - 1
    if steps <= 0.0:
        for level in range(last + 1):
            row[level] = later[level]
        return
    whole = min(math.floor(steps), last)
    high = steps - whole
    low = 1.0 - high
    for level in range(last - whole):
        after = level + whole
        taken_kwh = low * taken[after] + high * taken[after + 1] - taken[level]
        row[level] = low * later[after] + high * later[after + 1] + eur_per_kwh * taken_kwh
    for level in range(last - whole, last + 1):
        row[level] = later[last] + eur_per_kwh * (taken[last] - taken[level])


def choose(values: Row, level: int, switch_eur: float, delay_eur_per_kwh: float, tables: Tables) -> None:
    """Set the values of a slot at a level of the sky: each mode goes on, or changes to the cheapest.

    What it costs that energy is missing for this slot comes on top, whatever the mode.
    """
    from_stop, from_fast = values[0][level], values[1][level]
    from_eco, from_green = values[2][level], values[3][level]
    rows, taken, levels = tables.rows, tables.taken, int(tables.span[LEVELS])
    for place in range(levels):
        stop, fast, eco, green = rows[0][place], rows[1][place], rows[2][place], rows[3][place]
        missing_eur = delay_eur_per_kwh * (taken[levels - 1] - taken[place])
        best = switch_eur + min(stop, fast, eco, green)
        # Four more calls of `min` would take longer than all the rest.
        from_stop[place] = missing_eur + (stop if stop < best else best)  # noqa: FURB136
        from_fast[place] = missing_eur + (fast if fast < best else best)  # noqa: FURB136
        from_eco[place] = missing_eur + (eco if eco < best else best)  # noqa: FURB136
        from_green[place] = missing_eur + (green if green < best else best)  # noqa: FURB136


def mix(later: Row, moves: Row, mixed: Row, levels: int) -> None:
    """Set what is expected at the end of a slot by mode and by the level of the sky at its beginning."""
    for mode in range(MODES):
        for level in range(len(moves)):
            row, weights = mixed[mode][level], moves[level]
            for place in range(levels):
                row[place] = 0.0
            for other in range(len(moves)):
                if weights[other] > _UNLIKELY:
                    add(row, weights[other], later[mode][other], levels)


def leave(tables: Tables, leaves: float, levels: int) -> None:
    """Let the car leave with this chance at the end of the slot: what is expected then is what it misses."""
    for of_mode in tables.mixed:
        for row in of_mode:
            for place in range(levels):
                row[place] = (1.0 - leaves) * row[place] + leaves * tables.leaving[place]


def add(row: Row, weight: float, values: Row, levels: int) -> None:
    """Add weighted values to a row."""
    for place in range(levels):
        row[place] += weight * values[place]
