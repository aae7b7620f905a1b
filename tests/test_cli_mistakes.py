"""What users get wrong ends in one clear message and the right exit code, never in a traceback."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from command_line import call
from fake_guide_server import guide_server
from guide_home import GuideHome
from sunmode_process import Site, site_of

VIRTUAL = """\
[virtual]
house = "{house}"
sessions = "{sessions}"

[store]
path = "sunmode.db"
"""


@pytest.fixture
def home(token: str) -> Iterator[GuideHome]:
    with guide_server(GuideHome(token=token)) as served:
        yield served  # type: ignore[misc]


@pytest.fixture
def site(home: GuideHome, tmp_path: Path) -> Site:
    return site_of(home, tmp_path)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        yield taken.getsockname()[1]


def refused(site: Site, *args: str, code: int, says: str) -> None:
    ended = call(site, *args)
    assert ended.code == code, ended.err
    assert says in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["stauts"], "No such command 'stauts'"),
        (["status", "--confg", "x"], "No such option '--confg'"),
        (["status", "extra"], "unexpected extra argument"),
        (["status", "--config"], "requires an argument"),
        (["set"], "Missing argument"),
        (["set", "turbo"], "is not one of 'stop', 'fast', 'eco', 'green', 'auto'"),
        (["set", "fast", "--charger", "gxrage"], "no charger is called 'gxrage'; there is garage"),
        (["set", "fast", "--for", "soon"], "'soon' is not a time like 90m, 2h or 1d"),
        (["set", "fast", "--for", "-2h"], "'-2h' is not a time like 90m, 2h or 1d"),
        (["set", "fast", "--for", "0m"], "'0m' is not between 1m and 31d"),
        (["set", "fast", "--for", "32d"], "'32d' is not between 1m and 31d"),
        (["set", "fast", "--for", "9" * 400 + "d"], "is not between 1m and 31d"),
        (["set", "auto", "--for", "2h"], "automatic has no end"),
        (["why", "noon"], "'noon' is no time like"),
        (["why", "0001-01-01"], "is no time like"),
        (["status"], "sunmode.db: no such log; the service makes it when it runs"),
        (["why"], "no such log"),
        (["export", "out"], "no such log"),
        (["export"], "Missing argument"),
        (["export", "config.toml"], "is a file"),
        (["virtual", "--port", "0"], "is not in the range"),
        (["virtual", "--port", "http"], "is not a valid integer"),
        (["demo", "--nonsense"], "No such option"),
    ],
)
def test_a_wrong_argument_is_a_usage_error(site: Site, args: list[str], says: str) -> None:
    refused(site, *args, code=2, says=says)


@pytest.mark.parametrize(
    "command", [["run"], ["check"], ["status"], ["why"], ["set", "eco"], ["export", "x"]]
)
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[control]\ncycle_s = 0\n", "config.toml:2: control.cycle_s"),
        (
            "[control]\ncicle_s = 5\n",
            "config.toml:2: control: unknown key 'cicle_s'; did you mean 'cycle_s'?",
        ),
        ("[control\n", "config.toml:1:"),
        ('[strategy]\nname = "treshold"\n', "config.toml:2: strategy.name"),
        ('[solax]\nbase_url = "http://example.org"\n', "config.toml:2: solax.base_url"),
    ],
)
def test_a_bad_configuration_is_refused_by_each_command_with_file_and_line(
    tmp_path: Path, command: list[str], text: str, says: str
) -> None:
    site = Site(tmp_path, "")
    site.config.write_text(text)
    refused(site, *command, code=78, says=says)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (".", "is a directory"),
        ("nowhere.toml", "no such file"),
        ("sunmode.db", "not UTF-8 text"),
        ("a\nb.toml", "no such file"),
    ],
)
def test_a_configuration_that_is_no_file_of_text_is_refused(site: Site, path: str, says: str) -> None:
    site.database.write_bytes(b"SQLite format 3\x00\xff\xfe")
    refused(site, "status", "--config", path, code=78, says=says)


def test_no_configuration_at_all_names_the_places_and_the_ways(tmp_path: Path) -> None:
    refused(Site(tmp_path, ""), "run", code=78, says="name one with --config or SUNMODE_CONFIG")


@pytest.mark.parametrize("path", ["config.toml/sunmode.db", "/proc/sunmode.db"])
@pytest.mark.parametrize(
    ("command", "code"), [(["run", "--once"], 1), (["set", "eco"], 1), (["status"], 2), (["export", "x"], 2)]
)
def test_a_database_where_none_can_be_is_refused_with_its_path(
    home: GuideHome, tmp_path: Path, path: str, command: list[str], code: int
) -> None:
    site = site_of(home, tmp_path, ('path = "sunmode.db"', f'path = "{path}"'))
    refused(site, *command, code=code, says=path.removesuffix(".db"))
    assert not home.calls()


def test_a_database_in_a_missing_folder_is_made_with_the_folder(home: GuideHome, tmp_path: Path) -> None:
    site = site_of(home, tmp_path, ('path = "sunmode.db"', 'path = "some/where/sunmode.db"'))
    assert call(site, "run", "--once").code == 0
    assert (tmp_path / "some/where/sunmode.db").is_file()


def test_something_else_than_our_log_is_not_read(site: Site) -> None:
    site.database.write_text("a shopping list")
    refused(site, "status", code=2, says="sunmode.db: cannot be read")


def test_a_runtime_folder_that_is_missing_is_named(site: Site) -> None:
    site.env = {"XDG_RUNTIME_DIR": "/proc/nowhere"}
    refused(site, "run", "--once", code=1, says="the lock for the same token cannot be made")


@pytest.mark.parametrize("command", [["run", "--once"], ["virtual"]])
@pytest.mark.parametrize(
    ("house", "sessions", "says"),
    [
        ("none.parquet", "good.csv", "virtual.house: no such file"),
        (".", "good.csv", "virtual.house: no such file"),
        ("good.csv", "good.csv", "good.csv"),
        ("good.parquet", "none.csv", "virtual.sessions: no such file"),
        ("good.parquet", "bad.csv", "bad.csv"),
        ("good.parquet", "good.parquet", "good.parquet: cannot be read as CSV text"),
    ],
)
def test_files_of_the_virtual_home_that_cannot_be_read_are_named(
    tmp_path: Path, command: list[str], house: str, sessions: str, says: str
) -> None:
    shown = Path(__file__).parents[1] / "data/samples/house_ohrberg_2019.parquet"
    (tmp_path / "good.parquet").symlink_to(shown)
    (tmp_path / "good.csv").write_text(
        "arrival,departure,energy_kwh\n2026-06-01T10:00Z,2026-06-01T12:00Z,5\n"
    )
    (tmp_path / "bad.csv").write_text("arrival,departure,energy_kwh\nmonday,tuesday,much\n")
    site = Site(tmp_path, "")
    site.config.write_text(VIRTUAL.format(house=house, sessions=sessions))
    ended = call(site, *command)
    assert ended.code in (2, 78), ended
    assert says in ended.err


def test_a_port_that_is_taken_is_told_by_the_virtual_cloud(tmp_path: Path, taken_port: int) -> None:
    site = Site(tmp_path, "")
    site.config.write_text("[site]\n")
    ended = call(site, "virtual", "--port", str(taken_port))
    assert ended.code == 1
    assert f"cannot listen on 127.0.0.1:{taken_port}" in ended.err


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1", "not a host"])
def test_a_host_that_is_not_ours_is_told_by_the_virtual_cloud(tmp_path: Path, host: str) -> None:
    site = Site(tmp_path, "")
    site.config.write_text("[site]\n")
    ended = call(site, "virtual", "--host", host)
    assert ended.code == 1
    assert f"cannot listen on {host}:8411" in ended.err


def test_a_port_that_is_taken_is_told_by_the_callback_listener(site: Site, taken_port: int) -> None:
    text = f'[callback]\nurl = "https://example.org"\nlisten_port = {taken_port}\n'
    site.config.write_text(text + site.config.read_text())
    refused(site, "run", "--once", code=78, says=f"cannot listen on 127.0.0.1 port {taken_port}")


def test_a_strategy_that_cannot_be_made_is_a_matter_of_configuration(home: GuideHome, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise RuntimeError('oh')\n")
    site = site_of(home, tmp_path, ('name = "fixed"', 'name = "mine:Mine"'))
    site.env = {"PYTHONPATH": os.fspath(tmp_path)}
    ended = site.run("run", "--once")
    assert ended.code == 78
    assert "strategy.name" in ended.err
    assert "Traceback" not in ended.err
