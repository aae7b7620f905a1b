"""Series of numbers over time out of CSV or Parquet, by column name; whatever else a file has is ignored.

Times become whole seconds since the epoch, numbers floats that are NaN where there is none.  Anything that
cannot be understood is an `InputError` with the file and its line (CSV) or row (Parquet, counted from 0).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from optimizer.config.words import did_you_mean
from optimizer.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TIME = "time"
EXAMPLE = "2019-05-01T18:04+02:00 or 2019-05-01T16:04Z"
_UNNAMED_INDEX = "__index_level_0__"
"""How pandas calls an index without a name when it writes Parquet."""
_PARQUET, _SQLITE = b"PAR1", b"SQLite format 3\0"
_LAST_S = 4_102_444_800
"""The beginning of 2100."""
_EMPTY = ["", "NaN", "nan", "NA", "null", "None"]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length; `lines` tells whether rows are told as lines of a text."""

    path: Path
    lines: bool
    time_s: Ints
    values: Mapping[str, Floats]

    def place(self, row: int) -> str:
        """Return where a row stands, and its time."""
        at = datetime.fromtimestamp(int(self.time_s[row]), UTC)
        return f"{_place(self.path, row, lines=self.lines)} ({at:%Y-%m-%dT%H:%MZ})"


def is_sqlite(path: Path) -> bool:
    """Whether the file is a database of SQLite, as sunmode's own log is; raises like `read_table`."""
    return _magic(path) == _SQLITE


def read_table(path: Path, names: Sequence[str], hint: str = "", instants: Sequence[str] = ()) -> Table:
    """Read `time` and the numbers called `names` from CSV or Parquet.

    `hint` is added where a column is missing.  `instants` are columns of times; their values are seconds
    since the epoch.

    Raises:
        InputError: no such file, neither of the two formats, a missing column, or what is no time or number.

    """
    lines = _magic(path)[:4] != _PARQUET
    wanted = (TIME, *instants, *names)
    columns = (_csv_columns if lines else _parquet_columns)(path, wanted, hint)
    if not len(columns[0]):
        raise InputError(f"{path}: has no rows")
    time_s = _seconds(path, TIME, columns[0], lines=lines)
    values = {
        name: _numbers(path, name, column, lines=lines)
        for name, column in zip(names, columns[1 + len(instants) :], strict=True)
    }
    for name, column in zip(instants, columns[1:], strict=False):
        values[name] = _seconds(path, name, column, lines=lines).astype(np.float64)
    return Table(path, lines, time_s, values)


def require_columns(path: Path, names: Sequence[str]) -> None:
    """Check that the file can be opened and has these columns; raises like `read_table`."""
    if _magic(path)[:4] == _PARQUET:
        _check_names(path, _parquet_names(path), names, "")
    else:
        _check_names(path, csv_header(path), names, "")


def csv_header(path: Path) -> list[str]:
    """Return the names of a CSV file's columns.

    Raises:
        InputError: it cannot be read as text with commas.

    """
    _magic(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
    except OSError as error:
        raise InputError(f"{path}: {reason(error)}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is neither Parquet nor CSV text in UTF-8") from error
    if not header:
        raise InputError(f"{path}: is empty; its first line must name the columns")
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise InputError(f"{path}:1: columns are parted by commas (and decimals by points), not by ; or tabs")
    return header


def missing(path: Path, name: str, there: Sequence[str], hint: str = "") -> InputError:
    """Return the error that says that a column is not there."""
    listed = ", ".join(there[:20]) or "none"
    return InputError(f"{path}: no column '{name}'{did_you_mean(name, there)} (there are: {listed}){hint}")


def regular_step_s(table: Table, least_s: int, most_s: int) -> int:
    """Return the step of the times in seconds; rows may be missing, but none may lie between the steps.

    Raises:
        InputError: times are out of order, twice there or off the step, or the step is not allowed.

    """
    if len(table.time_s) < 2:  # noqa: PLR2004 - one row has no step
        raise InputError(f"{table.path}: has one row; it needs at least two to tell the step")
    steps_s = np.diff(table.time_s)
    _check_order(table, steps_s)
    sizes, counts = np.unique(steps_s, return_counts=True)
    step_s = int(sizes[np.argmax(counts)])
    if not (least_s <= step_s <= most_s and step_s % 60 == 0):
        allowed = f"{least_s // 60} to {most_s // 60} whole minutes"
        raise InputError(f"{table.path}: the step of time is {_span(step_s)}; allowed are {allowed}")
    odd = np.flatnonzero(steps_s % step_s)
    if odd.size:
        row = int(odd[0]) + 1
        told = f"follows {_span(int(steps_s[row - 1]))} after the row before, the step is {_span(step_s)}"
        raise InputError(f"{table.place(row)}: {told}")
    if table.time_s[0] % 60:
        raise InputError(f"{table.place(0)}: time must be on whole minutes")
    return step_s


def check_finite(table: Table, name: str) -> None:
    """Raise `InputError` where the column is infinite; NaN is allowed."""
    bad = np.flatnonzero(np.isinf(table.values[name]))
    if bad.size:
        raise InputError(f"{table.place(int(bad[0]))}: {name} is infinite; it must be a number")


def reason(error: OSError) -> str:
    """Return what went wrong with a file in few words."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return "is a directory" if isinstance(error, IsADirectoryError) else error.strerror or "cannot be read"


def _magic(path: Path) -> bytes:
    try:
        if path.is_fifo() or path.is_char_device():
            raise InputError(f"{path}: is no regular file; it is read more than once")
        with path.open("rb") as file:
            return file.read(len(_SQLITE))
    except (OSError, ValueError) as error:
        # ValueError: a name with a zero byte.
        raise InputError(
            f"{path}: {reason(error) if isinstance(error, OSError) else 'no such file'}"
        ) from error


def _check_order(table: Table, steps_s: Ints) -> None:
    bad = np.flatnonzero(steps_s <= 0)
    if bad.size:
        row = int(bad[0]) + 1
        what = "is there twice" if steps_s[row - 1] == 0 else "is earlier than the row before"
        raise InputError(f"{table.place(row)}: time {what}; times must ascend")


def _span(seconds: int) -> str:
    return f"{seconds} s" if seconds % 60 else f"{seconds // 60} min"


def _place(path: Path, row: int, *, lines: bool) -> str:
    return f"{path}:{row + 2}" if lines else f"{path}, row {row}"


def _check_names(path: Path, there: Sequence[str], names: Sequence[str], hint: str) -> None:
    for name in names:
        if name not in there:
            raise missing(path, name, there, hint)
        if list(there).count(name) > 1:
            raise InputError(f"{path}: the column '{name}' is there twice")


def _csv_columns(path: Path, names: Sequence[str], hint: str) -> list[pa.Array]:
    import pyarrow as pa
    import pyarrow.csv as pacsv

    _check_names(path, csv_header(path), names, hint)
    convert = pacsv.ConvertOptions(
        include_columns=list(dict.fromkeys(names)),
        column_types=dict.fromkeys(names, pa.string()),
        strings_can_be_null=True,
        null_values=_EMPTY,
    )
    try:
        # One thread: only then does a message name the row.
        options = pacsv.ReadOptions(use_threads=False)
        table = pacsv.read_csv(path, read_options=options, convert_options=convert)
    except (OSError, pa.ArrowException) as error:
        told = str(error).removeprefix("CSV parse error: ").partition("\n")[0]
        raise InputError(f"{path}: cannot be read as CSV text in UTF-8: {told}") from error
    return [table[name].combine_chunks() for name in names]


def _parquet_names(path: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: is damaged: it begins like Parquet and cannot be read") from error


def _parquet_columns(path: Path, names: Sequence[str], hint: str) -> list[pa.Array]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    there = _parquet_names(path)
    if TIME not in there and _UNNAMED_INDEX in there:
        there = [TIME if name == _UNNAMED_INDEX else name for name in there]
        stored = [_UNNAMED_INDEX if name == TIME else name for name in names]
    else:
        stored = list(names)
    _check_names(path, there, names, hint)
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=stored)
        return [table[name].combine_chunks() for name in stored]
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path}: is damaged: it begins like Parquet and cannot be read") from error


def _seconds(path: Path, name: str, column: pa.Array, *, lines: bool) -> Ints:
    """Return a column of instants or of ISO texts as whole seconds since the epoch."""
    import pyarrow as pa

    if column.null_count:
        row = _first(column.is_null())
        raise InputError(f"{_place(path, row, lines=lines)}: {name} is empty; it needs one like {EXAMPLE}")
    if pa.types.is_timestamp(column.type) and column.type.tz is None:
        raise InputError(f"{path}: {name} has no zone; it must be UTC or carry its offset, like {EXAMPLE}")
    if not (pa.types.is_timestamp(column.type) or _is_text(column.type)):
        raise InputError(f"{path}: {name} must be instants, not {column.type}")
    try:
        milliseconds = _array(column.cast(pa.timestamp("ms", tz="UTC"), safe=False).cast(pa.int64()))
    except pa.ArrowException as error:
        raise _no_time(path, name, column, lines=lines) from error
    far = np.flatnonzero((milliseconds < 0) | (milliseconds >= _LAST_S * 1000))
    if far.size:
        place = _place(path, int(far[0]), lines=lines)
        raise InputError(f"{place}: {name} must lie between the years 1970 and 2100")
    odd = np.flatnonzero(milliseconds % 1000)
    if odd.size:
        raise InputError(f"{_place(path, int(odd[0]), lines=lines)}: {name} must be on whole seconds")
    return cast("Ints", milliseconds // 1000)


def _no_time(path: Path, name: str, texts: pa.Array, *, lines: bool) -> InputError:
    """Say which of the texts is no time with an offset."""
    for row, text in enumerate(texts.to_pylist()):
        place = _place(path, row, lines=lines)
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return InputError(f"{place}: {text[:40]!r} is no time like {EXAMPLE}")
        if at.tzinfo is None:
            return InputError(
                f"{place}: {name} {text!r} has no zone; it needs UTC or an offset, like {EXAMPLE}"
            )
    return InputError(f"{path}: not all of {name} is written like {EXAMPLE}")


def _numbers(path: Path, name: str, column: pa.Array, *, lines: bool) -> Floats:
    """Return a column as floats, NaN where it is empty.

    Not by `to_numpy`, which imports pandas: half a second and 60 MB for nothing.
    """
    import pyarrow as pa

    try:
        floats = column.cast(pa.float64(), safe=False)
    except pa.ArrowException as error:
        row = _first_bad(column) if _is_text(column.type) else None
        if row is None:
            raise InputError(f"{path}: {name} must hold numbers, not {column.type}") from error
        text = str(column[row].as_py())[:40]
        raise InputError(f"{_place(path, row, lines=lines)}: {name} {text!r} is no number") from error
    # A copy: Arrow's memory is read-only.
    filled = floats.fill_null(math.nan) if floats.null_count else floats
    return np.array(_array(filled), dtype=np.float64)


def _first_bad(texts: pa.Array) -> int | None:
    for row, text in enumerate(texts.to_pylist()):
        try:
            float(text or "nan")
        except ValueError:
            return row
    return None


def _first(flags: pa.Array) -> int:
    return int(flags.index(True).as_py())


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _array(values: pa.Array) -> NDArray[Any]:
    return np.from_dlpack(values)
