"""The log as the service sees it: cheap telemetry, certain commands, a ledger that counts.

- stale: nothing is cached but the last overrides; every question is answered from the file
- safe state: where the file cannot be written, `StoreUnavailable` says so and the service goes on without it
- who retries: the writer, for what was posted; the caller, for what it waits for
- giving up: telemetry beyond 1,000 waiting rows, oldest first, counted in `dropped`
- what the human sees: an event for a lost or full file, and one log line each when lost and when back
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from optimizer.clock import Clock
from optimizer.control.budget import Limits
from optimizer.control.energy import EnergyRow
from optimizer.domain import ChargerReading, Decision, Goal, Mode, SiteReading
from optimizer.store import rows
from optimizer.store.accounts import Accounts, write_accounts
from optimizer.store.commands import (
    Callback,
    CommandState,
    Intent,
    add_callback,
    insert_intents,
    mark,
)
from optimizer.store.database import FileId, copy_to, file_id
from optimizer.store.forecasts import ForecastLog
from optimizer.store.goals import GoalLog
from optimizer.store.ledger import Instant, Ledger, hold_after_loss
from optimizer.store.logfile import FileOptions, LogFile, Mishap
from optimizer.store.overrides import Override, read_overrides, write_override
from optimizer.store.prices import PriceLog
from optimizer.store.pruning import PRUNED, drop_unused, prune_step
from optimizer.store.recovery import Recovered, recover, write_stamp_seen
from optimizer.store.shadows import ShadowLog
from optimizer.store.sqlite import StoreUnavailable, connect_reader
from optimizer.store.thinning import (
    DecisionMark,
    keeps_charger_reading,
    keeps_decision,
    keeps_site_reading,
)
from optimizer.store.writer import InlineWriter, Journal, Writer

T = TypeVar("T")


@dataclass(slots=True)
class _Last:
    """What was written last, to tell what is worth writing now."""

    site: SiteReading | None = None
    chargers: dict[str, ChargerReading] = field(default_factory=dict)
    decisions: dict[str, DecisionMark] = field(default_factory=dict)
    connected: dict[str, bool] = field(default_factory=dict)


class Store:
    """One open log; made by `Store.open`, ended by `close`."""

    def __init__(self, path: Path, clock: Clock, journal: Journal, ledger: Ledger) -> None:
        self.path = path
        self.ledger = ledger
        self.shadows = ShadowLog(journal)
        self.forecasts = ForecastLog(path, journal)
        self.prices = PriceLog(journal)
        self.goals = GoalLog(journal, self._asked)
        self._clock = clock
        self._journal = journal
        self._last = _Last()
        self._reader: sqlite3.Connection | None = None
        self._reader_of: FileId | None = None
        self._overrides: tuple[Override, ...] = ()

    @classmethod
    def open(
        cls,
        path: Path,
        clock: Clock,
        *,
        limits: Limits | None = None,
        rng: random.Random | None = None,
        inline: bool = False,
        options: FileOptions | None = None,
    ) -> Store:
        """Open the log at `path`, or make it; blocks while an existing file is checked.

        `inline` writes in the caller's thread: for virtual time (with `FileOptions(durable=False,
        ballast_bytes=0)`) and for short-lived commands.  Otherwise a thread does, and `clock` must be one
        that any thread may read.  `rng` jitters the breaker's waits.

        Raises:
            StoreUnavailable: `inline`, and the file is locked or cannot be written; a thread tries again.
            InputError: a newer sunmode has written it.

        """
        limits = limits or Limits()
        file = LogFile(path, options or FileOptions(), partial(_on_mishap, clock=clock, limits=limits))
        journal: Journal
        if inline:
            file.open()
            journal = InlineWriter(file)
        else:
            journal = writer = Writer(file)
            writer.start()
        ledger = Ledger(journal, clock, limits, rng or random.Random(clock.boot_id))  # noqa: S311 - jitter
        return cls(path, clock, journal, ledger)

    @property
    def dropped(self) -> int:
        """How many rows were given up since the start."""
        return self._journal.dropped

    # Telemetry: posted, never waited for, thinned.

    def site_reading(self, reading: SiteReading) -> None:
        """Log a reading of the house if its stamp is new."""
        if not keeps_site_reading(self._last.site, reading):
            return
        now = Instant.of(self._clock)
        new_stamp = self._last.site is None or self._last.site.stamp != reading.stamp
        self._last.site = reading

        def write(conn: sqlite3.Connection) -> None:
            if new_stamp and not _stamp_known(conn, reading.stamp):
                write_stamp_seen(conn, reading.stamp, now)
            rows.add_site_reading(conn, reading)

        self._journal.post(write)

    def charger_reading(self, charger: str, reading: ChargerReading) -> None:
        """Log a reading of a charger if it says something new, or now and then."""
        self._last.connected[charger] = reading.status.connected
        if keeps_charger_reading(self._last.chargers.get(charger), reading):
            self._last.chargers[charger] = reading
            self._journal.post(lambda conn: rows.add_charger_reading(conn, charger, reading))

    def decision(
        self,
        decision: Decision,
        inputs: Mapping[str, object],
        context: Mapping[str, object] | None = None,
    ) -> None:
        """Log a decision if it is another one, or now and then, with all that is needed to replay it.

        `inputs` is what changes each cycle, `context` what seldom does: equal contexts share one row.
        """
        kept = DecisionMark.of(decision)
        connected = self._last.connected.get(decision.charger, False)
        if keeps_decision(self._last.decisions.get(decision.charger), kept, connected=connected):
            self._last.decisions[decision.charger] = kept
            self._journal.post(lambda conn: rows.add_decision(conn, decision, inputs, context))

    def event(
        self, kind: str, message: str, *, charger: str | None = None, level: str = "info", **detail: object
    ) -> None:
        """Log something that happened, in a sentence."""
        at = self._clock.now()
        self._journal.post(
            lambda conn: rows.add_event(conn, at, level, kind, message, charger, detail),
            vital=level != "info",
        )

    def account(
        self, energy: Iterable[EnergyRow], sessions: Mapping[str, EnergyRow], accounts: Accounts
    ) -> None:
        """Add rows to the quarter-hour sums, set those of the open sessions, and note how far all this tells.

        One transaction: after a crash nothing is counted twice, and nothing left out.
        """
        kept, sums = tuple(energy), tuple(sessions.items())

        def write(conn: sqlite3.Connection) -> None:
            rows.add_energy(conn, kept)
            for charger, row in sums:
                rows.update_session(conn, charger, row)
            write_accounts(conn, accounts)

        self._journal.post(write, vital=True)

    def session_started(self, charger: str, at: datetime, goal: Goal | None = None) -> None:
        """Open a charging session."""
        self._journal.post(lambda conn: rows.start_session(conn, charger, at, goal), vital=True)

    def session_ended(self, charger: str, at: datetime) -> None:
        """Close the open session."""
        self._journal.post(lambda conn: rows.end_session(conn, charger, at), vital=True)

    # Commands: committed before these return.

    async def intend(self, intents: Sequence[Intent]) -> list[int]:
        """Commit what is about to be sent and return the ids; without this nothing may be sent.

        Raises:
            StoreUnavailable: it could not be committed; only a move toward safety may go on without.

        """
        now = Instant.of(self._clock)
        return await self._journal.call(lambda conn: insert_intents(conn, intents, now))

    def note(
        self,
        command_ids: Sequence[int],
        state: CommandState,
        *,
        task_id: str | None = None,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        """Move commands to a `state` that is true already, any but `sent`; written soon, and not lost."""
        if command_ids:
            now = Instant.of(self._clock)
            kept = tuple(command_ids)
            self._journal.post(lambda conn: mark(conn, kept, state, now, task_id, detail), vital=True)

    async def mark(
        self,
        command_ids: Sequence[int],
        state: CommandState,
        *,
        task_id: str | None = None,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        """Move commands to `state`; all but `sent` tell what is true already, and may be written later.

        Raises:
            StaleIntent: to be `sent`, but the intent is older than 60 s, of another boot, or sent before.
            StoreUnavailable: to be `sent`, but that could not be committed.
            ValueError: no such command.

        """
        now = Instant.of(self._clock)

        def write(conn: sqlite3.Connection) -> None:
            mark(conn, command_ids, state, now, task_id, detail)

        try:
            await self._journal.call(write)
        except StoreUnavailable:
            if state is CommandState.SENT:
                raise
            self._journal.post(write, vital=True)

    async def callback(self, callback: Callback) -> tuple[str, ...]:
        """Append a callback to its commands; return the chargers to read, none if unknown or repeated.

        Raises:
            StoreUnavailable: it could not be looked up.

        """
        at = self._clock.now()
        return await self._journal.call(lambda conn: add_callback(conn, callback, at))

    async def recover(self) -> Recovered:
        """Take over from the run before, once, before the first cycle.

        Raises:
            StoreUnavailable: the log cannot be written now.

        """
        now = Instant.of(self._clock)
        recovered = await self._journal.call(lambda conn: recover(conn, now), timeout_s=10.0)
        self._last.site = recovered.site
        self._overrides = recovered.overrides
        return recovered

    # The owner's word.

    async def set_override(
        self, charger: str | None, mode: Mode | None, until: datetime, origin: str
    ) -> None:
        """Hold `mode` until `until` for one charger or all (None); `mode` None is automatic again.

        Raises:
            StoreUnavailable: it could not be committed.

        """
        override = Override(self._clock.now(), charger, mode, until, origin)
        await self._journal.call(lambda conn: write_override(conn, override))

    def active_overrides(self, now: datetime) -> tuple[Override, ...]:
        """Return the orders in force, newest first; cheap enough for every cycle, and it never waits.

        Where the file cannot be read the last known ones hold on until their end.
        """
        found = self._asked(lambda conn: read_overrides(conn, now))
        self._overrides = tuple(one for one in self._overrides if one.until > now) if found is None else found
        return self._overrides

    def _asked(self, ask: Callable[[sqlite3.Connection], T]) -> T | None:
        """Return what the file says, None where it cannot be read now; it never waits."""
        try:
            return ask(self._reading())
        except (sqlite3.Error, OSError):
            self._stop_reading()
            return None

    # Upkeep: calendar jobs.

    async def prune(self, before: datetime, calls_before: datetime | None = None) -> int:
        """Delete what is older, in small steps that let others write between; return the number of rows.

        Energy, sessions and scores stay.  `calls_before` (default: `before`) is for the call ledger, of which
        the last two days are needed; a command under way stays.
        """
        deleted = 0
        ends = [(table, column, before) for table, column in PRUNED]
        for table, column, end in [*ends, ("call", "reserved_at", calls_before or before)]:
            step = partial(prune_step, table=table, column=column, end=end)
            while count := await self._journal.call(step):
                deleted += count
        await self._journal.call(drop_unused)
        return deleted

    async def backup(self, to: Path) -> None:
        """Write a consistent copy, in a thread of its own, without holding up the writer.

        Raises:
            StoreUnavailable: the copy cannot be written.

        """
        await self.flush()
        try:
            await asyncio.to_thread(_copy, self.path, to)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"{to}: {error}") from error

    async def flush(self) -> None:
        """Return when everything posted so far is in the file."""
        await self._journal.flush()

    def close(self) -> None:
        """Write what waits, for at most 3 s, fold the journal in and close."""
        self._stop_reading()
        self._journal.close()

    def _reading(self) -> sqlite3.Connection:
        """Return the connection that reads in the caller's thread, to the file that lies at the path now."""
        current = file_id(self.path)
        if self._reader is None or self._reader_of != current:
            self._stop_reading()
            self._reader, self._reader_of = connect_reader(self.path), current
        return self._reader

    def _stop_reading(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _on_mishap(conn: sqlite3.Connection, mishap: Mishap, *, clock: Clock, limits: Limits) -> None:
    kind = "log_lost" if mishap.lost else "disk_full"
    rows.add_event(conn, clock.now(), "error", kind, mishap.message, None, {})
    if mishap.lost:
        hold_after_loss(conn, clock, limits)


def _stamp_known(conn: sqlite3.Connection, stamp: str | None) -> bool:
    """Tell whether the newest row has this stamp already: an earlier run saw it first."""
    row = conn.execute("SELECT stamp FROM site_reading ORDER BY id DESC LIMIT 1").fetchone()
    return row is not None and row[0] == stamp


def _copy(path: Path, to: Path) -> None:
    with closing(connect_reader(path)) as conn:
        copy_to(conn, to)
