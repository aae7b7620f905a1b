"""When a goal must be served at full power, as guards and strategies ask alike; and what goals come from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from optimizer.domain import Goal

_SECONDS_PER_HOUR = 3600.0
_W_PER_KW = 1000.0


@dataclass(frozen=True, slots=True)
class Given:
    """A goal that somebody has given for one charger, and by which way."""

    charger: str
    goal: Goal
    origin: str


@dataclass(frozen=True, slots=True)
class Charge:
    """A car's state of charge (0 to 1) as told at `at`; it had taken `session_kwh` in its session then."""

    soc: float
    at: datetime
    session_kwh: float


def slack_s(need_kwh: float, power_w: float, seconds_left: float) -> float:
    """Return the seconds that may still pass until charging at `power_w` has to start to meet the need.

    Negative: the goal can no longer be met in full.  Scalar arithmetic only, so that it can be compiled.
    """
    if need_kwh <= 0.0:
        return math.inf
    if power_w <= 0.0:
        return -math.inf
    return seconds_left - need_kwh * _W_PER_KW * _SECONDS_PER_HOUR / power_w


def reachable_kwh(power_w: float, seconds_left: float) -> float:
    """Return what charging at `power_w` from now on can give until the deadline."""
    return max(0.0, power_w) * max(0.0, seconds_left) / _W_PER_KW / _SECONDS_PER_HOUR


def safe_for_s(need_kwh: float, power_w: float, seconds_left: float, margin_s: float) -> float:
    """Return for how many seconds a goal that is not at risk stays so; 0 if it is, or if its time is over."""
    if need_kwh <= 0.0:
        return math.inf
    return max(0.0, slack_s(need_kwh, power_w, seconds_left) - margin_s)


def goal_at_risk(need_kwh: float, power_w: float, seconds_left: float, margin_s: float) -> bool:
    """Tell whether the latest start, `deadline - need / power - margin`, has come.

    A goal whose deadline has passed is over, met or not; one out of reach stays at risk until then.
    """
    return seconds_left > 0.0 and slack_s(need_kwh, power_w, seconds_left) <= margin_s
