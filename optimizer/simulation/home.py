"""The virtual home: one roof, one grid connection, perhaps a battery, some chargers and their cars.

Time moves on a fixed grid of `step_s`; whatever is scheduled takes effect at the next grid point.
So the truth depends on what happens to the home, never on when somebody looks.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from optimizer.domain import ChargerSpec, ChargerStatus, Mode
from optimizer.plant.battery import WS_PER_KWH, battery_step
from optimizer.plant.car import FULL_BELOW_KWH, CarLimits, car_demand_w, car_need_kwh
from optimizer.plant.charger import UNPLUGGED, ChargerLimits, ChargerState, charger_step
from optimizer.plant.house import grid_power_w, surplus_seen_w
from optimizer.simulation.series import HouseSeries
from optimizer.simulation.sessions import Session, sessions_from
from optimizer.simulation.settings import GreenMeter, VirtualSettings

_DAY_S = 86_400.0


class ModeChange(NamedTuple):
    """A charger took on a mode; `cause` is `command`, `owner` or `device`."""

    t_s: float
    serial: str
    mode: Mode
    cause: str


@dataclass(frozen=True, slots=True)
class HomeTruth:
    """The home as it really is; powers are means of the last step, energies totals since the start."""

    at: datetime
    pv_w: float
    base_load_w: float
    ev_w: float
    battery_w: float
    grid_w: float
    battery_soc: float | None
    pv_kwh: float
    pv_today_kwh: float
    import_kwh: float
    export_kwh: float
    ev_kwh: float


@dataclass(frozen=True, slots=True)
class ChargerTruth:
    """A charger as it really is; `session_kwh` stays after unplugging, `need_kwh` is the car's secret."""

    serial: str
    mode: Mode
    status: ChargerStatus
    ev_w: float
    session_kwh: float
    need_kwh: float
    connected: bool


class ChargePoint:
    """A charger and the car in front of it."""

    def __init__(self, spec: ChargerSpec, car: CarLimits, settings: VirtualSettings) -> None:
        self.spec = spec
        self.mode = Mode.STOP
        self.ev_w = 0.0
        self.session_kwh = 0.0
        self.need_kwh = 0.0
        self.connected = False
        self.state: ChargerState = UNPLUGGED
        self._car = car
        self._times = settings.charger_times
        self._meter = settings.green_meter
        self._limits = ChargerLimits(spec.phases, spec.max_current_a, spec.eco_gear_a, spec.green_gear_a)

    def step(self, surplus_w: float, dt_s: float) -> bool:
        """Charge for `dt_s` seconds; return whether the status changed."""
        before = self.state[0]
        phases = self._car.phases if self.connected else 0
        car_w = car_demand_w(self.need_kwh, dt_s, self._car)
        mode, seen_w = self._as_metered(surplus_w)
        self.state, self.ev_w = charger_step(
            self.state, mode, seen_w, car_w, phases, dt_s, self._limits, self._times
        )
        if self.ev_w > 0.0:
            self.need_kwh = car_need_kwh(self.need_kwh, self.ev_w, dt_s)
            self.session_kwh += self.ev_w * dt_s / WS_PER_KWH
        return self.state[0] != before

    def _as_metered(self, surplus_w: float) -> tuple[Mode, float]:
        """Return what the charger does in its mode by what it can measure."""
        if self.mode is not Mode.GREEN or self._meter is GreenMeter.WIRED:
            return self.mode, surplus_w
        return (Mode.ECO, 0.0) if self._meter is GreenMeter.MISSING else (Mode.GREEN, min(0.0, surplus_w))

    @property
    def quiet(self) -> bool:
        """Whether nothing can change within one value of the series unless somebody acts."""
        status, timer_s, _ = self.state
        if not self.connected:
            return status == ChargerStatus.AVAILABLE
        if self.mode is Mode.STOP:
            return status in {ChargerStatus.PREPARING, ChargerStatus.FINISHING}
        if status == ChargerStatus.CHARGE_PAUSE:
            return self.mode is Mode.GREEN and timer_s == 0.0
        return status == ChargerStatus.SUSPENDED_EV and self.need_kwh < FULL_BELOW_KWH

    def plug(self, energy_kwh: float) -> None:
        """A car arrives that takes up to `energy_kwh`; a new session begins."""
        self.connected, self.need_kwh, self.session_kwh = True, energy_kwh, 0.0

    def unplug(self) -> None:
        """The car leaves."""
        self.connected, self.need_kwh = False, 0.0

    def truth(self) -> ChargerTruth:
        """Return a snapshot."""
        return ChargerTruth(
            self.spec.serial,
            self.mode,
            ChargerStatus(self.state[0]),
            self.ev_w,
            self.session_kwh,
            self.need_kwh,
            self.connected,
        )


class VirtualHome:
    """All state of one virtual site.

    `sessions` maps a charger's name to its sessions; they repeat with the period of `series`.
    """

    def __init__(
        self,
        settings: VirtualSettings,
        series: HouseSeries,
        sessions: Mapping[str, Sequence[Session]] | None = None,
    ) -> None:
        self.settings = settings
        self.series = series
        self.start = settings.start
        self.mode_changes: list[ModeChange] = []
        self._idle_step_s = min(settings.idle_step_s, max(settings.step_s, series.step_s))
        self._t_s = settings.start.timestamp() // settings.idle_step_s * settings.idle_step_s
        self._points = {
            spec.serial: ChargePoint(spec, settings.car_at(index), settings)
            for index, spec in enumerate(settings.chargers)
        }
        self._battery_soc = settings.battery_soc
        pv_w, base_load_w = series.at(self._t_s)
        self._powers_w = (pv_w, base_load_w, 0.0, 0.0, grid_power_w(pv_w, base_load_w, 0.0, 0.0))
        self._pv_kwh = self._pv_before_today_kwh = 0.0
        self._import_kwh = self._export_kwh = self._ev_kwh = 0.0
        self._day_offset_s = standard_offset(settings.timezone, settings.start).total_seconds()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._scheduled = 0
        self._watchers: list[Callable[[str], None]] = []
        self._schedule_midnight()
        for spec in settings.chargers:
            self._schedule_session(spec.serial, self._sessions_of((sessions or {}).get(spec.name, ())))

    @property
    def t_s(self) -> float:
        """Seconds after the epoch up to which the home has been simulated."""
        return self._t_s

    @property
    def serials(self) -> tuple[str, ...]:
        """The chargers' serials, in the order of the settings."""
        return tuple(self._points)

    def schedule(self, at_s: float, action: Callable[[], None]) -> None:
        """Let `action` happen at the first grid point not before `at_s` (seconds after the epoch)."""
        self._scheduled += 1
        heapq.heappush(self._due, (at_s, self._scheduled, action))

    def watch(self, on_change: Callable[[str], None]) -> None:
        """Call `on_change(serial)` after each change of a charger's mode or status."""
        self._watchers.append(on_change)

    def set_mode(self, serial: str, mode: Mode, cause: str) -> None:
        """Put a charger into `mode` now; `cause` is `command`, `owner` or `device`."""
        point = self._points[serial]
        if point.mode is not mode:
            point.mode = mode
            self.mode_changes.append(ModeChange(self._t_s, serial, mode, cause))
            self._tell(serial)

    def plug(self, serial: str, energy_kwh: float) -> None:
        """Plug a car in that takes up to `energy_kwh`."""
        self._points[serial].plug(energy_kwh)

    def unplug(self, serial: str) -> None:
        """Drive away."""
        self._points[serial].unplug()

    def advance(self, to: datetime) -> None:
        """Simulate up to the last grid point not after `to`; does nothing when already there."""
        end_s = to.timestamp()
        while True:
            while self._due and self._due[0][0] <= self._t_s:
                heapq.heappop(self._due)[2]()
            dt_s = self._span_s(end_s)
            if self._t_s + dt_s > end_s:
                return
            self._step(dt_s)

    def truth(self) -> HomeTruth:
        """Return a snapshot of the home."""
        pv_w, base_load_w, ev_w, battery_w, grid_w = self._powers_w
        return HomeTruth(
            at=datetime.fromtimestamp(self._t_s, UTC),
            pv_w=pv_w,
            base_load_w=base_load_w,
            ev_w=ev_w,
            battery_w=battery_w,
            grid_w=grid_w,
            battery_soc=None if self.settings.battery is None else self._battery_soc,
            pv_kwh=self._pv_kwh,
            pv_today_kwh=self._pv_kwh - self._pv_before_today_kwh,
            import_kwh=self._import_kwh,
            export_kwh=self._export_kwh,
            ev_kwh=self._ev_kwh,
        )

    def charger(self, serial: str) -> ChargerTruth:
        """Return a snapshot of one charger; raises `KeyError` for a serial that is not here."""
        return self._points[serial].truth()

    def _span_s(self, end_s: float) -> float:
        """Return the next step: a long one to the next whole multiple while nothing can happen."""
        step_s, idle_s = self.settings.step_s, self._idle_step_s
        if not all(point.quiet for point in self._points.values()):
            return step_s
        ahead_s = self._t_s + idle_s - self._t_s % idle_s
        if ahead_s > end_s or (self._due and self._due[0][0] < ahead_s):
            return step_s
        return ahead_s - self._t_s

    def _step(self, dt_s: float) -> None:
        pv_w, base_load_w = self.series.at(self._t_s)
        ev_w = self._charge(pv_w, base_load_w, dt_s)
        battery_w = 0.0
        if self.settings.battery is not None:
            self._battery_soc, battery_w = battery_step(
                self._battery_soc, base_load_w + ev_w - pv_w, dt_s, self.settings.battery
            )
        grid_w = grid_power_w(pv_w, base_load_w, ev_w, battery_w)
        self._powers_w = (pv_w, base_load_w, ev_w, battery_w, grid_w)
        hours_k = dt_s / WS_PER_KWH
        self._pv_kwh += pv_w * hours_k
        self._ev_kwh += ev_w * hours_k
        if grid_w > 0.0:
            self._import_kwh += grid_w * hours_k
        else:
            self._export_kwh -= grid_w * hours_k
        self._t_s += dt_s

    def _charge(self, pv_w: float, base_load_w: float, dt_s: float) -> float:
        total_w = sum(point.ev_w for point in self._points.values())
        changed = [
            serial
            for serial, point in self._points.items()
            if point.step(surplus_seen_w(pv_w, base_load_w, total_w - point.ev_w), dt_s)
        ]
        for serial in changed:
            self._tell(serial)
        return sum(point.ev_w for point in self._points.values())

    def _tell(self, serial: str) -> None:
        for on_change in self._watchers:
            on_change(serial)

    def _sessions_of(self, sessions: Sequence[Session]) -> Iterator[Session]:
        """Repeat the sessions together with the house, a whole number of its periods that holds them all."""
        house, origin = timedelta(seconds=self.series.period_s), self.series.start
        last = max((session.departure for session in sessions), default=origin)
        periods = max(1, -((origin - last) // house))
        return sessions_from(sessions, self.start, origin, periods * house)

    def _schedule_session(self, serial: str, sessions: Iterator[Session]) -> None:
        session = next(sessions, None)
        if session is None:
            return

        def leave() -> None:
            self.unplug(serial)
            self._schedule_session(serial, sessions)

        self.schedule(session.arrival.timestamp(), lambda: self.plug(serial, session.energy_kwh))
        self.schedule(session.departure.timestamp(), leave)

    def _schedule_midnight(self) -> None:
        self._pv_before_today_kwh = self._pv_kwh
        days = (self._t_s + self._day_offset_s) // _DAY_S + 1
        self.schedule(days * _DAY_S - self._day_offset_s, self._schedule_midnight)


def standard_offset(timezone: str, at: datetime) -> timedelta:
    """Return a zone's offset without daylight saving: what the vendor's clocks keep all year."""
    local = at.astimezone(ZoneInfo(timezone))
    return (local.utcoffset() or timedelta()) - (local.dst() or timedelta())
