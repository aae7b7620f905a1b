"""What the service knows of the house and its chargers, and since when; instants are monotonic seconds.

Views change only here and in `decider`: a reading is absorbed, and what it says about the world comes back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from optimizer.control.commands import Observed, Pursuit, is_foreign
from optimizer.control.freshness import Freshness, observe
from optimizer.control.guards import Override
from optimizer.control.polling import DARK_W, Activity, Subject, Target, phase_s
from optimizer.control.presence import Presence, follow
from optimizer.control.sharing import NOBODY, Shares
from optimizer.control.surplus import SurplusEstimate, estimate
from optimizer.domain import (
    ChargerReading,
    ChargerSpec,
    ChargerStatus,
    Decision,
    Forecast,
    Habit,
    Mode,
    SiteReading,
)

_SETTLING_S = 90.0
_REMEMBERED_S = 3600.0
_DAY_S = 86_400.0
_HINT_GAP_S = 30.0
_HOUSE = "site"


@dataclass(slots=True)
class SiteView:
    """The house.  `sample` is the newest record that the surplus has not been estimated from yet."""

    reading: SiteReading | None = None
    freshness: Freshness | None = None
    read_at_s: float | None = None
    tried_at_s: float | None = None
    unseen_at_s: float | None = None
    phase_s: float | None = None
    unchanged_reads: int = 0
    failures: int = 0
    refused: bool = False
    sample: SiteReading | None = None
    estimate: SurplusEstimate | None = None
    is_news: bool = False

    def absorb(self, reading: SiteReading, now_s: float, interval_s: float, fresh_s: float) -> bool:
        """Take in a record; return whether it is a new sample.

        A sample that came while nobody looked for longer than `fresh_s` is as old as that may make it.
        """
        before = self.freshness
        after = observe(before, _stamp(reading), now_s, grid_w=reading.grid_w, pv_w=reading.pv_w)
        is_new = after is not before
        if after is not None and is_new:
            looked_s = self._last_look_s(now_s)
            unwatched = now_s - looked_s > fresh_s
            self.freshness = (
                replace(after, changed_at_s=min(after.changed_at_s, looked_s)) if unwatched else after
            )
            self.phase_s = phase_s(self.phase_s, self.read_at_s, now_s, interval_s)
            self.unseen_at_s = self.read_at_s
            self.reading = self.sample = reading
            self.unchanged_reads = 0
        else:
            self.unchanged_reads += 1
        self.tried_at_s = now_s
        if _stamp(reading) is not None:  # a record without a stamp does not tell whether the sample is there
            self.read_at_s = now_s
        self.failures, self.refused = 0, False
        return is_new

    def _last_look_s(self, now_s: float) -> float:
        """Return when this sample was not there yet, as well as is known; an earlier run may have looked."""
        if self.read_at_s is not None:
            return self.read_at_s
        return now_s if self.freshness is None else self.freshness.changed_at_s

    def age_s(self, now_s: float) -> float | None:
        """Return how old the newest sample is."""
        return None if self.freshness is None else self.freshness.age_s(now_s)

    def estimate_from_sample(self, ev_low_w: float, ev_high_w: float) -> None:
        """Turn the newest sample, once, into what the cars could take."""
        if self.sample is not None:
            self.estimate = estimate(self.sample, ev_low_w, ev_high_w, self.estimate)
            self.sample, self.is_news = None, True

    def take_news(self) -> SurplusEstimate | None:
        """Return the newest estimate if it was not taken before."""
        is_news, self.is_news = self.is_news, False
        return self.estimate if is_news else None


def _stamp(reading: SiteReading) -> str | None:
    """Return the stamp of a record that tells the exchange with the grid; another refreshes nothing."""
    return None if reading.grid_w is None or reading.battery_w is None else reading.stamp


@dataclass(frozen=True, slots=True)
class Noticed:
    """What one reading of a charger has brought to light."""

    mode_changed: bool = False
    by_hand: bool = False
    plugged_in: bool = False
    unplugged: bool = False


@dataclass(slots=True)
class ChargerView:
    """A charger: the last reading, what was decided and sent, and what its strategy remembers.

    `reading` is completed with what is known where an answer left something out; `presence` tells of the car,
    `had_enough` that it took no more when it was offered power last, `came_at` when it came, and `habit` what
    is expected of the one that came at `habit_of`.
    `current` is the mode decided last, `awaited` the one sent last until a reading shows it, `accepted` the
    same once the cloud has taken it, `unsettled_at_s` when mode or status last moved or a command left.
    """

    spec: ChargerSpec
    reading: ChargerReading | None = None
    presence: Presence | None = None
    came_at: datetime | None = None
    habit: Habit | None = None
    habit_of: datetime | None = None
    read_at_s: float | None = None
    tried_at_s: float | None = None
    failures: int = 0
    refused: bool = False
    unsettled_at_s: float | None = None
    mode: Mode | None = None
    had_enough: bool = False
    powers_w: deque[tuple[float, float]] = field(default_factory=deque)
    sent: deque[tuple[Mode, float]] = field(default_factory=deque)
    awaited: Mode | None = None
    accepted: Mode | None = None
    pursuit: Pursuit | None = None
    override: Override | None = None
    current: Mode | None = None
    changed_at_s: float | None = None
    changes_s: deque[float] = field(default_factory=deque)
    memory: tuple[float, ...] = ()
    proposed_at_s: float | None = None
    decision: Decision | None = None

    @property
    def connected(self) -> bool:
        """Whether a car is plugged in, as far as is known."""
        return self.status is not None and self.status.connected

    @property
    def status(self) -> ChargerStatus | None:
        """The last known status; until it is read for the first time, that of the run before."""
        if self.reading is not None:
            return self.reading.status
        return None if self.presence is None else self.presence.status

    @property
    def ev_w(self) -> float | None:
        """The last known power."""
        return None if self.reading is None else self.reading.ev_w

    @property
    def session_kwh(self) -> float | None:
        """What the car that is plugged in has taken, as far as is known."""
        return None if self.presence is None else self.presence.session_kwh

    @property
    def observed(self) -> Observed | None:
        """The mode that was read last, with the time of the last reading."""
        if self.mode is None or self.read_at_s is None:
            return None
        return Observed(self.mode, self.read_at_s)

    def changes_24h(self, now_s: float) -> int:
        """Return how many changes of mode were decided within 24 h."""
        while self.changes_s and self.changes_s[0] < now_s - _DAY_S:
            self.changes_s.popleft()
        return len(self.changes_s)

    def absorb(self, reading: ChargerReading, now_s: float) -> Noticed:
        """Take in a reading; a mode that nobody here has sent is the owner's hand."""
        before, before_mode = self.reading, self.mode
        step = follow(self.presence, reading, now_s)
        reading = _completed(reading, step.presence, before)
        mode = before_mode if reading.mode is None else reading.mode
        unchanged_s = now_s if self.read_at_s is None else self.read_at_s
        noticed = Noticed(
            mode_changed=mode is not before_mode,
            by_hand=mode is not None and is_foreign(mode, before_mode, self.awaited, self.sent, unchanged_s),
            plugged_in=step.came,
            unplugged=step.left,
        )
        if before is not None and (noticed.mode_changed or reading.status is not before.status):
            self.unsettled_at_s = now_s
        self._remember_power(reading, now_s)
        asks_again = step.came or step.left or (reading.ev_w or 0.0) > 0.0
        self.had_enough = reading.status.finished or (self.had_enough and not asks_again)
        self.reading, self.presence, self.mode = reading, step.presence, mode
        if step.came or step.left:
            self.came_at, self.habit = (reading.received_at, None) if step.came else (None, None)
        if mode is self.awaited:
            self.awaited = None
        self.read_at_s = self.tried_at_s = now_s
        self.failures, self.refused = 0, False
        return noticed

    def note_sent(self, mode: Mode, now_s: float) -> None:
        """Remember that a command left."""
        self.awaited, self.accepted = mode, None
        self.sent.append((mode, now_s))
        while self.sent[0][1] < now_s - _REMEMBERED_S:
            self.sent.popleft()
        self.unsettled_at_s = now_s

    @property
    def may_be_in(self) -> set[Mode]:
        """The modes that it may be in: the one read last, and those sent since it was seen to obey.

        What the cloud has taken since the last reading counts as obeyed.
        """
        read_s = -math.inf if self.read_at_s is None else self.read_at_s
        if self.accepted is not None and self.sent and self.sent[-1][1] >= read_s:
            return {self.accepted}
        modes = set[Mode]() if self.mode is None else {self.mode}
        for mode, sent_s in reversed(self.sent):
            if mode is self.mode and sent_s <= read_s:
                break
            modes.add(mode)
        return modes

    @property
    def may_import(self) -> bool:
        """Whether it may be in a mode that draws from the grid when nobody watches."""
        return any(mode.draws_from_grid for mode in self.may_be_in)

    @property
    def is_stranger(self) -> bool:
        """Whether it was not read in this run, and the log tells neither of a command nor of it drawing."""
        drew = self.mode is not None and self.mode.draws_from_grid
        return self.read_at_s is None and not self.sent and not drew

    @property
    def may_draw(self) -> bool:
        """Whether the charger may begin or change its power by itself at any moment."""
        return self.connected and (self.mode is not Mode.STOP or self.ev_w is None or self.ev_w > 0.0)

    def ev_range_w(self, since_s: float, now_s: float) -> tuple[float, float]:
        """Return the least and the most the car may have drawn at some instant since `since_s`."""
        if self.reading is None or self.read_at_s is None:
            return 0.0, self.spec.max_power_w
        moved_s = self.unsettled_at_s
        is_old = self.may_draw and now_s - self.read_at_s > _SETTLING_S
        if is_old or (moved_s is not None and moved_s > self.read_at_s):
            return 0.0, self.spec.max_power_w
        last_w = self.reading.ev_w
        if last_w is None:
            return 0.0, self.spec.max_power_w if self.connected else 0.0
        if moved_s is None or moved_s < since_s - _SETTLING_S:
            return last_w, last_w
        lately_w = [power_w for at_s, power_w in self.powers_w if at_s >= since_s - _SETTLING_S]
        return min(lately_w, default=last_w), max(lately_w, default=last_w)

    def _remember_power(self, reading: ChargerReading, now_s: float) -> None:
        if reading.ev_w is not None:
            self.powers_w.append((now_s, reading.ev_w))
        while self.powers_w and self.powers_w[0][0] < now_s - _REMEMBERED_S:
            self.powers_w.popleft()


def _completed(reading: ChargerReading, presence: Presence, before: ChargerReading | None) -> ChargerReading:
    """Return the reading with what is known of the car where the answer itself left it out.

    A power that was left out is 0 where the answer says that nothing flows; otherwise it stays unknown, for
    what flowed a minute ago is no measurement.
    """
    session_kwh, ev_w = reading.session_kwh, reading.ev_w
    if session_kwh is None and before is not None and presence.status.connected:
        session_kwh = before.session_kwh
    if ev_w is None and reading.status.tells_of_car and not reading.status.draws:
        ev_w = 0.0
    return replace(reading, status=presence.status, session_kwh=session_kwh, ev_w=ev_w)


class World:
    """The house and all its chargers."""

    def __init__(self, chargers: tuple[ChargerSpec, ...], interval_s: float, fresh_s: float) -> None:
        self.site = SiteView()
        self.chargers = {spec.name: ChargerView(spec) for spec in chargers}
        self.shares: Shares = NOBODY
        self.forecast: Forecast | None = None
        self.load_forecast: Forecast | None = None
        self.shared_at_s: float | None = None
        self._interval_s = interval_s
        self._fresh_s = fresh_s
        self._hinted: set[str] = set()

    def absorb_site(self, reading: SiteReading, now_s: float) -> bool:
        """Take in a record of the house; return whether it is a new sample."""
        return self.site.absorb(reading, now_s, self._interval_s, self._fresh_s)

    def estimate_surplus(self, now_s: float) -> None:
        """Make sense of the newest sample with what the cars drew around its time."""
        site = self.site
        if site.sample is None:
            return
        since_s = max(now_s - self._interval_s, site.unseen_at_s or 0.0)
        ranges = [view.ev_range_w(since_s, now_s) for view in self.chargers.values()]
        site.estimate_from_sample(sum(low for low, _ in ranges), sum(high for _, high in ranges))

    def look_soon(self, names: Iterable[str], now_s: float) -> bool:
        """Take hints that something has happened at chargers; return whether one is worth a look now.

        Hints come from outside and can be forged: each charger is looked at for them every 30 s at most.
        """
        for name in names:
            view = self.chargers.get(name)
            if view is not None and (view.tried_at_s is None or now_s - view.tried_at_s >= _HINT_GAP_S):
                self._hinted.add(name)
        return bool(self._hinted)

    def drop_hints(self) -> None:
        """Forget the hints: each draws one try."""
        self._hinted.clear()

    @property
    def ev_w(self) -> float:
        """What all cars draw together, as far as is known."""
        return sum(view.ev_w or 0.0 for view in self.chargers.values())

    def activity(self, view: ChargerView) -> Activity:
        """Return how much can change at a charger."""
        if not view.connected:
            return Activity.DORMANT if self._is_dark else Activity.IDLE
        charging = view.status is ChargerStatus.CHARGING or (view.ev_w or 0.0) > 0.0
        return Activity.CHARGING if charging else Activity.CONNECTED

    @property
    def _is_dark(self) -> bool:
        pv_w = None if self.site.reading is None else self.site.reading.pv_w
        return pv_w is not None and pv_w < DARK_W

    def targets(self) -> list[Target]:
        """Return what can be read, as the polling plan sees it."""
        activities = {name: self.activity(view) for name, view in self.chargers.items()}
        site = self.site
        house = Target(
            _HOUSE,
            Subject.SITE,
            max(activities.values(), default=Activity.IDLE),
            site.tried_at_s,
            phase_s=site.phase_s,
            failures=site.failures,
            refused=site.refused,
            unchanged_reads=site.unchanged_reads,
        )
        return [house, *(self._target(name, view, activities[name]) for name, view in self.chargers.items())]

    def _target(self, name: str, view: ChargerView, activity: Activity) -> Target:
        pending_s = view.pursuit.sent_at_s if view.pursuit is not None else None
        return Target(
            name,
            Subject.CHARGER,
            activity,
            view.tried_at_s,
            pending_since_s=pending_s,
            failures=view.failures,
            refused=view.refused,
            hinted=name in self._hinted,
        )
