"""One provider and what is kept of it: its last forecast, the record of its calls, and its last trouble.

- stale: a forecast older than the provider's terms say, or one that does not tell of the next hour
- safe state: none is needed; who has no forecast decides without
- who retries: the next refresh that the record allows, see `record`
- giving up: never
- what the human sees: one event when a provider fails and one when it is back
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from optimizer.domain import Forecast
from optimizer.errors import BadAnswer, CloudError, SunmodeError, Throttled
from optimizer.forecast.plausible import refuse_implausible
from optimizer.forecast.provider import HOUR, Asked, Provider
from optimizer.forecast.record import Record
from optimizer.forecast.roof import SLOT

_UNCOUNTED = "its calls cannot be counted now: the log can be neither read nor written"

Announce = Callable[[str, str, str], None]
"""Takes an event: its kind, its level and a sentence."""


class Memory(Protocol):
    """Where records outlive the process."""

    async def recall(self, name: str) -> Any:
        """Return what was noted last under a name, None where nothing was."""
        ...

    async def note(self, name: str, value: Any) -> None:
        """Keep a value; raises `SunmodeError` where it could not be written."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What all desks share; `peak_w` None: the roof is not known, and nothing can be checked against it."""

    memory: Memory
    announce: Announce
    rng: random.Random
    peak_w: float | None


class Desk:
    """Asks one provider as often as it may be asked."""

    def __init__(self, provider: Provider, rules: Rules, forecast: Forecast | None = None) -> None:
        self.name = provider.name
        self._provider = provider
        self._rules = rules
        self._forecast = forecast
        self._record: Record | None = None
        self._trouble = ""

    async def latest(self, asked: Asked) -> Forecast | None:
        """Return the newest forecast there is, after asking for a newer one if it is time; None: none."""
        record = await self._known_record(asked.now)
        if record is None:
            self._fail(_UNCOUNTED)
        elif record.may_ask(asked.now, self._provider.terms):
            await self._ask(record, asked)
        return self.fresh(asked.now)

    def fresh(self, now: datetime) -> Forecast | None:
        """Return the last forecast while it stands."""
        forecast = self._forecast
        if forecast is None or not forecast.slots:
            return None
        age_s = (now - forecast.issued_at).total_seconds()
        ends = forecast.slots[-1].start_including + SLOT
        return forecast if abs(age_s) <= self._provider.terms.stale_s and ends > now + HOUR else None

    @property
    def trouble(self) -> str:
        """Why the last asking brought nothing; empty where it did."""
        return self._trouble

    async def _known_record(self, now: datetime) -> Record | None:
        """Return the record; None where it cannot be read and calls have to be counted."""
        if self._record is None:
            self._record = await self._recalled()
        if self._record is not None and self._record.due_at is None:
            self._record = self._record.postponed(now, self._delay_s())
            await self._note(self._record)
        return self._record

    async def _recalled(self) -> Record | None:
        try:
            return Record.from_json(await self._rules.memory.recall(self.name))
        except SunmodeError:
            return None if self._provider.terms.quotas else Record()
        except (TypeError, KeyError, ValueError):
            return Record()

    async def _ask(self, record: Record, asked: Asked) -> None:
        terms = self._provider.terms
        record = record.begun(asked.now, terms)
        if not await self._note(record) and terms.quotas:
            # What cannot be counted is not spent.
            self._fail(_UNCOUNTED)
            return
        try:
            self._forecast = await self._checked(asked)
        except CloudError as error:
            told_s = error.retry_after_s if isinstance(error, Throttled) else None
            before = replace(record, failures=record.failures - 1)
            record = before.failed(asked.now, self._delay_s(), told_s)
            self._fail(str(error))
        else:
            record = record.succeeded(asked.now, terms, self._delay_s())
            self._recover()
        await self._note(record)

    async def _checked(self, asked: Asked) -> Forecast:
        try:
            forecast = await self._provider.fetch(asked)
        except SunmodeError:
            raise
        except Exception as fault:
            # Whatever nobody thought of, the next one in the list shall stand in.
            raise BadAnswer(f"its answer could not be read ({type(fault).__name__})") from fault
        if self._rules.peak_w is not None:
            refuse_implausible(forecast, asked, self._rules.peak_w)
        return forecast

    async def _note(self, record: Record) -> bool:
        self._record = record
        try:
            await self._rules.memory.note(self.name, record.to_json())
        except SunmodeError:
            return False
        return True

    def _delay_s(self) -> float:
        return self._rules.rng.uniform(0.0, self._provider.terms.jitter_s)

    def _fail(self, why: str) -> None:
        if not self._trouble:
            self._rules.announce("forecast_lost", "warning", f"{self.name} gives no forecast: {why}")
        self._trouble = why

    def _recover(self) -> None:
        if self._trouble:
            self._rules.announce("forecast_back", "info", f"{self.name} gives forecasts again")
        self._trouble = ""
