"""Prices by the quarter hour: the one form into which every source's answer is brought.

A slot is named by its start, aware UTC.  A local day has 96 of them, 92 and 100 where the clock is changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import zip_longest
from zoneinfo import ZoneInfo

from optimizer.domain import PriceStep
from optimizer.errors import BadAnswer

SLOT = timedelta(minutes=15)
MOST_EUR_PER_KWH = 10.0
"""What is dearer, or earns more, is in another unit; the market itself is limited to 5."""

_LONGEST = timedelta(hours=1)
_MOST_PERIODS = 40_000
_DIGITS = 6

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Until when is known what was never known."""

Slots = Mapping[datetime, float]
"""EUR per kWh by the start of each quarter hour; what is not known has no entry."""


@dataclass(frozen=True, slots=True)
class Period:
    """One entry of an answer; `end_excluding` None: until the next one begins, for an hour at most."""

    start_including: datetime
    end_excluding: datetime | None
    eur_per_kwh: float | None


def slots_from(periods: Iterable[Period]) -> dict[datetime, float]:
    """Return the quarter hours that the periods cover, ascending; a price that is None covers nothing.

    Raises:
        BadAnswer: there is none, or one has no clear place, or no price that can be.

    """
    ordered = sorted(set(periods), key=lambda period: period.start_including)
    if not ordered:
        raise BadAnswer("no prices in the answer")
    if len(ordered) > _MOST_PERIODS:
        raise BadAnswer(f"{len(ordered)} prices in one answer; at most {_MOST_PERIODS} are read")
    found: dict[datetime, float] = {}
    for period, end in _with_ends(ordered):
        _check(period, end)
        if period.eur_per_kwh is not None:
            for start in between(period.start_including, end):
                if found.setdefault(start, period.eur_per_kwh) != period.eur_per_kwh:
                    raise BadAnswer(f"two prices for {start:%Y-%m-%d %H:%M}Z")
    if not found:
        raise BadAnswer("all prices in the answer are empty")
    return {start: round(price, _DIGITS) for start, price in found.items()}


def _with_ends(ordered: list[Period]) -> Iterator[tuple[Period, datetime]]:
    """Yield each period with its end: its own, else the next one's start; before a gap it is as long as ever.

    The very first one before a gap, and one that stands alone, is an hour.
    """
    length = _LONGEST
    for period, following in zip_longest(ordered, ordered[1:]):
        apart = length if following is None else following.start_including - period.start_including
        length = apart if SLOT <= apart <= _LONGEST else length
        yield period, period.end_excluding or period.start_including + length


def _check(period: Period, end: datetime) -> None:
    start, price = period.start_including, period.eur_per_kwh
    if slot_of(start) != start or slot_of(end) != end or not SLOT <= end - start <= _LONGEST:
        told = f"a price from {start:%Y-%m-%d %H:%M:%S}Z to {end:%H:%M:%S}Z"
        raise BadAnswer(f"{told}: not 1 to 4 quarter hours")
    if price is not None and not (math.isfinite(price) and abs(price) <= MOST_EUR_PER_KWH):
        told = f"a price of {price:g} EUR per kWh at {start:%Y-%m-%d %H:%M}Z"
        raise BadAnswer(f"{told}: not within {MOST_EUR_PER_KWH:g}; is it another unit?")


def slot_of(at: datetime) -> datetime:
    """Return the start of the quarter hour that holds `at`."""
    return at.replace(minute=at.minute - at.minute % 15, second=0, microsecond=0)


def between(start_including: datetime, end_excluding: datetime) -> Iterator[datetime]:
    """Yield the starts of the quarter hours in a range that begins with one."""
    start = start_including
    while start < end_excluding:
        yield start
        start += SLOT


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment of a local day, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def day_slots(day: date, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Return the quarter hours of a local day."""
    return tuple(between(midnight(day, zone), midnight(day + timedelta(days=1), zone)))


def known_until(slots: Slots, now: datetime) -> datetime:
    """Return the first quarter hour that is not known, from the newest known one on that has begun.

    It lies behind `now` where the present one is not known; `NEVER` where none is that has begun.
    """
    begun = [slot for slot in slots if slot <= now]
    start = max(begun, default=NEVER)
    while start in slots:
        start += SLOT
    return start


def steps_from(slots: Slots) -> tuple[PriceStep, ...]:
    """Return one step for each change of price; where a quarter hour is missing the price before goes on."""
    steps: list[PriceStep] = []
    for start in sorted(slots):
        if not steps or steps[-1].eur_per_kwh != slots[start]:
            steps.append(PriceStep(start, slots[start]))
    return tuple(steps)
