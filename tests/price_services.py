"""Services that tell prices, and the house that asks them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from web_service import Reply, WebService, web_service

from optimizer.tariffs.slots import NEVER, day_slots, midnight

BERLIN = ZoneInfo("Europe/Berlin")
DAY = date(2026, 6, 1)
NOON = datetime(2026, 6, 1, 10, tzinfo=UTC)


def awattar_day(day: date, price: float = 80.0, hours: int = 24) -> dict[str, Any]:
    start_ms = int(midnight(day, BERLIN).timestamp() * 1000)
    rows = [
        {
            "start_timestamp": start_ms + hour * 3_600_000,
            "end_timestamp": start_ms + (hour + 1) * 3_600_000,
            "marketprice": price + hour,
            "unit": "Eur/MWh",
        }
        for hour in range(hours)
    ]
    return {"object": "list", "data": rows, "url": "/de/v1/marketdata"}


def charts_day(day: date) -> dict[str, Any]:
    slots = day_slots(day, BERLIN)
    return {
        "license_info": "CC BY 4.0 (creativecommons.org/licenses/by/4.0) from Bundesnetzagentur | SMARD.de",
        "unix_seconds": [int(slot.timestamp()) for slot in slots],
        "price": [round(-5 + number / 2, 2) for number in range(len(slots))],
        "unit": "EUR / MWh",
        "deprecated": False,
    }


class HandClock:
    """A clock that stands until it is moved."""

    boot_id = "boot"

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return (self.at - NEVER).total_seconds()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def source_of(service: WebService) -> str:
    return f'[tariff.source]\nkind = "awattar"\nurl = "{service.url}"'


@pytest.fixture
def service() -> Iterator[WebService]:
    with web_service(Reply(awattar_day(DAY))) as service:
        yield service
