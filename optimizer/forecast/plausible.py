"""Whether a forecast can be true, by what the sun does over this roof on a clear day.

A forecast that lies is worse than none.  Refused are numbers that are none, gaps, more than the modules give,
more than a clear sky gives, light at night (a wrong zone), and a sun that stays away where there is one.
What cannot be seen from here is a lie that might be weather.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from optimizer.domain import Forecast
from optimizer.errors import BadAnswer
from optimizer.forecast.provider import Asked
from optimizer.forecast.roof import SLOT, SLOT_H, W_PER_KW

_ABOVE_PEAK = 1.15
_ABOVE_CLEAR_DAY = 1.30
_NIGHT_SHARE = 0.005
_DARK_W_PER_PEAK = 0.002
_WORTH_KWH_PER_KWP = 0.3
_NOTHING_SHARE = 0.002
_LEAST_AHEAD = timedelta(hours=12)
_DAY_SLOTS = 96


def refuse_implausible(forecast: Forecast, asked: Asked, peak_w: float) -> None:
    """Return if the forecast may be true.

    Raises:
        BadAnswer: it cannot be; the text says why.

    """
    reason = next(_doubts(forecast, asked, peak_w), None)
    if reason is not None:
        raise BadAnswer(reason)


def _doubts(forecast: Forecast, asked: Asked, peak_w: float) -> Iterator[str]:
    powers = [power for slot in forecast.slots for power in (slot.p10_w, slot.p50_w, slot.p90_w)]
    if not all(math.isfinite(power) and power >= 0.0 for power in powers):
        yield "it has powers that are no numbers, or negative"
        return
    yield from _gaps(forecast, asked.now)
    most_w = max(powers)
    if most_w > peak_w * _ABOVE_PEAK:
        yield f"{most_w:.0f} W are more than the roof's {peak_w:.0f} W"
    yield from _against_clear_sky(forecast, asked, peak_w)


def _gaps(forecast: Forecast, now: datetime) -> Iterator[str]:
    starts = [slot.start_including for slot in forecast.slots]
    if not starts or starts[0] > now or starts[-1] + SLOT < now + _LEAST_AHEAD:
        yield "it does not tell of the next 12 hours"
    elif any(after - before != SLOT for before, after in pairwise(starts)):
        yield "it has gaps"


def _against_clear_sky(forecast: Forecast, asked: Asked, peak_w: float) -> Iterator[str]:
    middle_w = [slot.p50_w for slot in forecast.slots]
    clear_w = asked.clear.within(forecast.slots[0].start_including, len(middle_w))
    total = sum(middle_w)
    by_night = sum(p for p, clear in zip(middle_w, clear_w, strict=True) if clear < peak_w * _DARK_W_PER_PEAK)
    if by_night > total * _NIGHT_SHARE:
        yield "it has sun by night: its times are shifted"
    worth = sum(clear_w) * SLOT_H > peak_w * _WORTH_KWH_PER_KWP
    if worth and total < sum(clear_w) * _NOTHING_SHARE:
        yield "it has no sun at all"
    for first in range(0, len(middle_w), _DAY_SLOTS):
        told, clear = sum(middle_w[first : first + _DAY_SLOTS]), sum(clear_w[first : first + _DAY_SLOTS])
        if told > clear * _ABOVE_CLEAR_DAY and told * SLOT_H > peak_w * _WORTH_KWH_PER_KWP:
            kwh, clear_kwh = told * SLOT_H / W_PER_KW, clear * SLOT_H / W_PER_KW
            yield f"{kwh:.1f} kWh in 24 h are more than the {clear_kwh:.1f} kWh of a clear sky"
