"""Quarter-hour accounts: where the energy went, how much of the car's was sun, what it cost.

Powers are held from one sample to the next, for at most 15 minutes; then the time counts as missing.
The charger's own session counter wins over integrated power: its amount is spread over the quarter hours
since it last moved, while the measured powers say how much of it was sun.  Rows are sums to be added up:
a counter that moves late yields rows for quarter hours that were told before.

A longer silence than a day is told as one quarter hour: the clock was set, or nobody was there to ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from optimizer.domain import Tariff

SLOT = timedelta(minutes=15)
HOLD = timedelta(minutes=15)
"""How long a power is believed without a new sample."""

_COARSEST_STEP_KWH = 1.0
"""A counter that stands still while more than this was taken does not count, or the powers are old ones."""
_LONGEST_SILENCE = timedelta(days=1)
_SLOTS_REMEMBERED = 96
_NOTHING_KWH = 1e-9
_S_PER_H = 3600.0
_W_PER_KW = 1000.0


@dataclass(frozen=True, slots=True)
class SitePowers:
    """One sample of the house without its cars, in the signs of `optimizer.domain`.

    The exchange with the grid follows from these and what the cars draw: between two samples the cars change
    their power far more often than the house, and they are read more often, too.
    """

    pv_w: float
    base_load_w: float
    battery_w: float

    def grid_w(self, ev_w: float) -> float:
        """Return the exchange with the grid while the cars draw `ev_w`."""
        return self.base_load_w + ev_w - self.pv_w - self.battery_w


@dataclass(frozen=True, slots=True)
class ChargerSample:
    """One answer of a charger: its power, and the energy of the session so far; either may be unknown."""

    ev_w: float | None
    session_kwh: float | None = None


@dataclass(frozen=True, slots=True)
class EnergyRow:
    """What to add to one quarter hour of one charger, or of the house (`charger` None).

    The house has the first six energies, a charger the `ev_*` ones and the money: `cost_eur` is what the
    grid's share cost, `feed_in_lost_eur` what the sun's would have earned.  `missing_s` is time without data.
    """

    slot_start: datetime
    charger: str | None
    pv_kwh: float = 0.0
    base_load_kwh: float = 0.0
    import_kwh: float = 0.0
    export_kwh: float = 0.0
    battery_charge_kwh: float = 0.0
    battery_discharge_kwh: float = 0.0
    ev_kwh: float = 0.0
    ev_solar_kwh: float = 0.0
    ev_grid_kwh: float = 0.0
    cost_eur: float = 0.0
    feed_in_lost_eur: float = 0.0
    missing_s: float = 0.0

    def plus(self, other: EnergyRow) -> EnergyRow:
        """Return the sum; slot and charger are this row's."""
        return EnergyRow(
            self.slot_start,
            self.charger,
            self.pv_kwh + other.pv_kwh,
            self.base_load_kwh + other.base_load_kwh,
            self.import_kwh + other.import_kwh,
            self.export_kwh + other.export_kwh,
            self.battery_charge_kwh + other.battery_charge_kwh,
            self.battery_discharge_kwh + other.battery_discharge_kwh,
            self.ev_kwh + other.ev_kwh,
            self.ev_solar_kwh + other.ev_solar_kwh,
            self.ev_grid_kwh + other.ev_grid_kwh,
            self.cost_eur + other.cost_eur,
            self.feed_in_lost_eur + other.feed_in_lost_eur,
            self.missing_s + other.missing_s,
        )

    def ev_times(self, factor: float) -> EnergyRow:
        """Return a charger's energies and money scaled, as a row to add."""
        return EnergyRow(
            self.slot_start,
            self.charger,
            ev_kwh=self.ev_kwh * factor,
            ev_solar_kwh=self.ev_solar_kwh * factor,
            ev_grid_kwh=self.ev_grid_kwh * factor,
            cost_eur=self.cost_eur * factor,
            feed_in_lost_eur=self.feed_in_lost_eur * factor,
        )


@dataclass(frozen=True, slots=True)
class Since:
    """One quarter hour's part of what a charger took since its counter last moved."""

    row: EnergyRow
    seconds: float


@dataclass(frozen=True, slots=True)
class Account:
    """Up to where a charger's energy is told: its counter, and what the powers have told since it moved.

    `stood_kwh` is how much they had told when the counter was last read and had not moved.
    """

    counter_kwh: float
    since: tuple[Since, ...] = ()
    stood_kwh: float = 0.0


@dataclass(frozen=True, slots=True)
class _ChargerState:
    ev_w: float = 0.0
    until: datetime | None = None
    counter_kwh: float | None = None
    since: tuple[Since, ...] = ()
    stood_kwh: float = 0.0


_Key = tuple[datetime, str | None]
_Rows = dict[_Key, EnergyRow]


@dataclass(frozen=True, slots=True)
class EnergyMeter:
    """The state between two samples; `EnergyMeter(now)` starts without any knowledge.

    Begin with the `accounts` of the run before and the time they were made: what was taken meanwhile is then
    counted once, whatever was told before is not counted again.
    """

    at: datetime
    site: SitePowers | None = None
    site_until: datetime | None = None
    chargers: Mapping[str, _ChargerState] = field(default_factory=dict)
    open_rows: Mapping[_Key, EnergyRow] = field(default_factory=dict)

    @property
    def accounts(self) -> dict[str, Account]:
        """Return up to where each charger's rows, the open ones included, tell of it."""
        return {
            name: Account(state.counter_kwh, state.since, state.stood_kwh)
            for name, state in self.chargers.items()
            if state.counter_kwh is not None
        }

    def with_account(self, charger: str, account: Account) -> EnergyMeter:
        """Return a meter that goes on with a charger's account as it stood at `at`."""
        state = _ChargerState(
            counter_kwh=account.counter_kwh, since=account.since, stood_kwh=account.stood_kwh
        )
        return replace(self, chargers={**self.chargers, charger: state})


def solar_share_w(pv_w: float, base_load_w: float, ev_w: float) -> float:
    """Return the part of `ev_w` that the sun gave, W: `min(ev, max(0, pv - base load))`.

    The base load comes first out of the sun; what the home battery gives to the car does not count as sun.
    """
    return min(ev_w, max(0.0, pv_w - base_load_w))


def slot_start_of(at: datetime) -> datetime:
    """Return the start of the quarter hour that holds `at`."""
    return at.replace(minute=at.minute - at.minute % 15, second=0, microsecond=0)


def advance(
    meter: EnergyMeter,
    now: datetime,
    tariff: Tariff,
    site: SitePowers | None = None,
    chargers: Mapping[str, ChargerSample] | None = None,
) -> tuple[EnergyMeter, tuple[EnergyRow, ...]]:
    """Account for the time up to `now`, then take in the samples made at `now`.

    Pass only what is new: `site` None or a charger left out means no news, and the last power is held on.
    The price of a quarter hour is the one at its start.  Returns the next meter and the rows that are ready.
    A `now` before `meter.at` (the clock was set back) accounts for nothing and goes on from there.
    """
    rows: _Rows = dict(meter.open_rows)
    states = dict(meter.chargers)
    for begin, end in _pieces(meter, now):
        _account(meter, states, rows, (begin, end), tariff)
    for name, sample in (chargers or {}).items():
        states[name] = _taken_in(states.get(name, _ChargerState()), name, sample, now, tariff, rows)
    over = (key for key in rows if key[0] < slot_start_of(now))
    ready = sorted(over, key=lambda key: (key[0], key[1] or ""))
    finished = tuple(rows.pop(key) for key in ready)
    if site is not None:
        return EnergyMeter(now, site, now + HOLD, states, rows), finished
    return EnergyMeter(now, meter.site, meter.site_until, states, rows), finished


def _pieces(meter: EnergyMeter, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Cut the time up to `now` where a quarter hour or the belief in a power ends; see `_LONGEST_SILENCE`."""
    if now - meter.at > _LONGEST_SILENCE:
        now = meter.at + HOLD
    ends = {meter.site_until, *(state.until for state in meter.chargers.values())}
    begin = meter.at
    while begin < now:
        slot_end = slot_start_of(begin) + SLOT
        end = min([slot_end, now, *(at for at in ends if at is not None and at > begin)])
        yield begin, end
        begin = end


def _account(
    meter: EnergyMeter,
    states: dict[str, _ChargerState],
    rows: _Rows,
    piece: tuple[datetime, datetime],
    tariff: Tariff,
) -> None:
    """Add one piece of time with constant powers to the rows and to each counter's reckoning."""
    begin, end = piece
    slot, seconds = slot_start_of(begin), (end - begin).total_seconds()
    site = meter.site if meter.site_until is not None and begin < meter.site_until else None
    known_w = {
        name: state.ev_w for name, state in states.items() if state.until is not None and begin < state.until
    }
    total_w = sum(known_w.values())
    solar_w = _add_house(rows, slot, seconds, site, total_w)
    for name, state in states.items():
        ev_w = known_w.get(name)
        if ev_w is None:
            row = EnergyRow(slot, name, missing_s=seconds)
        else:
            share = solar_w / total_w if total_w > 0 else 0.0
            row = _charger_row(slot, name, _kwh(ev_w, seconds), share, tariff)
        _add(rows, row)
        if state.counter_kwh is not None:
            states[name] = replace(state, since=_remembered(state.since, row, seconds))


def _add_house(rows: _Rows, slot: datetime, seconds: float, site: SitePowers | None, ev_w: float) -> float:
    """Add the house's row and return how much of `ev_w` was sun; without data none is claimed."""
    if site is None:
        _add(rows, EnergyRow(slot, None, missing_s=seconds))
        return 0.0
    grid_w = site.grid_w(ev_w)
    _add(
        rows,
        EnergyRow(
            slot,
            None,
            pv_kwh=_kwh(site.pv_w, seconds),
            base_load_kwh=_kwh(site.base_load_w, seconds),
            import_kwh=_kwh(max(0.0, grid_w), seconds),
            export_kwh=_kwh(max(0.0, -grid_w), seconds),
            battery_charge_kwh=_kwh(max(0.0, -site.battery_w), seconds),
            battery_discharge_kwh=_kwh(max(0.0, site.battery_w), seconds),
        ),
    )
    return solar_share_w(site.pv_w, site.base_load_w, ev_w)


def _charger_row(slot: datetime, name: str, ev_kwh: float, solar_share: float, tariff: Tariff) -> EnergyRow:
    solar_kwh = ev_kwh * solar_share
    grid_kwh = ev_kwh - solar_kwh
    return EnergyRow(
        slot,
        name,
        ev_kwh=ev_kwh,
        ev_solar_kwh=solar_kwh,
        ev_grid_kwh=grid_kwh,
        cost_eur=grid_kwh * tariff.price_eur_per_kwh(slot),
        feed_in_lost_eur=solar_kwh * tariff.earned_eur_per_kwh(slot),
    )


def _remembered(since: tuple[Since, ...], row: EnergyRow, seconds: float) -> tuple[Since, ...]:
    if since and since[-1].row.slot_start == row.slot_start:
        last = since[-1]
        return (*since[:-1], Since(last.row.plus(row), last.seconds + seconds))
    return (*since, Since(row, seconds))[-_SLOTS_REMEMBERED:]


def _taken_in(
    state: _ChargerState, name: str, sample: ChargerSample, now: datetime, tariff: Tariff, rows: _Rows
) -> _ChargerState:
    """Return the charger's state after a sample; a counter that moved corrects the rows."""
    if sample.session_kwh is not None:
        state = _counted(state, name, sample.session_kwh, now, tariff, rows)
    if sample.ev_w is None:
        return state
    return replace(state, ev_w=sample.ev_w, until=now + HOLD)


def _counted(
    state: _ChargerState, name: str, session_kwh: float, now: datetime, tariff: Tariff, rows: _Rows
) -> _ChargerState:
    """Hold what was integrated since the counter last moved against the counter.

    A counter that stands still says nothing yet (it may count in coarse steps), one that fell began a new
    session: it then tells the least that was taken, for the old session's last energy is in the powers only.
    These are believed as far as the counter could have stood still beside them.
    """
    integrated_kwh = sum(since.row.ev_kwh for since in state.since)
    if session_kwh == state.counter_kwh and integrated_kwh > _NOTHING_KWH:
        return replace(state, stood_kwh=integrated_kwh)
    if state.counter_kwh is not None:
        counted_kwh = session_kwh - state.counter_kwh
        if counted_kwh < 0:
            counted_kwh = max(session_kwh, integrated_kwh - max(0.0, state.stood_kwh - _COARSEST_STEP_KWH))
        if abs(counted_kwh - integrated_kwh) > _NOTHING_KWH:
            _correct(state.since, _Correction(name, counted_kwh, integrated_kwh, now, tariff), rows)
    return replace(state, counter_kwh=session_kwh, since=(), stood_kwh=0.0)


@dataclass(frozen=True, slots=True)
class _Correction:
    """What a charger's counter told at `now` of the time for which powers told `integrated_kwh`."""

    charger: str
    counted_kwh: float
    integrated_kwh: float
    now: datetime
    tariff: Tariff

    def spread(self, weights: Iterable[tuple[datetime, float]]) -> Iterator[EnergyRow]:
        """Return the difference in proportion to the weights of quarter hours, all of it from the grid."""
        parts = [part for part in weights if part[1] > 0.0] or [(slot_start_of(self.now), 1.0)]
        per_weight_kwh = (self.counted_kwh - self.integrated_kwh) / sum(weight for _, weight in parts)
        for slot, weight in parts:
            yield _charger_row(slot, self.charger, per_weight_kwh * weight, 0.0, self.tariff)


def _correct(since: tuple[Since, ...], told: _Correction, rows: _Rows) -> None:
    """Add the difference to the quarter hours since.

    What was taken beyond the known powers was taken while none was known, if there was such a time: it is
    spread evenly over that and, its origin being unknown, counts as grid.  Otherwise the powers were
    not quite right, and the base load makes up for it.
    """
    unseen = [(part.row.slot_start, part.row.missing_s) for part in since if part.row.missing_s > 0.0]
    if unseen and told.counted_kwh > told.integrated_kwh:
        for row in told.spread(unseen):
            _add(rows, row)
            _add(rows, EnergyRow(row.slot_start, None, import_kwh=row.ev_kwh))
        return
    if told.integrated_kwh > _NOTHING_KWH:
        factor = told.counted_kwh / told.integrated_kwh - 1.0
        corrections = [part.row.ev_times(factor) for part in since]
    else:
        corrections = list(told.spread((part.row.slot_start, part.seconds) for part in since))
    for row in corrections:
        _add(rows, row)
        _add(rows, EnergyRow(row.slot_start, None, base_load_kwh=-row.ev_kwh))


def _add(rows: _Rows, row: EnergyRow) -> None:
    key = (row.slot_start, row.charger)
    before = rows.get(key)
    rows[key] = row if before is None else before.plus(row)


def _kwh(power_w: float, seconds: float) -> float:
    return power_w * seconds / _S_PER_H / _W_PER_KW
