"""A command of a program that is no service: intent, sending, and what the cloud said, in the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optimizer.clock import Clock
from optimizer.domain import ChargerSpec, Mode
from optimizer.errors import CloudError, RateLimited, Refused
from optimizer.solax.client import SolaxClient
from optimizer.store.commands import CommandState, Intent
from optimizer.store.log import Store


@dataclass(frozen=True, slots=True)
class OneCommand:
    """What to send to whom and why; one call carries it."""

    mode: Mode
    specs: Sequence[ChargerSpec]
    reason: str
    toward_safety: bool
    attempt: int = 1

    def intents(self, clock: Clock) -> list[Intent]:
        """Return one intent for each charger."""
        now = clock.now()
        return [
            Intent(spec.name, spec.serial, self.mode, now, self.attempt, self.toward_safety, self.reason)
            for spec in self.specs
        ]


async def send(command: OneCommand, client: SolaxClient, store: Store, clock: Clock) -> list[int]:
    """Send a command once; return the ids of its rows when the cloud has accepted it.

    Raises:
        CloudError: it was not accepted; the log says so, too.

    """
    ids = await store.intend(command.intents(clock))

    async def leaving() -> None:
        await store.mark(ids, CommandState.SENT)

    serials = [spec.serial for spec in command.specs]
    try:
        answer = await client.set_mode(
            command.mode, serials, toward_safety=command.toward_safety, leaving=leaving
        )
    except CloudError as error:
        held = isinstance(error, RateLimited | Refused)
        store.note(ids, CommandState.FAILED if held else CommandState.UNKNOWN, detail={"error": str(error)})
        raise
    store.note(ids, CommandState.ACCEPTED, task_id=answer.task_id)
    return ids
