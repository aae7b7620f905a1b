"""Notebooks run: the one on a log is kept without outputs, those on the samples with the outputs of today."""

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
ON_A_LOG, *ON_SAMPLES = NOTEBOOKS


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("day") / "day.db"
    play_a_day(path)
    return path


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def executed(path: Path) -> Any:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    assert [one for one in outputs(notebook) if one.output_type in {"error", "stream"}] == []
    return notebook


def pictures(notebook: Any) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


def figures(notebook: Any) -> list[str]:
    """Return what it says in words and numbers."""
    shown = [output.data for output in outputs(notebook) if "image/png" not in output.data]
    return [data["text/plain"] for data in shown]


QUIET = pytest.mark.filterwarnings("ignore:::zmq", "ignore:::jupyter_client", "ignore:::traitlets")


@QUIET
def test_the_notebook_on_a_log_runs_and_draws_it(
    log: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="traitlets")  # it would repeat every picture
    monkeypatch.setenv("SUNMODE_STORE__PATH", str(log))
    before = log.read_bytes()
    notebook = executed(ON_A_LOG)
    assert pictures(notebook) == 3
    assert "FAST" in json.dumps(outputs(notebook))
    assert log.read_bytes() == before


@QUIET
@pytest.mark.parametrize("path", ON_SAMPLES, ids=lambda path: path.stem)
def test_a_notebook_on_the_samples_says_what_it_is_kept_with(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="traitlets")
    kept, notebook = nbformat.read(path, as_version=4), executed(path)
    assert pictures(notebook) == pictures(kept) >= 2
    assert figures(notebook) == figures(kept), "run `make notebooks`"


def test_what_a_log_tells_is_not_kept() -> None:
    notebook = nbformat.read(ON_A_LOG, as_version=4)
    assert outputs(notebook) == []
    assert all(cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_places_and_secrets(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
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
    assert f"{demo.DAY}.db" in ON_A_LOG.read_text(encoding="utf-8")
