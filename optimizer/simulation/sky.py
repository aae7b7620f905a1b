"""A made-up house for those without measurements: the sun by pvlib, clouds and habits by a seed."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from optimizer.simulation.series import HouseSeries, house_series
from optimizer.simulation.settings import RoofFace

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Floats = np.ndarray[tuple[int], np.dtype[np.float64]]

STEP_S = 60.0
SYSTEM_LOSSES = 0.14
"""Inverter, wiring, soiling, as PVWatts version 5 has it (NREL/TP-6A20-62641)."""
BASE_LOAD_W = 180.0


def sky_series(
    start: datetime,
    days: int,
    latitude: float,
    longitude: float,
    roof: Sequence[RoofFace],
    rng: random.Random,
) -> HouseSeries:
    """Make up `days` of production (W) and household load (W) in minutes from `start` (aware) on.

    Production: clear-sky irradiance (Ineichen) on each face, times a cloud process of two regimes,
    times peak power and `1 - SYSTEM_LOSSES`.  Equal seeds give equal series.
    """
    import numpy as np
    import pandas as pd

    steps = int(days * 86_400 / STEP_S)
    times = pd.date_range(start, periods=steps, freq=pd.Timedelta(seconds=STEP_S))
    generator = np.random.default_rng(rng.getrandbits(64))
    pv_w = _clear_sky_w(times, latitude, longitude, roof) * _clearness(steps, generator)
    load_w = _household_w(times, longitude, generator)
    return house_series(start, STEP_S, pv_w.astype(np.float32), load_w.astype(np.float32))


def _clear_sky_w(
    times: pd.DatetimeIndex, latitude: float, longitude: float, roof: Sequence[RoofFace]
) -> Floats:
    import numpy as np
    import pvlib

    place = pvlib.location.Location(latitude, longitude)
    # The sun moves slowly: ten-minute positions, interpolated, are exact to a watt or two.
    coarse = times[::10]
    sun = place.get_solarposition(coarse)
    clear = place.get_clearsky(coarse, solar_position=sun, model="ineichen", linke_turbidity=3.0)
    total_w = np.zeros(len(coarse))
    for face in roof:
        plane: Any = pvlib.irradiance.get_total_irradiance(
            face.tilt_deg,
            face.azimuth_deg,
            sun["apparent_zenith"],
            sun["azimuth"],
            clear["dni"],
            clear["ghi"],
            clear["dhi"],
        )
        total_w += np.nan_to_num(plane["poa_global"].to_numpy()) * face.kwp * (1.0 - SYSTEM_LOSSES)
    minutes = np.arange(len(times), dtype=np.float64)
    return np.interp(minutes, minutes[::10], np.maximum(0.0, total_w))


def _clearness(steps: int, generator: np.random.Generator) -> Floats:
    """Return the share of clear-sky production: slow weather, and clouds that come and go within it."""
    import numpy as np

    weather = _wander(steps, 60 * 14, generator)
    clouds = _wander(steps, 12, generator)
    cover = 1.0 / (1.0 + np.exp(-2.0 * weather))
    in_cloud = 1.0 / (1.0 + np.exp(-6.0 * (clouds + 2.5 * cover - 1.6)))
    shares: Floats = 1.0 - 0.78 * in_cloud * (0.4 + 0.6 * cover)
    return shares


def _wander(steps: int, minutes: int, generator: np.random.Generator) -> Floats:
    """Return a standard Ornstein-Uhlenbeck path with that correlation time."""
    import pandas as pd

    keep = math.exp(-1.0 / minutes)
    noise = generator.standard_normal(steps) * math.sqrt((1.0 + keep) / (1.0 - keep))
    noise[0] *= math.sqrt((1.0 - keep) / (1.0 + keep))
    # An exponential mean is the path's own recursion, scaled by 1 - keep.
    return pd.Series(noise).ewm(alpha=1.0 - keep, adjust=False).mean().to_numpy()


def _household_w(times: pd.DatetimeIndex, longitude: float, generator: np.random.Generator) -> Floats:
    """Return a base load with a morning and an evening peak, and appliances on top."""
    import numpy as np

    hour = (times.hour.to_numpy() + times.minute.to_numpy() / 60.0 + longitude / 15.0) % 24.0
    habits = 250.0 * np.exp(-(((hour - 7.5) / 1.2) ** 2)) + 420.0 * np.exp(-(((hour - 19.0) / 2.0) ** 2))
    starts = (generator.random(len(times)) < 6.0 / (24 * 60)) * generator.uniform(600.0, 2400.0, len(times))
    appliances = np.convolve(starts, np.ones(25))[: len(times)]
    jitter = generator.uniform(0.9, 1.1, len(times))
    load_w: Floats = (BASE_LOAD_W + habits + appliances) * jitter
    return load_w
