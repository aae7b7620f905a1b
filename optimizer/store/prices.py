"""Prices in the log: what was in force, and for a restart what each source said and when it was asked."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from optimizer.store.instants import from_text, optional_instant, optional_text, to_json, to_text
from optimizer.store.writer import Journal
from optimizer.tariffs.asking import Tries
from optimizer.tariffs.market import InForce
from optimizer.tariffs.slots import SLOT, Slots

_STATE = "prices."


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a source has said, and when it was asked; `identity` tells whether it is still the same source."""

    identity: str
    slots: Slots
    tries: Tries


class PriceLog:
    """Hands prices to the writer; never waited for, never dropped."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def in_force(self, entries: Iterable[InForce]) -> None:
        """Write what holds from the first entry on, in place of what was expected before."""
        self._journal.post(partial(write_in_force, tuple(entries)), vital=True)

    def remember(self, name: str, memory: Remembered) -> None:
        """Write what is known of a source."""
        self._journal.post(partial(write_memory, name, memory), vital=True)


def write_in_force(entries: tuple[InForce, ...], conn: sqlite3.Connection) -> None:
    """Replace all of `price` from the first entry on."""
    if not entries:
        return
    conn.execute("DELETE FROM price WHERE slot >= ?", (to_text(entries[0].slot),))
    conn.executemany(
        "INSERT INTO price (slot, import_eur_per_kwh, feed_in_eur_per_kwh, known) VALUES (?,?,?,?)",
        (
            (to_text(one.slot), one.import_eur_per_kwh, one.feed_in_eur_per_kwh, int(one.known))
            for one in entries
        ),
    )


def write_memory(name: str, memory: Remembered, conn: sqlite3.Connection) -> None:
    """Write to `state`."""
    tries = memory.tries
    value = {
        "identity": memory.identity,
        "runs": _runs(memory.slots),
        "tries": [to_text(at) for at in tries.at],
        "in_vain": tries.in_vain,
        "not_before": optional_text(tries.not_before),
    }
    conn.execute("INSERT OR REPLACE INTO state (name, value) VALUES (?,?)", (_STATE + name, to_json(value)))


def read_memories(conn: sqlite3.Connection) -> dict[str, Remembered]:
    """Return what is known of each source, by its name."""
    rows = conn.execute("SELECT name, value FROM state WHERE name GLOB ?", (f"{_STATE}*",))
    return {name.removeprefix(_STATE): _memory(json.loads(value)) for name, value in rows}


def _memory(value: dict[str, Any]) -> Remembered:
    tries = Tries(
        tuple(from_text(at) for at in value["tries"]),
        value["in_vain"],
        optional_instant(value["not_before"]),
    )
    return Remembered(value["identity"], _slots(value["runs"]), tries)


def _runs(slots: Slots) -> list[list[Any]]:
    """Return unbroken runs of quarter hours as their start and their prices."""
    runs: list[list[Any]] = []
    following: datetime | None = None
    for start in sorted(slots):
        if start != following:
            runs.append([to_text(start), []])
        runs[-1][1].append(slots[start])
        following = start + SLOT
    return runs


def _slots(runs: list[list[Any]]) -> dict[datetime, float]:
    return {
        from_text(start) + number * SLOT: price
        for start, prices in runs
        for number, price in enumerate(prices)
    }
