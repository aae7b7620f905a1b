"""What is planned for: until when, how much, and what a car may do of which only chances are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from optimizer.ahead import DAY_SLOTS, SLOT_S, TAKEN_STEP_KWH, Ahead
from optimizer.planning.sky import vintage_at
from optimizer.sensed import Sensed

MOST_SLOTS = 192
"""A plan reaches two days ahead."""

NOBODY = -1.0
"""In place of the time that a car came, where no habit tells when it goes."""

_HARDLY = 0.005
"""What is less likely is not planned for."""
_OVERSTAYED = 0.05
"""Chance to leave in a slot of a car that stays longer than habits tell."""


class Costs(NamedTuple):
    """Prices that no tariff tells: of energy that is missed, of energy beyond the goal, of a change of modes.

    Of that up to `spare_kwh` are thought of.  `delay_eur_per_kwh_h` is what an hour is worth in which energy
    is in the car already: of two ways that cost the same the earlier one is taken, for nobody knows the day.
    """

    unmet_eur_per_kwh: float
    spare_eur_per_kwh: float
    spare_kwh: float
    switch_eur: float
    delay_eur_per_kwh_h: float


class Task(NamedTuple):
    """What is planned for, in slots of the columns.

    `pv_row` and `load_row` are the vintages, before slot `known` prices are known.  The plan ends in slot
    `ends`, of which `ends_share` is used.  `habit` is the row of the car that came at `came`, `NOBODY` where
    a goal of `goal_kwh` since it came is served; more than `top_kwh` is not thought of.  A kWh that is
    missing in the end costs `missing_eur`.
    """

    pv_row: int
    load_row: int
    known: int
    ends: int
    ends_share: float
    habit: int
    came: float
    goal_kwh: float
    top_kwh: float
    missing_eur: float


def task_of(seen: Sensed, ahead: Ahead, costs: Costs) -> Task:
    """Return what is planned for: a goal, a habit, or, without either and after it, sun to spare.

    A car that wants nothing has nothing on top either.

    What a car may take beyond its goal is not planned for as long as it misses any of that: else the sun that
    the goal needs would be kept for it.  Of a goal beyond tomorrow only what is cheaper than later is taken
    now.
    """
    slot, now = seen.slot, seen.slot + seen.into_slot_s / SLOT_S
    if not seen.connected or seen.full:
        return Task(-1, -1, slot, slot, 0.0, -1, NOBODY, 0.0, 0.0, 0.0)
    known, unmet_eur = min(ahead.priced_until[slot], len(ahead.price)), costs.unmet_eur_per_kwh
    pv_row, load_row = vintage_at(ahead.pv.known_from, slot), vintage_at(ahead.load.known_from, slot)
    if seen.habit >= 0:
        came, top_kwh = now - seen.stayed_s / SLOT_S, most_taken_kwh(ahead, seen.habit)
        ends = last_slot(ahead, seen.habit, came, slot)
        return Task(pv_row, load_row, known, ends, 0.0, seen.habit, came, 0.0, top_kwh, unmet_eur)
    # To the end of tomorrow (UTC): what has no end in sight is planned by the day, not by the slot.
    horizon = (ahead.origin + slot) // DAY_SLOTS * DAY_SLOTS - ahead.origin + MOST_SLOTS
    if seen.left_s <= 0.0 or seen.need_kwh <= 0.0:
        return Task(pv_row, load_row, known, horizon, 0.0, -1, NOBODY, 0.0, costs.spare_kwh, unmet_eur)
    goal_kwh, leaves = round(seen.need_kwh + taken_kwh(seen), 6), round(now + seen.left_s / SLOT_S, 6)
    if leaves > horizon:
        # Until then there is more sun to come, or a cheap night at least: half of each is hoped for.
        later_eur = 0.5 * (cheapest_price(ahead.price, known, slot, horizon) + ahead.feed_in[slot])
        return Task(pv_row, load_row, known, horizon, 0.0, -1, NOBODY, goal_kwh, goal_kwh, later_eur)
    last = math.floor(leaves)
    return Task(pv_row, load_row, known, last, leaves - last, -1, NOBODY, goal_kwh, goal_kwh, unmet_eur)


def taken_kwh(seen: Sensed) -> float:
    """Return what the car has taken; nothing where that is not known."""
    return 0.0 if math.isnan(seen.session_kwh) else seen.session_kwh


def cheapest_price(prices: Sequence[float], known: int, slot: int, end: int) -> float:
    """Return the lowest price before a slot."""
    lowest = price_at(prices, known, slot)
    for later in range(slot + 1, min(end, len(prices))):
        lowest = min(lowest, price_at(prices, known, later))
    return lowest


def price_at(prices: Sequence[float], known: int, slot: int) -> float:
    """Return a price; where it is not known yet, that of the same time a day before stands in.

    One that stands in is not below 0, for energy may not look like a gift because nobody knows what it costs.
    """
    if slot < known:
        return prices[slot]
    while slot >= known:
        slot -= DAY_SLOTS
    return max(0.0, prices[slot] if slot >= 0 else prices[max(known - 1, 0)])


def most_taken_kwh(ahead: Ahead, row: int) -> float:
    """Return what a car hardly takes more than."""
    steps = ahead.habits.take_steps
    last = steps - 1
    while last > 1 and ahead.habits.takes[row * steps + last - 1] < _HARDLY:
        last -= 1
    return last * TAKEN_STEP_KWH


def expected_kwh(ahead: Ahead, row: int, offered_kwh: float) -> float:
    """Return how much of an offer a car is expected to take: the integral of the chance of more."""
    steps = ahead.habits.take_steps
    whole = min(math.floor(offered_kwh / TAKEN_STEP_KWH), steps - 1)
    kwh = 0.0
    for step in range(whole):
        start, end = ahead.habits.takes[row * steps + step], ahead.habits.takes[row * steps + step + 1]
        kwh += 0.5 * (start + end) * TAKEN_STEP_KWH
    rest_kwh = offered_kwh - whole * TAKEN_STEP_KWH
    return float(kwh + rest_kwh * ahead.habits.takes[row * steps + whole])


def still_there(ahead: Ahead, row: int, since_came: float) -> float:
    """Return the chance that a car is still there so many slots after it came."""
    slots = ahead.habits.stay_slots
    before = max(0, math.floor(since_came))
    if before >= slots:
        last = ahead.habits.stays[(row + 1) * slots - 1]
        return float(last * (1.0 - _OVERSTAYED) ** (since_came - slots))
    early = 1.0 if before == 0 else ahead.habits.stays[row * slots + before - 1]
    late = ahead.habits.stays[row * slots + before]
    return early + (late - early) * max(0.0, since_came - before)


def leaves_within(ahead: Ahead, task: Task, begin: float, end: float) -> float:
    """Return the chance that a car that is there leaves between two times, in slots; none with a goal."""
    if task.habit < 0:
        return 0.0
    since = max(0.0, begin - task.came)
    before = still_there(ahead, task.habit, since)
    after = still_there(ahead, task.habit, since + end - begin)
    return 1.0 - after / before if before > 0.0 else 1.0


def last_slot(ahead: Ahead, row: int, came: float, slot: int) -> int:
    """Return the slot by which a car that is there in a slot has left as good as certainly."""
    here = still_there(ahead, row, slot - came)
    last = slot + 1
    while last < slot + MOST_SLOTS and still_there(ahead, row, last - came) > _HARDLY * here:
        last += 1
    return last
