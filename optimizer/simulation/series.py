"""Production and load of a house over time, looked up by the second."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from optimizer.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Floats = np.ndarray[tuple[int], np.dtype[np.float32]]


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
    import numpy as np

    table = _read_table(path)
    times_s = _epoch_s(table["time"])
    step_s = _regular_step_s(path, times_s)
    pv_w = table["pv_w"].to_numpy().astype(np.float32) * np.float32(pv_scale)
    load_w = table["load_w"].to_numpy().astype(np.float32)
    return house_series(datetime.fromtimestamp(float(times_s[0]), UTC), step_s, pv_w, load_w)


def _read_table(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path, columns=["time", "pv_w", "load_w"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: needs to be Parquet with the columns time, pv_w and load_w") from error


def _epoch_s(times: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    import numpy as np

    milliseconds: np.ndarray[tuple[int], np.dtype[np.int64]]
    milliseconds = times.to_numpy().astype("datetime64[ms]").astype(np.int64)
    return milliseconds / 1000.0


def _regular_step_s(path: Path, times_s: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
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
