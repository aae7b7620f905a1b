"""The call ledger: every call of the token is a row, committed before the call may leave.

The rules (how many, how long a slot is held) are `optimizer.control.budget`; here is what they are fed with.

- stale: a call whose end was lost with its process counts as if it ended at its time-out
- who else counts: rows of other processes of this boot on the same boot clock; rows of another boot by wall
  time, but never as older than this boot (a clock may step) nor as younger than our first look at them
- safe state: while the log cannot be written, a few calls per window, to read and toward safety, counted in
  memory and written later
- a lost log: no call for one window, for nobody knows what has been called before
"""

from __future__ import annotations

import math
import random
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import TypeVar

from optimizer.clock import Clock
from optimizer.control.budget import Breaker, Limits, Outcome, Priority, after, next_slot_s
from optimizer.errors import RateLimited
from optimizer.store.instants import from_text, to_text
from optimizer.store.logfile import Work
from optimizer.store.sqlite import StoreUnavailable
from optimizer.store.writer import Journal

_CLOUD = "cloud"
_HISTORY = "history"
_CLOCK_STEP_S = 7200.0
"""A wall clock may be wrong by this much across a reboot; rows that look older really are."""
_BLIND_RETRY_S = 10.0
_BLIND_FOR_S = 5.0
"""For how long a log that could not be written is not tried again: a STOP must not wait for it twice."""
_LONGEST_HOLD_S = 86_400.0

_NEWEST = (
    "SELECT id, boot_id, reserved_s, reserved_at, completed_s, completed_at FROM call"
    " WHERE id <= ? ORDER BY id DESC LIMIT ?"
)
_INSERT = (
    "INSERT INTO call (boot_id, reserved_s, reserved_at, endpoint, subject, toward_safety)"
    " VALUES (?,?,?,?,?,?)"
)
_COMPLETE = (
    "UPDATE call SET completed_s = ?, completed_at = ?, outcome = ?, http_status = ?, code = ?, ms = ?"
    " WHERE id = ?"
)
_HOLD = (
    "INSERT OR REPLACE INTO breaker (name, boot_id, open_until_s, open_until, strikes, kind)"
    " VALUES (?,?,?,?,?,?)"
)

T = TypeVar("T")

_Row = tuple[int, str, float, str, float | None, str | None]


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks."""

    boot_id: str
    s: float
    at: datetime

    @classmethod
    def of(cls, clock: Clock) -> Instant:
        """Read both clocks."""
        return cls(clock.boot_id, clock.monotonic_s(), clock.now())

    def s_of(self, boot_id: str, s: float, at: str) -> float:
        """Translate another moment to this boot's clock: exactly within a boot, else by wall time."""
        return s if boot_id == self.boot_id else self.s + (from_text(at) - self.at).total_seconds()

    def at_of(self, s: float) -> datetime:
        """Translate a moment of this boot's clock to wall time."""
        return self.at + timedelta(seconds=s - self.s)


@dataclass(slots=True)
class _Ticket:
    """A call under way; `row_id` is None until its row is written."""

    endpoint: str
    subject: str
    priority: Priority
    reserved: Instant
    row_id: int | None = None


@dataclass(slots=True)
class _Blind:
    """A call that left without a row: its own count until it is written and beyond."""

    reserved_s: float
    completed_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Granted:
    row_id: int
    minute_frees_s: dict[int, float]
    breaker: Breaker


class Ledger:
    """The `Gate` that every call passes, over the table `call`."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        limits: Limits,
        rng: random.Random,
        *,
        commit_timeout_s: float = 2.0,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._limits = limits
        self._rng = rng
        self._commit_timeout_s = commit_timeout_s
        self._ids = count(1)
        self._tickets: dict[int, _Ticket] = {}
        self._blind: dict[int, _Blind] = {}
        self._frees_s: dict[int, float] | None = None
        self._breaker = Breaker()
        self._first_seen_s: dict[int, float] = {}
        self._first_asked_s: float | None = None
        self._blind_until_s = -math.inf

    async def reserve(self, endpoint: str, subject: str, priority: Priority = Priority.READ) -> int:
        """Take a slot for one call, committed before this returns, and return an id to complete it with.

        Raises:
            RateLimited: no slot is free, the breaker is open, or the log cannot be written and the call is
                for a rise.

        """
        now = Instant.of(self._clock)
        if self._first_asked_s is None:
            self._first_asked_s = now.s
        ticket = _Ticket(endpoint, subject, priority, now)
        call_id = next(self._ids)
        try:
            granted = await self._written(lambda conn: self._grant(conn, ticket))
        except StoreUnavailable:
            self._grant_blindly(call_id, ticket)
        else:
            ticket.row_id = granted.row_id
            self._frees_s, self._breaker = granted.minute_frees_s, granted.breaker
        self._tickets[call_id] = ticket
        return call_id

    def complete(
        self,
        call_id: int,
        outcome: Outcome,
        *,
        http_status: int | None = None,
        code: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        """Write how the call ended and let the breaker learn from it; waits for nothing.

        A good answer in time is written with the next reservation or a moment later: until then, and for ever
        if the process is killed meanwhile, the call counts as if it ended at its time-out, which is later.

        Raises:
            KeyError: no such call is under way.

        """
        ticket = self._tickets.pop(call_id)
        now = Instant.of(self._clock)
        jitter = self._rng.random()
        ms = round((now.s - ticket.reserved.s) * 1000.0)

        def write(conn: sqlite3.Connection) -> None:
            values = (now.s, to_text(now.at), outcome.value, http_status, code, ms, ticket.row_id)
            conn.execute(_COMPLETE, values)
            before = _breaker(conn, _CLOUD, now)
            learnt = after(before, outcome, now.s, retry_after_s, jitter)
            if learnt != before:
                _hold(conn, _CLOUD, learnt, now)

        counted_until_s = ticket.reserved.s + self._wait_s + self._limits.call_timeout_s
        self._journal.post(write, vital=True, at_once=outcome is not Outcome.OK or now.s > counted_until_s)
        self._breaker = after(self._breaker, outcome, now.s, retry_after_s, jitter)
        self._note_end(call_id, ticket, now.s)

    @property
    def slots_held(self) -> int:
        """How many minute slots are taken now, as far as this process has seen."""
        now_s = self._clock.monotonic_s()
        return sum(free_s > now_s for free_s in (self._frees_s or {}).values())

    async def free_at_s(self, priority: Priority) -> float:
        """Return when a call could be reserved, on the monotonic clock, without taking the slot."""
        now = Instant.of(self._clock)
        try:
            return await self._written(
                lambda conn: max(_open_until_s(conn, now), self._slot_s(conn, now, priority)[0])
            )
        except StoreUnavailable:
            return self._blind_at_s(now.s, priority)

    @property
    def is_blind(self) -> bool:
        """Whether the log could not be written just now: what is sent is counted in memory only."""
        return self._clock.monotonic_s() < self._blind_until_s

    async def _written(self, work: Work[T]) -> T:
        """Do work on the log, unless it has failed a moment ago."""
        if self.is_blind:
            raise StoreUnavailable("the log could not be written a moment ago")
        try:
            return await self._journal.call(work, timeout_s=self._commit_timeout_s)
        except StoreUnavailable:
            self._blind_until_s = self._clock.monotonic_s() + _BLIND_FOR_S
            raise

    def _grant(self, conn: sqlite3.Connection, ticket: _Ticket) -> _Granted:
        """Insert the row if breaker and windows allow; runs inside one transaction."""
        now = ticket.reserved
        cloud = _breaker(conn, _CLOUD, now)
        held_until_s = max(cloud.open_until_s, _breaker(conn, _HISTORY, now).open_until_s)
        if held_until_s > now.s:
            raise RateLimited("the breaker is open", held_until_s)
        free_s, frees_s = self._slot_s(conn, now, ticket.priority)
        if free_s > now.s:
            raise RateLimited("no slot is free", free_s)
        row_id = _insert(conn, ticket)
        frees_s[row_id] = self._limits.minute_free_s(now.s + self._wait_s, None)
        return _Granted(row_id, frees_s, cloud)

    def _slot_s(
        self, conn: sqlite3.Connection, now: Instant, priority: Priority
    ) -> tuple[float, dict[int, float]]:
        """Return when a call may go, and the minute marks by row id.

        The windows are read from the newest rows only.  Ids have no gaps, so the call that must have left the
        day window is found by its id; some older ones are looked at as well, for they may have ended later.
        """
        limits = self._limits
        newest: int | None = conn.execute("SELECT max(id) FROM call").fetchone()[0]
        if newest is None:
            return now.s, {}
        margin = 2 * limits.per_minute + 12
        frees_s = {
            row_id: limits.minute_free_s(reserved_s, completed_s)
            for row_id, reserved_s, completed_s in self._marks(conn.execute(_NEWEST, (newest, margin)), now)
        }
        edge = newest + 1 - limits.day_capacity(priority)
        leaving = conn.execute(_NEWEST, (edge, margin)) if edge > 0 else ()
        day_s = (
            limits.day_free_s(reserved_s, completed_s)
            for _, reserved_s, completed_s in self._marks(leaving, now)
        )
        minute_s = next_slot_s(now.s, list(frees_s.values()), (), limits, priority)
        return max(minute_s, max(day_s, default=now.s)), frees_s

    def _marks(self, rows: Iterable[_Row], now: Instant) -> Iterable[tuple[int, float, float | None]]:
        """Yield id, start and end of each call on this boot's clock."""
        for row_id, boot_id, reserved_s, reserved_at, completed_s, completed_at in rows:
            if boot_id == now.boot_id:
                yield row_id, reserved_s + (self._wait_s if completed_s is None else 0.0), completed_s
            else:
                yield row_id, now.s, self._foreign_end_s(row_id, reserved_at, completed_at, now)

    def _foreign_end_s(self, row_id: int, reserved_at: str, completed_at: str | None, now: Instant) -> float:
        """Return when a call of another boot ended at the latest; see the module's second rule."""
        lasting_s = self._limits.call_timeout_s + self._wait_s if completed_at is None else 0.0
        end_s = now.s + (from_text(completed_at or reserved_at) - now.at).total_seconds() + lasting_s
        if end_s < -_CLOCK_STEP_S:
            return end_s
        seen_s = self._first_seen_s.setdefault(row_id, now.s)
        return min(max(end_s, 0.0), seen_s + lasting_s)

    @property
    def _wait_s(self) -> float:
        """How much later than its row says a call may have left: it waited for its commit."""
        return 2.0 * self._commit_timeout_s

    def _grant_blindly(self, call_id: int, ticket: _Ticket) -> None:
        now_s = ticket.reserved.s
        free_s = self._blind_at_s(now_s, ticket.priority)
        if free_s > now_s:
            raise RateLimited("the log cannot be written: few calls go, and none to draw more", free_s)
        self._blind[call_id] = _Blind(now_s)

        def write(conn: sqlite3.Connection) -> None:
            ticket.row_id = _insert(conn, ticket)

        self._journal.post(write, vital=True)

    def _blind_at_s(self, now_s: float, priority: Priority) -> float:
        """Return when a call may leave that only this process's memory counts.

        The last one of a window is for safety, and no rise goes: a crash would forget that it was sent.
        """
        limits, unwritten = self._limits, self._limits.unwritten()
        only_safety = unwritten.per_minute == 1
        if priority is Priority.RISE or (priority is Priority.READ and only_safety):
            return now_s + _BLIND_RETRY_S
        ends = self._blind_ends_s(now_s)
        minute_s = [limits.minute_free_s(*end) for end in ends]
        day_s = sorted(limits.day_free_s(*end) for end in ends)
        return max(
            self._breaker.open_until_s,
            self._alone_at_s(now_s),
            next_slot_s(now_s, [*(self._frees_s or {}).values(), *minute_s], (), limits, priority),
            next_slot_s(now_s, minute_s, day_s, unwritten, priority),
        )

    def _alone_at_s(self, now_s: float) -> float:
        """Return when those who called before us are out of the window, if nothing was ever read of them."""
        if self._frees_s is not None:
            return now_s
        first_s = now_s if self._first_asked_s is None else self._first_asked_s
        return first_s + self._limits.window_s + self._limits.slack_s

    def _blind_ends_s(self, now_s: float) -> list[tuple[float, float | None]]:
        """Return start and end of each unwritten call that still holds a slot of the day."""
        self._blind = {
            call_id: blind
            for call_id, blind in self._blind.items()
            if self._limits.day_free_s(blind.reserved_s + self._wait_s, blind.completed_s) > now_s
        }
        return [(blind.reserved_s + self._wait_s, blind.completed_s) for blind in self._blind.values()]

    def _note_end(self, call_id: int, ticket: _Ticket, now_s: float) -> None:
        if (blind := self._blind.get(call_id)) is not None:
            blind.completed_s = now_s
        elif self._frees_s is not None and ticket.row_id in self._frees_s:
            self._frees_s[ticket.row_id] = self._limits.minute_free_s(ticket.reserved.s, now_s)


def hold_after_loss(conn: sqlite3.Connection, clock: Clock, limits: Limits) -> None:
    """Let no call leave for one window: the rows that counted the latest ones are gone."""
    now = Instant.of(clock)
    _hold(conn, _HISTORY, Breaker(now.s + limits.window_s + limits.slack_s), now)


def _insert(conn: sqlite3.Connection, ticket: _Ticket) -> int:
    now = ticket.reserved
    toward_safety = ticket.priority is Priority.SAFETY
    values = (now.boot_id, now.s, to_text(now.at), ticket.endpoint, ticket.subject, toward_safety)
    row_id = conn.execute(_INSERT, values).lastrowid
    if row_id is None:
        raise StoreUnavailable("SQLite gave the call no id")
    return row_id


def _open_until_s(conn: sqlite3.Connection, now: Instant) -> float:
    return max(_breaker(conn, name, now).open_until_s for name in (_CLOUD, _HISTORY))


def _breaker(conn: sqlite3.Connection, name: str, now: Instant) -> Breaker:
    row = conn.execute(
        "SELECT boot_id, open_until_s, open_until, strikes, kind FROM breaker WHERE name = ?", (name,)
    ).fetchone()
    if row is None:
        return Breaker()
    boot_id, open_until_s, open_until, strikes, kind = row
    until_s = min(now.s_of(boot_id, open_until_s, open_until), now.s + _LONGEST_HOLD_S)
    return Breaker(until_s, strikes, None if kind is None else Outcome(kind))


def _hold(conn: sqlite3.Connection, name: str, breaker: Breaker, now: Instant) -> None:
    kind = None if breaker.kind is None else breaker.kind.value
    until = to_text(now.at_of(breaker.open_until_s))
    conn.execute(_HOLD, (name, now.boot_id, breaker.open_until_s, until, breaker.strikes, kind))
