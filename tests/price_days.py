"""Days and their prices, as the tests of tariffs write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from optimizer.domain import Tariff
from optimizer.tariffs.market import Plan, Scale
from optimizer.tariffs.slots import (
    day_slots,
)

BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZONES = st.sampled_from(
    ["Europe/Berlin", "Europe/Lisbon", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "America/St_Johns"]
).map(ZoneInfo)
DATES = st.dates(date(2024, 1, 1), date(2030, 12, 31))
PRICES = st.floats(-1, 5).map(lambda price: round(price, 5))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def market_day(day: date, zone: ZoneInfo = BERLIN, base: float = 0.0) -> dict[datetime, float]:
    """Prices of a whole day that tell the local hour: 0.13 at 13:xx."""
    return {slot: base + slot.astimezone(zone).hour / 100 for slot in day_slots(day, zone)}


def dynamic(slots: dict[datetime, float], now: datetime, zone: ZoneInfo = BERLIN) -> Tariff:
    return Plan(0.30, 0.08, zone, market=Scale()).tariff(now, slots, {})
