"""From the vendor's fields to the domain's readings: names, units, signs and what is believable.

Signs are turned here and nowhere else: `feedinpower` is + export and `batPower` + charge, ours are the
opposite.  A value that no house or charger of this kind can have is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from optimizer.domain import ChargerReading, ChargerStatus, Mode, SiteReading
from optimizer.errors import BadAnswer, Unavailable
from optimizer.solax.answers import declined
from optimizer.solax.wire import Envelope, PileResult, RealtimeResult, identifier, lower_keys, number

StatusMap = Literal["canonical", "legacy"]
"""How `chargerStatus` is numbered; only one early user of the cloud reported the legacy way."""

SITE_POWER_CAP_W = 100_000.0
CHARGER_POWER_CAP_W = 50_000.0
SESSION_CAP_KWH = 1000.0
NOISE_W = 50.0
"""A meter at rest may read a little below zero."""
CHARGING_FROM_W = 200.0
"""More than this flows only into a car that charges, whatever the status says."""

_LEGACY_STATUS: Mapping[int, ChargerStatus] = {
    0: ChargerStatus.AVAILABLE,
    1: ChargerStatus.CHARGING,
    2: ChargerStatus.FAULTED,
    3: ChargerStatus.PREPARING,
}
_CANONICAL_STATUS: Mapping[int, ChargerStatus] = {int(s): s for s in ChargerStatus}
_MODES: Mapping[int, Mode] = {int(m): m for m in Mode}

_WireT = TypeVar("_WireT", PileResult, RealtimeResult)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The cloud took a command; whether the charger obeys, callbacks and the next reading say."""

    task_id: str | None
    text: str


def accepted(envelope: Envelope) -> Accepted:
    """Translate the immediate answer of `pileCmd`; the guide's `taskId` may be missing."""
    result = lower_keys(envelope.result)
    task_id = identifier(result.get("taskid")) if isinstance(result, Mapping) else None
    return Accepted(task_id, envelope.told)


def charger_reading(envelope: Envelope, received_at: datetime, status_map: StatusMap) -> ChargerReading:
    """Translate the answer of `getPileInfo`.

    Raises:
        CloudError: it holds no data; `Unavailable` when the device is merely silent.

    """
    pile = _result(envelope, PileResult)
    ev_w = _above_zero(_within(pile.power_w, CHARGER_POWER_CAP_W))
    table = _LEGACY_STATUS if status_map == "legacy" else _CANONICAL_STATUS
    code = pile.status_code
    status = ChargerStatus.UNKNOWN if code is None else table.get(code, ChargerStatus.UNKNOWN)
    if ev_w is not None and ev_w > CHARGING_FROM_W:
        status = ChargerStatus.CHARGING
    energy = _within(pile.session_kwh, SESSION_CAP_KWH)
    return ChargerReading(
        received_at=received_at,
        mode=None if pile.mode_code is None else _MODES.get(pile.mode_code),
        status=status,
        status_code=code,
        ev_w=ev_w,
        session_kwh=energy if energy is not None and energy >= 0.0 else None,
    )


def site_reading(envelope: Envelope, received_at: datetime, cars_w: float = 0.0) -> SiteReading:
    """Translate the answer of `getRealtimeInfo.do` into sunmode's signs.

    `cars_w` is what the chargers may import on top of what a house can.

    Raises:
        CloudError: it holds no data; `Unavailable` when the device is merely silent.

    """
    real = _result(envelope, RealtimeResult)
    export_w = _within(real.feed_in_w, SITE_POWER_CAP_W + cars_w)
    charge_w = 0.0 if real.battery_charge is None else _within(number(real.battery_charge), SITE_POWER_CAP_W)
    soc = real.soc_percent
    return SiteReading(
        received_at=received_at,
        stamp=real.uploaded,
        pv_w=_pv_w(real, charge_w),
        grid_w=None if export_w is None else 0.0 - export_w,
        battery_w=None if charge_w is None else 0.0 - charge_w,
        battery_soc=soc / 100.0 if soc is not None and 0.0 <= soc <= 100.0 else None,  # noqa: PLR2004 - percent
    )


def _pv_w(real: RealtimeResult, charge_w: float | None) -> float | None:
    """Sum the PV strings; without any, a hybrid's PV is what it gives out plus what its battery takes."""
    strings = (real.pv_string_1, real.pv_string_2, real.pv_string_3, real.pv_string_4)
    powers_w = [_within(number(raw), SITE_POWER_CAP_W) for raw in strings if raw is not None]
    if not powers_w:
        ac_w = _within(real.ac_w, SITE_POWER_CAP_W)
        return None if ac_w is None or charge_w is None else max(0.0, ac_w + charge_w)
    known_w = [power_w for power_w in powers_w if power_w is not None]
    if len(known_w) < len(powers_w):
        return None
    return _above_zero(_within(sum(known_w), SITE_POWER_CAP_W))


def _result(envelope: Envelope, shape: type[_WireT]) -> _WireT:
    result = envelope.result
    if isinstance(result, str) and result.strip():
        raise declined(envelope)
    if not result:
        raise Unavailable("the answer has no data: is the device offline?")
    if not isinstance(result, Mapping):
        raise BadAnswer("the answer's result is neither an object nor a sentence")
    found = shape.model_validate(result)
    if found.is_empty:
        raise BadAnswer("the answer's result has none of the fields of the guide")
    return found


def _within(value: float | None, cap: float) -> float | None:
    return value if value is not None and abs(value) <= cap else None


def _above_zero(power_w: float | None) -> float | None:
    return max(0.0, power_w) if power_w is not None and power_w >= -NOISE_W else None
