"""The demo as it is typed: real service, real HTTP, a log of its own, figures out of that log."""

from __future__ import annotations

import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from datetime import date
from pathlib import Path

import pytest
from a_day import play_a_day, settings_for

from optimizer.cli.demo import DAY
from optimizer.cli.demo_score import day_score
from optimizer.cli.demo_view import Moment
from optimizer.domain import Mode

ROOT = Path(__file__).parents[1]
SUNMODE = Path(sys.executable).with_name("sunmode")
ENV = {name: value for name, value in os.environ.items() if not name.startswith("SUNMODE_")} | {
    "COLUMNS": "100"
}


def demo(log: Path, *options: str) -> list[str]:
    return [str(SUNMODE), "demo", "--keep", str(log), *options]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What a short demo told, and its log: from 7 to 11, the first clouded sun."""
    log = tmp_path_factory.mktemp("demo") / "day.db"
    done = subprocess.run(
        demo(log, "--hours", "4", "--speed", "900"),
        cwd=ROOT,
        env=ENV,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout, log


def figure(told: str, name: str) -> float:
    found = re.search(rf"^\s*{re.escape(name)}[^\d]*\s([\d.]+)", told, re.MULTILINE)
    assert found is not None, f"{name} is not in {told}"
    return float(found[1])


def one(log: Path, query: str) -> float:
    with closing(sqlite3.connect(log)) as conn:
        return float(conn.execute(query).fetchone()[0])


def test_the_demo_shows_the_sun_rise_and_the_charger_follow(played: tuple[str, Path]) -> None:
    told, _ = played
    assert re.search(r"^07:\d\d  STOP +sun +0\.\d\d kW   house", told, re.MULTILINE)
    assert "a car is plugged in" in told
    said = r"^\d\d:\d\d  (STOP|GREEN|ECO): \d+\.\d kWh are due in \d\.\d h\. .* Next: "
    assert re.search(said, told, re.MULTILINE)


def test_a_demo_that_ends_early_says_that_it_has_no_score(played: tuple[str, Path]) -> None:
    told, _ = played
    assert "No score: 2019-10-01: " in told


def test_the_demos_figures_are_those_of_its_log(played: tuple[str, Path]) -> None:
    told, log = played
    shown = re.search(r"to (\d\d):(\d\d), as its log has it", told)
    assert shown is not None
    # The service writes on until it has stopped; summer time is two hours ahead of the log.
    day = f"slot_start >= '2019-10-01T05' AND slot_start < '2019-10-01T{int(shown[1]) - 2:02d}:{shown[2]}'"
    for name, column in (("sun on the roof", "pv_kwh"), ("into the car", "ev_kwh")):
        logged_kwh = one(log, f"SELECT sum({column}) FROM energy WHERE {day}")  # noqa: S608 - both are ours
        assert figure(told, name) == pytest.approx(logged_kwh, abs=0.051)
    assert figure(told, "commands sent") == one(log, "SELECT count(*) FROM command WHERE sent_at NOT NULL")
    assert figure(told, "calls made") == one(log, "SELECT count(*) FROM call WHERE http_status = 200")


def test_what_the_log_counts_as_calls_is_what_the_cloud_has_counted(played: tuple[str, Path]) -> None:
    told, _ = played
    assert figure(told, "calls made") == figure(told, "calls counted by the cloud") > 0
    assert figure(told, "  most in any minute (10 are refused)") < 10


def test_the_commands_that_it_ends_with_work(played: tuple[str, Path]) -> None:
    told, log = played
    steps = [line.strip() for line in told.splitlines() if line.startswith("  SUNMODE_STORE__PATH=")]
    assert len(steps) == 3
    for step in steps:
        done = subprocess.run(
            ["bash", "-c", step], cwd=ROOT, env=ENV, capture_output=True, text=True, check=True
        )
        assert done.stdout
    assert (log.with_suffix("") / "decision.parquet").is_file()


def test_a_log_that_is_there_already_is_not_written_over(tmp_path: Path) -> None:
    log = tmp_path / "precious.db"
    log.write_text("mine", encoding="utf-8")
    done = subprocess.run(
        demo(log), cwd=ROOT, env=ENV, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert log.read_text(encoding="utf-8") == "mine"


def test_on_a_terminal_it_is_a_picture_and_ctrl_c_ends_it_with_the_account(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        demo(tmp_path / "day.db"),
        cwd=ROOT,
        env=ENV | {"TERM": "xterm-256color"},
        stdout=follower,
        stderr=follower,
    ) as shown:
        os.close(follower)
        told = _read_until(leader, b"budget")
        shown.send_signal(signal.SIGINT)
        told += _read_until(leader, None)
        assert shown.wait(20) == 0
    os.close(leader)
    text = told.decode()
    assert "Tuesday, 01 October 2019" in text
    assert "calls counted by the cloud" in text
    assert "Traceback" not in text


def _read_until(terminal: int, word: bytes | None) -> bytes:
    """Return what comes up to `word`, or up to the end: a closed terminal is an error on Linux."""
    told = b""
    with suppress(OSError):
        while word is None or word not in told:
            chunk = os.read(terminal, 65536)
            if not chunk:
                break
            told += chunk
    return told


def test_a_whole_demo_ends_with_its_score_beside_the_other_strategies(tmp_path: Path) -> None:
    log = tmp_path / "day.db"
    play_a_day(log)
    told = list(day_score(settings_for(log), "config.toml", date.fromisoformat(DAY)))
    costs = {row[0]: float(row[1]) for row in (re.split(r"\s{2,}", line) for line in told[1:-1])}
    assert next(iter(costs)) == "actual"
    assert {"active (planner)", "threshold", "timer", "deadline", "eco", "green", "fast"} < set(costs)
    best = costs["best of four modes"]
    assert best - 0.02 <= costs["active (planner)"] < min(costs["timer"], costs["green"], costs["fast"])
    assert costs["actual"] < costs["timer"]
    assert told[-1].startswith("regret: ")


@pytest.mark.parametrize(
    ("pv_w", "base_w", "ev_w", "colours"),
    [
        (5000.0, 500.0, 2000.0, [(500.0, "grey50"), (2500.0, "green"), (5000.0, "yellow")]),
        (1000.0, 500.0, 7000.0, [(500.0, "grey50"), (1000.0, "green"), (7500.0, "red")]),
        (0.0, 500.0, 0.0, [(500.0, "grey50"), (500.0, "green"), (500.0, "red")]),
    ],
)
def test_a_column_stacks_house_sun_and_grid(
    pv_w: float, base_w: float, ev_w: float, colours: list[tuple[float, str]]
) -> None:
    moment = Moment(pv_w, base_w, ev_w, battery_w=0.0, surplus_w=pv_w - base_w, mode=Mode.ECO)
    assert list(moment.segments()) == colours
    assert moment.grid_w == base_w + ev_w - pv_w
