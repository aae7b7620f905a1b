"""The benchmarks as a program; their seconds are nobody's test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
        assert set(result) == {"name", "value", "unit", "limit", "command", "kept"}
        assert result["command"] == "python benchmarks/run.py help"
        assert result["kept"] is (result["limit"] is None or result["value"] <= result["limit"])
    assert done.returncode == 0


@pytest.mark.parametrize("args", [("no-such-benchmark",), ("--no-such-option",)])
def test_what_cannot_be_measured_is_a_mistake_of_use(args: tuple[str, ...]) -> None:
    done = bench(*args)
    assert done.returncode == 2
    assert b"usage" in done.stderr
