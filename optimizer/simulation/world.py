"""Puts a virtual home and its cloud together."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from optimizer.clock import Clock
from optimizer.simulation.callbacks import PostCallback
from optimizer.simulation.cloud import VirtualCloud
from optimizer.simulation.faults import Fault, Faults
from optimizer.simulation.home import VirtualHome
from optimizer.simulation.series import HouseSeries, read_house
from optimizer.simulation.sessions import Session, commuter_sessions, read_sessions
from optimizer.simulation.settings import VirtualSettings

SKY_DAYS = 28


def build_home(
    settings: VirtualSettings, house: Path | None = None, sessions: Path | None = None
) -> VirtualHome:
    """Return the home of `settings`, from files or made up where a file is missing.

    `house` is Parquet (`series.read_house`), `sessions` CSV: its sessions belong to the first charger,
    unless a column `user` names the chargers.  Without files: four weeks of made-up sky, repeated,
    and a commuter per charger.  Raises `InputError` for a file that is not as it should be.
    """
    rng = random.Random(settings.seed)  # noqa: S311 - a simulation, not a secret
    series = _sky(settings, rng) if house is None else read_house(house, settings.pv_scale)
    plan = _commuters(settings, rng) if sessions is None else _from_file(settings, sessions)
    return VirtualHome(settings, series, plan)


def build_cloud(
    home: VirtualHome,
    clock: Clock,
    schedule: Iterable[Fault] = (),
    post_callback: PostCallback | None = None,
) -> VirtualCloud:
    """Return the cloud in front of `home`, with the faults of its settings and of `schedule`."""
    rng = random.Random(f"cloud {home.settings.seed}")  # noqa: S311 - a simulation, not a secret
    faults = Faults(
        random.Random(rng.getrandbits(64)),  # noqa: S311 - a simulation, not a secret
        schedule,
        home.settings.fault_rates,
    )
    return VirtualCloud(home, clock, rng, faults, post_callback)


def _sky(settings: VirtualSettings, rng: random.Random) -> HouseSeries:
    from optimizer.simulation.sky import sky_series

    midnight = settings.start.replace(hour=0, minute=0, second=0, microsecond=0)
    return sky_series(midnight, SKY_DAYS, settings.latitude, settings.longitude, settings.roof, rng)


def _commuters(settings: VirtualSettings, rng: random.Random) -> Mapping[str, Sequence[Session]]:
    zone, year = ZoneInfo(settings.timezone), (settings.start - timedelta(days=1)).year
    return {
        spec.name: tuple(s for y in (year, year + 1) for s in commuter_sessions(y, zone, rng))
        for spec in settings.chargers
    }


def _from_file(settings: VirtualSettings, path: Path) -> Mapping[str, Sequence[Session]]:
    by_name = {spec.name: read_sessions(path, spec.name) for spec in settings.chargers}
    return by_name if any(by_name.values()) else {settings.chargers[0].name: read_sessions(path)}
