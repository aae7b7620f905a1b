"""A whole case, minute by minute: the one loop that plain Python runs and Numba compiles.

`kernel` stands for the strategy's: `compiling.compiled` puts the real one in its place.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from typing import Any, NamedTuple

from optimizer.ahead import Ahead
from optimizer.backtest.case import SLOT_MIN
from optimizer.backtest.control import Rules
from optimizer.backtest.minute import (
    MINUTE_S,
    Equipment,
    House,
    Sample,
    View,
    begun,
    buffered,
    charged,
    decided,
    is_goal_at_risk,
    is_idle,
    is_look_due,
    is_resting,
    is_told,
    looked,
    may_draw,
    may_follow,
    permitted,
    permitted_for_s,
    plugged,
    read_charger,
    read_in_vain,
    sampled,
    unattended,
    unplugged,
)
from optimizer.backtest.tape import Tape
from optimizer.control.energy import solar_share_w
from optimizer.plant.charger import STOP
from optimizer.plant.house import grid_power_w
from optimizer.sensed import Answer, Memory, Sensed

DAY_MIN = 1440
DAY_S = 86_400.0
KWH_PER_W_MIN = 1.0 / 60_000.0


class Trace(NamedTuple):
    """Columns to fill, one value a minute, or all of length 0 where nobody wants them.

    `mode` and `status` are the vendor's numbers at the end of the minute, `visit` counts from 0 (-1: no car),
    `session_kwh` is what the visit has taken by then.
    """

    ev_w: Any
    battery_w: Any
    grid_w: Any
    mode: Any
    status: Any
    visit: Any
    session_kwh: Any


class Sums(NamedTuple):
    """What a run has come to."""

    cost_eur: float
    import_kwh: float
    export_kwh: float
    ev_kwh: float
    ev_solar_kwh: float
    unmet_kwh: float
    mode_changes: int
    api_calls: int


class Account(NamedTuple):
    """The exchange with the grid up to now, and the prices of the slot that ends with minute `slot_end`."""

    cost_eur: float
    import_kwh: float
    export_kwh: float
    price_eur_per_kwh: float
    feed_in_eur_per_kwh: float
    slot_end: int


def kernel(seen: Sensed, ahead: Ahead, setting: Any, memory: Any) -> Answer:
    """Stand for the kernel of the strategy that is run."""
    raise NotImplementedError


def simulate(  # noqa: C901, PLR0912, PLR0915 - one loop in one piece: what it hands on costs compiled speed
    tape: Tape,
    kit: Equipment,
    rules: Rules,
    setting: Any,
    memory: Memory,
    soc: float,
    changed: MutableSequence[int],
    trace: Trace,
) -> Sums:
    """Return what the case comes to under a strategy; `changed` has room for the changes of a day.

    The cost is what is imported at its price, less what is exported at the feed-in tariff, in euros; what the
    sessions miss is not in it.  Without a home battery the account begins with that of the house without a
    car, and only minutes in which the car draws are looked at again.
    """
    house, view, sample = begun(soc)
    account = Account(tape.cost_eur, tape.import_kwh, tape.export_kwh, 0.0, 0.0, 0)
    ev_kwh = ev_solar_kwh = unmet_kwh = 0.0
    # Columns are unpacked once: each time one is taken out of the tuple Numba counts references.
    pv_w, load_w, prices, feed_in, offset, arrivals, departures, energies = tape[:8]
    goal_starts, goal_deadlines, goal_energies = tape[8:11]
    ahead = tape.ahead
    has_habits = len(ahead.habits.stays) > 0
    arrival, departure, plugged_in, visit = arrivals[0], departures[0], False, 0
    # Not written as 0: for a number that stands here Numba would compile what it is handed to twice.
    asked = changes = calls = view.due_min
    goal = asked - 1
    sample_at, look_at = rules.sample_min, rules.sample_min + rules.lag_min
    settled_min = asked  # until then what was decided last stands, if nothing is read
    minute, end, tracing = asked, len(pv_w), len(trace.ev_w) > 0
    while minute < end:
        if minute == departure:
            unmet_kwh += house.need_kwh
            house, plugged_in, visit = unplugged(house), False, visit + 1
            arrival, departure = arrivals[visit], departures[visit]
        if minute == arrival:
            house, plugged_in = plugged(house, energies[visit]), True
        if minute >= sample_at:
            sample = sampled(house, pv_w[sample_at - 1], load_w[sample_at - 1])
            sample_at += rules.sample_min
        is_new = is_news = minute == look_at
        if is_new or minute >= view.due_min:
            before = view
            view, calls = _seen(view, house, sample, calls, minute, is_new, rules, kit)
            is_news = is_new or _tells_more(before, view)
            look_at += rules.sample_min if is_new else 0
        idle = is_idle(view)
        if idle and is_new:
            # Nothing can be decided: the strategy is asked once a sample, for its memory's sake.
            if view.looked_min == minute or minute >= settled_min:
                seen = _sensed(offset, view, (0.0, 0.0), minute, asked, -1, 0, rules)
                _mode, _code, holds_s, memory = kernel(seen, ahead, setting, memory)
                settled_min = minute + int(min(holds_s, DAY_S) / MINUTE_S)
            asked = minute
        if not idle and not is_news and minute < min(settled_min, goal_starts[goal + 1]):
            asked = minute
        elif not idle:
            goal = _goal_at(goal_starts, goal, minute)
            need_kwh, left_s = _missing(goal_deadlines, goal_energies, goal, view, minute)
            habit = visit if plugged_in and has_habits else -1
            seen = _sensed(offset, view, (need_kwh, left_s), minute, asked, habit, arrival, rules)
            proposed, _code, holds_s, memory = kernel(seen, ahead, setting, memory)
            at_risk, asked = is_goal_at_risk(view, need_kwh, left_s, rules), minute
            mode, settled_min = permitted(view, proposed, at_risk, minute, rules), minute
            if mode != view.mode and _follows(view, mode, at_risk, changed, changes, minute, rules):
                changed[changes % DAY_MIN] = minute
                view, changes, calls = decided(view, mode, minute), changes + 1, calls + 1
            elif proposed == view.mode and not at_risk:
                settled_s = min(holds_s, permitted_for_s(view, need_kwh, left_s, minute, rules), DAY_S)
                settled_min = minute + int(settled_s / MINUTE_S)
        until, limit = minute + 1, min(end, departure if plugged_in else arrival, look_at)
        if kit.has_battery:
            limit = min(limit, sample_at)
        if plugged_in:
            surplus_w = pv_w[minute] - load_w[minute]
            if is_resting(house, surplus_w, view.mode, kit):
                if settled_min > minute + 1 and not idle:
                    limit = min(limit, settled_min, goal_starts[goal + 1])
                    limit = limit if is_told(view, house) else min(limit, view.due_min)
                    until = _rests_until(pv_w, load_w, house, minute + 1, limit, kit)
                    view, reads = read_in_vain(view, house, until, rules)
                    asked, calls = until - 1, calls + reads
            else:
                house = charged(house, surplus_w, view.mode, kit)
                ev_kwh += house.ev_w * KWH_PER_W_MIN
                solar_w = solar_share_w(pv_w[minute], load_w[minute], house.ev_w)
                ev_solar_kwh += solar_w * KWH_PER_W_MIN
        elif view.mode != house.mode:
            house = unattended(house, view.mode)
        elif idle:
            until = max(until, limit)
            view, reads = read_in_vain(view, house, until, rules)
            calls += reads
        if kit.has_battery or tracing or house.ev_w > 0.0:
            for each in range(minute, until):
                sun_w, base_w = pv_w[each], load_w[each]
                if kit.has_battery:
                    house = buffered(house, sun_w, base_w, kit)
                if each >= account.slot_end:
                    account = _priced(prices, feed_in, offset, account, each)
                grid_w = grid_power_w(sun_w, base_w, house.ev_w, house.battery_w)
                account = _booked(account, grid_w, 0.0 if kit.has_battery else base_w - sun_w)
                if tracing:
                    _write(trace, each, house, grid_w, visit if plugged_in else -1)
        minute = until
    if plugged_in:
        unmet_kwh += house.need_kwh
    return Sums(*account[:3], ev_kwh, ev_solar_kwh, unmet_kwh, changes, calls)


def _seen(
    view: View,
    house: House,
    sample: Sample,
    calls: int,
    minute: int,
    is_new: bool,
    rules: Rules,
    kit: Equipment,
) -> tuple[View, int]:
    """Read what is due and count the calls; `is_new` tells whether a sample must have come."""
    looks = is_new and is_look_due(view, minute, rules)
    if minute >= view.due_min or (looks and may_draw(view)):
        view = read_charger(view, house, minute, rules)
        calls += 1
    if looks:
        view = looked(view, sample, house.ev_w, minute, rules, kit)
        calls += 1
    return view, calls


def _tells_more(before: View, after: View) -> bool:
    """Tell whether reading the charger has brought more than the time of the reading."""
    return (
        before.connected != after.connected
        or before.full != after.full
        or before.ev_w != after.ev_w
        or before.session_kwh != after.session_kwh
    )


def _follows(
    view: View,
    mode: int,
    at_risk: bool,
    changed: MutableSequence[int],
    changes: int,
    minute: int,
    rules: Rules,
) -> bool:
    """Tell whether a permitted mode follows now; reads and the command itself share a minute's calls."""
    most = rules.max_changes
    many = changes >= most and changed[(changes - most) % DAY_MIN] > minute - DAY_MIN
    reads = (1 if minute == view.read_min else 0) + (1 if minute == view.looked_min else 0)
    free = reads < rules.calls_per_minute
    return may_follow(view, mode, at_risk, minute, most if many else 0, free, rules)


def _rests_until(
    pv_w: Sequence[float], load_w: Sequence[float], house: House, minute: int, limit: int, kit: Equipment
) -> int:
    """Return the first minute from `minute` on in which a resting charger would stir, at most `limit`."""
    if house.mode == STOP:
        return max(minute, limit)
    while minute < limit and is_resting(house, pv_w[minute] - load_w[minute], house.mode, kit):
        minute += 1
    return minute


def _priced(
    prices: Sequence[float], feed_in: Sequence[float], offset: int, account: Account, minute: int
) -> Account:
    """Return the account with the prices of the slot that begins."""
    slot = (minute + offset) // SLOT_MIN
    return Account(
        account.cost_eur,
        account.import_kwh,
        account.export_kwh,
        prices[slot],
        feed_in[slot],
        (slot + 1) * SLOT_MIN - offset,
    )


def _booked(account: Account, grid_w: float, already_w: float) -> Account:
    """Return the account after a minute of this exchange, of which `already_w` had been booked."""
    price, feed_in = account.price_eur_per_kwh, account.feed_in_eur_per_kwh
    import_w, export_w = max(grid_w, 0.0), max(-grid_w, 0.0)
    more_kwh = (import_w - max(already_w, 0.0)) * KWH_PER_W_MIN
    less_kwh = (export_w - max(-already_w, 0.0)) * KWH_PER_W_MIN
    return Account(
        account.cost_eur + (more_kwh * price - less_kwh * feed_in),
        account.import_kwh + more_kwh,
        account.export_kwh + less_kwh,
        price,
        feed_in,
        account.slot_end,
    )


def _goal_at(starts: Sequence[int], goal: int, minute: int) -> int:
    while minute >= starts[goal + 1]:
        goal += 1
    return goal


def _missing(
    deadlines: Sequence[int], energies: Sequence[float], goal: int, view: View, minute: int
) -> tuple[float, float]:
    """Return what the goal misses and the time that is left for it, both 0 without one."""
    if goal < 0 or view.full:
        return 0.0, 0.0
    return max(0.0, energies[goal] - view.session_kwh), (deadlines[goal] - minute) * MINUTE_S


def _sensed(
    offset: int,
    view: View,
    missing: tuple[float, float],
    minute: int,
    asked: int,
    habit: int,
    arrival: int,
    rules: Rules,
) -> Sensed:
    since_start, sample = minute + offset, view.sample
    return Sensed(
        view.connected,
        view.full,
        view.mode,
        view.known,
        view.surplus_w,
        view.ev_w,
        (minute - asked) * MINUTE_S,
        missing[0],
        missing[1],
        rules.power_w,
        since_start // SLOT_MIN,
        (since_start % SLOT_MIN) * MINUTE_S,
        (minute - view.sample_min) * MINUTE_S,
        sample.pv_w,
        grid_power_w(sample.pv_w, sample.load_w, sample.ev_w, sample.battery_w),
        sample.battery_w,
        sample.soc,
        view.session_kwh,
        habit,
        (minute - arrival) * MINUTE_S if habit >= 0 else 0.0,
    )


def _write(trace: Trace, minute: int, house: House, grid_w: float, visit: int) -> None:
    trace.ev_w[minute] = house.ev_w
    trace.battery_w[minute] = house.battery_w
    trace.grid_w[minute] = grid_w
    trace.mode[minute] = house.mode
    trace.status[minute] = house.charger[0]
    trace.visit[minute] = visit
    trace.session_kwh[minute] = house.session_kwh
