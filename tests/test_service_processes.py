"""The service as a process of its own, in real time, against a server that knows only the guide.

The server is the witness: what it heard, and when, is compared with what the log says.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from command_line import call
from conftest import leaks
from fake_guide_server import Reply, guide_server
from guide_home import ECO, FAST, GARAGE, GREEN, STOP, GuideHome, Pile
from sunmode_process import Ended, Running, Site, eventually, free_port, pause, site_of

OFTEN = ("charger_active_s = 60, charger_idle_s = 60", "charger_active_s = 3, charger_idle_s = 3")


@pytest.fixture
def home(token: str) -> Iterator[GuideHome]:
    with guide_server(GuideHome(token=token, telemetry_s=2.0)) as served:
        yield served  # type: ignore[misc]


@dataclass(frozen=True)
class Life:
    """One run from its start to its clean stop, and what was seen on the way."""

    home: GuideHome
    site: Site
    run: Running
    up_s: float
    second: Ended
    same_token: Ended
    status: Ended
    ordered: Ended
    ordered_status: Ended
    command_line: bytes
    stopped_s: float


def live(home: GuideHome, folder: Path) -> Life:
    """Start with FAST, look at it from all sides, take over by hand, stop."""
    # With nothing kept back all that is to be seen fits into one minute's budget.
    site = site_of(home, folder, ("calls_per_minute = 9", "calls_per_minute = 9\nreserved_per_minute = 0"))
    neighbour = Site(folder / "neighbour", home.token, {"XDG_RUNTIME_DIR": str(folder)})
    neighbour.folder.mkdir()
    neighbour.config.write_text(site.config.read_text())
    began_s = time.perf_counter()
    with site.running() as run:
        run.until_said('"event": "started"')
        up_s = time.perf_counter() - began_s
        command_line = Path(f"/proc/{run.process.pid}/cmdline").read_bytes()
        eventually(lambda: home.modes() == [FAST], 20, "FAST")
        second, same_token = site.run("run"), neighbour.run("run")
        eventually(lambda: site.rows("SELECT 1 FROM command WHERE state = 'confirmed'"), 40, "the read-back")
        status = site.run("status")
        ordered = site.run("set", "eco", "--charger", "garage", "--for", "2h")
        eventually(lambda: home.modes() == [FAST, ECO], 5, "ECO")
        ordered_status = site.run("status", "--json")
        stopped_s = run.stop()
    return Life(
        home, site, run, up_s, second, same_token, status, ordered, ordered_status, command_line, stopped_s
    )


def test_a_configuration_alone_is_enough_for_a_whole_life(tmp_path: Path, token: str) -> None:
    with guide_server(GuideHome(token=token, telemetry_s=8.0)) as home:
        assert isinstance(home, GuideHome)
        life = live(home, tmp_path)
    the_charger_was_brought_into_its_mode(life)
    the_log_tells_the_calls_that_the_server_heard(life)
    the_log_tells_the_commands_that_the_server_heard(life)
    other_instances_gave_way(life)
    the_order_was_followed_and_shown(life)
    the_end_was_clean_and_told(life)
    the_token_stayed_with_us(life)


def the_charger_was_brought_into_its_mode(life: Life) -> None:
    first = {key: value for key, value in life.home.commands[0].items() if key != "tokenId"}
    assert first == {
        "rwType": "2",
        "cmdType": "1",
        "cmdValue": str(FAST),
        "sns": [GARAGE],
        "callbackUrl": "",
    }
    assert "decision  garage: FAST" in life.status.out
    assert "garage    FAST, charging, 7360 W" in life.status.out


def the_log_tells_the_calls_that_the_server_heard(life: Life) -> None:
    calls = life.home.calls()
    logged = life.site.rows(
        "SELECT endpoint, outcome, http_status, reserved_s, completed_s FROM call ORDER BY id"
    )
    assert [row[0] for row in logged] == [
        heard.path.rpartition("/")[2].removesuffix(".do") for heard in calls
    ]
    assert {row[1:3] for row in logged} == {("ok", 200)}
    shift_s = logged[0][3] - calls[0].at_s
    for (*_, reserved_s, completed_s), heard in zip(logged, calls, strict=True):
        assert reserved_s - 0.5 <= heard.at_s + shift_s <= completed_s + 0.5
    assert life.home.most_in_a_minute() <= 9


def the_log_tells_the_commands_that_the_server_heard(life: Life) -> None:
    logged = life.site.rows("SELECT mode, serial, state, task_id FROM command ORDER BY id")
    assert [row[0] for row in logged] == life.home.modes() == [FAST, ECO], "what the owner ordered stands"
    assert {row[1] for row in logged} == {GARAGE}
    assert logged[0][2] == "confirmed"
    assert [row[3] for row in logged] == [f"{number:032x}" for number in (1, 2)]
    events = life.site.rows("SELECT kind FROM command_event WHERE command_id = 1 ORDER BY id")
    assert [kind for (kind,) in events] == ["intent", "sent", "accepted", "confirmed"]


def other_instances_gave_way(life: Life) -> None:
    assert life.second.code == life.same_token.code == 75
    assert "another sunmode runs with the same database" in life.second.err
    assert "another sunmode runs with the same token" in life.same_token.err


def the_order_was_followed_and_shown(life: Life) -> None:
    assert life.ordered.out.startswith("garage: ECO until ")
    told = json.loads(life.ordered_status.out)
    assert (told["overrides"][0]["mode"], told["overrides"][0]["origin"]) == ("ECO", "command line")
    assert told["decisions"]["garage"]["mode"] == "ECO"
    assert told["decisions"]["garage"]["guard"] == "override"


def the_end_was_clean_and_told(life: Life) -> None:
    assert life.up_s < 5.0, "1.5 s on a machine that does nothing else"
    assert life.run.process.returncode == 0
    assert life.stopped_s < 5.0
    assert life.site.rows("SELECT kind FROM event ORDER BY id DESC LIMIT 1") == [("stop",)]
    events = [line["event"] for line in life.run.lines]
    assert (events[0], events[-1]) == ("started", "stopped")
    assert all(line["timestamp"].endswith("Z") for line in life.run.lines), "JSON, as it is no terminal"


def the_token_stayed_with_us(life: Life) -> None:
    assert not leaks(life.command_line)
    for told in (life.status, life.ordered, life.ordered_status, life.second, life.same_token):
        assert not leaks((told.out + told.err).encode())


@pytest.mark.parametrize(
    ("changes", "rest"), [((), STOP), ((("cycle_s = 1", "cycle_s = 1\ngreen_commissioned = true"),), GREEN)]
)
def test_a_stop_leaves_the_charger_resting(
    home: GuideHome, tmp_path: Path, changes: tuple[tuple[str, str], ...], rest: int
) -> None:
    with site_of(home, tmp_path, *changes).running() as run:
        eventually(lambda: FAST in home.modes(), 20, "FAST")
        assert run.stop() < 5.0
    assert home.modes()[-1] == rest
    eventually(lambda: home.settled() == rest, 2, "rest")


def test_a_stop_keeps_the_mode_where_the_owner_wants_that(home: GuideHome, tmp_path: Path) -> None:
    site = site_of(home, tmp_path, ("cycle_s = 1", 'cycle_s = 1\nstop_mode = "keep"'))
    with site.running() as run:
        eventually(lambda: FAST in home.modes(), 20, "FAST")
        assert call(site, "status", "--quiet").code == 0
        run.stop(signal.SIGINT)
    assert run.process.returncode == 0
    assert home.modes() == [FAST]
    assert "service   stopped" in call(site, "status").out
    assert call(site, "status", "--quiet").code == 1


def test_a_stop_is_quick_even_while_the_cloud_is_silent(home: GuideHome, tmp_path: Path) -> None:
    home.piles[GARAGE] = Pile(connected=False)
    site = site_of(home, tmp_path, OFTEN)
    with site.running() as run:
        eventually(lambda: len(home.calls()) >= 2, 10, "the first reads")
        home.replies += [Reply(silent=True)] * 20
        before = len(home.calls())
        eventually(lambda: len(home.calls()) > before, 10, "a call that nobody answers")
        assert run.stop() < 5.0
    assert run.process.returncode == 0
    assert site.rows("SELECT count(*) FROM call WHERE completed_s IS NULL") == [(0,)]


def test_frozen_data_brings_the_charger_to_rest(home: GuideHome, tmp_path: Path) -> None:
    ages = ("cycle_s = 1", "cycle_s = 1\nfresh_s = 4\nstale_s = 6\nlease_s = 6")
    site = site_of(home, tmp_path, ages)
    with site.running() as run:
        eventually(lambda: home.settled() == FAST, 20, "FAST")
        home.frozen, began_s = True, time.perf_counter()
        eventually(lambda: home.settled() == STOP, 20, "STOP")
        assert time.perf_counter() - began_s < 6 + 1 + 2, "the oldest age, one cycle, and the way there"
        assert "the data is 0 min old" in site.run("why").out
        run.stop()
    guards = {guard for (guard,) in site.rows("SELECT guard FROM decision WHERE id > 2 AND mode = ?", STOP)}
    assert guards
    assert guards <= {"lease", "data_age"}


def test_a_mode_set_in_the_app_is_respected_until_automatic_is_ordered(
    home: GuideHome, tmp_path: Path
) -> None:
    home.telemetry_s = 60.0
    site = site_of(home, tmp_path, ('mode = "fast"', 'mode = "stop"'), OFTEN)
    with site.running() as run:
        eventually(lambda: site.rows("SELECT 1 FROM charger_reading"), 10, "the first read")
        home.piles[GARAGE].mode = FAST
        run.until_said('"event": "set by hand"', 15)
        assert "by hand   garage: FAST until" in site.run("status").out
        pause(2.5)
        assert home.modes() == [], "automation waits"
        assert site.run("set", "auto").code == 0
        eventually(lambda: home.modes() == [STOP], 5, "STOP")
        run.stop()


def test_the_threshold_takes_the_surplus_and_lets_it_go(home: GuideHome, tmp_path: Path) -> None:
    by_surplus = ('name = "fixed"', 'name = "threshold"')
    at_once = ('[strategy.fixed]\nmode = "fast"', "[strategy.threshold]\nstart_delay_s = 0\nstop_delay_s = 0")
    site = site_of(home, tmp_path, by_surplus, at_once)
    with site.running() as run:
        eventually(lambda: home.settled() == ECO, 15, "ECO")
        home.pv_w = 0.0
        eventually(lambda: home.settled() == STOP, 15, "STOP")
        assert "W surplus; next change above" in site.run("why").out
        run.stop()
    assert home.modes()[0] == ECO


def test_dry_run_decides_and_sends_nothing(home: GuideHome, tmp_path: Path) -> None:
    site = site_of(home, tmp_path)
    with site.running("run", "--dry-run") as run:
        run.until_said('"mode": "FAST"', 20)
        run.stop()
    assert run.process.returncode == 0
    assert home.modes() == []
    assert site.rows("SELECT count(*) FROM command") == [(0,)]
    assert (FAST,) in site.rows("SELECT mode FROM decision")


def test_a_command_cut_off_by_a_kill_is_neither_repeated_nor_forgotten(
    home: GuideHome, tmp_path: Path
) -> None:
    home.slow_commands_s = 5.0
    site = site_of(home, tmp_path, ("cycle_s = 1", 'cycle_s = 1\nstop_mode = "keep"'))
    with site.running() as run:
        eventually(lambda: home.modes() == [FAST], 20, "FAST")
        run.kill()
    assert site.rows("SELECT state FROM command") == [("sent",)]
    with closing(sqlite3.connect(site.database)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    home.slow_commands_s = 0.0
    with site.running() as run:
        eventually(lambda: site.rows("SELECT state FROM command") == [("confirmed",)], 15, "the read-back")
        pause(2.0)
        run.stop()
    assert home.modes() == [FAST]
    assert site.rows("SELECT count(*) FROM call WHERE outcome IS NULL") == [(1,)], "the call that was cut off"


def post(url: str, payload: object) -> int:
    """Post to a callback address as the cloud does; return the status."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=5)) as connection:
        connection.request("POST", parts.path, json.dumps(payload), {"Content-Type": "application/json"})
        return connection.getresponse().status


def answers(task_id: str) -> list[dict[str, object]]:
    """The guide's three answers to a command that went well."""
    return [
        {
            "success": True,
            "result": {"ack": "issue successfully"},
            "rspType": 1,
            "taskId": task_id,
            "code": "0",
        },
        {
            "success": True,
            "result": {"ack": "success", "sn": GARAGE},
            "rspType": 2,
            "taskId": task_id,
            "code": "0",
        },
        {
            "success": True,
            "result": {"ack": "all handled", "timeoutList": []},
            "rspType": 3,
            "taskId": task_id,
            "code": "0",
        },
    ]


def test_callbacks_are_kept_as_hearsay_and_a_forged_flood_costs_nothing(
    home: GuideHome, tmp_path: Path
) -> None:
    port = free_port()
    site = site_of(home, tmp_path)
    callback = f'[callback]\nurl = "http://127.0.0.1:{port}/"\nlisten_port = {port}\n'
    site.config.write_text(callback + site.config.read_text())
    with site.running() as run:
        eventually(lambda: home.modes() == [FAST], 20, "FAST")
        url = home.commands[0]["callbackUrl"]
        assert url.startswith(f"http://127.0.0.1:{port}/callback/")
        assert len(url.rpartition("/")[2]) >= 22, "a secret that cannot be guessed"
        eventually(lambda: site.rows("SELECT 1 FROM command WHERE task_id IS NOT NULL"), 5, "the task id")
        before = len(home.calls())
        assert [post(url, answer) for answer in answers(f"{1:032x}")] == [200, 200, 200]
        assert {post(url, answers(f"{number:032x}")[2]) for number in range(2, 60)} == {200}
        assert post(f"http://127.0.0.1:{port}/callback/{'x' * 32}", answers("1")[0]) == 404
        assert post(url, ["no callback"]) == 400
        pause(1.5)
        heard = site.rows("SELECT kind FROM command_event WHERE kind LIKE 'callback%' ORDER BY id")
        assert [kind for (kind,) in heard] == ["callback_1", "callback_2", "callback_3"]
        assert len(home.calls()) <= before + 3, "one look at the charger, and the regular ones"
        assert site.rows("SELECT state FROM command") != [("failed",)]
        assert run.stop() < 5.0
    secret = url.rpartition("/")[2]
    assert secret not in run.said


FAULTY = """\
from dataclasses import dataclass
from os import environ


@dataclass(frozen=True)
class Params:
    pass


class Mine:
    name, serves_goals, Params = "mine", False, Params

    def __init__(self, params): ...

    def propose(self, situation):
        raise BaseException("I have seen " + environ["SUNMODE_SOLAX__TOKEN"])
"""


def test_what_ends_the_service_unexpectedly_is_one_line_without_the_token(
    home: GuideHome, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(FAULTY)
    site = site_of(home, tmp_path, ('name = "fixed"', 'name = "mine:Mine"'))
    site.env = {"PYTHONPATH": os.pathsep.join((os.fspath(tmp_path), os.environ.get("PYTHONPATH", "")))}
    with site.running() as run:
        assert run.process.wait(20) == 1
    last = run.lines[-1]
    assert (last["event"], last["level"]) == ("ended by a fault", "critical")
    assert "I have seen [token]" in last["exception"]


def test_a_token_file_and_a_credential_are_as_good_as_the_environment(
    home: GuideHome, tmp_path: Path
) -> None:
    site = site_of(home, tmp_path, ("[solax]", '[solax]\ntoken_file = "solax.token"'))
    site.token = ""
    (tmp_path / "solax.token").write_text(f"{home.token}\n")
    assert site.run("run", "--once").code == 0
    site.config.write_text(site.config.read_text().replace('token_file = "solax.token"', ""))
    site.env = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials-token")}
    (tmp_path / "credentials-token").mkdir()
    (tmp_path / "credentials-token" / "solax__token").write_text(home.token)
    assert site.run("run", "--once").code == 0
    assert len(home.calls()) == 4
