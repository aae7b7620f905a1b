"""Production and load of a house over time, looked up by the second."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from optimizer.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Floats = np.ndarray[tuple[int], np.dtype[np.float32]]
    Times = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class HouseSeries:
    """Power means of equal steps, repeated for ever: beyond its end the series starts again.

    A value holds for its whole step, as a mean does; so energies are those of the file.
    """

    start_s: float
    step_s: float
    pv_w: array[float]
    load_w: array[float]

    @property
    def period_s(self) -> float:
        """Length of the series until it repeats."""
        return self.step_s * len(self.pv_w)

    @property
    def start(self) -> datetime:
        """Time of the first step, aware UTC."""
        return datetime.fromtimestamp(self.start_s, UTC)

    def at(self, t_s: float) -> tuple[float, float]:
        """Return `(pv_w, load_w)` at `t_s` seconds after the epoch; the load is without the car."""
        step = int((t_s - self.start_s) // self.step_s) % len(self.pv_w)
        return self.pv_w[step], self.load_w[step]


def house_series(start: datetime, step_s: float, pv_w: Floats, load_w: Floats) -> HouseSeries:
    """Build a series from arrays of equal length, W; refuses what is not finite or negative."""
    import numpy as np

    for name, values in (("pv_w", pv_w), ("load_w", load_w)):
        bad = np.flatnonzero(~np.isfinite(values) | (values < 0.0))
        if bad.size:
            raise InputError(
                f"{name} of row {bad[0]} is {values[bad[0]]}: it must be a number of at least 0 W"
            )
    if not 0 < len(pv_w) == len(load_w):
        raise InputError("pv_w and load_w must have the same number of rows, at least one")
    return HouseSeries(start.timestamp(), step_s, _view(pv_w), _view(load_w))


def read_house(path: Path, pv_scale: float = 1.0) -> HouseSeries:
    """Read Parquet with `time` (UTC, any regular step), `pv_w` and `load_w` (without the car).

    `pv_scale` multiplies the production.  Raises `InputError` for a missing file or column,
    an irregular step, or values that are missing or negative.
    """
    times_s, pv_w, load_w = _read_columns(path)
    step_s = _regular_step_s(path, times_s)
    start = datetime.fromtimestamp(float(times_s[0]), UTC)
    return house_series(start, step_s, pv_w * pv_w.dtype.type(pv_scale), load_w)


def _read_columns(path: Path) -> tuple[Times, Floats, Floats]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ("time", "pv_w", "load_w")
    try:
        with pq.ParquetFile(path) as file:
            time, pv_w, load_w = (file.read(columns=[name])[name].combine_chunks() for name in names)
        return _epoch_s(time), _watts(pv_w), _watts(load_w)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise InputError(f"{path}: needs to be Parquet with the columns time, pv_w and load_w") from error


def _epoch_s(times: pa.Array) -> Times:
    import numpy as np
    import pyarrow as pa

    milliseconds = np.from_dlpack(times.cast(pa.timestamp("ms"), safe=False).cast(pa.int64()))
    return cast("Times", milliseconds.astype(np.float64) / 1000.0)


def _watts(values: pa.Array) -> Floats:
    """Return the values, NaN where there is none.

    Not by `to_numpy`, which imports pandas: half a second and 60 MB for nothing.
    """
    import numpy as np
    import pyarrow as pa

    floats = values.cast(pa.float32(), safe=False)
    return cast("Floats", np.from_dlpack(floats.fill_null(float("nan")) if floats.null_count else floats))


def _regular_step_s(path: Path, times_s: Times) -> float:
    import numpy as np

    steps_s = np.diff(times_s)
    if not steps_s.size or steps_s[0] <= 0.0:
        raise InputError(f"{path}: time must ascend over at least two rows")
    odd = np.flatnonzero(steps_s != steps_s[0])
    if odd.size:
        raise InputError(
            f"{path}: the step after row {odd[0]} is {steps_s[odd[0]]:g} s, not {steps_s[0]:g} s"
        )
    return float(steps_s[0])


def _view(values: Floats) -> array[float]:
    # An array of the standard library hands out plain floats, four times faster than numpy its scalars.
    return array("f", values.astype("float32").tobytes())
