"""The sun over a place that nobody told: guessed from when a plant wakes and sleeps.

How a roof's best days change from week to week is mostly geometry.  A rough place is enough to follow it:
five degrees of longitude, and the half of the globe.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimizer.forecast.quarters import DAY_SLOTS, before_each_day
from optimizer.forecast.vintages import Floats

_DAY_2000 = 10_957
"""The first of January 2000, in days since 1970."""
_LIT_SHARE = 0.01
"""A plant that gives this share of its best is lit."""
_LATITUDES_DEG = np.array([-45.0, -35.0, -25.0, 0.0, 25.0, 35.0, 45.0, 55.0])
_USUAL = np.array([0.01, 0.03, 0.03, 0.03, 0.1, 0.5, 1.0, 0.8])
"""How likely a plant is at each latitude, before its days were seen (relative)."""
_STRAY_SLOTS = 4.0
"""By so much the lit quarter hours of a day stray around what the sun allows."""
_LINKED_DAYS = 10.0
"""Weather and the errors of this simple model last: so many days say no more than one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a plant stands, in degrees: north and east are positive."""

    latitude_deg: float
    longitude_deg: float


@dataclass(frozen=True, slots=True)
class Sky:
    """Of each quarter hour (days, 96): the sun's declination, and its hour angle at Greenwich, in radians."""

    declination: Floats
    hour_angle: Floats

    def clear_w_m2(self, latitude_deg: Floats, longitude_deg: Floats) -> Floats:
        """Return a clear sky's light on flat ground, a place a day (Haurwitz, J. Meteorology 2, 1945)."""
        place = np.radians(latitude_deg)[:, None]
        sine = np.sin(place) * np.sin(self.declination)
        sine += (
            np.cos(place)
            * np.cos(self.declination)
            * np.cos(self.hour_angle + np.radians(longitude_deg)[:, None])
        )
        height = np.maximum(sine, 1e-3)
        return np.asarray(np.where(sine > 0.0, 1098.0 * height * np.exp(-0.057 / height), 0.0))

    def guessed_places(self, by_day_w: Floats) -> tuple[Floats, Floats]:
        """Return latitude and longitude (degrees, by day) as the days before each let guess them."""
        best_w = np.maximum.accumulate(np.nan_to_num(by_day_w).max(axis=1))
        lit = np.nan_to_num(by_day_w) > _LIT_SHARE * best_w[:, None]
        turns = before_each_day((lit * np.exp(-1j * self.hour_angle)).sum(axis=1))
        return self._latitude_deg(lit.sum(axis=1)), np.degrees(np.angle(turns))

    def _latitude_deg(self, lit_slots: Floats) -> Floats:
        """Return the latitude at which the days' lengths went up and down as the lit slots did."""
        noon = np.tan(self.declination[:, DAY_SLOTS // 2, None]) * np.tan(np.radians(_LATITUDES_DEG))
        possible = DAY_SLOTS * np.arccos(np.clip(-noon, -1.0, 1.0)) / np.pi
        seen = (lit_slots > 0)[:, None]
        off = np.where(seen, lit_slots[:, None] - possible, 0.0)
        days = np.maximum(1.0, before_each_day(seen.astype(np.float64)))
        total, squares = before_each_day(off), before_each_day(off**2)
        doubt = (squares - total**2 / days) / (2.0 * _STRAY_SLOTS**2 * _LINKED_DAYS)
        chance = _USUAL * np.exp(doubt.min(axis=1, keepdims=True) - doubt)
        return np.asarray((chance * _LATITUDES_DEG).sum(axis=1) / chance.sum(axis=1))


def sky_of(first_day: int, days: int) -> Sky:
    """Return where the sun stands from day `first_day` since 1970 on, at the middle of each quarter hour.

    Low-precision formulas of the Astronomical Almanac (Michalsky, Solar Energy 40, 1988).
    """
    middle = (np.arange(DAY_SLOTS) + 0.5) / DAY_SLOTS
    since = first_day - _DAY_2000 + np.arange(days)[:, None] + middle - 0.5
    anomaly = np.radians(357.528 + 0.9856003 * since)
    ecliptic = np.radians(
        280.460 + 0.9856474 * since + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2.0 * anomaly)
    )
    tilt = np.radians(23.439)
    ascension = np.arctan2(np.cos(tilt) * np.sin(ecliptic), np.cos(ecliptic))
    sidereal = np.radians((280.46061837 + 360.98564736629 * since) % 360.0)
    return Sky(np.arcsin(np.sin(tilt) * np.sin(ecliptic)), sidereal - ascension)
