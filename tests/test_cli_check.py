"""`sunmode check` against a server that speaks the guide: each fault has a line that says what to change."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from command_line import call
from fake_guide_server import Reply, guide_server, told
from guide_home import GARAGE, INVERTER, GuideHome
from sunmode_process import Site, free_port, site_of


@pytest.fixture
def home(token: str) -> Iterator[GuideHome]:
    with guide_server(GuideHome(token=token)) as served:
        yield served  # type: ignore[misc]


@pytest.fixture
def site(home: GuideHome, tmp_path: Path) -> Site:
    return site_of(home, tmp_path)


def test_a_good_site_gets_a_good_line_for_each_part_and_costs_one_call_per_device(
    site: Site, home: GuideHome
) -> None:
    checked = call(site, "check")
    assert checked.code == 0
    lines = checked.out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ok", what] for what in ("config", "strategy", "database", "house", "garage")
    ]
    assert "PV 3000 W, grid -2700 W" in lines[3] or "PV 3000 W, grid -2699 W" in lines[3]
    assert "STOP, preparing, 0 W" in lines[4]
    assert len(home.calls()) == 2
    assert not home.commands


def test_a_wrong_token_is_told_once_and_does_not_shut_the_owner_out(site: Site, home: GuideHome) -> None:
    site.token = "WRONG0000000000000000000"  # noqa: S105 - it opens nothing
    checked = call(site, "check")
    assert checked.code == 1
    assert "fault house      token invalid! (the token is refused; compare it with the cloud's API page)" in (
        checked.out
    )
    assert "fault garage     not looked at" in checked.out
    assert len(home.calls()) == 1
    site.token = home.token
    assert call(site, "check").code == 0, "the right token works at once"


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        (INVERTER, "H1E102000000000000", "house"),
        (GARAGE, "C1070B000000000000", "garage"),
    ],
)
def test_a_serial_number_instead_of_the_registration_number_is_told(
    home: GuideHome, tmp_path: Path, before: str, after: str, what: str
) -> None:
    checked = call(site_of(home, tmp_path, (before, after)), "check")
    assert checked.code == 1
    (line,) = [line for line in checked.out.splitlines() if line.startswith("fault")]
    assert line.split()[1] == what
    assert "is it the registration number, not the serial number" in line


def test_a_server_that_is_down_is_told_with_the_key_to_look_at(home: GuideHome, tmp_path: Path) -> None:
    site = site_of(home, tmp_path, (home.url, f"http://127.0.0.1:{free_port()}"))
    checked = call(site, "check")
    assert checked.code == 1
    assert checked.out.count("solax.base_url reachable from here?") == 2


def test_another_server_at_the_address_is_told_with_the_key_to_look_at(site: Site, home: GuideHome) -> None:
    home.replies += [Reply(404, b'{"hello": "world"}'), Reply(200, b"[1, 2]")]
    checked = call(site, "check")
    assert checked.code == 1
    assert checked.out.count("does solax.base_url lead to the SolaX cloud") == 2


def test_a_throttled_token_is_told_to_rest(site: Site, home: GuideHome) -> None:
    home.replies += [told({"success": False, "exception": "exceeds the threshold", "code": 104})]
    checked = call(site, "check")
    assert checked.code == 1
    assert "what else uses this token?" in checked.out
    assert "fault garage     not looked at" in checked.out
    again = call(site, "check")
    assert "check again in 60 s" in again.out or "check again in 59 s" in again.out
    assert len(home.calls()) == 1, "a throttle is waited out"


def test_checks_in_a_row_stay_within_the_budget_and_say_when_to_come_back(
    site: Site, home: GuideHome
) -> None:
    for _ in range(8):
        last = call(site, "check")
    assert last.code == 1
    assert "calls are held back" in last.out
    assert "check again in" in last.out
    assert len(home.calls()) == 6, "9 less what is kept for commands"


@pytest.mark.parametrize("path", ["folder", "config.toml/sunmode.db", "/proc/sunmode.db"])
def test_a_database_that_cannot_be_written_is_told_with_the_key_to_change(
    home: GuideHome, tmp_path: Path, path: str
) -> None:
    site = site_of(home, tmp_path, ('path = "sunmode.db"', f'path = "{path}"'))
    (tmp_path / "folder").mkdir()
    checked = call(site, "check")
    assert checked.code == 1
    (line,) = [line for line in checked.out.splitlines() if line.startswith("fault")]
    assert line.split()[1] == "database"
    assert line.endswith("let store.path name a file in a folder that this user may write to")
    assert not home.calls(), "without a ledger nothing is called"


def test_a_log_of_a_newer_version_is_told_and_left_alone(site: Site) -> None:
    assert call(site, "set", "auto").code == 0
    with closing(sqlite3.connect(site.database)) as conn:
        conn.execute("PRAGMA user_version = 99")
    checked = call(site, "check")
    assert checked.code == 1
    assert "written by a newer sunmode" in checked.out
    with closing(sqlite3.connect(site.database)) as conn:
        assert conn.execute("PRAGMA user_version").fetchone() == (99,)


def test_doubts_are_told_without_being_faults(home: GuideHome, tmp_path: Path) -> None:
    secret = tmp_path / "solax.token"
    secret.write_text(home.token)
    secret.chmod(0o644)
    site = site_of(home, tmp_path, ("[solax]", '[solax]\ntoken_file = "solax.token"'))
    site.token = ""
    checked = call(site, "check")
    assert checked.code == 0
    assert "but solax.token_file: other users of this machine can read the token" in checked.out


def test_a_missing_token_is_a_matter_of_configuration_with_the_ways_to_give_it(site: Site) -> None:
    site.token = ""
    checked = call(site, "check")
    assert checked.code == 78
    assert "solax.token: missing" in checked.err
    assert "SUNMODE_SOLAX__TOKEN" in checked.err
