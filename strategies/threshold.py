"""Surplus bands to modes, with delays that integrate energy, and FAST when a goal leaves no more time.

Three bands lie over each other: GREEN, ECO, FAST.  Each is on or off by itself: it goes on when the surplus
has exceeded its start by enough energy, and off when the surplus has missed its stop by enough.  The mode is
that of the highest band that is on, else the idle mode.  A timer runs by
`clamp((surplus - edge) / full_rate_w, -1, 1)` seconds per second: far beyond the edge it counts in full, near
it hardly, and a short dip drains it instead of resetting it.

Bands are factors of what this charger needs (`green_floor_w`, `eco_floor_w`, `max_power_w`), so that one
setting fits one phase and three.  GREEN goes on below its floor, for it regulates itself within seconds and
waits at 0 W: a charger that is in GREEN early misses nothing.  ECO steps in where the surplus is nearly
enough or comes and goes: a bit of import then makes the rest of the sun usable.  FAST by surplus is off as
shipped: there ECO draws the same, and only FAST goes on importing in full when a cloud comes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, NamedTuple

from annotated_types import Ge, Gt, Le

from optimizer.ahead import NOTHING, Ahead
from optimizer.domain import ChargerSpec, Mode, Proposal, Reason, Situation
from optimizer.goals import goal_at_risk, safe_for_s, slack_s
from optimizer.params import doc
from optimizer.sensed import Sensed, sensed

Factor = Annotated[float, Ge(0.0), Le(3.0)]
DelayS = Annotated[float, Ge(0.0), Le(3600.0)]
PowerW = Annotated[float, Gt(0.0), Le(50_000.0)]
MarginS = Annotated[float, Ge(0.0), Le(86_400.0)]


class Bands(NamedTuple):
    """The edges of the three bands for one charger; infinite where a band is not used."""

    green_start_w: float
    green_stop_w: float
    eco_start_w: float
    eco_stop_w: float
    fast_start_w: float
    fast_stop_w: float


class Law(NamedTuple):
    """The delays, and the power beyond an edge at which they count in full."""

    start_delay_s: float
    stop_delay_s: float
    full_rate_w: float


class Setting(NamedTuple):
    """All that the kernel needs to know of parameters and charger."""

    bands: Bands
    law: Law
    margin_s: float
    release_s: float
    idle_mode: int


Memory = tuple[float, float, float, float, float, float, float]
"""On (0 or 1) and timer in s of GREEN, of ECO, of FAST, and whether a goal is being served (0 or 1)."""

IDLE, SURPLUS, GOAL, UNKNOWN = 0, 1, 2, 3
"""Reason codes of the kernel."""

_LONGEST_STEP_S = 300.0
_STOP, _FAST, _ECO, _GREEN = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class ThresholdParams:
    """Parameters of `threshold`; a start must not lie below its stop.

    Raises:
        ValueError: a band is upside down, or the idle mode draws from the grid.

    """

    green_start_factor: Factor = field(
        default=0.5, metadata=doc("GREEN from this share of its floor on (floor = gear x phases x 230 V)")
    )
    green_stop_factor: Factor = field(default=0.2, metadata=doc("GREEN ends below this share of its floor"))
    eco_by_surplus: bool = field(
        default=True, metadata=doc("let the grid fill up a surplus that is nearly enough, with ECO")
    )
    eco_start_factor: Factor = field(
        default=0.8, metadata=doc("ECO from this share of its floor on (floor = gear x phases x 230 V)")
    )
    eco_stop_factor: Factor = field(default=0.5, metadata=doc("ECO ends below this share of its floor"))
    fast_by_surplus: bool = field(
        default=False, metadata=doc("use FAST for a large surplus too, not only for goals")
    )
    fast_start_factor: Factor = field(default=1.0, metadata=doc("FAST from this share of full power on"))
    fast_stop_factor: Factor = field(default=0.8, metadata=doc("FAST ends below this share of full power"))
    start_delay_s: DelayS = field(default=120.0, metadata=doc("a band goes on after this long in surplus"))
    stop_delay_s: DelayS = field(default=450.0, metadata=doc("a band goes off after this long without"))
    full_rate_w: PowerW = field(
        default=300.0, metadata=doc("this far beyond the edge a delay counts in full, nearer in proportion")
    )
    margin_s: MarginS = field(
        default=1800.0, metadata=doc("FAST starts this long before the last moment that would do")
    )
    release_s: MarginS = field(
        default=900.0, metadata=doc("a goal once served is let go when this much more time is in hand")
    )
    idle_mode: Mode = field(default=Mode.STOP, metadata=doc("without surplus: stop or green"))

    def __post_init__(self) -> None:
        for name in ("green", "eco", "fast"):
            start, stop = getattr(self, f"{name}_start_factor"), getattr(self, f"{name}_stop_factor")
            if start < stop:
                raise ValueError(f"{name}_start_factor {start} is below {name}_stop_factor {stop}")
        if self.idle_mode.draws_from_grid:
            raise ValueError(f"idle_mode {self.idle_mode.name} draws from the grid: stop or green would do")


def integrated_s(timer_s: float, excess_w: float, full_rate_w: float, delay_s: float, dt_s: float) -> float:
    """Return the timer after `dt_s` at `excess_w` beyond the edge, within 0 and `delay_s`."""
    rate = min(1.0, max(-1.0, excess_w / full_rate_w))
    return min(delay_s, max(0.0, timer_s + rate * dt_s))


def band(
    on: float, timer_s: float, surplus_w: float, start_w: float, stop_w: float, dt_s: float, law: Law
) -> tuple[float, float]:
    """Advance one band by `dt_s`: return whether it is on (0 or 1) and its timer in s."""
    if dt_s <= 0.0:
        return on, timer_s
    excess_w = stop_w - surplus_w if on > 0.0 else surplus_w - start_w
    if excess_w <= 0.0 and timer_s == 0.0:
        return on, timer_s
    delay_s = law.stop_delay_s if on > 0.0 else law.start_delay_s
    timer_s = integrated_s(timer_s, excess_w, law.full_rate_w, delay_s, dt_s)
    if excess_w > 0.0 and timer_s >= delay_s:
        return 1.0 - on, 0.0
    return on, timer_s


def kernel(seen: Sensed, _ahead: Ahead, setting: Setting, memory: Memory) -> tuple[int, int, float, Memory]:
    """Return mode, reason code, how long they hold, and the memory: the whole policy.

    While the surplus is unknown the timers rest and the bands hold; the data's age ends that.
    """
    dt_s = min(seen.elapsed_s, _LONGEST_STEP_S) if seen.known else 0.0
    margin_s = setting.margin_s + (setting.release_s if memory[6] > 0.0 else 0.0)
    wanted = seen.connected and not seen.full
    at_risk = wanted and goal_at_risk(seen.need_kwh, seen.power_w, seen.left_s, margin_s)
    at_rest = not seen.known or _rests(memory, seen.surplus_w, setting.bands)
    after = memory if at_rest else _advanced(memory, seen.surplus_w, dt_s, setting.bands, setting.law)
    after = _served(after, 1.0 if at_risk else 0.0)
    if at_risk:
        return _FAST, GOAL, 0.0, after
    mode, code = highest(after[0], after[2], after[4], setting.idle_mode)
    lasts = at_rest and memory[6] == 0.0
    holds_s = safe_for_s(seen.need_kwh, seen.power_w, seen.left_s, margin_s) if lasts else 0.0
    return mode, code if seen.known else UNKNOWN, holds_s, after


def _served(memory: Memory, serving: float) -> Memory:
    """Return the memory with whether a goal is being served."""
    green, green_s, eco, eco_s, fast, fast_s, _ = memory
    return green, green_s, eco, eco_s, fast, fast_s, serving


def _rests(memory: Memory, surplus_w: float, bands: Bands) -> bool:
    """Tell whether no timer runs or would run at this surplus."""
    return (
        _band_rests(memory[0], memory[1], surplus_w, bands.green_start_w, bands.green_stop_w)
        and _band_rests(memory[2], memory[3], surplus_w, bands.eco_start_w, bands.eco_stop_w)
        and _band_rests(memory[4], memory[5], surplus_w, bands.fast_start_w, bands.fast_stop_w)
    )


def _band_rests(on: float, timer_s: float, surplus_w: float, start_w: float, stop_w: float) -> bool:
    return timer_s == 0.0 and (surplus_w >= stop_w if on > 0.0 else surplus_w <= start_w)


def _advanced(memory: Memory, surplus_w: float, dt_s: float, bands: Bands, law: Law) -> Memory:
    """Return the memory after `dt_s` at this surplus."""
    green, green_s = band(memory[0], memory[1], surplus_w, bands.green_start_w, bands.green_stop_w, dt_s, law)
    eco, eco_s = band(memory[2], memory[3], surplus_w, bands.eco_start_w, bands.eco_stop_w, dt_s, law)
    fast, fast_s = band(memory[4], memory[5], surplus_w, bands.fast_start_w, bands.fast_stop_w, dt_s, law)
    return green, green_s, eco, eco_s, fast, fast_s, memory[6]


def highest(green: float, eco: float, fast: float, idle_mode: int) -> tuple[int, int]:
    """Return mode and reason code of the highest band that is on."""
    if fast > 0.0:
        return _FAST, SURPLUS
    if eco > 0.0:
        return _ECO, SURPLUS
    if green > 0.0:
        return _GREEN, SURPLUS
    return idle_mode, IDLE


def bands_w(params: ThresholdParams, charger: ChargerSpec) -> Bands:
    """Return the bands for this charger, in W."""

    def edges_w(used: bool, start: float, stop: float, unit_w: float) -> tuple[float, float]:
        return (start * unit_w, stop * unit_w) if used else (math.inf, math.inf)

    p = params
    return Bands(
        *edges_w(True, p.green_start_factor, p.green_stop_factor, charger.green_floor_w),
        *edges_w(p.eco_by_surplus, p.eco_start_factor, p.eco_stop_factor, charger.eco_floor_w),
        *edges_w(p.fast_by_surplus, p.fast_start_factor, p.fast_stop_factor, charger.max_power_w),
    )


class Threshold:
    """The timer law done well: equal situations (its memory is part of them) give equal proposals."""

    name = "threshold"
    serves_goals = True
    Params = ThresholdParams

    kernel = staticmethod(kernel)

    def __init__(self, params: ThresholdParams) -> None:
        self.params = params
        self._law = Law(params.start_delay_s, params.stop_delay_s, params.full_rate_w)

    def setting(self, charger: ChargerSpec) -> Setting:
        """Return what the kernel needs to know for this charger."""
        p = self.params
        return Setting(bands_w(p, charger), self._law, p.margin_s, p.release_s, int(p.idle_mode))

    def first_memory(self, mode: Mode) -> Memory:
        """Return what the mode of a charger tells after a start."""
        rank = mode.draw_rank
        green = float(rank >= Mode.GREEN.draw_rank)
        eco = float(rank >= Mode.ECO.draw_rank and self.params.eco_by_surplus)
        fast = float(rank >= Mode.FAST.draw_rank and self.params.fast_by_surplus)
        return green, 0.0, eco, 0.0, fast, 0.0, float(rank >= Mode.FAST.draw_rank)

    def propose(self, situation: Situation) -> Proposal:
        """Return the mode of the highest band that is on; FAST while a goal is at risk."""
        setting = self.setting(situation.charger)
        mode, code, _, memory = kernel(sensed(situation), NOTHING, setting, self._remembered(situation))
        reason = self._reason(code, Mode(mode), situation, memory, setting)
        return Proposal(Mode(mode), reason, memory=memory)

    def _remembered(self, situation: Situation) -> Memory:
        if situation.memory:
            green, green_s, eco, eco_s, fast, fast_s, serving = situation.memory
            return green, green_s, eco, eco_s, fast, fast_s, serving
        return self.first_memory(Mode.STOP if situation.mode is None else situation.mode)

    def _reason(
        self, code: int, mode: Mode, situation: Situation, memory: Memory, setting: Setting
    ) -> Reason:
        if code == GOAL:
            params = self._goal_params(situation)
        else:
            edge = next_edge(memory, setting.bands, self._law)
            params = {
                "mode": mode.name,
                "surplus_w": situation.surplus_w or 0.0,
                "edge_w": edge[0],
                "wait_s": edge[1],
            }
        name, sentence = _SENTENCES[code]
        return Reason(f"threshold.{name}", sentence, MappingProxyType(params))

    def _goal_params(self, situation: Situation) -> dict[str, float | int | str]:
        left_s, power_w = _left_s(situation), situation.charger.max_power_w
        full_s = left_s - slack_s(situation.need_kwh, power_w, left_s)
        return {"need_kwh": situation.need_kwh, "left_h": left_s / 3600.0, "full_h": full_s / 3600.0}


_SENTENCES = {
    IDLE: (
        "idle",
        "{mode} at {surplus_w:.0f} W surplus; next change above {edge_w:.0f} W for {wait_s:.0f} s",
    ),
    SURPLUS: (
        "surplus",
        "{mode} at {surplus_w:.0f} W surplus; next change below {edge_w:.0f} W for {wait_s:.0f} s",
    ),
    GOAL: ("goal", "{need_kwh:.1f} kWh are due in {left_h:.1f} h and take {full_h:.1f} h at full power"),
    UNKNOWN: ("unknown", "the surplus is not known, so {mode} goes on"),
}


def next_edge(memory: Memory, bands: Bands, law: Law) -> tuple[float, float]:
    """Return the edge that would change the mode next, in W, and the seconds beyond it that are left.

    That is the stop of the highest band that is on, or the start of GREEN while none is.
    """
    for index in (4, 2, 0):
        if memory[index] > 0.0:
            return bands[index + 1], law.stop_delay_s - memory[index + 1]
    return bands.green_start_w, law.start_delay_s - memory[1]


def _left_s(situation: Situation) -> float:
    return 0.0 if situation.goal is None else (situation.goal.deadline - situation.now).total_seconds()
