"""One minute of house and service, as scalar functions that plain Python runs and Numba compiles alike.

What the service sees is what the live one sees: a sample of the house every few minutes and a little later, a
charger read at intervals, its own commands obeyed after some seconds; never the present, never the future.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from optimizer.backtest.control import COMMAND_S, Rules
from optimizer.control.freshness import band_of
from optimizer.control.guards import PASSED, draws_from_grid, guard_mode, raise_code
from optimizer.control.polling import DARK_W
from optimizer.control.surplus import available_to_car, is_steady, surplus_of
from optimizer.goals import goal_at_risk, safe_for_s
from optimizer.plant.battery import BatteryLimits, battery_step
from optimizer.plant.car import CarLimits, car_demand_w, car_need_kwh, is_full
from optimizer.plant.charger import (
    AVAILABLE,
    CHARGING,
    FAST,
    STOP,
    SUSPENDED_EV,
    ChargerLimits,
    ChargerState,
    ChargerTimes,
    charger_step,
    draw_rank,
    is_at_rest,
)
from optimizer.plant.house import grid_power_w

MINUTE_S = 60.0
LONG_AGO = -(1 << 40)

_NO_GAIN_KNOWN_EUR = 1e9
"""Strategies that do not price their modes are never held back by the price of a change."""


class Equipment(NamedTuple):
    """What stands at the house; `has_battery` False makes the battery's limits meaningless."""

    charger: ChargerLimits
    times: ChargerTimes
    car: CarLimits
    has_battery: bool
    battery: BatteryLimits


class House(NamedTuple):
    """The truth at the end of a minute; powers are the means of it.

    `mode` is the one the charger is in, `need_kwh` what the car still takes.
    """

    charger: ChargerState
    mode: int
    need_kwh: float
    session_kwh: float
    ev_w: float
    battery_w: float
    soc: float


class Sample(NamedTuple):
    """What the inverter has sent up last."""

    pv_w: float
    load_w: float
    ev_w: float
    battery_w: float
    soc: float


class View(NamedTuple):
    """What the service knows and has decided; `*_min` are minutes, `sample` is the newest that was read.

    `sample_min` is when the newest sample was seen to be new, `looked_min` when the house was read last,
    `read_min` when the charger was, `due_min` when it is to be read at the latest, `mode` what was decided,
    `changed_min` when that changed.
    """

    known: bool
    surplus_w: float
    base_load_w: float
    sample: Sample
    sample_min: int
    looked_min: int
    connected: bool
    full: bool
    session_kwh: float
    ev_w: float
    read_min: int
    due_min: int
    mode: int
    changed_min: int


def begun(soc: float) -> tuple[House, View, Sample]:
    """Return house, view and sample before the first minute: nothing is plugged in, nothing is known."""
    house = House((AVAILABLE, 0.0, 0.0), STOP, 0.0, 0.0, 0.0, 0.0, soc)
    sample = Sample(0.0, 0.0, 0.0, 0.0, soc)
    view = View(False, 0.0, 0.0, sample, LONG_AGO, LONG_AGO, False, False, 0.0, 0.0, 0, 0, STOP, LONG_AGO)
    return house, view, sample


def plugged(house: House, energy_kwh: float) -> House:
    """Return the house after a car has come that takes up to `energy_kwh`."""
    return House(house.charger, house.mode, energy_kwh, 0.0, 0.0, house.battery_w, house.soc)


def unplugged(house: House) -> House:
    """Return the house after the car has left."""
    return House((AVAILABLE, 0.0, 0.0), house.mode, 0.0, 0.0, 0.0, house.battery_w, house.soc)


def unattended(house: House, ordered: int) -> House:
    """Return the house after a minute without a car."""
    return House(house.charger, ordered, 0.0, 0.0, 0.0, house.battery_w, house.soc)


def buffered(house: House, pv_w: float, load_w: float, kit: Equipment) -> House:
    """Let the home battery do its part of a minute."""
    soc, battery_w = battery_step(house.soc, load_w + house.ev_w - pv_w, MINUTE_S, kit.battery)
    return House(house.charger, house.mode, house.need_kwh, house.session_kwh, house.ev_w, battery_w, soc)


def is_resting(house: House, surplus_w: float, ordered: int, kit: Equipment) -> bool:
    """Tell whether a charger with a car draws nothing and stays as it is for this minute."""
    if ordered != house.mode or house.ev_w != 0.0:
        return False
    return is_at_rest(house.charger, ordered, surplus_w, is_full(house.need_kwh), kit.charger)


def charged(house: House, surplus_w: float, ordered: int, kit: Equipment) -> House:
    """Let the charger work for a minute with a car; an order reaches it after `COMMAND_S`."""
    if ordered == house.mode:
        return _charged_for(house, surplus_w, ordered, MINUTE_S, kit)
    before = _charged_for(house, surplus_w, house.mode, COMMAND_S, kit)
    after = _charged_for(before, surplus_w, ordered, MINUTE_S - COMMAND_S, kit)
    ev_w = (before.ev_w * COMMAND_S + after.ev_w * (MINUTE_S - COMMAND_S)) / MINUTE_S
    return House(after.charger, ordered, after.need_kwh, after.session_kwh, ev_w, after.battery_w, after.soc)


def _charged_for(house: House, surplus_w: float, mode: int, dt_s: float, kit: Equipment) -> House:
    car_w = car_demand_w(house.need_kwh, dt_s, kit.car)
    charger, ev_w = charger_step(
        house.charger, mode, surplus_w, car_w, kit.car.phases, dt_s, kit.charger, kit.times
    )
    need_kwh = car_need_kwh(house.need_kwh, ev_w, dt_s)
    session_kwh = house.session_kwh + (house.need_kwh - need_kwh)
    return House(charger, mode, need_kwh, session_kwh, ev_w, house.battery_w, house.soc)


def sampled(house: House, pv_w: float, load_w: float) -> Sample:
    """Return what the inverter sends up at the end of a minute."""
    return Sample(pv_w, load_w, house.ev_w, house.battery_w, house.soc)


def is_look_due(view: View, minute: int, rules: Rules) -> bool:
    """Tell whether the house is read now that a new sample must be there.

    Each sample, unless the owner wants fewer in the dark without a car (see `control.polling`).
    """
    if view.connected or view.sample.pv_w >= DARK_W:
        return True
    return minute - view.looked_min >= rules.dark_samples * rules.sample_min


def looked(view: View, sample: Sample, ev_now_w: float, minute: int, rules: Rules, kit: Equipment) -> View:
    """Return the view after the house was read: the surplus, once per sample.

    Where the car's power has moved since the sample, production less the load before stands in.  A sample
    that came while nobody looked for longer than it counts as fresh is as old as that may make it.
    """
    low_w, high_w = min(sample.ev_w, ev_now_w), max(sample.ev_w, ev_now_w)
    known, surplus_w, base_load_w = view.known, sample.pv_w - view.base_load_w, view.base_load_w
    if is_steady(low_w, high_w):
        grid_w = grid_power_w(sample.pv_w, sample.load_w, sample.ev_w, sample.battery_w)
        known, surplus_w = True, surplus_of(grid_w, sample.battery_w, low_w, high_w)
        base_load_w = sample.pv_w - surplus_w
    if kit.has_battery:
        surplus_w = available_to_car(
            surplus_w, sample.battery_w, sample.soc, rules.first_until_soc, kit.battery.max_charge_w
        )
    unwatched = (minute - view.looked_min) * MINUTE_S > rules.fresh_s
    return View(
        known,
        min(surplus_w, rules.power_w),
        base_load_w,
        sample,
        view.looked_min if unwatched else minute,
        minute,
        view.connected,
        view.full,
        view.session_kwh,
        view.ev_w,
        view.read_min,
        view.due_min,
        view.mode,
        view.changed_min,
    )


def may_draw(view: View) -> bool:
    """Tell whether the charger may begin or change its power by itself."""
    return view.connected and (view.mode != STOP or view.ev_w > 0.0)


def read_charger(view: View, house: House, minute: int, rules: Rules) -> View:
    """Return the view after the charger was read, with when that is to be done again."""
    connected, wait_min = house.charger[0] != AVAILABLE, _wait_min(view, house, rules)
    full = connected and _is_seen_full(view, house)
    return _read(view, minute, wait_min, connected, full, house.session_kwh, house.ev_w)


def is_told(view: View, house: House) -> bool:
    """Tell whether the view has all that reading the charger of a car that is there would tell."""
    same = view.connected and view.ev_w == house.ev_w and view.session_kwh == house.session_kwh
    return same and view.full == _is_seen_full(view, house)


def _is_seen_full(view: View, house: House) -> bool:
    stays = view.connected and view.full and house.ev_w <= 0.0
    return stays or house.charger[0] == SUSPENDED_EV


def read_in_vain(view: View, house: House, until: int, rules: Rules) -> tuple[View, int]:
    """Return the view after reading what it knows as often as that is due before a minute, and how often."""
    wait_min = _wait_min(view, house, rules)
    reads = max(0, (until - 1 - view.due_min) // wait_min + 1)
    if reads == 0:
        return view, 0
    last_min = view.due_min + (reads - 1) * wait_min
    return _read(view, last_min, wait_min, view.connected, view.full, view.session_kwh, view.ev_w), reads


def _read(
    view: View, minute: int, wait_min: int, connected: bool, full: bool, session_kwh: float, ev_w: float
) -> View:
    return View(
        view.known,
        view.surplus_w,
        view.base_load_w,
        view.sample,
        view.sample_min,
        view.looked_min,
        connected,
        full,
        session_kwh,
        ev_w,
        minute,
        minute + wait_min,
        view.mode,
        view.changed_min,
    )


def _wait_min(view: View, house: House, rules: Rules) -> int:
    """Return for how long a charger that was read in this state is not read again."""
    if house.charger[0] == CHARGING or house.ev_w > 0.0:
        return rules.active_min
    if house.charger[0] != AVAILABLE:
        return rules.connected_min
    return rules.dark_min if view.sample.pv_w < DARK_W else rules.idle_min


def decided(view: View, mode: int, minute: int) -> View:
    """Return the view after another mode was decided; that is confirmed by reading the charger."""
    return View(
        view.known,
        view.surplus_w,
        view.base_load_w,
        view.sample,
        view.sample_min,
        view.looked_min,
        view.connected,
        view.full,
        view.session_kwh,
        view.ev_w,
        view.read_min,
        minute + 1,
        mode,
        minute,
    )


def is_goal_at_risk(view: View, need_kwh: float, left_s: float, rules: Rules) -> bool:
    """Tell whether the goal takes over; once FAST runs it is let go later than it was taken up."""
    margin_s = rules.margin_s + (rules.release_s if view.mode == FAST else 0.0)
    serves = rules.serves_goals and view.connected and not view.full
    return serves and goal_at_risk(need_kwh, rules.power_w, left_s, margin_s)


def permitted(view: View, proposed: int, at_risk: bool, minute: int, rules: Rules) -> int:
    """Return what lease, data age and goal make of a proposal, as `control.guards.guard` does."""
    age_s = (minute - view.sample_min) * MINUTE_S
    leased, age_band = age_s < rules.lease_s, band_of(age_s, rules.fresh_s, rules.stale_s)
    mode, _code = guard_mode(
        proposed, view.mode, rules.resting, age_band, leased, view.connected, at_risk, PASSED
    )
    return mode


def permitted_for_s(view: View, need_kwh: float, left_s: float, minute: int, rules: Rules) -> float:
    """Return for how many seconds the guards would go on permitting the present mode if it is proposed."""
    if not view.connected:
        return 0.0
    age_s, margin_s = (minute - view.sample_min) * MINUTE_S, rules.margin_s + rules.release_s
    safe_s = safe_for_s(need_kwh, rules.power_w, left_s, margin_s) if rules.serves_goals else math.inf
    return min(safe_s, rules.fresh_s - age_s, rules.lease_s - age_s)


def may_follow(
    view: View, mode: int, at_risk: bool, minute: int, changes: int, slot_free: bool, rules: Rules
) -> bool:
    """Tell whether hysteresis and budget let a permitted mode follow; one that may draw less always may."""
    if draw_rank(mode) <= draw_rank(view.mode):
        return True
    veto = raise_code(
        (minute - view.changed_min) * MINUTE_S,
        rules.dwell_s[view.mode],
        changes,
        rules.max_changes,
        _NO_GAIN_KNOWN_EUR,
        rules.switch_cost_eur,
        at_risk,
        slot_free,
    )
    return veto == PASSED


def is_idle(view: View) -> bool:
    """Tell whether nothing is to be decided before the next sample: no car is known, nothing may draw."""
    return not view.connected and not draws_from_grid(view.mode)
