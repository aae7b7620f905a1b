"""The sample data is what its README says, and the virtual world runs on it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from optimizer.domain import Mode
from optimizer.errors import InputError
from optimizer.simulation.series import read_house
from optimizer.simulation.sessions import main, read_sessions
from optimizer.simulation.settings import VirtualSettings
from optimizer.simulation.world import build_home

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "data" / "samples"
HOUSE = SAMPLES / "house_ohrberg_2019.parquet"
SESSIONS = SAMPLES / "sessions.csv"
REAL_DATA = Path(os.environ.get("SUNMODE_REAL_DATA", ROOT.parent / "shared" / "data"))
DEMO_DAY = datetime(2019, 9, 10, 2, tzinfo=UTC)
GARAGE = "VIRTUALEVC01"


def test_the_sessions_are_written_anew_byte_by_byte(tmp_path: Path) -> None:
    again = tmp_path / "sessions.csv"
    main(["--seed", "1", "--year", "2019", "--out", str(again)])
    assert again.read_bytes() == SESSIONS.read_bytes()


def test_the_sessions_go_to_standard_output_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--seed", "1", "--year", "2019"])
    assert capsys.readouterr().out == SESSIONS.read_text(encoding="utf-8")


def test_the_house_is_a_whole_year_of_minutes_and_small() -> None:
    series = read_house(HOUSE)
    assert (series.start, series.step_s) == (datetime(2019, 1, 1, tzinfo=UTC), 60.0)
    assert series.period_s == 365 * 86_400.0
    assert sum(series.load_w) / 60e3 == pytest.approx(2402.0, abs=2.0)
    assert max(series.pv_w) == 15_197.0
    assert HOUSE.stat().st_size < 3_000_000


def test_the_house_is_the_measured_one() -> None:
    path = REAL_DATA / "house_ohrberg_2019_1min.parquet"
    if not path.exists():
        pytest.skip(f"no measured data at {REAL_DATA}")
    source = pq.read_table(path, columns=["pv_w", "load_b_w"])
    ours = pq.read_table(HOUSE)
    assert ours["pv_w"].equals(source["pv_w"].cast(pa.int16()))
    assert ours["load_w"].equals(source["load_b_w"].cast(pa.int16()))


def test_the_measured_sessions_of_strangers_can_be_read() -> None:
    path = REAL_DATA / "sessions_trondheim_2019.csv"
    if not path.exists():
        pytest.skip(f"no measured data at {REAL_DATA}")
    assert len(read_sessions(path, "Bl2-3")) == 147


def test_the_demo_day_has_sun_and_clouds_and_the_car_at_home() -> None:
    home = build_home(VirtualSettings(start=DEMO_DAY), HOUSE, SESSIONS)
    home.set_mode(GARAGE, Mode.GREEN, "owner")
    noon_w = [home.series.at((DEMO_DAY + timedelta(minutes=minute)).timestamp())[0] for minute in range(1440)]
    assert max(noon_w) > 5000.0
    assert np.count_nonzero(np.abs(np.diff(noon_w)) > 800.0) > 60
    home.advance(DEMO_DAY + timedelta(hours=10))
    assert home.charger(GARAGE).connected
    home.advance(DEMO_DAY + timedelta(hours=13))
    truth = home.truth()
    assert truth.ev_kwh > 8.0
    assert truth.import_kwh < 0.2 * truth.ev_kwh


def test_the_scale_multiplies_the_production_only() -> None:
    full, scaled = read_house(HOUSE), read_house(HOUSE, 0.6)
    noon_s = datetime(2019, 7, 2, 11, tzinfo=UTC).timestamp()
    assert scaled.at(noon_s)[0] == pytest.approx(0.6 * full.at(noon_s)[0])
    assert scaled.at(noon_s)[1] == full.at(noon_s)[1]


def write(path: Path, times_s: list[int], **columns: list[Any]) -> Path:
    times = pa.array([time_s * 1000 for time_s in times_s], pa.timestamp("ms", "UTC"))
    pq.write_table(pa.table({"time": times, **columns}), path)
    return path


@pytest.mark.parametrize(
    ("times_s", "columns", "complaint"),
    [
        ([0, 60, 180], {"pv_w": [0.0] * 3, "load_w": [0.0] * 3}, "step after row 1"),
        ([60, 0], {"pv_w": [0.0] * 2, "load_w": [0.0] * 2}, "ascend"),
        ([0], {"pv_w": [0.0], "load_w": [0.0]}, "two rows"),
        ([0, 60], {"pv_w": [0.0] * 2}, "columns"),
        ([0, 60], {"pv_w": [0.0, None], "load_w": [0.0] * 2}, "pv_w of row 1"),
        ([0, 60], {"pv_w": [0.0, 1.0], "load_w": [-1.0, 0.0]}, "load_w of row 0"),
        ([0, 60], {"pv_w": ["much", "little"], "load_w": [0.0] * 2}, "columns"),
    ],
)
def test_a_house_file_that_cannot_be_right_is_refused(
    tmp_path: Path, times_s: list[int], columns: dict[str, list[Any]], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        read_house(write(tmp_path / "house.parquet", times_s, **columns))


def test_missing_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.parquet"):
        read_house(tmp_path / "nowhere.parquet")
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        read_sessions(tmp_path / "nowhere.csv")


def test_a_virtual_month_of_the_home_alone_takes_seconds() -> None:
    home = build_home(VirtualSettings(start=datetime(2019, 5, 1, tzinfo=UTC)), HOUSE, SESSIONS)
    rng = random.Random(3)
    began = time.process_time()
    for day in range(30):
        home.set_mode(GARAGE, rng.choice(tuple(Mode)), "owner")
        home.advance(datetime(2019, 5, 2, tzinfo=UTC) + timedelta(days=day))
    assert time.process_time() - began < 30 * 0.3  # 0.05 s a day on an idle machine
    assert home.truth().ev_kwh > 50.0


SERVE = """
import asyncio, sys
import numpy as np
from optimizer.clock import SystemClock
from optimizer.simulation.home import VirtualHome
from optimizer.simulation.series import house_series
from optimizer.simulation.server import serve_virtual
from optimizer.simulation.settings import VirtualSettings
from optimizer.simulation.world import build_cloud
settings = VirtualSettings()
ones = np.ones(60, dtype=np.float32)
cloud = build_cloud(VirtualHome(settings, house_series(settings.start, 60.0, ones, ones)), SystemClock())
asyncio.run(serve_virtual(cloud, port=int(sys.argv[1])))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_up(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                pytest.fail(f"the server ended with {process.wait(timeout=0.05)}")
        else:
            return
    pytest.fail("the server did not come up")


def test_the_standalone_server_answers_and_ends_on_sigterm() -> None:
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", SERVE, str(port)], cwd=ROOT) as process:
        wait_until_up(process, port)
        assert httpx.get(f"http://127.0.0.1:{port}/virtual/state").json()["home"]["pv_w"] == 1.0
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10.0) == -signal.SIGTERM
