"""A whole case, minute by minute: the one loop that plain Python runs and Numba compiles.

`kernel` stands for the strategy's: `compiling.specialised` puts the real one in its place.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import Any, NamedTuple

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
    guarded,
    is_idle,
    is_look_due,
    is_resting,
    looked,
    may_draw,
    plugged,
    read_charger,
    sampled,
    unattended,
    unplugged,
)
from optimizer.backtest.tape import Tape
from optimizer.control.energy import solar_share_w
from optimizer.plant.house import grid_power_w
from optimizer.sensed import Memory, Sensed

SLOT_MIN = 15
DAY_MIN = 1440
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


def kernel(seen: Sensed, setting: Any, memory: Any) -> tuple[int, int, Memory]:
    """Stand for the kernel of the strategy that is run."""
    raise NotImplementedError


def simulate(  # noqa: C901 - one loop in one piece: what it hands on costs compiled speed
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
    sessions miss is not in it.
    """
    house, view, sample = begun(soc)
    account, ev_kwh, ev_solar_kwh, unmet_kwh = Account(0.0, 0.0, 0.0, 0.0, 0.0, 0), 0.0, 0.0, 0.0
    arrival, departure, plugged_in, visit = tape.arrival[0], tape.departure[0], False, 0
    # Not written as 0: for a number that stands here Numba would compile what it is handed to twice.
    asked = changes = calls = view.due_min
    goal = asked - 1
    sample_at, look_at = rules.sample_min, rules.sample_min + rules.lag_min
    for minute in range(len(tape.pv_w)):
        pv_w, load_w = tape.pv_w[minute], tape.load_w[minute]
        if minute == departure:
            unmet_kwh += house.need_kwh
            house, plugged_in, visit = unplugged(house), False, visit + 1
            arrival, departure = tape.arrival[visit], tape.departure[visit]
        if minute == arrival:
            house, plugged_in = plugged(house, tape.energy_kwh[visit]), True
        if minute == sample_at:
            sample = sampled(house, tape.pv_w[minute - 1], tape.load_w[minute - 1])
            sample_at += rules.sample_min
        is_new = minute == look_at
        if is_new or minute >= view.due_min:
            view, calls = _seen(view, house, sample, calls, minute, is_new, rules, kit)
            look_at += rules.sample_min if is_new else 0
        if is_new or not is_idle(view):
            goal = _goal_at(tape, goal, minute)
            need_kwh, left_s = _missing(tape, goal, view, minute)
            seen = _sensed(tape, view, need_kwh, left_s, minute, asked, rules)
            proposed, _code, memory = kernel(seen, setting, memory)
            many, free = _held(view, changed, changes, minute, rules)
            mode, asked = guarded(view, proposed, need_kwh, left_s, minute, many, free, rules), minute
            if mode != view.mode:
                changed[changes % DAY_MIN] = minute
                view, changes, calls = decided(view, mode, minute), changes + 1, calls + 1
        if plugged_in and not is_resting(house, pv_w - load_w, view.mode, kit):
            house = charged(house, pv_w - load_w, view.mode, kit)
            ev_kwh += house.ev_w * KWH_PER_W_MIN
            ev_solar_kwh += solar_share_w(pv_w, load_w, house.ev_w) * KWH_PER_W_MIN
        elif view.mode != house.mode:
            house = unattended(house, view.mode)
        if kit.has_battery:
            house = buffered(house, pv_w, load_w, kit)
        if minute == account.slot_end:
            account = _priced(tape, account, minute)
        grid_w = grid_power_w(pv_w, load_w, house.ev_w, house.battery_w)
        account = _booked(account, grid_w)
        if len(trace.ev_w) > 0:
            _write(trace, minute, house, grid_w, visit if plugged_in else -1)
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


def _held(
    view: View, changed: MutableSequence[int], changes: int, minute: int, rules: Rules
) -> tuple[int, bool]:
    """Return how many changes of the last 24 h count against a rise, and whether a call is free for it.

    Reads and the command itself share a minute's calls.
    """
    most = rules.max_changes
    many = changes >= most and changed[(changes - most) % DAY_MIN] > minute - DAY_MIN
    reads = (1 if minute == view.read_min else 0) + (1 if minute == view.looked_min else 0)
    return most if many else 0, reads < rules.calls_per_minute


def _priced(tape: Tape, account: Account, minute: int) -> Account:
    """Return the account with the prices of the slot that begins."""
    slot = (minute + tape.slot_offset) // SLOT_MIN
    return Account(
        account.cost_eur,
        account.import_kwh,
        account.export_kwh,
        tape.price_eur_per_kwh[slot],
        tape.feed_in_eur_per_kwh[slot],
        (slot + 1) * SLOT_MIN - tape.slot_offset,
    )


def _booked(account: Account, grid_w: float) -> Account:
    """Return the account after a minute of this exchange."""
    grid_kwh = grid_w * KWH_PER_W_MIN
    price, feed_in = account.price_eur_per_kwh, account.feed_in_eur_per_kwh
    if grid_w > 0.0:
        return Account(
            account.cost_eur + grid_kwh * price,
            account.import_kwh + grid_kwh,
            account.export_kwh,
            price,
            feed_in,
            account.slot_end,
        )
    return Account(
        account.cost_eur + grid_kwh * feed_in,
        account.import_kwh,
        account.export_kwh - grid_kwh,
        price,
        feed_in,
        account.slot_end,
    )


def _goal_at(tape: Tape, goal: int, minute: int) -> int:
    while minute >= tape.goal_start[goal + 1]:
        goal += 1
    return goal


def _missing(tape: Tape, goal: int, view: View, minute: int) -> tuple[float, float]:
    """Return what the goal misses and the time that is left for it, both 0 without one."""
    if goal < 0 or view.full:
        return 0.0, 0.0
    need_kwh = max(0.0, tape.goal_kwh[goal] - view.session_kwh)
    return need_kwh, (tape.goal_deadline[goal] - minute) * MINUTE_S


def _sensed(
    tape: Tape, view: View, need_kwh: float, left_s: float, minute: int, asked: int, rules: Rules
) -> Sensed:
    since_start, sample = minute + tape.slot_offset, view.sample
    return Sensed(
        view.connected,
        view.full,
        view.mode,
        view.known,
        view.surplus_w,
        view.ev_w,
        (minute - asked) * MINUTE_S,
        need_kwh,
        left_s,
        rules.power_w,
        tape.price_eur_per_kwh,
        since_start // SLOT_MIN,
        (since_start % SLOT_MIN) * MINUTE_S,
        (minute - view.sample_min) * MINUTE_S,
        sample.pv_w,
        grid_power_w(sample.pv_w, sample.load_w, sample.ev_w, sample.battery_w),
        sample.battery_w,
        sample.soc,
        view.session_kwh,
    )


def _write(trace: Trace, minute: int, house: House, grid_w: float, visit: int) -> None:
    trace.ev_w[minute] = house.ev_w
    trace.battery_w[minute] = house.battery_w
    trace.grid_w[minute] = grid_w
    trace.mode[minute] = house.mode
    trace.status[minute] = house.charger[0]
    trace.visit[minute] = visit
    trace.session_kwh[minute] = house.session_kwh
