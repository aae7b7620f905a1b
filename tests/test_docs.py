"""The documents say what the code does: commands, tables, events, reasons, faults, links, running code."""

from __future__ import annotations

import ast
import re
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest

from optimizer.cli import cli
from optimizer.config import Settings
from optimizer.config.loading import load_settings
from optimizer.control.budget import Outcome
from optimizer.control.guards import _WORDS
from optimizer.domain import Guard
from optimizer.simulation.faults import FaultKind
from optimizer.store.commands import CommandState
from optimizer.store.database import open_log

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *(ROOT / "docs").glob("*.md"),
        ROOT / "data/samples/README.md",
    ]
)
OPERATION = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")
STRATEGIES = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")
CLOUD = (ROOT / "docs" / "virtual-cloud.md").read_text(encoding="utf-8")
DATABASE = (ROOT / "docs" / "database.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(page: str, title: str) -> str:
    """Return a section up to the next one of the same rank."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def first_cells(text: str) -> list[str]:
    """Return the words in code style of each table row's first cell."""
    return [
        word
        for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
        for word in re.findall(r"`(.+?)`", row)
    ]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL)


def sources(*folders: str) -> Iterator[ast.AST]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


# Commands.


def commands() -> dict[str, click.Command]:
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def test_every_command_is_in_the_table_of_commands() -> None:
    told = {
        cell.split()[1]
        for cell in first_cells(section(OPERATION, "Every day"))
        if cell.startswith("sunmode ")
    }
    assert told == set(commands())


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_option_is_told_with_its_command(name: str) -> None:
    every_day = section(OPERATION, "Every day")
    row = next(line for line in every_day.splitlines() if line.startswith(f"| `sunmode {name}"))
    for parameter in commands()[name].params:
        option = parameter.opts[-1]
        if option == "--config":
            assert option in every_day
        elif option.startswith("--"):
            assert f"`{option}" in row, option


def test_every_command_that_the_pages_show_exists() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        shown = re.findall(r"`(?:\S+=\S+ )*(?:sudo )?(?:\S+/)?sunmode ([a-z]+)", text)
        for block in blocks(text, "sh"):
            shown += re.findall(r"^(?:\S+=\S+ )*(?:sudo )?(?:\S+/)?sunmode ([a-z]+)", block, re.MULTILINE)
        assert set(shown) <= set(commands()), page.name


def test_the_exit_codes_are_those_of_the_command() -> None:
    from optimizer.cli import EXIT_ANOTHER_INSTANCE, EXIT_CONFIG, EXIT_FAULT, EXIT_USAGE

    line = next(line for line in OPERATION.splitlines() if line.startswith("Exit codes:"))
    assert [int(number) for number in re.findall(r"\d+", line)] == [
        0, EXIT_FAULT, EXIT_USAGE, EXIT_ANOTHER_INSTANCE, EXIT_CONFIG
    ]  # fmt: skip


# The database.


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Columns of each table, as a new file has them."""
    with closing(open_log(tmp_path_factory.mktemp("log") / "x.db", durable=False, busy_ms=0).conn) as conn:
        names = [row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: _columns(conn, name) for name in names if not name.startswith(("sqlite_", "_sqlite"))}


def _columns(conn: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in conn.execute(f"PRAGMA table_info({table})")]


def test_every_table_is_documented_and_nothing_else(schema: dict[str, list[str]]) -> None:
    assert sorted(re.findall(r"^## `(\w+)`$", DATABASE, re.MULTILINE)) == sorted(schema)


def test_every_column_is_documented_in_its_order(schema: dict[str, list[str]]) -> None:
    for table, columns in schema.items():
        told = re.findall(r"^\| `(\w+)` \|", section(DATABASE, f"`{table}`"), re.MULTILINE)
        assert told == columns, table


def test_every_state_of_a_command_is_told() -> None:
    for state in CommandState:
        assert f"`{state.value}`" in section(DATABASE, "`command`")


def test_every_outcome_of_a_call_is_told() -> None:
    for outcome in Outcome:
        assert f"`{outcome.value}`" in section(DATABASE, "`call`")


# Events, reasons, faults.


_TELLERS = {"event", "announce", "_tell_missed"}


def emitted_events() -> set[str]:
    """Return the kinds that the code emits: first argument of a teller, and what the log says of itself."""
    found = {"disk_full", "log_lost"}
    for node in sources("optimizer"):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _TELLERS:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(first.value)
    return found


def test_every_event_is_told_with_what_to_do() -> None:
    assert set(first_cells(section(OPERATION, "Events"))) == emitted_events()


def reason_codes() -> set[str]:
    """Return the codes that guards and strategies give."""
    from strategies import planner, threshold

    found = {f"guard.{name}" for _, name, _ in _WORDS.values()} | {"guard.override"}
    found |= {f"threshold.{name}" for name, _ in threshold._SENTENCES.values()}
    found |= {f"planner.{name}" for name, _ in planner._SENTENCES.values()} | {"planner.idle"}
    for node in sources("optimizer", "strategies"):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Reason":
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(first.value)
    return found


def test_every_reason_is_told_with_its_guard() -> None:
    rows = [
        row.split("|")[1:3] for row in section(OPERATION, "Reasons").splitlines() if row.startswith("| `")
    ]
    told = {code.strip(" `"): guard.strip(" `") for code, guard in rows}
    assert set(told) == reason_codes()
    assert {f"guard.{name}": guard.value for guard, name, _ in _WORDS.values()}.items() <= told.items()
    assert set(told.values()) - {""} == {guard.value for guard in Guard}


def test_every_fault_of_the_virtual_cloud_is_told() -> None:
    assert first_cells(section(CLOUD, "Faults")) == [kind.value for kind in FaultKind]


# Code that stands in the pages.


def test_the_readmes_settings_are_good_ones(tmp_path: Path, token: str) -> None:
    (snippet,) = blocks(README, "toml")
    (tmp_path / "config.toml").write_text(textwrap.dedent(snippet), encoding="utf-8")
    (tmp_path / "solax.token").write_text(token, encoding="utf-8")
    settings = load_settings(tmp_path / "config.toml", {})
    assert not settings.is_virtual
    assert settings.charger_specs()[0].name == "garage"


def test_the_handbooks_settings_are_good_ones(tmp_path: Path, token: str) -> None:
    (tmp_path / "config.toml").write_text("\n".join(blocks(OPERATION, "toml")), encoding="utf-8")
    (tmp_path / "solax.token").write_text(token, encoding="utf-8")
    assert load_settings(tmp_path / "config.toml", {}).callback.url.startswith("https://")


@pytest.fixture
def nightly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The strategy and the settings of strategies.md, loaded as an owner would."""
    code, test = blocks(STRATEGIES, "python")
    (tmp_path / "nightly.py").write_text(code, encoding="utf-8")
    (tmp_path / "try_nightly.py").write_text(test, encoding="utf-8")
    (tmp_path / "config.toml").write_text(blocks(STRATEGIES, "toml")[0], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield load_settings(tmp_path / "config.toml", {})
    sys.modules.pop("nightly", None)


def test_the_example_strategy_loads_with_its_own_table_and_decides(nightly: Settings, tmp_path: Path) -> None:
    strategy = nightly.build_strategy()
    assert strategy.name == "nightly"
    assert strategy.params.patience_s == 600  # type: ignore[attr-defined]
    test = (tmp_path / "try_nightly.py").read_text(encoding="utf-8")
    exec(compile(test, "strategies.md", "exec"), {})  # noqa: S102 - the page's own code


def test_the_virtual_cloud_in_a_test_runs_as_shown(tmp_path: Path) -> None:
    faults, test = blocks(CLOUD, "python")
    (tmp_path / "hour.py").write_text(f"{faults}\n{test}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "hour.py")], capture_output=True, text=True, timeout=60, check=True
    )
    assert float(done.stdout) > 3.0


# Form.


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", text):
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text(encoding="utf-8")), target


def anchors(page: str) -> set[str]:
    """Return what headings are called in links."""
    titles = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_place_of_one_machine(page: Path) -> None:
    assert not re.search(r"/(home|root|tmp|work)/", page.read_text(encoding="utf-8"))
