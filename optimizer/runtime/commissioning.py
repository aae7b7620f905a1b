"""Finds out whether GREEN works at one charger: sends it there, reads it back, and watches.

- stale: a sample of the house counts once, when its stamp is new; a watch ends after `watch_s`
- safe state: STOP, at the end and whatever goes wrong, unless GREEN is known to work
- who retries: a command is sent again once, readings go on until the end; the human repeats the whole
- giving up: when the charger does not obey, the car leaves or somebody else changes the mode
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from optimizer.clock import Clock
from optimizer.control.commissioning import Proof, Sample, Verdict, judged, sample
from optimizer.domain import ChargerReading, ChargerSpec, Mode, SiteReading
from optimizer.errors import AuthError, CloudError, RateLimited
from optimizer.runtime.one_command import OneCommand, send
from optimizer.solax.client import SolaxClient
from optimizer.store.commands import CommandState
from optimizer.store.log import Store

_AROUND_S = 150.0
"""A sample is up to one look old, and so is what the charger tells: the power must be steady for so long."""

_TRIES = 2
_LONGEST_WAIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How often is looked, how long a charger may take to obey, to settle then, and how long is watched."""

    look_s: float = 60.0
    obey_s: float = 150.0
    settle_s: float = 120.0
    watch_s: float = 2400.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one watch: what it proved, and in words why it ended or what was missing."""

    proof: Proof
    why: str


class _Ended(Exception):  # noqa: N818 - not a mishap
    """The watch can show nothing more."""


@dataclass(slots=True)
class Commissioning:
    """One charger's trial; `tell` hears each step as a line, `known` is what earlier trials have shown."""

    client: SolaxClient
    store: Store
    clock: Clock
    spec: ChargerSpec
    tell: Callable[[str], None]
    known: Proof = field(default_factory=Proof)
    patience: Patience = field(default_factory=Patience)
    _powers_w: deque[tuple[float, float]] = field(default_factory=deque)
    _samples: list[Sample] = field(default_factory=list)
    _stamp: str | None = None

    async def run(self) -> Seen:
        """Try the charger and leave it in GREEN if that works, else in STOP; without a car nothing is sent.

        Raises:
            CloudError: the charger cannot be read at all, or the token is refused.

        """
        first = await self._first()
        if not first.status.connected:
            state = "" if first.status.tells_of_car else f" that it tells of: it is {_word(first)}"
            return Seen(Proof(), f"no car is plugged in{state}")
        proof = Proof()
        try:
            seen = await self._tried(first)
            proof = seen.proof
        finally:
            if self.known.then(proof).verdict is not Verdict.WORKS:
                await self._leave_in_stop()
        return seen

    async def _first(self) -> ChargerReading:
        """Read the charger, after a wait where the budget wants a short one."""
        try:
            return await self._charger()
        except RateLimited as held:
            if held.retry_at_s - self.clock.monotonic_s() > _LONGEST_WAIT_S:
                raise
            await self._until(held)
            return await self._charger()

    async def _tried(self, first: ChargerReading) -> Seen:
        """Command GREEN and watch; whatever ends it says why."""
        try:
            if first.mode is not Mode.GREEN:
                await self._reach(Mode.GREEN, toward_safety=False)
            self.tell(
                f"{self.spec.name} is in GREEN; watching for up to {self.patience.watch_s / 60:.0f} min"
            )
            await self._watch()
        except _Ended as end:
            return Seen(judged(self._samples, self.spec), str(end))
        proof = judged(self._samples, self.spec)
        return Seen(proof, "" if proof.is_new else self._nothing_shown())

    async def _reach(self, mode: Mode, *, toward_safety: bool) -> None:
        """Send a mode and wait until a reading shows it; send it once more where none does."""
        for attempt in range(1, _TRIES + 1):
            reason = f"{mode.name}, to find out whether GREEN works at {self.spec.name}"
            command = OneCommand(mode, [self.spec], reason, toward_safety, attempt)
            ids = await self._sent(command)
            sent_s = self.clock.monotonic_s()
            self.tell(f"{self.spec.name}: {mode.name} was sent and accepted")
            while self.clock.monotonic_s() < sent_s + self.patience.obey_s:
                await self.clock.sleep(self.patience.look_s / 2.0)
                reading = await self._charger_if_it_can_be()
                if reading is not None and reading.mode is mode:
                    self.store.note(ids, CommandState.CONFIRMED)
                    return
            self.store.note(ids, CommandState.UNKNOWN)
        raise _Ended(f"it does not obey: {mode.name} was sent twice and never read back")

    async def _sent(self, command: OneCommand) -> list[int]:
        """Send, after a wait where the budget wants one."""
        try:
            return await send(command, self.client, self.store, self.clock)
        except RateLimited as held:
            await self._until(held)
            return await send(command, self.client, self.store, self.clock)

    async def _watch(self) -> None:
        """Look at charger and house in turn until something is shown or the time is over."""
        began_s = self.clock.monotonic_s()
        while (passed_s := self.clock.monotonic_s() - began_s) < self.patience.watch_s:
            reading = await self._charger_if_it_can_be()
            if reading is not None:
                self._check(reading)
            house = await self._house_if_it_can_be()
            if reading is not None and house is not None and passed_s >= self.patience.settle_s:
                self._take(house, reading)
            if judged(self._samples, self.spec).is_new:
                return
            await self.clock.sleep(self.patience.look_s)

    def _check(self, reading: ChargerReading) -> None:
        if not reading.status.connected and reading.status.tells_of_car:
            raise _Ended("the car was unplugged")
        if reading.mode is not None and reading.mode is not Mode.GREEN:
            raise _Ended(f"somebody set it to {reading.mode.name} meanwhile")

    def _take(self, house: SiteReading, reading: ChargerReading) -> None:
        """Keep a new sample of the house, and say what it tells."""
        since_s = self.clock.monotonic_s() - _AROUND_S
        powers_w = [power_w for at_s, power_w in self._powers_w if at_s >= since_s]
        found = sample(house, powers_w, reading.status)
        if found is None:
            self.tell(
                "a sample of the house that cannot be used: the car's power was changing, or a part lacks"
            )
            return
        self._samples.append(found)
        self.tell(f"surplus {found.least_w:.0f} W, the car draws {found.ev_w:.0f} W ({_word(reading)})")

    async def _charger(self) -> ChargerReading:
        reading = await self.client.read_charger(self.spec.serial)
        self.store.charger_reading(self.spec.name, reading)
        at_rest = reading.status.tells_of_car and not reading.status.draws
        ev_w = 0.0 if reading.ev_w is None and at_rest else reading.ev_w
        if ev_w is not None:
            self._powers_w.append((self.clock.monotonic_s(), ev_w))
        return reading

    async def _charger_if_it_can_be(self) -> ChargerReading | None:
        try:
            return await self._charger()
        except CloudError as error:
            await self._bear(error)
            return None

    async def _house_if_it_can_be(self) -> SiteReading | None:
        """Return the house's newest sample, if it is another one than before."""
        try:
            reading = await self.client.read_site()
        except CloudError as error:
            await self._bear(error)
            return None
        self.store.site_reading(reading)
        before, self._stamp = self._stamp, reading.stamp
        return None if before is None or reading.stamp in {None, before} else reading

    async def _bear(self, error: CloudError) -> None:
        """Wait where calls are held back, go on after a lost reading; a refused token is for the human."""
        if isinstance(error, AuthError):
            raise error
        if isinstance(error, RateLimited):
            await self._until(error)
        else:
            self.tell(f"not read: {error}")

    async def _until(self, held: RateLimited) -> None:
        wait_s = max(1.0, held.retry_at_s - self.clock.monotonic_s())
        self.tell(f"waiting {wait_s:.0f} s for the call budget")
        await self.clock.sleep(wait_s)

    async def _leave_in_stop(self) -> None:
        try:
            await self._reach(Mode.STOP, toward_safety=True)
        except (CloudError, _Ended) as error:
            self.tell(f"{self.spec.name} may be in GREEN still: {error}; set it to STOP in the SolaX app")
        else:
            self.tell(f"{self.spec.name} is in STOP, for GREEN is not known to work")

    def _nothing_shown(self) -> str:
        if not self._samples:
            return (
                "no sample of the house could be used: was the car's power changing, or the house not read?"
            )
        if all(one.status.finished for one in self._samples):
            return "the car takes nothing: it is full, or waits by itself"
        return "the surplus stayed near the gear, or the car took less than there was: try at another time"


def _word(reading: ChargerReading) -> str:
    return reading.status.name.lower().replace("_", " ")
