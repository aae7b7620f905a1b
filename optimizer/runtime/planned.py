"""The plan behind a decision of the log: how it goes on, what it comes to, and what it stands on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path

from optimizer.domain import Forecast, Goal, Mode, Situation, Strategy
from optimizer.errors import StrategyFailed
from optimizer.planning.itinerary import Plans, Step
from optimizer.planning.lookahead import PLENTY_W
from optimizer.runtime.replay import situation_from
from optimizer.store.forecasts import vintage_at
from optimizer.store.queries import LoggedDecision

SLOT = timedelta(minutes=15)
MET_WITHIN_KWH = 0.05
"""What a goal may miss and still be called met: the tenth of a kWh that people are shown, rounded."""

_LONGEST = timedelta(hours=2)
"""A mean over more than this would hide how the sun moves."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SAME_EUR_PER_KWH = 1e-6
_LEAST_KWH = 1e-9


@dataclass(frozen=True, slots=True)
class Band:
    """10, 50 and 90 % quantiles of the surplus, W."""

    p10_w: float
    p50_w: float
    p90_w: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a plan, `[start, end)`, with one mode and one price.

    `is_known` tells whether the price is more than a guess.  `band` is the mean over the time, None where
    nobody forecasts the sun.  `sun_kwh` of `kwh` are expected from the sun, None where that cannot be told;
    `eur` is what is paid for import and what is not earned by feeding in.
    """

    start: datetime
    end: datetime
    mode: Mode
    price_eur_per_kwh: float
    is_known: bool
    band: Band | None
    kwh: float
    sun_kwh: float | None
    eur: float

    @property
    def grid_kwh(self) -> float | None:
        """What is expected from the grid."""
        return None if self.sun_kwh is None else self.kwh - self.sun_kwh


@dataclass(frozen=True, slots=True)
class Prospect:
    """What becomes of a goal: what the car has of it, and what is planned until its deadline.

    `is_met` is None where the plan does not reach that far.
    """

    goal: Goal
    taken_kwh: float
    planned_kwh: float
    is_met: bool | None

    @property
    def short_kwh(self) -> float:
        """What will be missing as planned."""
        return max(0.0, self.goal.energy_kwh - self.taken_kwh - self.planned_kwh)


@dataclass(frozen=True, slots=True)
class Plan:
    """How `strategy` would go on from a decision's situation, quarter hour by quarter hour.

    Where there is no plan `nothing` says why.  `lost` are forecasts that the decision knew and the log has no
    more: the plan does without them.
    """

    decision: LoggedDecision
    situation: Situation
    strategy: str
    quarters: tuple[Stretch, ...]
    nothing: str
    lost: tuple[str, ...]

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """The plan with quarter hours of the same two hours, mode and price in one."""
        return tuple(joined(tuple(group)) for _, group in groupby(self.quarters, key=_alike))

    @property
    def total(self) -> Stretch | None:
        """All of it as one, for its sums; None without a plan."""
        return joined(self.quarters) if self.quarters else None

    @property
    def prospect(self) -> Prospect | None:
        """What becomes of the goal, None without one."""
        goal = self.situation.goal
        if goal is None:
            return None
        planned_kwh = sum(one.kwh for one in self.quarters if one.start < goal.deadline)
        found = Prospect(goal, self.situation.session_kwh or 0.0, planned_kwh, is_met=True)
        if found.short_kwh < MET_WITHIN_KWH:
            return found
        reaches = bool(self.quarters) and self.quarters[-1].end >= goal.deadline
        return Prospect(goal, found.taken_kwh, planned_kwh, is_met=False if reaches else None)


def plan_of(log: Path, decision: LoggedDecision, strategy: Strategy) -> Plan:
    """Return how a strategy would go on from what a decision of the log was made of.

    Raises:
        StrategyFailed: it raised.
        StoreUnavailable: the log cannot be read.

    """
    situation = situation_from(decision.inputs, decision.context, partial(vintage_at, log))
    quarters: tuple[Stretch, ...] = ()
    if isinstance(strategy, Plans):
        quarters = tuple(_quarters(_steps(strategy, strategy.name, situation), situation))
    nothing = "" if quarters else _nothing(strategy, situation)
    return Plan(decision, situation, strategy.name, quarters, nothing, _lost(decision, situation))


def _alike(one: Stretch) -> tuple[object, ...]:
    return one.mode, one.price_eur_per_kwh, one.is_known, (one.start - _EPOCH) // _LONGEST


def joined(quarters: Sequence[Stretch]) -> Stretch:
    """Return quarter hours as one stretch, with the first one's mode and price; at least one."""
    sun_kwh = [one.sun_kwh for one in quarters if one.sun_kwh is not None]
    return Stretch(
        start=quarters[0].start,
        end=quarters[-1].end,
        mode=quarters[0].mode,
        price_eur_per_kwh=quarters[0].price_eur_per_kwh,
        is_known=quarters[0].is_known,
        band=_mean_band(quarters),
        kwh=sum(one.kwh for one in quarters),
        sun_kwh=sum(sun_kwh) if len(sun_kwh) == len(quarters) else None,
        eur=sum(one.eur for one in quarters),
    )


def _mean_band(quarters: Sequence[Stretch]) -> Band | None:
    told = [(one.band, (one.end - one.start).total_seconds()) for one in quarters if one.band is not None]
    if len(told) < len(quarters):
        return None
    whole_s = sum(length_s for _, length_s in told)
    means = (
        sum(getattr(band, name) * length_s for band, length_s in told) / whole_s for name in Band.__slots__
    )
    return Band(*means)


def _steps(strategy: Plans, name: str, situation: Situation) -> tuple[Step, ...]:
    try:
        return tuple(strategy.steps(situation))
    except Exception as error:
        # A stranger's code may raise anything.
        raise StrategyFailed(f"{name} could not plan: {type(error).__name__}: {error}") from error


def _quarters(steps: Sequence[Step], situation: Situation) -> Iterator[Stretch]:
    """Yield the steps as they lie in time: from now to the end, or to the goal's deadline within the last."""
    starts = [_EPOCH + SLOT * step.slot for step in steps]
    ends = [*starts[1:], *(start + SLOT for start in starts[-1:])]
    deadline = None if situation.goal is None else situation.goal.deadline
    for step, start, end in zip(steps, starts, ends, strict=True):
        begins = max(start, situation.now)
        ends_at = deadline if deadline is not None and begins < deadline < end else end
        if begins < ends_at:
            yield _quarter(step, begins, ends_at, situation)


def _quarter(step: Step, start: datetime, end: datetime, situation: Situation) -> Stretch:
    tariff = situation.tariff
    return Stretch(
        start=start,
        end=end,
        mode=Mode(step.mode),
        price_eur_per_kwh=step.price_eur_per_kwh,
        is_known=tariff.is_known(start),
        band=None if step.mean_w >= PLENTY_W else Band(step.low_w, step.mean_w, step.high_w),
        kwh=step.kwh,
        sun_kwh=sun_share_kwh(step.kwh, step.eur, step.price_eur_per_kwh, tariff.earned_eur_per_kwh(start)),
        eur=step.eur,
    )


def sun_share_kwh(kwh: float, eur: float, price: float, feed_in: float) -> float | None:
    """Return how much of an energy is sun, by what it costs: `eur = sun x feed_in + grid x price`.

    None where sun and grid cost the same.
    """
    if kwh < _LEAST_KWH:
        return 0.0
    if abs(price - feed_in) < _SAME_EUR_PER_KWH:
        return None
    return min(kwh, max(0.0, (kwh * price - eur) / (price - feed_in)))


def _nothing(strategy: Strategy, situation: Situation) -> str:
    """Return why there is no plan."""
    if not isinstance(strategy, Plans):
        return f"{strategy.name} does not plan: it decides by what it sees from cycle to cycle"
    if situation.status is None:
        return "it is not known whether a car is plugged in"
    if not situation.connected:
        return "no car is plugged in"
    if situation.status.finished:
        return "the car is full, or takes no more for now"
    return "the car needs nothing more"


def _lost(decision: LoggedDecision, situation: Situation) -> tuple[str, ...]:
    found: dict[str, Forecast | None] = {
        "forecast": situation.forecast,
        "load_forecast": situation.load_forecast,
    }
    return tuple(name for name, there in found.items() if there is None and name in decision.inputs)
