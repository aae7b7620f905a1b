"""What a kWh cost and earned on a day that is over: as it was in force, out of the log."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from optimizer.backtest.case import Floats
from optimizer.domain import Tariff
from optimizer.store.instants import from_text, to_text
from optimizer.store.queries import has_table, reading
from optimizer.tariffs.market import InForce


def read_in_force(path: Path, start_including: datetime, end_excluding: datetime) -> tuple[InForce, ...]:
    """Return the entries that tell of a stretch of time, ascending; the first one may have begun before it.

    Raises:
        InputError: no readable log.

    """
    with reading(path) as conn:
        if not has_table(conn, "price"):
            return ()
        rows = conn.execute(
            "SELECT slot, import_eur_per_kwh, feed_in_eur_per_kwh, known FROM price WHERE slot < ?1"
            " AND slot >= coalesce((SELECT max(slot) FROM price WHERE slot <= ?2), ?2) ORDER BY slot",
            (to_text(end_excluding), to_text(start_including)),
        )
        return tuple(
            InForce(from_text(slot), price, earned, bool(known)) for slot, price, earned, known in rows
        )


def day_prices(
    entries: Sequence[InForce], tariff: Tariff, starts: Sequence[datetime]
) -> tuple[Floats, Floats]:
    """Return what a kWh cost and earned in each quarter hour; what the log does not tell is of the tariff."""
    paid: list[float] = []
    earned: list[float] = []
    for start in starts:
        begun = bisect_right(entries, start, key=lambda entry: entry.slot)
        entry = entries[begun - 1] if begun else None
        paid.append(tariff.price_eur_per_kwh(start) if entry is None else entry.import_eur_per_kwh)
        earned.append(tariff.earned_eur_per_kwh(start) if entry is None else entry.feed_in_eur_per_kwh)
    return np.array(paid), np.array(earned)
