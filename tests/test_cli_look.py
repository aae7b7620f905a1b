"""What the owner reads: `status`, `why`, `export`; and what `run --once` and `set` leave for them to tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from command_line import call
from fake_guide_server import Reply, guide_server
from guide_home import ECO, FAST, GARAGE, STOP, GuideHome, Pile
from sunmode_process import Site, site_of

from optimizer.cli.look import parsed_time
from optimizer.clock import SystemClock
from optimizer.config import Settings
from optimizer.errors import InputError
from optimizer.store.queries import INSTANTS, TABLES


@pytest.fixture
def home(token: str) -> Iterator[GuideHome]:
    with guide_server(GuideHome(token=token)) as served:
        yield served  # type: ignore[misc]


@pytest.fixture
def site(home: GuideHome, tmp_path: Path) -> Site:
    return site_of(home, tmp_path)


@pytest.mark.parametrize("found", [FAST, ECO])
def test_run_once_takes_a_charger_out_of_a_mode_that_draws_from_the_grid(
    site: Site, home: GuideHome, found: int
) -> None:
    home.piles[GARAGE] = Pile(mode=found)
    once = call(site, "run", "--once")
    assert once.code == 0
    assert once.out.startswith("garage: STOP.")
    assert home.modes() == [STOP]


@pytest.mark.parametrize("reply", [Reply(500, b""), Reply(200, b"<html>later</html>")])
def test_run_once_fails_if_a_charger_may_go_on_drawing(site: Site, home: GuideHome, reply: Reply) -> None:
    home.piles[GARAGE], home.command_reply = Pile(mode=FAST), reply
    once = call(site, "run", "--once")
    assert once.code == 1
    assert "garage may go on drawing from the grid" in once.err
    assert site.rows("SELECT count(*) FROM event WHERE kind = 'left_drawing'") == [(1,)]


def test_run_once_gives_neither_fast_nor_eco_even_by_hand(site: Site, home: GuideHome) -> None:
    assert call(site, "set", "fast", "--for", "2h").code == 0
    for _ in range(2):
        assert call(site, "run", "--once").code == 0
    assert home.modes() == []
    home.piles[GARAGE] = Pile(mode=FAST)
    call(site, "run", "--once")
    assert home.modes() == [STOP]


def test_run_once_follows_an_order_that_needs_nobody_to_watch(site: Site, home: GuideHome) -> None:
    call(site, "set", "green", "--for", "2h")
    assert call(site, "run", "--once").out.startswith("garage: GREEN. set by hand to GREEN")
    assert home.modes() == [3]


def test_run_once_dry_tells_and_sends_nothing(site: Site, home: GuideHome) -> None:
    home.piles[GARAGE] = Pile(mode=FAST)
    once = call(site, "run", "--once", "--dry-run")
    assert once.code == 0
    assert once.out.startswith("garage: STOP.")
    assert '"event": "would set"' in once.err
    assert home.modes() == []


def test_status_and_why_tell_what_a_run_saw_and_decided(site: Site) -> None:
    call(site, "run", "--once")
    status = call(site, "status")
    assert status.code == 0
    assert "house     PV 3000 W, grid -2" in status.out
    assert "garage    STOP, preparing, 0 W" in status.out
    assert "decision  garage: STOP, written" in status.out
    assert "2 of 9 calls in the last minute" in status.out
    why = call(site, "why")
    assert why.code == 0
    assert why.out.startswith("garage: STOP, as decided at 20")
    assert "the strategy wanted FAST" in why.out


def test_status_in_json_holds_the_same_with_instants_in_utc(site: Site) -> None:
    call(site, "run", "--once")
    call(site, "set", "eco", "--charger", "garage", "--for", "90m")
    told = json.loads(call(site, "status", "--json").out)
    now = datetime.fromisoformat(told["now"])
    assert told["now"].endswith("Z")
    assert told["site"]["pv_w"] == 3000.0
    assert told["site"]["received_at"].endswith("Z")
    assert told["chargers"]["garage"]["mode"] == "STOP"
    assert told["chargers"]["garage"]["status"] == "PREPARING"
    assert told["decisions"]["garage"]["mode"] == "STOP"
    assert told["decisions"]["garage"]["at"].endswith("Z")
    (order,) = told["overrides"]
    assert (order["charger"], order["mode"]) == ("garage", "ECO")
    left = datetime.fromisoformat(order["until"]) - now
    assert timedelta(minutes=89) < left <= timedelta(minutes=90)
    assert told["budget"]["calls_last_minute"] == 2
    assert told["alive"] is True


def test_quiet_status_is_an_exit_code_alone(site: Site) -> None:
    before = call(site, "status", "--quiet")
    assert (before.code, before.out, before.err) == (1, "", "")
    call(site, "run", "--once")
    after = call(site, "status", "--quiet")
    assert (after.code, after.out, after.err) == (0, "", "")


def test_why_finds_the_decision_that_stood_at_a_time(site: Site) -> None:
    call(site, "run", "--once")
    now = SystemClock().now()
    assert call(site, "why", now.isoformat()).code == 0
    early = call(site, "why", (now - timedelta(hours=1)).isoformat())
    assert early.code == 2
    assert "nothing was decided before" in early.err
    late = call(site, "why", (now + timedelta(hours=1)).isoformat())
    assert late.code == 2
    assert "lies ahead" in late.err


NOON = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)  # 12:00 in Berlin


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("11:30", "2026-06-01T09:30:00+00:00"),
        ("11:30:15", "2026-06-01T09:30:15+00:00"),
        ("12:00", "2026-06-01T10:00:00+00:00"),
        ("12:01", "2026-05-31T10:01:00+00:00"),
        ("09:30Z", "2026-06-01T09:30:00+00:00"),
        ("2026-05-30 14:30", "2026-05-30T12:30:00+00:00"),
        ("2026-01-30 14:30", "2026-01-30T13:30:00+00:00"),
        ("2026-05-30T14:30:00+05:30", "2026-05-30T09:00:00+00:00"),
        ("2026-05-30", "2026-05-29T22:00:00+00:00"),
    ],
)
def test_a_time_is_read_as_the_owner_means_it(text: str, meant: str) -> None:
    assert parsed_time(text, Settings().zone, NOON).isoformat() == meant


@pytest.mark.parametrize("text", ["", "noon", "25:00", "14h30", "0001-01-01", "9999-12-31T23:59-10:00"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(InputError, match='no time like "14:30"'):
        parsed_time(text, Settings().zone, NOON)


def test_export_writes_every_table_for_pandas_with_instants_in_utc(site: Site, tmp_path: Path) -> None:
    call(site, "run", "--once")
    call(site, "set", "eco")
    exported = call(site, "export", "out")
    assert exported.code == 0
    assert exported.out.splitlines() == [f"out/{table}.parquet" for table in TABLES]
    for table in TABLES:
        frame = pd.read_parquet(tmp_path / "out" / f"{table}.parquet")
        for column in INSTANTS.intersection(frame.columns):
            assert str(frame[column].dtype).endswith(", UTC]"), (table, column)
    calls = pd.read_parquet(tmp_path / "out" / "call.parquet")
    assert sorted(calls["endpoint"]) == ["getPileInfo", "getRealtimeInfo"]
    age = pd.Timestamp.now("UTC") - calls["completed_at"].max()
    assert pd.Timedelta(0) <= age < pd.Timedelta(minutes=1)


def test_an_order_for_one_charger_is_shown_until_automatic_ends_it(site: Site) -> None:
    call(site, "run", "--once")
    ordered = call(site, "set", "FAST", "--charger", "garage", "--for", "2h")
    assert ordered.out.startswith("garage: FAST until ")
    assert "by hand   garage: FAST until" in call(site, "status").out
    assert call(site, "set", "auto").out == "all chargers: automatic\n"
    assert "by hand" not in call(site, "status").out


def test_an_order_without_a_length_stands_as_long_as_the_configuration_says(site: Site) -> None:
    call(site, "set", "eco")
    ((set_at, until),) = site.rows("SELECT set_at, until FROM override")
    held = datetime.fromisoformat(until) - datetime.fromisoformat(set_at)
    assert abs(held - timedelta(hours=3)) < timedelta(seconds=1)
