"""From the market's prices to a tariff: what they cost here, what stands in for those that are not known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from optimizer.domain import PriceStep, Tariff
from optimizer.tariffs.slots import Slots, between, known_until, midnight, slot_of, steps_from
from optimizer.tariffs.windows import window_steps

_DAY = timedelta(days=1)
_DIGITS = 6
_WRITTEN_AHEAD = 2
"""Local days, with today, for which a guess is written down."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What is made of a market price: `price * factor + adder_eur_per_kwh`."""

    factor: float = 1.0
    adder_eur_per_kwh: float = 0.0

    def of(self, slots: Slots) -> dict[datetime, float]:
        """Return the slots at the price that is paid."""
        return {
            start: round(price * self.factor + self.adder_eur_per_kwh, _DIGITS)
            for start, price in slots.items()
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What the owner has settled about prices.

    `week` has the price of each quarter hour of the week where there are windows.  `market` and `feed_in` are
    None where the price does not follow the market.
    """

    import_eur_per_kwh: float
    feed_in_eur_per_kwh: float
    zone: ZoneInfo
    week: tuple[float, ...] = ()
    market: Scale | None = None
    feed_in: Scale | None = None

    def tariff(self, now: datetime, market: Slots, feed_in: Slots) -> Tariff:
        """Return the tariff as far as it is known at `now`, with yesterday's prices for the accounts."""
        steps: tuple[PriceStep, ...] = ()
        until: datetime | None = None
        if self.market is not None:
            until, steps = _known(self.market.of(market), now)
        elif self.week:
            steps = window_steps(self.week, self.zone, now)
        feed_in_steps: tuple[PriceStep, ...] = ()
        feed_in_until: datetime | None = None
        if self.feed_in is not None:
            feed_in_until, feed_in_steps = _known(self.feed_in.of(feed_in), now)
        return Tariff(
            self.import_eur_per_kwh,
            self.feed_in_eur_per_kwh,
            steps,
            feed_in_steps,
            until,
            feed_in_until,
            self.zone.key,
        )


@dataclass(frozen=True, slots=True)
class InForce:
    """From a quarter hour on, until the next entry, this holds; not `known`: a guess stands in."""

    slot: datetime
    import_eur_per_kwh: float
    feed_in_eur_per_kwh: float
    known: bool = True


def _known(slots: Slots, now: datetime) -> tuple[datetime, tuple[PriceStep, ...]]:
    """Return until when the price is known, and its steps up to then."""
    until = known_until(slots, now)
    return until, steps_from({start: price for start, price in slots.items() if start < until})


def kept(slots: Slots, now: datetime, zone: ZoneInfo) -> dict[datetime, float]:
    """Return the slots that are still needed: from yesterday on, or of the newest day where that is older."""
    start = midnight(now.astimezone(zone).date() - _DAY, zone)
    if slots:
        newest = max(slot for slot in slots if slot <= now) if min(slots) <= now else start
        start = min(start, newest - _DAY)
    return {slot: price for slot, price in slots.items() if slot >= start}


def in_force(tariff: Tariff, now: datetime, zone: ZoneInfo) -> Iterator[InForce]:
    """Yield what is paid from the present quarter hour on, up to tomorrow's end, once for each change."""
    before: InForce | None = None
    last = midnight(now.astimezone(zone).date() + _WRITTEN_AHEAD * _DAY, zone)
    for slot in between(slot_of(now), last):
        entry = InForce(
            slot, tariff.price_eur_per_kwh(slot), tariff.earned_eur_per_kwh(slot), tariff.is_known(slot)
        )
        if before is None or _told(before) != _told(entry):
            yield entry
            before = entry


def _told(entry: InForce) -> tuple[float, float, bool]:
    return entry.import_eur_per_kwh, entry.feed_in_eur_per_kwh, entry.known
