"""The roof and its weather in plain numbers, and quarter hours in a row: what all forecasts of the sun share.

Nothing here needs a library, so that the service can hold them without one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

SLOT = timedelta(minutes=15)
SLOT_H = 0.25
W_PER_KW = 1000.0


@dataclass(frozen=True, slots=True)
class Face:
    """One face with modules: its peak power, and where it looks (0 flat, 90 a wall; 180 south, 270 west)."""

    kwp: float
    tilt_deg: float
    azimuth_deg: float


@dataclass(frozen=True, slots=True)
class Roof:
    """Where the modules are and what becomes of their power.

    `inverter_max_w` is what the inverter gives at most, None where it is no limit.  `loss_ratio` is what
    wiring, dirt and mismatch take.  `skyline_deg` has the heights of what stands around, at equal steps
    clockwise from north; empty: nothing does.
    """

    latitude: float
    longitude: float
    faces: tuple[Face, ...]
    inverter_max_w: float | None = None
    loss_ratio: float = 0.14
    skyline_deg: tuple[float, ...] = ()

    @property
    def peak_w(self) -> float:
        """The most that this roof gives under any sky: its modules, or the inverter where that is less."""
        modules_w = sum(face.kwp for face in self.faces) * W_PER_KW
        return modules_w if self.inverter_max_w is None else min(modules_w, self.inverter_max_w)


@dataclass(frozen=True, slots=True)
class Weather:
    """Means of consecutive quarter hours from `start` on: irradiance (W/m2), air (C) and wind (m/s)."""

    start: datetime
    ghi: tuple[float, ...]
    dni: tuple[float, ...]
    dhi: tuple[float, ...]
    air_c: tuple[float, ...]
    wind_m_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Powers:
    """Mean powers (W) of consecutive quarter hours from `start` on; None where it is not known."""

    start: datetime
    watts: tuple[float | None, ...]

    @property
    def end(self) -> datetime:
        """The end of the last quarter hour."""
        return self.start + SLOT * len(self.watts)

    def at(self, slot: datetime) -> float | None:
        """Return the power of the quarter hour that begins at `slot`, None outside."""
        number = (slot - self.start) // SLOT
        return self.watts[number] if 0 <= number < len(self.watts) else None

    def within(self, start: datetime, count: int) -> list[float]:
        """Return the powers of `count` quarter hours from `start` on; 0 where it is not known."""
        return [self.at(slot) or 0.0 for slot in slots(start, count)]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """What is expected of consecutive quarter hours from `start` on, W."""

    start: datetime
    p10_w: tuple[float, ...]
    p50_w: tuple[float, ...]
    p90_w: tuple[float, ...]


def slot_of(at: datetime) -> datetime:
    """Return the beginning of the quarter hour (UTC) that `at` lies in."""
    at = at.astimezone(UTC)
    return at.replace(minute=at.minute - at.minute % 15, second=0, microsecond=0)


def slots(start: datetime, count: int) -> Iterator[datetime]:
    """Yield the beginnings of `count` quarter hours from `start` on."""
    return (start + SLOT * number for number in range(count))


def mean_over_slots(
    times: Sequence[datetime], values: Sequence[float], start: datetime, count: int
) -> list[float]:
    """Return quarter-hour means of a power that runs straight from each (ascending) point to the next.

    Outside of the points it is 0.
    """
    seconds = [(at - start).total_seconds() for at in times]
    sums = [0.0] * count
    for begin, end in pairwise(zip(seconds, values, strict=True)):
        _add_line(sums, begin, end)
    return [total / SLOT.total_seconds() for total in sums]


def _add_line(sums: list[float], begin: tuple[float, float], end: tuple[float, float]) -> None:
    """Add the integral (Ws) of a straight line to the quarter hours that it crosses."""
    (a_s, a), (b_s, b) = begin, end
    width_s = SLOT.total_seconds()
    first, last = max(0, int(a_s // width_s)), min(len(sums) - 1, int(b_s // width_s))
    for number in range(first, last + 1):
        low_s, high_s = max(a_s, number * width_s), min(b_s, (number + 1) * width_s)
        if high_s > low_s:
            middle = ((low_s + high_s) / 2.0 - a_s) / (b_s - a_s)
            sums[number] += (a + (b - a) * middle) * (high_s - low_s)
