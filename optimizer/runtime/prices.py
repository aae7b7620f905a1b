"""The tariff now and ahead: asked of its sources when that is due, kept in the log, filled up with guesses.

- stale: prices of the past are never taken for today's; the newest known day stands in, marked as a guess
- safe state: without any price the flat one of the configuration; a guess is never below 0
- who retries: the calendar, every five minutes, as far as `tariffs.asking` lets it
- giving up: never
- what the human sees: one event when prices are missing and one when they are back, and `sunmode check`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import structlog

from optimizer.domain import Tariff
from optimizer.errors import SunmodeError, Throttled
from optimizer.sources.prices import Asked, PriceSource
from optimizer.store.log import Store
from optimizer.store.prices import Remembered
from optimizer.tariffs.asking import LONGEST_DELAY, Tries, is_due, wanted_until
from optimizer.tariffs.market import Plan, kept
from optimizer.tariffs.slots import NEVER, Slots, known_until

MARKET, FEED_IN = "market", "feed_in"
PATIENCE = timedelta(hours=2)
"""How long after they should be there prices may be missing before it is told."""

_log = structlog.stdlib.get_logger("sunmode.prices")


@dataclass(slots=True)
class Feed:
    """One source with what it has said; `identity` changes where the owner names another one."""

    source: PriceSource
    identity: str
    slots: Slots = field(default_factory=dict)
    tries: Tries = field(default_factory=Tries)
    trouble: str = ""
    missed: bool = False

    @property
    def memory(self) -> Remembered:
        """What must survive a restart."""
        return Remembered(self.identity, self.slots, self.tries)

    async def ask(self, asked: Asked) -> None:
        """Ask for today's and tomorrow's prices; whatever goes wrong is noted."""
        now, before, wait_s = asked.now, known_until(self.slots, asked.now), None
        try:
            found = await self.source.prices(asked)
            self.slots = kept({**self.slots, **found}, now, asked.zone)
            self.trouble = ""
        except Throttled as error:
            self.trouble, wait_s = str(error), error.retry_after_s
        except SunmodeError as error:
            self.trouble = str(error)
        gained = known_until(self.slots, now) > before
        self.tries = self.tries.after(now, gained=gained, retry_after_s=wait_s)


class Prices:
    """Knows the tariff at any time; `open` it once to have its sources asked."""

    def __init__(self, plan: Plan, delay: timedelta = LONGEST_DELAY / 2) -> None:
        self._plan = plan
        self._delay = delay
        self._feeds: dict[str, Feed] = {}
        self._tariff: tuple[date, Tariff] | None = None

    def open(self, feeds: Mapping[str, Feed], past: Mapping[str, Remembered]) -> None:
        """Take the sources, with what they said in an earlier run."""
        self._feeds = dict(feeds)
        for name, feed in self._feeds.items():
            memory = past.get(name)
            if memory is not None and memory.identity == feed.identity:
                feed.slots, feed.tries = memory.slots, memory.tries
        self._tariff = None

    @property
    def is_fed(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self._feeds)

    def tariff_at(self, now: datetime) -> Tariff:
        """Return the tariff as it is known; the same object until a day or a price is new."""
        today = now.astimezone(self._plan.zone).date()
        if self._tariff is None or self._tariff[0] != today:
            market, feed_in = self._slots(MARKET), self._slots(FEED_IN) or self._slots(MARKET)
            zone = self._plan.zone
            tariff = self._plan.tariff(now, kept(market, now, zone), kept(feed_in, now, zone))
            self._tariff = (today, tariff)
        return self._tariff[1]

    async def refresh(self, clock_now: Callable[[], datetime], store: Store) -> None:
        """Ask what is due, keep what comes, and tell once of what is missing or back."""
        for name, feed in self._feeds.items():
            now = clock_now()
            if is_due(now, known_until(feed.slots, now), feed.tries, self._plan.zone, self._delay):
                # Noted before it is sent: a process that dies of the answer must not ask again at once.
                asking = replace(feed.memory, tries=feed.tries.after(now, gained=False))
                store.prices.remember(name, asking)
                await feed.ask(Asked(now, self._plan.zone))
                store.prices.remember(name, feed.memory)
                self._tariff = None
            self._tell(name, feed, clock_now(), store)

    def _slots(self, name: str) -> Slots:
        return self._feeds[name].slots if name in self._feeds else {}

    def _tell(self, name: str, feed: Feed, now: datetime, store: Store) -> None:
        until = known_until(feed.slots, now)
        missing = until < wanted_until(now, self._plan.zone, self._delay + PATIENCE)
        if missing and not feed.missed:
            message = missing_words(name, feed, now, self._plan)
            _log.warning("prices are missing", source=name, why=feed.trouble or None)
            store.event("prices_missing", message, level="warning")
        elif feed.missed and not missing:
            _log.info("prices are back", source=name)
            store.event("prices_back", f"{_WORDS[name]} prices are known again until {self._local(until)}")
        feed.missed = missing

    def _local(self, at: datetime) -> str:
        return f"{at.astimezone(self._plan.zone):%a %H:%M}"


_WORDS = {MARKET: "the market's", FEED_IN: "the feed-in's"}


def missing_words(name: str, feed: Feed, now: datetime, plan: Plan) -> str:
    """Return what is missing, why, and what is done without."""
    until, why = known_until(feed.slots, now), feed.trouble or "the source has none yet"
    if until == NEVER:
        flat = f"{name_of_flat(name)} stands in"
        return f"{_WORDS[name]} prices are not known ({why}); {flat}"
    since = f"{until.astimezone(plan.zone):%a %H:%M}"
    return f"{_WORDS[name]} prices from {since} on are not known ({why}); the newest known day's stand in"


def name_of_flat(name: str) -> str:
    """Return the key of the price that stands where nothing was ever known."""
    return "tariff.import_eur_per_kwh" if name == MARKET else "tariff.feed_in_eur_per_kwh"
