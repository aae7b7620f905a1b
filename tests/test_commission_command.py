"""`sunmode check --commission`: it explains and asks, keeps its hands off a running service, and tells."""

from __future__ import annotations

import asyncio
import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from command_line import call
from fake_guide_server import guide_server
from guide_home import GARAGE, GuideHome
from living import START, Powers, dark, sunny
from sunmode_process import Site, site_of
from test_commissioning import Trial as VirtualTrial

from optimizer.cli.commission import Trial, tried
from optimizer.cli.run import Site as Cloud
from optimizer.clock import ScaledClock
from optimizer.config import load_settings
from optimizer.control.commissioning import Proof, Verdict
from optimizer.domain import ChargerSpec
from optimizer.runtime.locks import database_lock
from optimizer.service import Ports
from optimizer.simulation.server import running_server
from optimizer.simulation.settings import GreenMeter
from optimizer.store.experience import known_at, write_proof

SPEC = ChargerSpec("garage", "SQ1")
CONFIG = """
[solax]
base_url = "https://www.solaxcloud.com"
inverter = "SW1"

[[charger]]
name = "garage"
serial = "SQ1"

[store]
path = "log.db"
{more}
"""


@pytest.fixture
def home(token: str) -> Iterator[GuideHome]:
    with guide_server(GuideHome(token=token)) as served:
        yield served  # type: ignore[misc]


@pytest.fixture
def site(home: GuideHome, tmp_path: Path) -> Site:
    return site_of(home, tmp_path)


def says(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """Let the owner answer the question."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{word}\n"))


@pytest.mark.parametrize("word", ["n", ""])
def test_it_explains_and_does_nothing_without_a_yes(
    site: Site, home: GuideHome, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    says(monkeypatch, word)
    done = call(site, "check", "--commission")
    assert done.code == 1
    assert "This tries whether GREEN works at garage" in done.out
    assert "a surplus of more than 1680 W" in done.out
    assert "pause below 1180 W" in done.out
    assert "So far: not seen with surplus, not seen without surplus." in done.out
    assert not home.calls()


def test_without_a_car_it_says_so_and_sends_nothing(
    site: Site, home: GuideHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.piles[GARAGE].connected = False
    says(monkeypatch, "y")
    done = call(site, "check", "--commission")
    assert done.code == 1
    assert "GREEN at garage: not shown yet:" in done.out
    assert "(no car is plugged in)" in done.out
    assert not home.commands
    assert known_at(site.database) == {}


def test_while_a_service_runs_it_keeps_its_hands_off_and_says_how_to_stop_it(
    site: Site, home: GuideHome
) -> None:
    with database_lock(site.database):
        done = call(site, "check", "--commission", "--yes")
    assert done.code == 75
    assert "sudo systemctl stop sunmode" in done.err
    assert not home.calls()


def test_of_several_chargers_one_is_to_be_named(home: GuideHome, tmp_path: Path) -> None:
    yard = '\n[[charger]]\nname = "yard"\nserial = "SQGUIDE002"\n\n[strategy]\n'
    site = site_of(home, tmp_path, ("\n[strategy]\n", yard))
    unnamed = call(site, "check", "--commission", "--yes")
    assert unnamed.code == 2
    assert "name one of them by --charger: garage, yard" in unnamed.err
    wrong = call(site, "check", "--commission", "--yes", "--charger", "barn")
    assert wrong.code == 2
    assert "no charger is called 'barn': garage, yard" in wrong.err


def test_options_of_the_trial_alone_are_a_mistake(site: Site) -> None:
    done = call(site, "check", "--yes")
    assert done.code == 2
    assert "belong to --commission" in done.err


def test_a_charger_that_cannot_be_read_is_a_fault(site: Site, home: GuideHome) -> None:
    del home.piles[GARAGE]
    done = call(site, "check", "--commission", "--yes")
    assert done.code == 1
    assert done.err.startswith("sunmode: ")
    assert not home.commands


def run(
    tmp_path: Path,
    token: str,
    *,
    sky: Powers = sunny,
    meter: GreenMeter = GreenMeter.WIRED,
    known: Proof | None = None,
    more: str = "",
) -> bool:
    """Run the trial over real HTTP, 300 times as fast."""
    (tmp_path / "config.toml").write_text(CONFIG.format(more=more), encoding="utf-8")
    settings = load_settings(tmp_path / "config.toml", {"SUNMODE_SOLAX__TOKEN": token})

    async def play() -> bool:
        clock = ScaledClock(START, speed=300.0)
        virtual = VirtualTrial(tmp_path, token, sky=sky, world={"green_meter": meter})
        async with running_server(virtual.opened(clock)) as url:
            await clock.sleep(90.0)  # the car has arrived
            cloud = Cloud(Ports(clock=clock), url, lambda: token)
            return await tried(Trial(settings, SPEC, known or Proof()), cloud)

    return asyncio.run(play())


def test_half_a_proof_is_kept_with_what_to_do_next(
    tmp_path: Path, token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, token)
    assert known_at(tmp_path / "log.db")["SQ1"].proof == Proof(follows=True)
    told = capsys.readouterr().out
    assert "GREEN at garage: not shown yet: follows the surplus, not seen without surplus" in told
    assert told.rstrip().endswith("run it again when the sun is down or weak")


def test_the_second_half_makes_it_work(
    tmp_path: Path, token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, token, sky=dark, known=Proof(follows=True))
    assert known_at(tmp_path / "log.db")["SQ1"].proof.verdict is Verdict.WORKS
    assert "GREEN at garage: works: follows the surplus, pauses without" in capsys.readouterr().out
    with closing(sqlite3.connect(tmp_path / "log.db")) as conn:
        assert conn.execute("SELECT kind, charger FROM event").fetchall() == [("commissioned", "garage")]


def test_a_charger_that_draws_in_the_dark_does_not_work(
    tmp_path: Path, token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not run(
        tmp_path,
        token,
        sky=dark,
        meter=GreenMeter.MISSING,
        known=Proof(follows=True, pauses=True),
        more="[control]\ngreen_commissioned = true",
    )
    assert known_at(tmp_path / "log.db")["SQ1"].proof == Proof(follows=True, pauses=False)
    told = capsys.readouterr().out
    assert "GREEN at garage: does not work: follows the surplus, draws without" in told
    assert "control.green_commissioned = true has the last word" in told


def test_what_is_shown_later_does_not_wipe_out_what_was_shown_before(tmp_path: Path, token: str) -> None:
    run(tmp_path, token)
    write_proof(tmp_path / "log.db", SPEC, START, Proof(pauses=True))
    assert run(tmp_path, token, known=known_at(tmp_path / "log.db")["SQ1"].proof)
    assert known_at(tmp_path / "log.db")["SQ1"].proof == Proof(follows=True, pauses=True)
