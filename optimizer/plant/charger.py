"""The charger as an automaton: modes, gears, and transitions that take their time.

The delays follow a trace recorded on an X3-HAC-11 (snapshots 45-80 s apart): FAST shows
"charging" with 0 W within 54 s, STOP goes through STOPPING to FINISHING, GREEN without surplus
ends in CHARGE_PAUSE.  How long GREEN waits before it pauses or resumes is not documented.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from optimizer.domain import MAINS_V, ChargerStatus, Mode

# Plain integers: compiled code compares numbers, not enum members.
STOP, FAST, ECO, GREEN = int(Mode.STOP), int(Mode.FAST), int(Mode.ECO), int(Mode.GREEN)
AVAILABLE = int(ChargerStatus.AVAILABLE)
PREPARING = int(ChargerStatus.PREPARING)
CHARGING = int(ChargerStatus.CHARGING)
FINISHING = int(ChargerStatus.FINISHING)
SUSPENDED_EV = int(ChargerStatus.SUSPENDED_EV)
CHARGE_PAUSE = int(ChargerStatus.CHARGE_PAUSE)
STOPPING = int(ChargerStatus.STOPPING)

PILOT_MIN_A = 6.0
"""The least current a charger can offer (IEC 61851-1); a GREEN gear of 3 A only starts earlier."""

_ROUNDING_A = 1e-9


class ChargerLimits(NamedTuple):
    """Phases, current and gears (A per phase) as set at the charger."""

    phases: int = 1
    max_current_a: float = 32.0
    eco_gear_a: float = 6.0
    green_gear_a: float = 6.0


class ChargerTimes(NamedTuple):
    """How long things take, in seconds, and how fast the current moves.

    `close_s`: from the wish to charge to status CHARGING; `wake_s`: CHARGING with 0 W until the
    car draws; `stop_s`: in STOPPING; `pause_after_s`: GREEN below its gear until it pauses;
    `resume_after_s`: GREEN above its gear until it starts again.
    """

    close_s: float = 24.0
    wake_s: float = 30.0
    stop_s: float = 40.0
    pause_after_s: float = 60.0
    resume_after_s: float = 60.0
    slew_a_per_s: float = 2.0


ChargerState = tuple[int, float, float]
"""`(status, timer_s, current_a)`.

The timer belongs to the status.  CHARGING: negative while the car wakes up, then how long GREEN
has been short of surplus; CHARGE_PAUSE: how long there has been enough; else the time spent
in the status, as far as something follows from it.
"""

UNPLUGGED: ChargerState = (AVAILABLE, 0.0, 0.0)


def draw_rank(mode: int) -> int:
    """Return how much grid power a mode may ask for: STOP 0, GREEN 1, ECO 2, FAST 3."""
    if mode == STOP:
        return 0
    return 4 - mode


def offered_a(mode: int, surplus_w: float, limits: ChargerLimits) -> float:
    """Return the current that a charging charger offers, A per phase.

    FAST: the maximum.  ECO and GREEN: the surplus in whole amperes, between their floor
    (ECO: its gear; GREEN: the 6 A of the pilot signal) and the maximum.  STOP: none.
    """
    if mode == STOP:
        return 0.0
    if mode == FAST:
        return limits.max_current_a
    floor_a = limits.eco_gear_a if mode == ECO else max(PILOT_MIN_A, limits.green_gear_a)
    follow_a = float(math.floor(surplus_w / (limits.phases * MAINS_V) + _ROUNDING_A))
    return min(limits.max_current_a, max(floor_a, follow_a))


def charger_step(
    state: ChargerState,
    mode: int,
    surplus_w: float,
    car_w: float,
    car_phases: int,
    dt_s: float,
    limits: ChargerLimits,
    times: ChargerTimes,
) -> tuple[ChargerState, float]:
    """Return the state after `dt_s` seconds and the mean power drawn in them, W.

    `surplus_w` is what the charger measures (production minus all other load), `car_w` the most
    the car takes (0 when full), `car_phases` how many phases it uses (0: no car).  Transitions
    happen at their exact time within the step, so that short and long steps agree.
    """
    if car_phases > 0 and is_at_rest(state, mode, surplus_w, car_w <= 0.0, limits):
        return state, 0.0
    if state[0] == CHARGING and _goes_on(state[1], mode, surplus_w, car_w, car_phases, limits):
        phases = min(car_phases, limits.phases)
        car_a, target_a = _currents_a(mode, surplus_w, car_w, phases, limits)
        current_a, mean_a = _slew(min(state[2], car_a), target_a, times.slew_a_per_s, dt_s)
        return (CHARGING, 0.0, current_a), min(car_w, mean_a * dt_s / dt_s * phases * MAINS_V)
    return charger_moved(state, mode, surplus_w, car_w, car_phases, dt_s, limits, times)


def _currents_a(
    mode: int, surplus_w: float, car_w: float, phases: int, limits: ChargerLimits
) -> tuple[float, float]:
    """Return the most the car takes and what it settles at, A per phase."""
    car_a = car_w / (phases * MAINS_V) if phases > 0 else 0.0
    return car_a, min(car_a, offered_a(mode, surplus_w, limits))


def _goes_on(
    timer_s: float, mode: int, surplus_w: float, car_w: float, car_phases: int, limits: ChargerLimits
) -> bool:
    """Tell whether a charging charger goes on, at whatever current, for as long as nothing else changes."""
    awake = timer_s >= 0.0 and mode != STOP and car_w > 0.0 and car_phases > 0
    return awake and _is_enough(mode, surplus_w, limits)


def is_at_rest(
    state: ChargerState, mode: int, surplus_w: float, car_full: bool, limits: ChargerLimits
) -> bool:
    """Tell whether a charger with a car stays as it is, however long this goes on."""
    status, timer_s, current_a = state
    if timer_s != 0.0 or current_a != 0.0:
        return False
    if mode == STOP:
        return status in (PREPARING, FINISHING)
    if status == SUSPENDED_EV:
        return car_full
    return status == CHARGE_PAUSE and mode == GREEN and not _is_enough(mode, surplus_w, limits)


def _is_enough(mode: int, surplus_w: float, limits: ChargerLimits) -> bool:
    """Tell whether GREEN has its gear's worth of surplus; the other modes do not ask."""
    return mode != GREEN or surplus_w >= limits.green_gear_a * limits.phases * MAINS_V


def charger_moved(
    state: ChargerState,
    mode: int,
    surplus_w: float,
    car_w: float,
    car_phases: int,
    dt_s: float,
    limits: ChargerLimits,
    times: ChargerTimes,
) -> tuple[ChargerState, float]:
    """Return the same as `charger_step`, for a charger that need not be at rest."""
    status, timer_s, current_a = state
    phases = min(car_phases, limits.phases)
    enough = _is_enough(mode, surplus_w, limits)
    car_a, target_a = _currents_a(mode, surplus_w, car_w, phases, limits)
    charge_as = 0.0
    left_s = dt_s
    while left_s > 0.0:
        status, timer_s = _settle(status, timer_s, mode, enough, car_w, phases, times)
        span_s = min(left_s, _until_next_s(status, timer_s, mode, enough, times))
        if status == CHARGING and timer_s >= 0.0:
            current_a, mean_a = _slew(min(current_a, car_a), target_a, times.slew_a_per_s, span_s)
            charge_as += mean_a * span_s
        else:
            current_a = 0.0
        timer_s = _tick(status, timer_s, span_s, enough)
        left_s -= span_s
    status, timer_s = _settle(status, timer_s, mode, enough, car_w, phases, times)
    current_a = current_a if status == CHARGING else 0.0
    return (status, timer_s, current_a), min(car_w, charge_as / dt_s * phases * MAINS_V)


def _settle(
    status: int, timer_s: float, mode: int, enough: bool, car_w: float, phases: int, times: ChargerTimes
) -> tuple[int, float]:
    """Follow all transitions that are due now; there is no circle among them."""
    following, timer_s = _transition(status, timer_s, mode, enough, car_w, phases, times)
    while following != status:
        status = following
        following, timer_s = _transition(status, timer_s, mode, enough, car_w, phases, times)
    return status, timer_s


def _transition(
    status: int, timer_s: float, mode: int, enough: bool, car_w: float, phases: int, times: ChargerTimes
) -> tuple[int, float]:
    if phases == 0:
        return AVAILABLE, 0.0
    if status == AVAILABLE:
        return PREPARING, 0.0
    if status == CHARGING:
        return _from_charging(timer_s, mode, enough, car_w, times)
    if status == STOPPING:
        return (STOPPING, timer_s) if timer_s < times.stop_s else (FINISHING, 0.0)
    return _from_waiting(status, timer_s, mode, enough, car_w, times)


def _from_charging(
    timer_s: float, mode: int, enough: bool, car_w: float, times: ChargerTimes
) -> tuple[int, float]:
    if mode == STOP:
        return STOPPING, 0.0
    if car_w <= 0.0:
        return SUSPENDED_EV, 0.0
    if not enough and timer_s >= times.pause_after_s:
        return CHARGE_PAUSE, 0.0
    return CHARGING, timer_s


def _from_waiting(
    status: int, timer_s: float, mode: int, enough: bool, car_w: float, times: ChargerTimes
) -> tuple[int, float]:
    if mode == STOP:
        return (PREPARING if status == PREPARING else FINISHING), 0.0
    if timer_s < _wait_s(status, mode, times):
        return status, timer_s
    if car_w <= 0.0:
        return SUSPENDED_EV, 0.0
    if not enough:
        return CHARGE_PAUSE, 0.0
    return CHARGING, -times.wake_s


def _wait_s(status: int, mode: int, times: ChargerTimes) -> float:
    """Return how long a status that is not charging lasts once charging is wanted."""
    if status == SUSPENDED_EV:
        return 0.0
    return times.resume_after_s if status == CHARGE_PAUSE and mode == GREEN else times.close_s


def _until_next_s(status: int, timer_s: float, mode: int, enough: bool, times: ChargerTimes) -> float:
    """Return the time to the next transition that only time brings, `inf` if none is pending."""
    if status == STOPPING:
        return times.stop_s - timer_s
    if status == CHARGING and timer_s < 0.0:
        return -timer_s
    if status == CHARGING:
        return math.inf if enough else times.pause_after_s - timer_s
    waits = status in (PREPARING, FINISHING) or (status == CHARGE_PAUSE and enough)
    return _wait_s(status, mode, times) - timer_s if waits and mode != STOP else math.inf


def _tick(status: int, timer_s: float, span_s: float, enough: bool) -> float:
    if status in (STOPPING, PREPARING, FINISHING) or (status == CHARGING and timer_s < 0.0):
        return timer_s + span_s
    counts = (status == CHARGING and not enough) or (status == CHARGE_PAUSE and enough)
    return timer_s + span_s if counts else 0.0


def _slew(current_a: float, target_a: float, rate_a_per_s: float, span_s: float) -> tuple[float, float]:
    """Move the current to its target at a limited rate; return its end and its mean."""
    gap_a = target_a - current_a
    ramp_s = abs(gap_a) / rate_a_per_s
    if ramp_s >= span_s:
        end_a = current_a + math.copysign(rate_a_per_s * span_s, gap_a)
        return end_a, 0.5 * (current_a + end_a)
    return target_a, target_a - gap_a * ramp_s / (2.0 * span_s)
