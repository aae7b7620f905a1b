"""A stranger's strategy in place of a kernel: numbers back into a situation, at the speed of plain Python."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from optimizer.ahead import SLOT_S, Ahead, Habits, Outlook
from optimizer.backtest.case import Case, Floats
from optimizer.domain import (
    ChargerStatus,
    Forecast,
    ForecastSlot,
    Goal,
    Habit,
    Mode,
    PriceStep,
    Proposal,
    SiteReading,
    Situation,
    Strategy,
    Tariff,
)
from optimizer.errors import StrategyFailed
from optimizer.planning.sky import vintage_at
from optimizer.sensed import PAST_SLOTS, Answer, Memory, Sensed

_HORIZON_SLOTS = 192
"""Prices that a strategy is told ahead: two days, as far as day-ahead prices ever reach."""

_OLDEST_S = 86_400.0
"""Older is not told from this: the first sample of all may be of any age."""


class Asked:
    """Stands in for a kernel and asks a strategy; its setting is not used."""

    def __init__(self, strategy: Strategy, case: Case) -> None:
        self._strategy = strategy
        self._case = case
        self._first_slot = case.start - timedelta(minutes=case.slot_offset)
        self._prices = self._steps(case.price_eur_per_kwh)
        self._earnings = self._steps(case.feed_in_eur_per_kwh)
        self._tariff_slot = -1
        self._tariff = Tariff(0.0, 0.0)
        self._told: dict[str, tuple[int, Forecast | None]] = {}

    def __call__(self, seen: Sensed, ahead: Ahead, _setting: object, memory: Memory) -> Answer:
        """Return mode, an empty code, and memory; how long they hold is not known.

        Raises:
            StrategyFailed: the strategy raised, or what it returned is no proposal.

        """
        situation = self._situation(seen, ahead, memory)
        try:
            proposal = self._strategy.propose(situation)
            mode, remembered = Mode(proposal.mode), tuple(proposal.memory)
        except Exception as fault:
            at = f"{situation.now:%Y-%m-%d %H:%M} UTC"
            raise StrategyFailed(
                f"strategy {self._strategy.name!r} failed at {at}: {type(fault).__name__}: {fault}"
            ) from fault
        if not isinstance(proposal, Proposal):
            raise StrategyFailed(f"strategy {self._strategy.name!r} returned {proposal!r}, not a Proposal")
        return int(mode), 0, 0.0, remembered

    def _situation(self, seen: Sensed, ahead: Ahead, memory: Memory) -> Situation:
        now = self._first_slot + timedelta(seconds=SLOT_S * seen.slot + seen.into_slot_s)
        data_age_s = min(seen.data_age_s, _OLDEST_S)
        site = SiteReading(
            now - timedelta(seconds=data_age_s),
            f"{now:%Y-%m-%d %H:%M}",
            seen.pv_w,
            seen.grid_w,
            seen.battery_w,
            None if self._case.home.battery is None else seen.battery_soc,
        )
        return Situation(
            now=now,
            charger=self._case.home.charger,
            status=_status(seen),
            mode=Mode(seen.mode),
            ev_w=seen.ev_w,
            session_kwh=seen.session_kwh,
            surplus_w=seen.surplus_w if seen.known else None,
            site=site if seen.known else None,
            data_age_s=data_age_s if seen.known else None,
            elapsed_s=seen.elapsed_s,
            goal=_goal(seen, now),
            tariff=self._tariff_from(seen.slot, ahead.priced_until[seen.slot]),
            forecast=self._newest("pv", ahead.pv, seen.slot),
            load_forecast=self._newest("load", ahead.load, seen.slot),
            habit=_habit(ahead.habits, seen.habit),
            stayed_s=seen.stayed_s,
            memory=memory,
        )

    def _steps(self, eur_per_kwh: Floats) -> tuple[PriceStep, ...]:
        starts = (self._first_slot + timedelta(seconds=SLOT_S * slot) for slot in range(len(eur_per_kwh)))
        return tuple(
            PriceStep(start, price) for start, price in zip(starts, eur_per_kwh.tolist(), strict=True)
        )

    def _tariff_from(self, slot: int, known: int) -> Tariff:
        """Return the tariff with the prices of a day back and of the coming days, made anew each slot."""
        if slot != self._tariff_slot:
            part = slice(max(0, slot - PAST_SLOTS), min(known, slot + _HORIZON_SLOTS))
            self._tariff = Tariff(
                self._prices[slot].eur_per_kwh,
                self._earnings[slot].eur_per_kwh,
                self._prices[part],
                self._earnings[part],
                known_until=self._first_slot + timedelta(seconds=SLOT_S * known),
            )
            self._tariff_slot = slot
        return self._tariff

    def _newest(self, name: str, outlook: Outlook, slot: int) -> Forecast | None:
        """Return the newest vintage that is known in a slot, made once."""
        row = vintage_at(outlook.known_from, slot)
        if self._told.get(name, (-1, None))[0] != row:
            self._told[name] = row, self._forecast(outlook, row)
        return self._told[name][1] if row >= 0 else None

    def _forecast(self, outlook: Outlook, row: int) -> Forecast:
        start = self._first_slot + timedelta(seconds=SLOT_S * outlook.first[row])
        places = range(row * outlook.width, (row + 1) * outlook.width)
        slots = (
            ForecastSlot(
                start + timedelta(seconds=SLOT_S * ahead),
                outlook.p10_w[place],
                outlook.p50_w[place],
                outlook.p90_w[place],
            )
            for ahead, place in enumerate(places)
            if not math.isnan(outlook.p50_w[place])
        )
        issued = self._first_slot + timedelta(seconds=SLOT_S * outlook.known_from[row])
        return Forecast(issued, "past", tuple(slots))


def _habit(habits: Habits, row: int) -> Habit | None:
    if row < 0:
        return None
    stays = habits.stays[row * habits.stay_slots : (row + 1) * habits.stay_slots]
    takes = habits.takes[row * habits.take_steps : (row + 1) * habits.take_steps]
    return Habit(tuple(stays), tuple(takes))


def _status(seen: Sensed) -> ChargerStatus:
    if not seen.connected:
        return ChargerStatus.AVAILABLE
    if seen.full:
        return ChargerStatus.SUSPENDED_EV
    return ChargerStatus.CHARGING if seen.ev_w > 0.0 else ChargerStatus.PREPARING


def _goal(seen: Sensed, now: datetime) -> Goal | None:
    if seen.left_s == 0.0:
        return None
    session_kwh = 0.0 if math.isnan(seen.session_kwh) else seen.session_kwh
    return Goal(now + timedelta(seconds=seen.left_s), seen.need_kwh + session_kwh)
