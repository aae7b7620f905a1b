"""Reads what is due and worth a call, and takes it into the world.

- stale: nothing is done about it here but to go on reading; the guards look at the age
- who retries: the polling plan, after 60 s and more, after 15 min if the cloud says that it is not ours
- giving up: one pass ends when the budget has no slot or after `PASS_S`; the rest comes in the next
- what the human sees: a house or charger lost, refused and back, once each; a refused token, once
"""

from __future__ import annotations

import math
from typing import Protocol

import structlog

from optimizer.clock import Clock
from optimizer.control.polling import Subject, Target, due_s, next_reads
from optimizer.domain import ChargerReading, SiteReading
from optimizer.errors import AuthError, CloudError, RateLimited, UnknownDevice
from optimizer.runtime.owner import Owner
from optimizer.runtime.recorder import Recorder
from optimizer.runtime.rules import Rules
from optimizer.runtime.world import ChargerView, SiteView, World

PASS_S = 45.0
_LOST_AFTER = 2
_SAME_INSTANT_S = 20.0
_HOUSE = "site"

_log = structlog.stdlib.get_logger("sunmode.reader")


class Eyes(Protocol):
    """What can be read from the cloud; each raises a `CloudError` where it cannot."""

    async def read_site(self) -> SiteReading:
        """Return the house's newest record."""
        ...

    async def read_charger(self, serial: str) -> ChargerReading:
        """Return the charger's newest record."""
        ...


class Reader:
    """Keeps the world up to date within the call budget."""

    def __init__(
        self, eyes: Eyes, world: World, rules: Rules, owner: Owner, recorder: Recorder, clock: Clock
    ) -> None:
        self._eyes = eyes
        self._owner = owner
        self._world = world
        self._rules = rules
        self._recorder = recorder
        self._clock = clock
        self._held_until_s = -math.inf
        self._refused = False

    def next_due_s(self) -> float:
        """Return when the next read is due and the budget is expected to have a slot for it."""
        poll = self._rules.poll
        return max(self._held_until_s, min(due_s(target, poll) for target in self._world.targets()))

    async def read_due(self) -> None:
        """Read what is due, the most valuable first, then turn a new sample into a surplus."""
        began_s = self._clock.monotonic_s()
        if began_s < self._held_until_s:
            return
        due = next_reads(self._world.targets(), began_s, self._rules.poll)
        self._world.drop_hints()
        for target in due:
            if self._clock.monotonic_s() > began_s + PASS_S or not await self._read(target):
                break
        self._world.estimate_surplus(self._clock.monotonic_s())

    async def read_unseen_chargers(self) -> None:
        """Read the chargers that were not read yet, before anything else uses the calls that are left."""
        for target in self._world.targets():
            unseen = target.subject is Subject.CHARGER and target.last_read_s is None
            if unseen and not await self._read(target):
                break

    async def _read(self, target: Target) -> bool:
        """Read one thing; return whether another call makes sense now."""
        try:
            if target.subject is Subject.SITE:
                return await self._read_site()
            view = self._world.chargers[target.key]
            was_read_meanwhile = view.tried_at_s != target.last_read_s
            return was_read_meanwhile or await self._read_charger(view)
        except RateLimited as held:
            self._held_until_s = held.retry_at_s
            return False

    async def _read_site(self) -> bool:
        site = self._world.site
        try:
            reading = await self._eyes.read_site()
        except RateLimited:
            raise
        except CloudError as error:
            return self._missed(site, error)
        self._found(site)
        if not self._world.absorb_site(reading, self._clock.monotonic_s()):
            return True
        self._recorder.site(reading)
        return await self._read_cars_at_the_sample()

    async def _read_cars_at_the_sample(self) -> bool:
        """Read the cars that may draw at the instant of a new sample: only together they tell the surplus."""
        for view in self._world.chargers.values():
            seen_s = self._clock.monotonic_s() - (view.read_at_s or -math.inf)
            if view.may_draw and seen_s > _SAME_INSTANT_S and not await self._read_charger(view):
                return False
        return True

    async def _read_charger(self, view: ChargerView) -> bool:
        try:
            reading = await self._eyes.read_charger(view.spec.serial)
        except RateLimited:
            raise
        except CloudError as error:
            return self._missed(view, error)
        self._found(view)
        noticed = view.absorb(reading, self._clock.monotonic_s())
        self._recorder.charger(view, noticed)
        if noticed.by_hand:
            self._owner.noticed(view, reading.received_at)
        return True

    def _missed(self, view: SiteView | ChargerView, error: CloudError) -> bool:
        view.failures += 1
        view.tried_at_s = self._clock.monotonic_s()
        was_refused, view.refused = view.refused, isinstance(error, UnknownDevice)
        if isinstance(error, AuthError):
            self._refuse(error)
        elif view.refused:
            if not was_refused:
                self._tell_missed("refused", view, f"is refused: {error}")
        elif view.failures == _LOST_AFTER:
            self._tell_missed("lost", view, f"cannot be read: {error}")
        return not isinstance(error, AuthError)

    def _tell_missed(self, kind: str, view: SiteView | ChargerView, how: str) -> None:
        what = _charger(view) or _HOUSE
        _log.warning(kind, what=what, error=how)
        self._recorder.event(kind, f"{what} {how}", charger=_charger(view), level="warning")

    def _found(self, view: SiteView | ChargerView) -> None:
        self._refused = False
        if view.refused or view.failures >= _LOST_AFTER:
            what = _charger(view) or _HOUSE
            _log.info("back", what=what, failures=view.failures)
            self._recorder.event("back", f"{what} is read again", charger=_charger(view))

    def _refuse(self, error: AuthError) -> None:
        if not self._refused:
            self._refused = True
            _log.error("the cloud refuses us", error=str(error))
            self._recorder.event("auth", f"the cloud refuses us: {error}", level="error")


def _charger(view: SiteView | ChargerView) -> str | None:
    return view.spec.name if isinstance(view, ChargerView) else None
