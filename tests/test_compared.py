"""docs/compared.md says what its command measures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from optimizer.backtest.lineup import USUAL

ROOT = Path(__file__).parents[1]
COMMAND = ROOT / "benchmarks" / "compare.py"
PAGE = ROOT / "docs" / "compared.md"
REAL_DATA = Path(os.environ.get("SUNMODE_REAL_DATA", ROOT.parent / "shared" / "data"))
HEAD = "| strategy | cost € | sun % | unmet kWh | changes/day | calls/day | skill | even weeks |"
BOUNDS = ["*best of four modes*", "*best of anything (LP)*"]


def blocks() -> dict[str, str]:
    page = PAGE.read_text(encoding="utf-8")
    return dict(re.findall(r"<!-- ([\w-]+) -->\n(.*?)<!-- /\1 -->", page, re.DOTALL))


TABLES = {"glance", "gap"}
CASES = [name for name in blocks() if name not in TABLES]


def compare(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(COMMAND), *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_told_with_all_usual_strategies(name: str) -> None:
    lines = blocks()[name].splitlines()
    table = lines[lines.index(HEAD) :]
    cells = [line.split("|")[1].strip() for line in table if line.startswith("|")]
    assert cells == ["strategy", "---", *USUAL, *BOUNDS]


def test_the_skills_at_a_glance_are_those_of_the_cases() -> None:
    found = blocks()
    head, _, *rows = found["glance"].splitlines()
    assert head == f"| case | {' | '.join(USUAL)} |"
    assert len(rows) == len(CASES)
    for name, row in zip(CASES, rows, strict=True):
        lines = [line.split(" | ") for line in found[name].splitlines() if line.startswith("| ")]
        skills = {cells[0].removeprefix("| "): cells[6] for cells in lines}
        assert row.split(" | ")[1:] == [*(skills[one] for one in USUAL[:-1]), f"{skills[USUAL[-1]]} |"]
        assert f"### {row.split(' | ')[0].removeprefix('| ')}\n" in found[name]


def test_the_gaps_to_the_best_are_those_of_the_cases() -> None:
    found = blocks()
    rows = [row.strip("| ").split(" | ") for row in found["gap"].splitlines()[2:]]
    assert len(rows) == len(CASES)
    for name, (title, planner, forecast, rest, modes) in zip(CASES, rows, strict=True):
        lines = [line.split(" | ") for line in found[name].splitlines() if line.startswith("| ")]
        cost_eur = {cells[0].removeprefix("| "): cells[1].split(" / ")[0] for cells in lines[1:]}
        best_eur, any_eur = (float(cost_eur[bound]) for bound in BOUNDS)
        assert f"### {title}\n" in found[name]
        assert float(planner) == pytest.approx(float(cost_eur["planner"]) - best_eur, abs=0.011)
        assert float(planner) == pytest.approx(float(forecast) + float(rest), abs=0.011)
        assert float(modes) == pytest.approx(best_eur - any_eur, abs=0.011)


@pytest.mark.parametrize("name", ["sample", "b-Bl2-3"])
def test_the_command_writes_the_same_figures_again(name: str, tmp_path: Path) -> None:
    if name != "sample" and not REAL_DATA.is_dir():
        pytest.skip(f"no measured data at {REAL_DATA}")
    page = tmp_path / "page.md"
    page.write_bytes(PAGE.read_bytes())
    done = compare(name, "--page", str(page))
    assert done.returncode == 0, done.stderr
    assert page.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8"), "run `make compare`"


def test_a_case_that_is_not_there_is_a_mistake_of_use() -> None:
    done = compare("nowhere")
    assert done.returncode == 2
    assert "no case is called nowhere; there are: sample" in done.stderr
