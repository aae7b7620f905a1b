"""What a replayed strategy is told of sun and load: what the service was told, or what the past allowed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from living import HOUR, START, Life, live
from scored_day import BERLIN

from optimizer.cli.demo_past import PAST, write_past
from optimizer.forecast.vintages import Vintages
from optimizer.report.foresight import foresight_of
from optimizer.simulation.series import HouseSeries, house_series
from optimizer.store.queries import read_frame

ROOF = "[[roof]]\nkwp = 6.0\ntilt_deg = 35\nazimuth_deg = 180\n"
DAY = timedelta(days=1)
SLOT = timedelta(minutes=15)


def test_a_replay_is_told_the_forecasts_that_decisions_went_by(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(2.5 * HOUR)
        await life.ends()

    live(tmp_path, token, script, config=ROOF + '[strategy]\nname = "planner"\n')
    log, midnight = tmp_path / "sunmode.db", START.replace(hour=0)
    found = foresight_of(log, midnight, midnight + DAY, BERLIN)
    assert found.pv is not None
    issues = read_frame(log, "SELECT DISTINCT issued FROM forecast WHERE provider LIKE '%offline'")["issued"]
    known = [midnight + SLOT * int(slot) for slot in found.pv.known_from]
    assert 2 <= len(known) <= len(issues)
    assert all(any(timedelta(0) < at - issued <= SLOT for issued in issues) for at in known)
    assert known == sorted(known)


def watched(path: Path, days: int, last_day_factor: float = 1.0) -> datetime:
    """Write the past of a house with the same sun each day, but for the last; return its midnight."""
    end = datetime(2026, 6, 2, tzinfo=UTC)
    minutes = np.arange(days * 1440)
    pv_w = 5000.0 * np.maximum(0.0, np.sin(2 * np.pi * (minutes % 1440 - 360) / 1440.0))
    pv_w[-1440:] *= last_day_factor
    series = house_series(
        end - days * DAY, 60.0, pv_w.astype(np.float32), np.full(pv_w.shape, 400, np.float32)
    )
    write_past(path, series, end, BERLIN)
    return end - DAY


def of_noon(pv: Vintages) -> float:
    """What is expected for noon (UTC) at noon of the day."""
    row = int(np.searchsorted(pv.known_from, 48, side="right")) - 1
    return float(pv.p50_w[row][48 - pv.first[row]])


def test_without_forecasts_the_logs_past_says_what_may_be_known(tmp_path: Path) -> None:
    midnight = watched(tmp_path / "log.db", int(PAST / DAY))
    found = foresight_of(tmp_path / "log.db", midnight, midnight + DAY, BERLIN)
    assert found.pv is not None
    assert found.load is not None
    assert of_noon(found.pv) == pytest.approx(5000.0, rel=0.1)
    assert of_noon(found.load) == pytest.approx(400.0, rel=0.1)


def test_nothing_is_known_of_the_day_before_it_comes(tmp_path: Path) -> None:
    columns = []
    for factor in (1.0, 0.1):
        midnight = watched(tmp_path / f"{factor}.db", int(PAST / DAY), factor)
        pv = foresight_of(tmp_path / f"{factor}.db", midnight, midnight + DAY, BERLIN).pv
        assert pv is not None
        before_sunrise = pv.known_from <= 24
        columns.append(pv.p50_w[before_sunrise])
    assert np.array_equal(*columns)
    assert len(columns[0]) > 1


def test_a_log_without_a_past_foresees_nothing(tmp_path: Path) -> None:
    series: HouseSeries = house_series(START, 60.0, np.zeros(2, np.float32), np.zeros(2, np.float32))
    write_past(tmp_path / "log.db", series, START, BERLIN)
    found = foresight_of(tmp_path / "log.db", START - 90 * DAY, START - 89 * DAY, BERLIN)
    assert (found.pv, found.load) == (None, None)
