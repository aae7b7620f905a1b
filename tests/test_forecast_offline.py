"""The provider that asks nobody, the skyline, and the process that reckons."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from provider_answers import COUNT, DAY, HOURLY, NOW, ROOF, fetched, refused

from optimizer.domain import Forecast
from optimizer.errors import Unavailable
from optimizer.forecast.offline import Offline
from optimizer.forecast.own_past import OwnPast
from optimizer.forecast.provider import Asked, Provider
from optimizer.forecast.reckoner import InlineReckoner, ProcessReckoner
from optimizer.forecast.roof import SLOT, Powers, mean_over_slots, slot_of


def past_sun(clear: Powers, index: Callable[[datetime], float | None]) -> Powers:
    """A past in which the clouds left `index` of the sun."""
    slots = [clear.start + SLOT * n for n in range((slot_of(NOW) - clear.start) // SLOT)]
    shares = [index(at) for at in slots]
    watts = [None if s is None else s * (clear.at(at) or 0.0) for at, s in zip(slots, shares, strict=True)]
    return Powers(clear.start, tuple(watts))


def offline(past: Powers) -> Provider:
    async def known(now: datetime, length: timedelta) -> Powers:
        return past

    return Offline(known, **HOURLY)


def energy_kwh(forecast: Forecast) -> float:
    return sum(slot.p50_w for slot in forecast.slots) / 4000.0


def test_the_offline_provider_learns_how_bright_the_last_weeks_were(asked: Asked, clear: Powers) -> None:
    nothing = fetched(offline(Powers(asked.start, ())), asked)
    dull = fetched(offline(past_sun(clear, lambda _: 0.2)), asked)
    bright = fetched(offline(past_sun(clear, lambda _: 0.9)), asked)
    assert energy_kwh(dull) < energy_kwh(nothing) < energy_kwh(bright)
    assert energy_kwh(dull) == pytest.approx(0.2 / 0.9 * energy_kwh(bright), rel=0.1)


def test_the_offline_provider_believes_the_last_hours_first(asked: Asked, clear: Powers) -> None:
    def clearing(at: datetime) -> float | None:
        return 1.0 if at >= NOW - timedelta(hours=2) else 0.3

    forecast = fetched(offline(past_sun(clear, clearing)), asked)
    shares = [slot.p50_w / (clear.at(slot.start_including) or 1.0) for slot in forecast.slots]
    assert shares[0] > 0.9
    assert shares[96] < 0.4


def test_gaps_in_the_own_past_tell_nothing(asked: Asked, clear: Powers) -> None:
    gaps = fetched(offline(past_sun(clear, lambda at: None if at.hour % 2 else 0.5)), asked)
    whole = fetched(offline(past_sun(clear, lambda _: 0.5)), asked)
    assert energy_kwh(gaps) == pytest.approx(energy_kwh(whole), rel=0.1)


def test_without_a_past_there_is_nothing_to_learn_from(asked: Asked) -> None:
    async def known(now: datetime, length: timedelta) -> Powers:
        return Powers(asked.start, (None,) * 4)

    provider = OwnPast("own-past", known, InlineReckoner().own_sun, **HOURLY)
    assert type(refused(provider, asked)) is Unavailable


def test_the_own_past_needs_no_roof(asked: Asked, clear: Powers) -> None:
    past = past_sun(clear, lambda _: 0.6)

    async def known(now: datetime, length: timedelta) -> Powers:
        return past

    forecast = asyncio.run(OwnPast("own-past", known, InlineReckoner().own_sun, **HOURLY).fetch(asked))
    assert forecast.slots[0].start_including == asked.start
    clear_kwh = sum(clear.within(asked.start, COUNT)) / 4000.0
    assert 0.3 * clear_kwh < energy_kwh(forecast) < 0.8 * clear_kwh


def test_a_process_of_its_own_works_out_the_same(asked: Asked, clear: Powers) -> None:
    past = past_sun(clear, lambda _: 0.6)

    async def main() -> None:
        here, there = InlineReckoner(), ProcessReckoner(os.environ)
        skyline = replace(ROOF, skyline_deg=(10.0, 20.0))
        assert await there.clear_sky(skyline, asked.start, 96) == await here.clear_sky(
            skyline, asked.start, 96
        )
        assert await there.own_load(past, 96, "Europe/Berlin") == await here.own_load(
            past, 96, "Europe/Berlin"
        )
        told = [await offline(past).fetch(replace(asked, now=NOW - DAY, start=asked.start - DAY))] * 2
        site = (ROOF.latitude, ROOF.longitude)
        assert await there.set_right(told, past, site) == await here.set_right(told, past, site)

    asyncio.run(main())


def test_a_process_that_fails_or_hangs_is_unavailable() -> None:
    async def main() -> None:
        broken = replace(ROOF, latitude=float("nan"))
        with pytest.raises(Unavailable, match="worked out"):
            await ProcessReckoner(os.environ).clear_sky(broken, NOW, 4)
        with pytest.raises(Unavailable, match=r"^the log tells too little of the past yet$"):
            await ProcessReckoner(os.environ).own_load(Powers(NOW, (None, 100.0)), 4, "UTC")
        with pytest.raises(Unavailable, match="within"):
            await ProcessReckoner(os.environ, timeout_s=0.01).clear_sky(ROOF, NOW, 4)

    asyncio.run(main())


def test_a_skyline_takes_the_low_sun_away(clear: Powers) -> None:
    async def main() -> tuple[Powers, Powers]:
        free, behind = ROOF, replace(ROOF, skyline_deg=(25.0,) * 8)
        start = NOW.replace(hour=0, minute=0)
        return (
            await InlineReckoner().clear_sky(free, start, 96),
            await InlineReckoner().clear_sky(behind, start, 96),
        )

    free, behind = asyncio.run(main())
    noon, morning = NOW.replace(hour=11, minute=0), NOW.replace(hour=5, minute=0)
    assert behind.at(noon) == free.at(noon)
    assert (behind.at(morning) or 0.0) < (free.at(morning) or 0.0)


def test_a_power_between_points_is_averaged_over_each_quarter_hour() -> None:
    start = NOW.replace(minute=0)
    times = [start + timedelta(minutes=m) for m in (10, 60, 70)]
    means = mean_over_slots(times, [0.0, 500.0, 500.0], start, 5)
    assert sum(means) / 4 == pytest.approx((500.0 / 2 * 50 + 500.0 * 10) / 60)
    assert means[0] == pytest.approx(25.0 * 5 / 15)
    assert means[4] == pytest.approx(500.0 * 10 / 15)
