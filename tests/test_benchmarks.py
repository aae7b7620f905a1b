"""The benchmarks as a program; their seconds are nobody's test."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def bench(*args: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, str(FOLDER / "run.py"), *args]
    return subprocess.run(command, capture_output=True, check=False, timeout=120)


def test_one_benchmark_prints_one_json_array_of_results() -> None:
    done = bench("--json", "help")
    results = json.loads(done.stdout)
    assert [result["limit"] for result in results] == [0.3, 0.3, None, None, None]
    for result in results:
        assert set(result) == {"name", "value", "unit", "limit", "command", "least", "kept"}
        assert result["command"] == "python benchmarks/run.py help"
        assert result["kept"] is (result["limit"] is None or result["value"] <= result["limit"])
    assert done.returncode == 0


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("run")


def test_what_cannot_be_measured_here_is_skipped_and_says_why(
    run: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def peer() -> list[Any]:
        raise run.Skipped("no network")

    def speed() -> list[Any]:
        return [run.Result("speed", 7.0, "1/s", None, "again", 8.0)]

    monkeypatch.setattr(run, "BENCHMARKS", {"peer": peer, "speed": speed})
    run.main([])
    said = capsys.readouterr()
    assert "skipped peer: no network" in said.err
    assert " ".join(said.out.split()) == "speed 7 1/s at least 8 1/s NOT KEPT"


@pytest.mark.parametrize(
    ("limit", "least", "kept"),
    [(None, None, True), (5.0, None, True), (4.9, None, False), (None, 5.0, True), (None, 5.1, False)],
)
def test_a_figure_keeps_what_it_may_be_at_most_and_must_be_at_least(
    run: Any, limit: float | None, least: float | None, *, kept: bool
) -> None:
    assert run.Result("x", 5.0, "s", limit, "again", least).kept is kept


@pytest.mark.parametrize("args", [("no-such-benchmark",), ("--no-such-option",)])
def test_what_cannot_be_measured_is_a_mistake_of_use(args: tuple[str, ...]) -> None:
    done = bench(*args)
    assert done.returncode == 2
    assert b"usage" in done.stderr
