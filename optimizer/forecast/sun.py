"""Where the sun stands, to half a degree and without a library: for planning requests, not for power."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

_NOON_2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)
_STEP = timedelta(minutes=10)
_STEPS_A_DAY = 144


def sun_height_deg(at: datetime, latitude: float, longitude: float) -> float:
    """Return the sun's height over the horizon (degrees), without the air's refraction.

    Low-precision formulas of the Astronomical Almanac (Michalsky, Solar Energy 40, 1988).
    """
    days = (at - _NOON_2000) / timedelta(days=1)
    mean_deg = 280.460 + 0.9856474 * days
    anomaly = math.radians(357.528 + 0.9856003 * days)
    ecliptic = math.radians(mean_deg + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2.0 * anomaly))
    tilt = math.radians(23.439 - 0.0000004 * days)
    declination = math.asin(math.sin(tilt) * math.sin(ecliptic))
    ascension = math.atan2(math.cos(tilt) * math.sin(ecliptic), math.cos(ecliptic))
    # Greenwich sidereal time; 24 h of it pass in a little less than a day.
    sidereal_h = 18.697375 + 24.06570982 * days
    hour_angle = math.radians(sidereal_h * 15.0 + longitude) - ascension
    place = math.radians(latitude)
    sine = math.sin(place) * math.sin(declination)
    sine += math.cos(place) * math.cos(declination) * math.cos(hour_angle)
    return math.degrees(math.asin(max(-1.0, min(1.0, sine))))


def times_by_sun(midnight: datetime, latitude: float, longitude: float, count: int) -> list[datetime]:
    """Return `count` instants of the 24 hours after `midnight`, the denser the higher the sun stands.

    Between two of them lies the same share of the day's sunlight.  A day without sun has one, at its middle.
    """
    steps = [midnight + _STEP * number for number in range(_STEPS_A_DAY)]
    light = [max(0.0, math.sin(math.radians(sun_height_deg(at, latitude, longitude)))) for at in steps]
    total = sum(light)
    if total <= 0.0:
        return [midnight + timedelta(hours=12)]
    times: list[datetime] = []
    passed = 0.0
    for at, more in zip(steps, light, strict=True):
        passed += more
        while len(times) < count and passed >= (len(times) + 0.5) / count * total:
            times.append(at)
    return times
