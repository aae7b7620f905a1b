"""Prices by the time of day: windows on the wall clock of the site, whatever its clock does.

A quarter hour belongs to the window that its wall time lies in: where the clock skips an hour the window is
shorter that day, where it shows one twice it is longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from optimizer.domain import PriceStep
from optimizer.tariffs.slots import between, midnight, steps_from

SLOTS_A_DAY = 96
_DAYS = 16
"""How far ahead steps are made: goals lie at most two weeks ahead."""


@dataclass(frozen=True, slots=True)
class Window:
    """A price from `start` until `end` on days (Monday 0); an `end` not after `start` is the next day's."""

    days: frozenset[int]
    start: time
    end: time
    eur_per_kwh: float

    def quarters(self) -> Iterator[int]:
        """Yield the quarter hours of the week that it covers, Monday 00:00 being 0."""
        first, last = _quarter(self.start), _quarter(self.end)
        length = last - first if last > first else last - first + SLOTS_A_DAY
        for day in sorted(self.days):
            begin = day * SLOTS_A_DAY + first
            yield from ((begin + number) % (7 * SLOTS_A_DAY) for number in range(length))


def week_of(windows: Sequence[Window], flat_eur_per_kwh: float) -> tuple[float, ...]:
    """Return the price of each quarter hour of the week; `flat_eur_per_kwh` outside of all windows."""
    week = [flat_eur_per_kwh] * (7 * SLOTS_A_DAY)
    for window in windows:
        for quarter in window.quarters():
            week[quarter] = window.eur_per_kwh
    return tuple(week)


def window_steps(week: Sequence[float], zone: ZoneInfo, now: datetime) -> tuple[PriceStep, ...]:
    """Return the steps from yesterday's beginning on, for the coming days; the same all through a day."""
    today = now.astimezone(zone).date()
    first, last = midnight(today - timedelta(days=1), zone), midnight(today + timedelta(days=_DAYS), zone)
    quarters = {start: _quarter_of_week(start.astimezone(zone)) for start in between(first, last)}
    return steps_from({start: week[quarter] for start, quarter in quarters.items()})


def _quarter_of_week(local: datetime) -> int:
    return local.weekday() * SLOTS_A_DAY + _quarter(local.time())


def _quarter(of_day: time) -> int:
    return of_day.hour * 4 + of_day.minute // 15
