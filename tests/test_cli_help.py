"""`--help`: instant, complete, and the same list as the documentation's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from command_line import call
from sunmode_process import Site

from optimizer.cli import cli

COMMANDS = cli.list_commands(click.Context(cli))
HEAVY = (
    "pandas",
    "numpy",
    "pvlib",
    "pyarrow",
    "httpx",
    "pydantic",
    "pydantic_settings",
    "sqlite_utils",
    "rich",
)


def test_help_imports_nothing_that_takes_time() -> None:
    program = (
        "import sys; from optimizer.cli import main\n"
        "try: main(['--help'])\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_of_its_own_that_begins_like_the_list(command: str, tmp_path: Path) -> None:
    shown = call(Site(tmp_path, ""), command, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: sunmode {command} ")
    assert "--help" in shown.out
    listed = cli.get_command(click.Context(cli), command)
    assert listed is not None
    assert listed.help
    assert listed.help.split(".")[0].endswith(tuple("abcdefghijklmnopqrstuvwxyz)"))


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_of_a_command_says_what_it_does(command: str) -> None:
    listed = cli.get_command(click.Context(cli), command)
    assert listed is not None
    options = [option for option in listed.params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help] == []
    assert "config_path" in {option.name for option in options}


def test_each_command_is_in_the_list(tmp_path: Path) -> None:
    shown = call(Site(tmp_path, ""), "--help")
    assert shown.code == 0
    listed = [line.split()[0] for line in shown.out.split("Commands:")[1].splitlines() if line[:3].strip()]
    assert [name for name in listed if name in COMMANDS] == COMMANDS


def test_the_version_is_that_of_the_distribution(tmp_path: Path) -> None:
    from importlib.metadata import version

    shown = call(Site(tmp_path, ""), "--version")
    assert shown.code == 0
    assert version("sunmode") in shown.out


def test_no_command_at_all_shows_the_list_and_is_a_usage_error(tmp_path: Path) -> None:
    shown = call(Site(tmp_path, ""))
    assert shown.code == 2
    assert "Commands:" in shown.out + shown.err
