"""The notebook runs on a log that the service has written, and lies in the repository without outputs."""

from __future__ import annotations

import json
import logging
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from a_day import ROOT, play_a_day
from nbclient import NotebookClient

from optimizer.cli import demo

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("day") / "day.db"
    play_a_day(path)
    return path


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.mark.filterwarnings("ignore:::zmq", "ignore:::jupyter_client", "ignore:::traitlets")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_a_log_and_draws_it(
    path: Path, log: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="traitlets")  # it would repeat every picture
    monkeypatch.setenv("SUNMODE_STORE__PATH", str(log))
    notebook = nbformat.read(path, as_version=4)
    before = log.read_bytes()
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    said = outputs(notebook)
    assert [output for output in said if output.output_type in {"error", "stream"}] == []
    assert sum("image/png" in output.get("data", {}) for output in said) == 3
    assert "FAST" in json.dumps(said)
    assert log.read_bytes() == before


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs_places_and_secrets(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    assert outputs(notebook) == []
    assert all(cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
    assert not re.search(r'["\'(]/(home|root|tmp|work|Users)\b', text)
    assert "token" not in text.replace("uses the token", "")


def test_a_days_picture_is_drawn_by_the_command_of_the_readme(log: Path, tmp_path: Path) -> None:
    picture = tmp_path / "day.png"
    command = [sys.executable, str(ROOT / "docs" / "picture.py"), str(log), str(picture)]
    subprocess.run(command, check=True, timeout=60)
    assert picture.read_bytes().startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    assert (width, height) == (1300, 598)


def test_the_notebook_opens_the_log_that_the_demo_writes() -> None:
    assert f"{demo.DAY}.db" in NOTEBOOKS[0].read_text(encoding="utf-8")
