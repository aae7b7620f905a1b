"""A run minute by minute as Parquet, for analyses elsewhere; minutes that are not known are left out."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from optimizer.backtest.case import Case
from optimizer.backtest.runs import RunTrace
from optimizer.errors import InputError


def write_trace(path: Path, case: Case, trace: RunTrace) -> None:
    """Write the trace to `path`, whole or not at all; its folder is made if need be.

    Raises:
        InputError: the folder or the file cannot be written.

    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(_columns(case, trace))
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            pq.write_table(table, beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _columns(case: Case, trace: RunTrace) -> dict[str, object]:
    """Return the columns in order; `session` is the row of the sessions file, empty without a car."""
    import pyarrow as pa

    known = case.known
    first_s = int(case.start.timestamp())
    time_ms = (first_s + 60 * np.arange(case.minutes, dtype=np.int64)) * 1000
    # One more than there are visits: -1, no car, is the last.
    numbers = np.array([*(visit.number for visit in case.visits), 0], dtype=np.int32)
    needs_kwh = np.array([*(visit.energy_kwh for visit in case.visits), 0.0])
    visit = trace.visit[known]
    return {
        "time": pa.array(time_ms[known]).cast(pa.timestamp("ms", tz="UTC")),
        "pv_w": case.pv_w[known],
        "base_load_w": case.load_w[known],
        "ev_w": trace.ev_w[known],
        "battery_w": trace.battery_w[known],
        "grid_w": trace.grid_w[known],
        "mode": trace.mode[known].astype(np.int8),
        "status": trace.status[known].astype(np.int16),
        "session": pa.array(numbers[visit], mask=visit < 0),
        "ev_kwh": trace.ev_kwh[known],
        "need_kwh": needs_kwh[visit],
    }
