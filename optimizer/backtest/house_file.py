"""A house over time, by the minute: production and the load without the car.

- Values are means over `[time, time + step)`, held for each of its minutes.
- Gaps, rows that are missing or that lack one of the two powers, of up to an hour are bridged with the last
  value before.  Longer ones are left out, and so is what is missing at the beginning and the end.
- Where the load is known, a production that is empty because the inverter sleeps at `night` is 0 W, no gap.
- What no house has is refused, and so is what looks like another unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from optimizer.backtest.case import Floats
from optimizer.backtest.night import Flags, nights, runs
from optimizer.backtest.table_file import Table, check_finite, read_table, regular_step_s
from optimizer.errors import InputError

HELD_MIN = 60
"""The longest gap that is bridged."""
STEP_MIN = (1, 60)
MOST_SCALE = 1000.0

_MOST_DAYS = 7300
_NOISE_W = -5.0
_MOST_W = 1e6
_KW_PEAK = 50.0
"""A file whose highest value is below this has kW in it: a house's W reach hundreds, its kW a few dozens."""
_KW_LOAD = 5.0
_TOLD = 5


@dataclass(frozen=True, slots=True)
class HouseColumns:
    """How a file's columns are called, and what is done to the production."""

    pv: str = "pv_w"
    load: str = "load_w"
    pv_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class HouseData:
    """Powers by the minute from `start` on (aware UTC); what is not `known` is 0 W."""

    start: datetime
    pv_w: Floats
    load_w: Floats
    known: Flags
    notes: tuple[str, ...] = ()

    @property
    def end(self) -> datetime:
        """The first moment after the data."""
        return self.start + timedelta(minutes=len(self.pv_w))

    def minute(self, at: datetime) -> int:
        """Return the minute that `at` lies in, counted from `start`; it may lie outside."""
        return (at - self.start) // timedelta(minutes=1)

    def between(self, since: datetime | None, until: datetime | None) -> HouseData:
        """Return the part in `[since, until)`, as far as there is one.

        Raises:
            InputError: nothing of the data lies there.

        """
        first = max(0, self.minute(since)) if since else 0
        last = min(len(self.pv_w), max(0, self.minute(until))) if until else len(self.pv_w)
        if first >= last or not self.known[first:last].any():
            span = f"{stamp(self.start)} to {stamp(self.end)}"
            raise InputError(f"no data between --from and --to: the house's data goes from {span}")
        part = slice(first, last)
        start = self.start + timedelta(minutes=first)
        return replace(
            self, start=start, pv_w=self.pv_w[part], load_w=self.load_w[part], known=self.known[part]
        )


def read_house(path: Path, columns: HouseColumns) -> HouseData:
    """Read a house from CSV or Parquet, see the module's text.

    Raises:
        InputError: what is wrong, with file, column, line or row, and what would be right.

    """
    check_scale(columns.pv_scale)
    names = tuple(dict.fromkeys((columns.pv, columns.load)))
    hint = "; other names: --pv-column NAME, --load-column NAME"
    table = read_table(path, names, hint)
    step_s = regular_step_s(table, STEP_MIN[0] * 60, STEP_MIN[1] * 60)
    if table.time_s[-1] - table.time_s[0] > _MOST_DAYS * 86_400:
        span = f"{table.place(0)} to {table.place(len(table.time_s) - 1)}"
        raise InputError(f"{span}: at most {_MOST_DAYS // 365} years can be run at once")
    for name in names:
        _check_power(table, name)
    _check_unit(table, columns)
    pv_w, load_w = (_on_grid(table, name, step_s) for name in (columns.pv, columns.load))
    asleep = nights(pv_w, step_s // 60) & ~np.isnan(load_w)
    pv_w = np.where(asleep, 0.0, pv_w)
    start = datetime.fromtimestamp(int(table.time_s[0]), UTC)
    found = minutes_of(path.name, start, pv_w * columns.pv_scale, load_w, step_min=step_s // 60)
    return replace(found, notes=(*_night_note(path.name, columns.pv, asleep, step_s // 60), *found.notes))


def check_scale(pv_scale: float) -> None:
    """Raise `InputError` for a factor that makes no sense."""
    if not 0.0 <= pv_scale <= MOST_SCALE:
        raise InputError(f"pv-scale {pv_scale:g}: allowed are 0 to {MOST_SCALE:g}")


def minutes_of(
    name: str, start: datetime, pv_w: Floats, load_w: Floats, *, step_min: int, held_min: int = HELD_MIN
) -> HouseData:
    """Return the house by the minute from values of equal steps, NaN where there is none.

    Raises:
        InputError: there is no value at all.

    """
    lacking = np.isnan(pv_w) | np.isnan(load_w)
    there = np.flatnonzero(~lacking)
    if not there.size:
        raise InputError(f"{name}: no row has both powers")
    first, last = int(there[0]), int(there[-1]) + 1
    trimmed, outside_min = slice(first, last), (first + len(pv_w) - last) * step_min
    gaps = runs(lacking[trimmed])
    long = [(begin, end) for begin, end in gaps if (end - begin) * step_min > held_min]
    known = np.ones(last - first, dtype=np.bool_)
    for begin, end in long:
        known[begin:end] = False
    start += timedelta(minutes=first * step_min)
    pv_w, load_w = (np.repeat(_held(w[trimmed], known), step_min) for w in (pv_w, load_w))
    bridged = sum(end - begin for begin, end in gaps) - sum(end - begin for begin, end in long)
    notes = _gap_notes(name, start, long, step_min, bridged * step_min)
    if outside_min:
        notes = (*notes, f"{name}: {_hours(outside_min)} without data at the beginning or end are left out")
    return HouseData(start, pv_w, load_w, np.repeat(known, step_min), notes)


def _check_power(table: Table, name: str) -> None:
    values = table.values[name]
    check_finite(table, name)
    for bad, allowed in (
        (np.flatnonzero(values < _NOISE_W), "it must be at least 0 W"),
        (np.flatnonzero(values > _MOST_W), "more than 1 MW is no house; it must be in W"),
    ):
        if bad.size:
            row = int(bad[0])
            raise InputError(f"{table.place(row)}: {name} is {values[row]:g}: {allowed}")


def _check_unit(table: Table, columns: HouseColumns) -> None:
    """Raise where the values look like kW; a column of zeros may be true."""
    for name in (columns.pv, columns.load):
        values = table.values[name][~np.isnan(table.values[name])]
        most = float(values.max()) if values.size else 0.0
        small = 0.0 < most < _KW_PEAK
        if small and (name == columns.pv or np.median(values) < _KW_LOAD):
            told = f"{name} is {most:g} at the most: this looks like kW, it must be in W"
            raise InputError(f"{table.path}: {told} (times 1000)")


def _on_grid(table: Table, name: str, step_s: int) -> Floats:
    """Return a column with a place for each step, NaN where a row is missing; noise below 0 is 0."""
    places = (table.time_s - table.time_s[0]) // step_s
    grid = np.full(int(places[-1]) + 1, math.nan)
    grid[places] = np.maximum(table.values[name], 0.0)
    return grid


def _held(values: Floats, known: Flags) -> Floats:
    """Return the values with the last one before in place of what is empty; 0 where nothing is known."""
    last = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))))
    return np.where(known, values[last], 0.0)


def _night_note(name: str, column: str, asleep: Flags, step_min: int) -> tuple[str, ...]:
    if not asleep.any():
        return ()
    spent = _hours(int(asleep.sum()) * step_min)
    return (f"{name}: {column} is empty in {spent} of night, 0 W there",)


def _gap_notes(
    name: str, start: datetime, long: list[tuple[int, int]], step_min: int, bridged_min: int
) -> tuple[str, ...]:
    notes = []
    if long:
        spans = ", ".join(
            f"{stamp(start + timedelta(minutes=begin * step_min))} for {_hours((end - begin) * step_min)}"
            for begin, end in long[:_TOLD]
        )
        more = f" and {len(long) - _TOLD} more" if len(long) > _TOLD else ""
        total = _hours(sum(end - begin for begin, end in long) * step_min)
        notes.append(f"{name}: {len(long)} gaps ({total}) are left out: {spans}{more}")
    if bridged_min:
        notes.append(f"{name}: {_hours(bridged_min)} in short gaps are bridged with the value before")
    return tuple(notes)


def _hours(minutes: int) -> str:
    return f"{minutes / 60:.1f} h"


def stamp(at: datetime) -> str:
    """Return an instant for a message, in UTC."""
    return f"{at:%Y-%m-%dT%H:%MZ}"
