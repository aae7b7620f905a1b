"""Reads what is due and worth a call, and takes it into the world.

- stale: nothing is done about it here but to go on reading; the guards look at the age
- who retries: the polling plan, after 60 s and more
- giving up: one pass ends when the budget has no slot or after `PASS_S`; the rest comes in the next
- what the human sees: a house or charger lost and back, once each; a refused token, once
"""

from __future__ import annotations

import math
from typing import Protocol

import structlog

from optimizer.clock import Clock
from optimizer.control.polling import due_s, next_reads
from optimizer.domain import ChargerReading, SiteReading
from optimizer.errors import AuthError, CloudError, RateLimited
from optimizer.runtime.owner import Owner
from optimizer.runtime.recorder import Recorder
from optimizer.runtime.rules import Rules
from optimizer.runtime.world import SITE, ChargerView, SiteView, World

PASS_S = 45.0
_LOST_AFTER = 2
_SAME_INSTANT_S = 20.0

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
        due = (target.key for target in next_reads(self._world.targets(), began_s, self._rules.poll))
        for key in dict.fromkeys((*self._world.take_hints(), *due)):
            if self._clock.monotonic_s() > began_s + PASS_S or not await self._read(key):
                break
        self._world.estimate_surplus(self._clock.monotonic_s())

    async def _read(self, key: str) -> bool:
        """Read one thing; return whether another call makes sense now."""
        try:
            if key == SITE:
                return await self._read_site()
            return await self._read_charger(self._world.chargers[key])
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
            return self._missed(SITE, site, error)
        self._found(SITE, site)
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
            return self._missed(view.spec.name, view, error)
        self._found(view.spec.name, view)
        noticed = view.absorb(reading, self._clock.monotonic_s())
        self._recorder.charger(view, noticed)
        if noticed.by_hand:
            self._owner.noticed(view, reading.received_at)
        return True

    def _missed(self, key: str, view: SiteView | ChargerView, error: CloudError) -> bool:
        view.failures += 1
        view.tried_at_s = self._clock.monotonic_s()
        if isinstance(error, AuthError):
            self._refuse(error)
        elif view.failures == _LOST_AFTER:
            _log.warning("lost", what=key, error=str(error))
            self._recorder.event(
                "lost", f"{key} cannot be read: {error}", charger=_charger(key), level="warning"
            )
        return not isinstance(error, AuthError)

    def _found(self, key: str, view: SiteView | ChargerView) -> None:
        self._refused = False
        if view.failures >= _LOST_AFTER:
            _log.info("back", what=key, failures=view.failures)
            self._recorder.event("back", f"{key} is read again", charger=_charger(key))

    def _refuse(self, error: AuthError) -> None:
        if not self._refused:
            self._refused = True
            _log.error("the cloud refuses us", error=str(error))
            self._recorder.event("auth", f"the cloud refuses us: {error}", level="error")


def _charger(key: str) -> str | None:
    return None if key == SITE else key
