"""Plans beside those of EMHASS, in its own environment, in one run: what they cost, and how long they take.

The first time it is installed from PyPI into `.venv-emhass` (1.1 GB, a minute or two).  Where that fails the
benchmark is skipped and says why.  Two days, 8 kWp under clouds, 28 kWh by 07:00 on the second one, 0.30 EUR
by day and 0.22 by night, 0.08 for what is fed in; five skies.  All is known beforehand to both, a change of
modes costs nothing, and our quarter hours have the same values in both halves of a half hour.

On or off at 7 kW both choose among the same: a plan of ours that used one half of a half hour could as well
use the other, so half hours lose nothing.  EMHASS modulating may take any power in any step; our modes may
not: ECO and GREEN follow the sun in whole amperes (of 200 W here; of 20 W to show what they cost), FAST is
full power.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, pi, sin
from time import thread_time
from typing import Any

from peer_environment import Peer
from plan_speed import Asked, Day, asked_for, planning_s
from result import Result

from optimizer.compiling import compiled
from optimizer.domain import ChargerSpec
from optimizer.planning.choice import value_modes
from optimizer.planning.expected import Costs
from optimizer.planning.itinerary import itinerary
from optimizer.planning.lookahead import Model, Weather, tables_of
from optimizer.planning.outcome import Drive
from optimizer.planning.sky import sky_of

COMMAND = "python benchmarks/run.py emhass"
_PEER = Peer("emhass==0.18.7", "emhass_plans.py")

_SKIES = 5
_SLOTS, _DUE_SLOT = 192, 124
_NEED_KWH, _FEED_IN, _MAX_W, _MIN_W = 28.0, 0.08, 7000.0, 1400.0
_SLOT_H = 0.25
_SAME_EUR, _SAME_KWH = 0.01, 0.001
_ROUNDS = 20

ON_OFF = Drive(_MAX_W, 0.0, 0.0, inf, _MAX_W, 1.0)
"""GREEN is STOP; ECO takes whole steps of 7 kW, so it is STOP, or FAST where there is so much sun."""

AMPERES = Drive(_MAX_W, _MIN_W, _MIN_W, _MIN_W, 200.0, 1.0)
SMOOTH = AMPERES._replace(step_w=20.0)


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to ask both; `levels` of energy make ours exact."""

    name: str
    on_off: bool
    step_min: int
    drive: Drive
    levels: int


VARIANTS = (
    Variant("on/off, half hours", on_off=True, step_min=30, drive=ON_OFF, levels=17),
    Variant("modulating, half hours", on_off=False, step_min=30, drive=AMPERES, levels=561),
    Variant("modulating, quarter hours, ours by 20 W", on_off=False, step_min=15, drive=SMOOTH, levels=561),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the car costs under a plan, and processor times: ours compiled and plain, theirs anew and kept."""

    eur: float
    fast_s: float
    slow_s: float


def measure() -> list[Result]:
    """Ask both about all skies, variant by variant."""
    days = [sky(number) for number in range(_SKIES)]
    return [result for variant in VARIANTS for result in _beside(variant, days)]


def sky(number: int) -> Day:
    """Return a sky of clouds; a half hour is the same in both halves."""
    halves = [slot // 2 for slot in range(_SLOTS)]
    sun_w = [_sun_w(half, number) for half in halves]
    load_w = [700.0 if 36 <= half % 48 < 44 else 400.0 for half in halves]
    price = [0.30 if 12 <= half % 48 < 44 else 0.22 for half in halves]
    return Day(sun_w, load_w, price, _FEED_IN, _NEED_KWH, _DUE_SLOT)


def _sun_w(half: int, number: int) -> float:
    cloud = 0.45 + 0.40 * sin((7.3 + number) * half) * sin(1.7 * half + number)
    return 8000.0 * cloud * max(0.0, sin(pi * ((half + 0.5) / 2.0 % 24.0 - 5.0) / 14.0))


def _beside(variant: Variant, days: Sequence[Day]) -> list[Result]:
    ours = [_ours(variant, day) for day in days]
    theirs = _theirs(variant, days)
    more_eur = max(abs(a.eur - b.eur) for a, b in zip(ours, theirs, strict=True))
    fast_s, slow_s = min(one.fast_s for one in ours), min(one.slow_s for one in ours)
    kept_s, anew_s = min(one.fast_s for one in theirs), min(one.slow_s for one in theirs)
    figures = (
        (f"{_PEER.requirement}, {variant.name}: a car's cost", _mean(one.eur for one in theirs), "EUR"),
        ("  ours", _mean(one.eur for one in ours), "EUR"),
        ("  its time from scratch", anew_s * 1000.0, "ms"),
        ("  its time with the problem kept", kept_s * 1000.0, "ms"),
        ("  ours from scratch, compiled", fast_s * 1000.0, "ms"),
        ("  ours in plain Python, with each step told", slow_s * 1000.0, "ms"),
        ("  its problem kept beside ours compiled", kept_s / fast_s, "x"),
    )
    limit_eur = _SAME_EUR if variant.on_off else None
    largest = Result("  largest difference under a sky", more_eur, "EUR", limit_eur, COMMAND)
    first, second, *rest = (Result(name, value, unit, None, COMMAND) for name, value, unit in figures)
    return [first, second, largest, *rest]


def _ours(variant: Variant, day: Day) -> Plan:
    costs, weather = Costs(0.60, 0.0, 0.0, 0.0, 0.0), Weather(sky_of(1, 1.0), 0.0, 0.0, 0.0)
    model = Model(costs, variant.drive, weather, tables_of(1, variant.levels))
    asked = asked_for(day, ChargerSpec("garage", "PEER"), model)
    began_s = thread_time()
    steps = list(itinerary(asked.seen, asked.ahead, asked.task, asked.model))
    slow_s = thread_time() - began_s
    ev_w = [1000.0 * step.kwh / _SLOT_H for step in steps]
    return Plan(cost_eur(day, ev_w), _fast_s(asked), slow_s)


def _fast_s(asked: Asked) -> float:
    fast, arrays = compiled(value_modes), asked.as_arrays()
    planning_s(arrays, fast)
    return min(planning_s(arrays, fast) for _ in range(_ROUNDS))


def _theirs(variant: Variant, days: Sequence[Day]) -> list[Plan]:
    answers = json.loads(_PEER.answer(json.dumps([_question(variant, day) for day in days])))
    slots = variant.step_min // 15
    return [
        Plan(
            cost_eur(day, [w for w in answer["ev_w"] for _ in range(slots)]),
            answer["kept_s"],
            answer["scratch_s"],
        )
        for day, answer in zip(days, answers, strict=True)
    ]


def _question(variant: Variant, day: Day) -> dict[str, Any]:
    slots = variant.step_min // 15
    return {
        "step_min": variant.step_min,
        "pv_w": day.sun_w[::slots],
        "load_w": day.load_w[::slots],
        "price": day.price[::slots],
        "feed_in": [day.feed_in] * (_SLOTS // slots),
        "need_kwh": day.need_kwh,
        "due_step": day.due_slot // slots,
        "max_w": _MAX_W,
        "min_w": 0.0 if variant.on_off else _MIN_W,
        "on_off": variant.on_off,
    }


def cost_eur(day: Day, ev_w: Sequence[float]) -> float:
    """Return what is imported for the car, and what would have been earned without it."""
    kwh = sum(ev_w) * _SLOT_H / 1000.0
    if abs(kwh - day.need_kwh) > _SAME_KWH:
        raise AssertionError(f"the plan gives {kwh:.3f} kWh, not {day.need_kwh:.3f} kWh")
    eur = 0.0
    for w, pv_w, load_w, price in zip(ev_w, day.sun_w, day.load_w, day.price, strict=False):
        sun_w = min(w, max(0.0, pv_w - load_w))
        eur += (sun_w * day.feed_in + (w - sun_w) * price) * _SLOT_H / 1000.0
    return eur


def _mean(values: Iterator[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)
