"""What a kilowatt hour costs, per quarter hour of the clock: flat, or out of a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from optimizer.backtest.case import SLOT_MIN, Floats
from optimizer.backtest.house_file import stamp
from optimizer.backtest.table_file import Ints, Table, check_finite, read_table, regular_step_s
from optimizer.errors import InputError

COLUMN = "eur_per_kwh"
HELD_S = 3 * 3600
"""The longest gap, and the longest time after the file's end, over which a price stands on."""
ALLOWED_EUR = (-1.0, 5.0)
"""What a flat price may be, EUR per kWh."""

_SLOT_S = SLOT_MIN * 60
_STEP_S = (_SLOT_S, 3600)
_TYPICAL_EUR = 5.0
"""A median beyond this is ct per kWh or EUR per MWh."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Either a flat price, or a file's: `price = csv * factor + adder`; all in EUR per kWh."""

    file: Path | None = None
    factor: float = 1.0
    adder: float = 0.0
    flat_eur_per_kwh: float = 0.30
    feed_in_eur_per_kwh: float = 0.08


def import_prices(prices: Prices, start: datetime, slots: int) -> tuple[Floats, tuple[str, ...]]:
    """Return the price of each quarter hour, the first being the one that `start` lies in, and notes.

    Raises:
        InputError: what is wrong with the file, or which time it does not cover.

    """
    _check_flat(prices.flat_eur_per_kwh, "price")
    if prices.file is None:
        return np.full(slots, prices.flat_eur_per_kwh), ()
    if not (math.isfinite(prices.factor) and math.isfinite(prices.adder)):
        raise InputError("price-factor and price-adder must be finite numbers")
    table = read_table(prices.file, (COLUMN,))
    regular_step_s(table, *_STEP_S)
    check_finite(table, COLUMN)
    first_s = int(start.timestamp()) // _SLOT_S * _SLOT_S
    csv_prices, held = _in_force(table, first_s + _SLOT_S * np.arange(slots))
    _check_unit(prices, float(np.median(np.abs(csv_prices))))
    notes = (f"{prices.file.name}: {held} quarter hours have the price before",) if held else ()
    return csv_prices * prices.factor + prices.adder, notes


def feed_in_prices(prices: Prices, slots: int) -> Floats:
    """Return what an exported kWh earns, per quarter hour.

    Raises:
        InputError: it is out of range.

    """
    _check_flat(prices.feed_in_eur_per_kwh, "feed-in")
    return np.full(slots, prices.feed_in_eur_per_kwh)


def _in_force(table: Table, slots_s: Ints) -> tuple[Floats, int]:
    """Return the last price at or before each quarter hour's start, and for how many it stands on.

    A row that lacks its price counts as missing.  A price stands for its own step and `HELD_S` beyond.
    """
    there = ~np.isnan(table.values[COLUMN])
    times_s, values = table.time_s[there], table.values[COLUMN][there]
    if not len(times_s):
        raise InputError(f"{table.path}: {COLUMN} is empty")
    step_s = int(np.diff(table.time_s).min())
    rows = np.searchsorted(times_s, slots_s, side="right") - 1
    beyond_s = slots_s - (times_s[rows] + step_s)
    covered = (rows >= 0) & (beyond_s < HELD_S)
    if not covered.all():
        lacking = slots_s[~covered]
        told = (
            f"no price for {len(lacking)} quarter hours between {_at(lacking[0])} and {_at(lacking[-1])}; "
            f"the file goes from {_at(times_s[0])} to {_at(times_s[-1])}; gaps of up to 3 h are bridged"
        )
        raise InputError(f"{table.path}: {told}")
    return values[rows], int((beyond_s >= 0).sum())


def _check_unit(prices: Prices, median: float) -> None:
    if median * abs(prices.factor) > _TYPICAL_EUR:
        told = (
            f"{COLUMN} is {median:g} in the median: this looks like EUR per MWh (use --price-factor 0.001) "
        )
        raise InputError(f"{prices.file}: {told}or ct per kWh (use --price-factor 0.01)")


def _check_flat(price: float, name: str) -> None:
    least, most = ALLOWED_EUR
    if not least <= price <= most:
        raise InputError(f"{name} {price:g}: allowed are {least:g} to {most:g} EUR per kWh (not ct)")


def _at(seconds: np.int64) -> str:
    return stamp(datetime.fromtimestamp(int(seconds), UTC))
