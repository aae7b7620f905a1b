"""Learns each night what chargers really draw, and lets plans count on it; what the owner has set stands.

- stale: experience is of the last 60 days; without enough of it nothing is assumed
- safe state: never more power than the configuration says, GREEN at rest only where it was seen to work
- who retries: the next night
- what the human sees: an event when something was found, once; `sunmode check` and `status` at any time
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from optimizer.clock import Clock
from optimizer.control.commissioning import Verdict
from optimizer.domain import ChargerSpec
from optimizer.errors import InputError
from optimizer.forecast.charger import (
    LEARNT_FROM,
    Doubt,
    Drawn,
    Experience,
    countable_w,
    doubts,
    experience,
    words,
)
from optimizer.runtime.rules import Rules
from optimizer.runtime.world import World
from optimizer.store.experience import (
    BUSY_MS,
    NOTHING,
    Known,
    charger_readings,
    known_at,
    site_readings,
    write_experience,
)
from optimizer.store.log import Store
from optimizer.store.sqlite import StoreUnavailable

_NEWS_SHARE = 0.1
_INLINE_BUSY_MS = 5


@dataclass(frozen=True, slots=True)
class Lesson:
    """What the log tells of one charger: whether that is news, and which doubts were not told before."""

    spec: ChargerSpec
    experience: Experience
    is_news: bool
    doubts: tuple[Doubt, ...]


def honoured(rules: Rules, known: Mapping[str, Known], green_commissioned: bool | None) -> Rules:
    """Return the rules with what experience tells where the owner has said nothing.

    GREEN is the resting mode only where it works at every charger.
    """
    specs = tuple(counted_on(spec, known) for spec in rules.chargers)
    green = green_commissioned
    if green is None:
        green = all(known.get(spec.serial, NOTHING).proof.verdict is Verdict.WORKS for spec in specs)
    return replace(rules, chargers=specs, guard=replace(rules.guard, green_commissioned=green))


def counted_on(spec: ChargerSpec, known: Mapping[str, Known]) -> ChargerSpec:
    """Return a charger with the power that a plan may count on."""
    power_w = countable_w(spec, known.get(spec.serial, NOTHING).experience)
    return spec if power_w is None else replace(spec, car_max_w=power_w)


def learn(path: Path, specs: Sequence[ChargerSpec], now: datetime, busy_ms: int = BUSY_MS) -> list[Lesson]:
    """Learn from the log at `path`, keep it there, and return one lesson for each charger.

    Raises:
        StoreUnavailable: the log cannot be read or written now.

    """
    try:
        return list(_lessons(path, specs, now, busy_ms))
    except InputError as error:
        raise StoreUnavailable(str(error)) from error


def _lessons(path: Path, specs: Sequence[ChargerSpec], now: datetime, busy_ms: int) -> Iterator[Lesson]:
    since, before = now - LEARNT_FROM, known_at(path)
    house = site_readings(path, since)
    for spec in specs:
        known = before.get(spec.serial, NOTHING)
        found = experience(spec, charger_readings(path, spec.name, since), house)
        doubted = doubts(spec, found)
        news = tuple(doubt for doubt in doubted if doubt.code not in known.told)
        told = tuple(doubt.code for doubt in doubted)
        write_experience(path, spec, now, found, told, busy_ms=busy_ms)
        yield Lesson(spec, found, _is_news(known.experience, found), news)


@dataclass(frozen=True, slots=True)
class Learning:
    """The nightly job; `specs` are the chargers as the owner has configured them."""

    store: Store
    world: World
    specs: tuple[ChargerSpec, ...]
    clock: Clock
    inline: bool

    async def run(self) -> None:
        """Learn, tell what is new, and count on it from now on; the loop is not held up."""
        await self.store.flush()
        busy_ms = _INLINE_BUSY_MS if self.inline else BUSY_MS
        work = partial(learn, self.store.path, self.specs, self.clock.now(), busy_ms)
        for lesson in work() if self.inline else await asyncio.to_thread(work):
            self._tell(lesson)
            known = {lesson.spec.serial: Known(lesson.experience)}
            self.world.chargers[lesson.spec.name].spec = counted_on(lesson.spec, known)

    def _tell(self, lesson: Lesson) -> None:
        name, text = lesson.spec.name, words(lesson.experience)
        if lesson.is_news and text:
            self.store.event("learnt", f"{name}: {text}", charger=name)
        for doubt in lesson.doubts:
            self.store.event("doubt", doubt.sentence, charger=name, level="warning", code=doubt.code)


def _is_news(before: Experience, after: Experience) -> bool:
    """Tell whether another power than before was found, or another number of phases."""
    moved = any(
        _differ(old, new)
        for old, new in ((before.fast, after.fast), (before.eco_floor, after.eco_floor))
        if new is not None
    )
    return moved or (after.phases is not None and after.phases != before.phases)


def _differ(old: Drawn | None, new: Drawn) -> bool:
    return old is None or abs(new.power_w - old.power_w) > _NEWS_SHARE * old.power_w
