"""What providers of forecasts are asked, and what they answer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from optimizer.domain import Forecast
from optimizer.errors import CloudError
from optimizer.forecast.plausible import refuse_implausible
from optimizer.forecast.provider import Asked, Provider
from optimizer.forecast.reckoner import InlineReckoner
from optimizer.forecast.roof import Face, Powers, Roof, slot_of

NOW = datetime(2026, 6, 2, 8, 7, tzinfo=UTC)
ROOF = Roof(52.0, 9.4, (Face(6.0, 35.0, 180.0), Face(3.0, 35.0, 270.0)))
DAY = timedelta(days=1)
COUNT = 192
HOURLY = {"refresh_s": 3600.0, "stale_s": 21_600.0}


@pytest.fixture(scope="module")
def clear() -> Powers:
    start = slot_of(NOW - 31 * DAY)
    return asyncio.run(InlineReckoner().clear_sky(ROOF, start, 34 * 96))


@pytest.fixture
def asked(clear: Powers) -> Asked:
    return Asked(NOW, slot_of(NOW), COUNT, clear)


def fetched(provider: Provider, asked: Asked) -> Forecast:
    """Return what the service would go by: fetched and found plausible."""

    async def main() -> Forecast:
        forecast = await provider.fetch(asked)
        refuse_implausible(forecast, asked, ROOF.peak_w)
        return forecast

    return asyncio.run(main())


def refused(provider: Provider, asked: Asked) -> CloudError:
    with pytest.raises(CloudError) as caught:
        fetched(provider, asked)
    return caught.value
