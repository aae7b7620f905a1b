"""Houses, sessions and prices in files, and the cases that are built of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from optimizer.backtest.assemble import CaseOptions, assemble
from optimizer.backtest.case import Case
from optimizer.errors import InputError

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 6, 1, tzinfo=UTC)


def frame(step_min: int = 5, hours: float = 48.0, start: datetime = START) -> pd.DataFrame:
    """A house: sun from 5 to 19 o'clock, a load that tells its row."""
    rows = round(hours * 60 / step_min)
    time = pd.date_range(start, periods=rows, freq=f"{step_min}min", name="time")
    hour = time.hour + time.minute / 60.0
    pv_w = np.maximum(0.0, 6000.0 * np.sin((hour - 5.0) / 14.0 * np.pi)) * ((hour > 5) & (hour < 19))
    return pd.DataFrame({"time": time, "pv_w": pv_w, "load_w": 300.0 + np.arange(rows) % 50})


def csv(path: Path, house: pd.DataFrame) -> Path:
    house.to_csv(path, index=False)
    return path


@pytest.fixture
def house(tmp_path: Path) -> Path:
    return csv(tmp_path / "house.csv", frame())


def sessions(folder: Path, *rows: str, header: str = "arrival,departure,energy_kwh") -> Path:
    path = folder / "sessions.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


ONE = "2026-06-01T18:00+02:00,2026-06-02T07:00+02:00,10"


def built(house: Path, *rows: str, **options: object) -> tuple[Case, tuple[str, ...]]:
    path = sessions(house.parent, *(rows or (ONE,)))
    return assemble(replace(CaseOptions(house, path), **options))


def refused(says: str, *parts: str) -> pytest.RaisesExc[InputError]:
    return pytest.RaisesExc(InputError, check=lambda error: all(p in str(error) for p in (says, *parts)))


def holed(since: str, until: str, *columns: str, step_min: int = 5) -> pd.DataFrame:
    """A house without rows (no columns named) or without values between two times of the first day."""
    given = frame(step_min)
    clock = given.time.dt.strftime("%dT%H:%M")
    hole = (clock >= f"01T{since}") & (clock < f"01T{until}")
    if not columns:
        return given[~hole]
    given.loc[hole, list(columns)] = np.nan
    return given
