"""The systemd units fit the command, the config and each other, and are closed to the outside."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from optimizer import cli
from optimizer.config import Settings
from optimizer.runtime.reader import PASS_S

DEPLOY = Path(__file__).parents[1] / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here"
)


def lines(unit: str) -> dict[str, list[str]]:
    """Return the values of each key, in order."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / unit).read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def analyzed(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "cat"}
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_exposes_at_most_2_of_10(unit: Path) -> None:
    told = analyzed("security", "--offline=true", "--threshold=20", str(unit))
    score = re.search(r"exposure level for \S+: ([\d.]+)", told.stdout)
    assert score is not None, told.stderr
    assert float(score[1]) <= 2.0
    assert told.returncode == 0


@needs_systemd
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    command = tmp_path / "sunmode"
    command.write_text("#!/bin/sh\n", encoding="utf-8")
    command.chmod(0o755)
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace("/opt/sunmode/.venv/bin/sunmode", str(command))
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    told = analyzed("verify", "--man=no", *(str(tmp_path / unit.name) for unit in UNITS))
    assert [line for line in told.stderr.splitlines() if str(tmp_path) in line or "sunmode" in line] == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_runs_a_command_that_there_is_with_options_that_there_are(unit: Path) -> None:
    (line,) = lines(unit.name)["ExecStart"]
    path, name, *arguments = shlex.split(line)
    assert path == "/opt/sunmode/.venv/bin/sunmode"
    command = cli.cli.get_command(click.Context(cli.cli), name)
    assert command is not None
    options = {option for parameter in command.params for option in parameter.opts}
    assert {argument for argument in arguments if argument.startswith("-")} <= options


def test_what_a_new_start_would_not_cure_is_not_tried_again() -> None:
    prevented = lines("sunmode.service")["RestartPreventExitStatus"]
    assert prevented == [f"{cli.EXIT_ANOTHER_INSTANCE} {cli.EXIT_CONFIG}"]


def test_the_watchdog_is_more_patient_than_the_longest_cycle() -> None:
    (minutes,) = lines("sunmode.service")["WatchdogSec"]
    bounds = Settings.model_fields["control"].annotation.model_fields["cycle_s"].metadata
    longest_s = max(bound.le for bound in bounds if hasattr(bound, "le"))
    assert 60 * int(minutes.removesuffix("min")) > longest_s + PASS_S + 15


def test_a_service_that_fails_for_good_hands_over_to_the_unit_that_rests_the_chargers() -> None:
    service, rest = lines("sunmode.service"), lines("sunmode-rest.service")
    assert service["OnFailure"] == ["sunmode-rest.service"]
    assert "sunmode-rest.service" in service["After"]
    for key in ("LoadCredential", "Environment", "User", "StateDirectory", "RuntimeDirectory"):
        assert service[key] == rest[key], key


def test_both_units_are_in_the_same_sandbox() -> None:
    service, rest = (
        (DEPLOY / name).read_text(encoding="utf-8").partition("DynamicUser=")[2].partition("\n\n[")[0].strip()
        for name in ("sunmode.service", "sunmode-rest.service")
    )
    assert service == rest
