"""What a charger and its car really draw, learnt from the log.

Only steady minutes count: two readings in a row of the same mode, charging at about the same power.  What a
car draws less towards its end is left out, each session gives one figure, and some sessions must agree before
anything is said: the median is what is told, the lower quartile what a plan may count on.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from optimizer.domain import MAINS_V, ChargerReading, ChargerSpec, ChargerStatus, Mode, SiteReading
from optimizer.forecast.quantile import weighted_quantile

LEARNT_FROM = timedelta(days=60)
"""How far back the log is looked at."""

_SESSIONS_AT_LEAST = 3
_SESSIONS_AT_MOST = 10
_MINUTES_AT_LEAST = 15.0
_GAP_MIN = 10.0
_DRAWS_W = 500.0
_STEADY_W = 150.0
_STEADY_SHARE = 0.05
_TAPERS_BELOW = 0.9
_FILLED_BY_GRID_W = 150.0
_AGREES_WITHIN = 0.1
_COUNTS_FROM = 0.03
_PHASES = (1, 2, 3)
_GEARS_A = (6.0, 10.0, 16.0, 20.0, 25.0)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A power over the last sessions that showed it: their median, their lower quartile, their number."""

    power_w: float
    low_w: float
    sessions: int


@dataclass(frozen=True, slots=True)
class Experience:
    """What is known of a charger and its car by experience; None: not enough was seen.

    `fast` is what FAST draws, `eco_floor` what ECO holds where the surplus does not suffice, `phases` on how
    many phases that is.  `full_sessions` ended because the car was full; it slowed down over its last
    `taper_kwh`.
    """

    fast: Drawn | None = None
    eco_floor: Drawn | None = None
    phases: int | None = None
    full_sessions: int = 0
    taper_kwh: float | None = None


@dataclass(frozen=True, slots=True)
class Doubt:
    """Where configuration and reality disagree: a `code` to know it again by, and what to do about it."""

    code: str
    sentence: str


class _Steady(NamedTuple):
    since: datetime
    until: datetime
    power_w: float
    session_kwh: float | None

    @property
    def minutes(self) -> float:
        return (self.until - self.since) / timedelta(minutes=1)


def experience(
    spec: ChargerSpec, readings: Sequence[ChargerReading], house: Sequence[SiteReading]
) -> Experience:
    """Return what the readings of a charger and of its house, both ascending, tell of it."""
    visits = list(_visits(readings))
    fast = _over_sessions([_plateau_w(_steady(visit, Mode.FAST)) for visit in visits])
    floor = _over_sessions([_plateau_w(_at_floor(_steady(visit, Mode.ECO), house)) for visit in visits])
    full = [visit for visit in visits if any(reading.status.finished for reading in visit)]
    tapers_kwh = [kwh for kwh in map(_taper_kwh, full) if kwh is not None]
    return Experience(
        fast,
        floor,
        None if floor is None else _phases(floor.power_w, spec),
        len(full),
        _median(tapers_kwh) if len(tapers_kwh) >= _SESSIONS_AT_LEAST else None,
    )


def countable_w(spec: ChargerSpec, known: Experience) -> float | None:
    """Return what a plan may count on, W, where that is less than `spec` says; else None.

    The owner's word stands: nothing is returned where `car_max_w` is set.  More than the configuration says
    is never assumed: a goal that counts on too much is missed, one that counts on too little is met early.
    """
    if known.fast is None or spec.car_max_w is not None:
        return None
    counted_w = math.floor(known.fast.low_w / 10.0) * 10.0
    return counted_w if counted_w < (1.0 - _COUNTS_FROM) * spec.max_power_w else None


def doubts(spec: ChargerSpec, known: Experience) -> tuple[Doubt, ...]:
    """Return where the owner's `spec` and the experience disagree."""
    found = (_doubt_of_fast(spec, known), _doubt_of_floor(spec, known))
    return tuple(doubt for doubt in found if doubt is not None)


def words(found: Experience) -> str:
    """Return what is known in words; nothing where it is nothing."""
    parts = []
    if found.fast is not None:
        parts.append(f"FAST draws {_seen(found.fast)}")
    if found.eco_floor is not None:
        on = "" if found.phases is None else f" on {found.phases} phase{'s' if found.phases > 1 else ''}"
        parts.append(f"ECO holds {_seen(found.eco_floor)}{on}")
    if found.full_sessions:
        slow = "" if found.taper_kwh is None else f", slower over the last {found.taper_kwh:.1f} kWh"
        parts.append(f"the car was full {found.full_sessions} times{slow}")
    return "; ".join(parts)


def _visits(readings: Sequence[ChargerReading]) -> Iterator[list[ChargerReading]]:
    """Yield the readings of each car's stay; another stay begins where the counter starts anew, too."""
    visit: list[ChargerReading] = []
    for reading in readings:
        anew = bool(visit) and (reading.session_kwh or math.inf) < (visit[-1].session_kwh or 0.0)
        if visit and (anew or not reading.status.connected):
            yield visit
            visit = []
        if reading.status.connected:
            visit.append(reading)
    if visit:
        yield visit


def _steady(visit: Sequence[ChargerReading], mode: Mode) -> list[_Steady]:
    return [
        _Steady(a.received_at, b.received_at, 0.5 * (a.ev_w + b.ev_w), b.session_kwh)
        for a, b in pairwise(visit)
        if a.ev_w is not None and b.ev_w is not None and _holds(a, b, mode) and _is_steady(a.ev_w, b.ev_w)
    ]


def _holds(a: ChargerReading, b: ChargerReading, mode: Mode) -> bool:
    """Tell whether a charger was charging in the mode from one reading to the next."""
    near = timedelta() < b.received_at - a.received_at <= timedelta(minutes=_GAP_MIN)
    return near and all(one.mode is mode and one.status is ChargerStatus.CHARGING for one in (a, b))


def _is_steady(a_w: float, b_w: float) -> bool:
    return min(a_w, b_w) >= _DRAWS_W and abs(a_w - b_w) <= max(_STEADY_W, _STEADY_SHARE * max(a_w, b_w))


def _at_floor(steady: Sequence[_Steady], house: Sequence[SiteReading]) -> list[_Steady]:
    """Return those in which the grid or the home battery gave what the surplus lacked, as far as was seen."""
    lacking = [one.received_at for one in house if _lacks_surplus(one)]
    return [span for span in steady if bisect_left(lacking, span.since) < bisect_right(lacking, span.until)]


def _lacks_surplus(reading: SiteReading) -> bool:
    return reading.grid_w is not None and reading.grid_w + (reading.battery_w or 0.0) > _FILLED_BY_GRID_W


def _plateau_w(steady: Sequence[_Steady]) -> float | None:
    """Return the median power of a session without its end, where the car slows down; None: too short."""
    kept = _before_taper(steady)
    if sum(span.minutes for span in kept) < _MINUTES_AT_LEAST:
        return None
    return weighted_quantile([(span.power_w, span.minutes) for span in kept], 0.5)


def _before_taper(steady: Sequence[_Steady]) -> Sequence[_Steady]:
    if not steady:
        return ()
    top_w = weighted_quantile([(span.power_w, span.minutes) for span in steady], 0.9)
    last = max(place for place, span in enumerate(steady) if span.power_w >= _TAPERS_BELOW * top_w)
    return steady[: last + 1]


def _taper_kwh(visit: Sequence[ChargerReading]) -> float | None:
    """Return what a full car took since it had begun to slow down in FAST."""
    before = _before_taper(_steady(visit, Mode.FAST))
    full_kwh = next((one.session_kwh for one in visit if one.status.finished), None)
    if not before or before[-1].session_kwh is None or full_kwh is None:
        return None
    return max(0.0, full_kwh - before[-1].session_kwh)


def _over_sessions(powers_w: Sequence[float | None]) -> Drawn | None:
    seen_w = [power_w for power_w in powers_w if power_w is not None][-_SESSIONS_AT_MOST:]
    if len(seen_w) < _SESSIONS_AT_LEAST:
        return None
    low_w = weighted_quantile([(power_w, 1.0) for power_w in seen_w], 0.25)
    return Drawn(_median(seen_w), low_w, len(seen_w))


def _median(values: Sequence[float]) -> float:
    return weighted_quantile([(value, 1.0) for value in values], 0.5)


def _phases(floor_w: float, spec: ChargerSpec) -> int | None:
    """Return the phases that hold `floor_w` in the configured gear; None: none do."""
    fitting = [phases for phases in _PHASES if _agrees(floor_w, phases * spec.eco_gear_a * MAINS_V)]
    return fitting[0] if fitting else None


def _agrees(seen_w: float, said_w: float) -> bool:
    return abs(seen_w - said_w) <= _AGREES_WITHIN * said_w


def _doubt_of_fast(spec: ChargerSpec, known: Experience) -> Doubt | None:
    fast = known.fast
    if fast is None or _agrees(fast.power_w, spec.max_power_w):
        return None
    key = "max_current_a" if spec.car_max_w is None else "car_max_w"
    seen = f"{_says(spec, key, spec.max_power_w)}, FAST has drawn {_kw(fast.power_w)} {_lately(fast)}"
    if fast.power_w < spec.max_power_w:
        return Doubt("fast_less", f"{seen}: set car_max_w = {math.floor(fast.low_w / 10.0) * 10}")
    if key == "car_max_w":
        return Doubt("fast_more", f"{seen}: set car_max_w = {math.floor(fast.low_w / 10.0) * 10}")
    return Doubt("fast_more", f"{seen}: compare phases and max_current_a with the charger")


def _doubt_of_floor(spec: ChargerSpec, known: Experience) -> Doubt | None:
    floor = known.eco_floor
    if floor is None or _agrees(floor.power_w, spec.eco_floor_w) or _is_cars_limit(floor, known.fast):
        return None
    seen = (
        f"{_says(spec, 'eco_gear_a', spec.eco_floor_w)}, ECO has held {_kw(floor.power_w)} without surplus "
        f"{_lately(floor)}"
    )
    if known.phases is not None and known.phases > spec.phases:
        return Doubt("floor", f"{seen}: set phases = 3")
    if known.phases is not None:
        return Doubt("floor", f"{seen}: its car charges on {known.phases} of {spec.phases} phases")
    gears_a = [gear for gear in _GEARS_A if _agrees(floor.power_w, spec.power_w(gear))]
    cure = f"set eco_gear_a = {gears_a[0]:g}" if gears_a else "compare eco_gear_a and phases with the app"
    return Doubt("floor", f"{seen}: {cure}")


def _is_cars_limit(floor: Drawn, fast: Drawn | None) -> bool:
    """Tell whether ECO held less than its gear only because the car takes no more."""
    return fast is not None and _agrees(floor.power_w, fast.power_w)


def _says(spec: ChargerSpec, key: str, power_w: float) -> str:
    return f"[[charger]] {spec.name}: {key} says {_kw(power_w)}"


def _lately(drawn: Drawn) -> str:
    return f"in the last {drawn.sessions} sessions"


def _kw(power_w: float) -> str:
    return f"{power_w / 1000.0:.1f} kW"


def _seen(drawn: Drawn) -> str:
    return f"{_kw(drawn.power_w)} ({drawn.sessions} sessions)"
