"""From the configuration to the virtual home that it describes."""

from __future__ import annotations

from datetime import datetime

from optimizer.clock import Clock
from optimizer.config import Settings
from optimizer.plant.battery import BatteryLimits
from optimizer.simulation.callbacks import PostCallback
from optimizer.simulation.cloud import VirtualCloud
from optimizer.simulation.faults import ANSWER_FAULTS, CALLBACK_FAULTS, COMMAND_FAULTS, FaultKind
from optimizer.simulation.home import VirtualHome
from optimizer.simulation.settings import RoofFace, VirtualSettings
from optimizer.simulation.world import build_cloud, build_home

VIRTUAL_TOKEN = "202601010000VIRTUAL00000"  # noqa: S105 - it opens nothing but the virtual cloud


def virtual_settings(settings: Settings, start: datetime) -> VirtualSettings:
    """Return the virtual world for these settings; its token and serials are made up where none are given."""
    virtual, battery = settings.virtual, settings.battery
    roof = tuple(RoofFace(face.kwp, face.tilt_deg, face.azimuth_deg) for face in settings.roof)
    return VirtualSettings(
        token=VIRTUAL_TOKEN,
        inverter=settings.inverter,
        timezone=settings.site.timezone,
        start=start,
        seed=virtual.seed,
        chargers=settings.charger_specs(),
        battery=None
        if battery is None
        else BatteryLimits(battery.capacity_kwh, battery.max_charge_w, battery.max_discharge_w),
        battery_soc=virtual.battery_soc,
        pv_scale=virtual.pv_scale,
        roof=roof or VirtualSettings().roof,
        latitude=settings.site.latitude,
        longitude=settings.site.longitude,
        telemetry_interval_s=settings.solax.telemetry_interval_s,
        charger_telemetry_s=virtual.charger_telemetry_s,
        fault_rates=_rates(virtual.fault_rate),
        keep_calls=10_000,
    )


def virtual_home(settings: Settings, start: datetime) -> VirtualHome:
    """Return the virtual home as it is at `start`.

    Raises:
        InputError: the files of the house or the sessions are not as they should be.

    """
    virtual = settings.virtual
    return build_home(virtual_settings(settings, start), virtual.house, virtual.sessions)


def virtual_cloud(
    settings: Settings, clock: Clock, post_callback: PostCallback | None = None
) -> VirtualCloud:
    """Return the virtual cloud in front of the virtual home, on `clock`; raises like `virtual_home`."""
    return build_cloud(virtual_home(settings, clock.now()), clock, post_callback=post_callback)


def _rates(rate: float) -> dict[FaultKind, float]:
    """Spread the chance that anything goes wrong over the kinds of each group."""
    if rate == 0.0:
        return {}
    groups = (ANSWER_FAULTS, COMMAND_FAULTS, CALLBACK_FAULTS)
    return {kind: rate / len(group) for group in groups for kind in group}
