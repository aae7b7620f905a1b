"""What the cloud knows of the home: records frozen at intervals, never the present."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime

from optimizer.simulation.faults import FaultKind, Faults
from optimizer.simulation.home import ChargerTruth, HomeTruth, VirtualHome, standard_offset


@dataclass(frozen=True, slots=True)
class SiteRecord:
    """The inverter's last upload: `stamp` as the vendor writes it, `measured_s` after the epoch."""

    stamp: str
    measured_s: float
    truth: HomeTruth


class Telemetry:
    """Uploads of inverter and chargers; the inverter's phase within its interval comes from the seed.

    Chargers also upload right after a change of mode or status.  While a device is offline or
    frozen, its last record stays.
    """

    def __init__(self, home: VirtualHome, faults: Faults, rng: random.Random) -> None:
        self._home = home
        self._faults = faults
        self._origin_s = home.start.timestamp()
        self.site = self._site_record()
        self.chargers: dict[str, ChargerTruth] = {serial: home.charger(serial) for serial in home.serials}
        interval_s = home.settings.telemetry_interval_s
        home.schedule(self._origin_s + rng.uniform(0.0, interval_s), self._upload_site)
        home.schedule(self._origin_s + home.settings.charger_telemetry_s, self._upload_chargers)
        home.watch(self._upload_charger)

    def _site_record(self) -> SiteRecord:
        truth = self._home.truth()
        return SiteRecord(vendor_stamp(truth.at, self._home.settings.timezone), self._home.t_s, truth)

    def _upload_site(self) -> None:
        t_s, settings = self._home.t_s, self._home.settings
        fault_s = t_s - self._origin_s
        if not (
            self._faults.lasts(FaultKind.INVERTER_FROZEN, fault_s, settings.inverter)
            or self._faults.lasts(FaultKind.INVERTER_OFFLINE, fault_s, settings.inverter)
        ):
            self.site = self._site_record()
        self._home.schedule(t_s + settings.telemetry_interval_s, self._upload_site)

    def _upload_chargers(self) -> None:
        for serial in self.chargers:
            self._upload_charger(serial)
        self._home.schedule(self._home.t_s + self._home.settings.charger_telemetry_s, self._upload_chargers)

    def _upload_charger(self, serial: str) -> None:
        fault_s = self._home.t_s - self._origin_s
        if not (
            self._faults.lasts(FaultKind.CHARGER_FROZEN, fault_s, serial)
            or self._faults.lasts(FaultKind.CHARGER_OFFLINE, fault_s, serial)
        ):
            self.chargers[serial] = self._home.charger(serial)


def vendor_stamp(at: datetime, timezone: str) -> str:
    """Return `uploadTime`: local standard time all year, without zone."""
    return (at + standard_offset(timezone, at)).strftime("%Y-%m-%d %H:%M:%S")
