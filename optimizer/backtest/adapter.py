"""A stranger's strategy in place of a kernel: numbers back into a situation, at the speed of plain Python."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from optimizer.backtest.case import Case
from optimizer.domain import (
    ChargerStatus,
    Goal,
    Mode,
    PriceStep,
    Proposal,
    SiteReading,
    Situation,
    Strategy,
    Tariff,
)
from optimizer.errors import StrategyFailed
from optimizer.sensed import SLOT_S, Answer, Memory, Sensed

_HORIZON_SLOTS = 192
"""Prices that a strategy is told ahead: two days, as far as day-ahead prices ever reach."""

_OLDEST_S = 86_400.0
"""Older is not told from this: the first sample of all may be of any age."""


class Asked:
    """Stands in for a kernel and asks a strategy; prices and setting are not used."""

    def __init__(self, strategy: Strategy, case: Case) -> None:
        self._strategy = strategy
        self._case = case
        self._first_slot = case.start - timedelta(minutes=case.slot_offset)
        self._tariff_slot = -1
        self._tariff = Tariff(0.0, 0.0)

    def __call__(self, seen: Sensed, _prices: object, _setting: object, memory: Memory) -> Answer:
        """Return mode, an empty code, and memory; how long they hold is not known.

        Raises:
            StrategyFailed: the strategy raised, or what it returned is no proposal.

        """
        situation = self._situation(seen, memory)
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

    def _situation(self, seen: Sensed, memory: Memory) -> Situation:
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
            tariff=self._tariff_from(seen.slot),
            memory=memory,
        )

    def _tariff_from(self, slot: int) -> Tariff:
        """Return the tariff with the prices of the coming days, made anew each slot."""
        if slot != self._tariff_slot:
            prices, feed_in = self._case.price_eur_per_kwh, self._case.feed_in_eur_per_kwh
            steps = tuple(
                PriceStep(self._first_slot + timedelta(seconds=SLOT_S * n), float(prices[n]))
                for n in range(slot, min(len(prices), slot + _HORIZON_SLOTS))
            )
            self._tariff = Tariff(float(prices[slot]), float(feed_in[slot]), steps)
            self._tariff_slot = slot
        return self._tariff


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
