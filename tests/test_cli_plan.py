"""`sunmode plan`, out of logs that the real service has written, in virtual time."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from command_line import call, refused
from living import HOUR, MINUTE, START, Life, dark, live
from sunmode_process import Site

from optimizer.domain import Mode
from optimizer.runtime.planned import sun_share_kwh

GOAL = '[[charger.goal]]\nby = "18:00"\nenergy_kwh = 12\n'
ROOF = "[site]\nlatitude = 52.0\nlongitude = 9.4\n[[roof]]\nkwp = 6.0\ntilt_deg = 35\nazimuth_deg = 180\n"
PLANNER = '[strategy]\nname = "planner"\n'
QUARTER = timedelta(minutes=15)
LINE = re.compile(
    r"^  Tue (?P<start>\d\d:\d\d) - (Wed |Thu )?\d\d:\d\d +(?P<mode>STOP|GREEN|ECO|FAST) +(?P<price>0\.\d{3})"
    r"(?P<band>( +-?\d+\.\d){3}) +(?P<kwh>\d+\.\d\d) +(?P<eur>-?\d+\.\d\d)$"
)


def lived(tmp_path: Path, token: str, config: str, hours: float = 1.5, **world: Any) -> Site:
    """Let the service live; return the folder it leaves, for an owner who looks into it."""

    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(hours * HOUR)
        await life.ends()

    live(tmp_path, token, script, config=config, **world)
    return Site(tmp_path, token)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planned")
    lived(folder, "202606020800VIRTUAL00000", GOAL + ROOF + PLANNER)
    return folder


@pytest.fixture
def site(folder: Path) -> Site:
    """A site whose planner has 12 kWh to have in the car by the evening, after an hour and a half."""
    return Site(folder, "")


def planned(site: Site, *options: str) -> Any:
    """What `plan --json` tells of the garage."""
    told = call(site, "plan", "--json", *options)
    assert told.code == 0, told
    return json.loads(told.out)["chargers"]["garage"]


def at(text: str) -> datetime:
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


def test_the_plan_is_a_table_with_sums_goal_and_forecasts(site: Site) -> None:
    told = call(site, "plan")
    assert told.code == 0, told
    assert told.out.startswith("garage: the plan of planner, by what was seen at 2026-06-02 11:")
    head, *rows = [line for line in told.out.splitlines() if line.startswith("  T") or "EUR/kWh" in line]
    assert head.split() == ["time", "mode", "EUR/kWh", "surplus", "kW", "(p10", "p50", "p90)", "kWh", "EUR"]
    assert all(LINE.match(row) for row in rows), told.out
    assert re.search(
        r"^  sum       \d+\.\d kWh \(\d+\.\d sun, \d+\.\d grid\), \d+\.\d\d EUR$", told.out, re.MULTILINE
    )
    assert re.search(r"^  goal      12 kWh by Tue 18:00; \d+\.\d are in the car", told.out, re.MULTILINE)
    assert re.search(
        r"^  sun       forecast by own-offline, issued Tue 1\d:\d\d, \d+ min old then", told.out, re.MULTILINE
    )
    assert re.search(r"^  house     (no forecast|forecast by own-)", told.out, re.MULTILINE)
    assert "\x1b" not in told.out


def test_on_a_terminal_the_table_is_in_colours(folder: Path) -> None:
    told = call(Site(folder, "", {"FORCE_COLOR": "1", "COLUMNS": "100"}), "plan")
    assert told.code == 0
    assert re.search(r"\x1b\[3\dm.*Tue \d\d:\d\d - \d\d:\d\d", told.out)


def test_a_line_is_two_hours_of_one_mode_and_price_and_all_sum_up_to_the_quarter_hours(site: Site) -> None:
    found = [LINE.match(line) for line in call(site, "plan").out.splitlines()]
    rows = [(int(row["start"][:2]) // 2, row["mode"], float(row["kwh"])) for row in found if row is not None]
    steps = planned(site)["steps"]
    assert 2 <= len(rows) < len(steps)
    assert all(one[:2] != other[:2] for one, other in pairwise(rows))
    assert sum(kwh for *_, kwh in rows) == pytest.approx(sum(step["kwh"] for step in steps), abs=0.1)


def test_the_json_has_a_row_for_each_quarter_hour_from_the_decision_to_the_goal(site: Site) -> None:
    told = planned(site)
    steps = [(at(step["start"]), at(step["end"])) for step in told["steps"]]
    assert steps[0][0] == at(told["seen_at"])
    assert steps[-1][1] == at(told["goal"]["deadline"]) == datetime(2026, 6, 2, 16, 0, tzinfo=UTC)
    assert all(end == start for (_, end), (start, _) in pairwise(steps))
    assert all(end - start == QUARTER for start, end in steps[1:])
    assert {step["mode"] for step in told["steps"]} <= {mode.name for mode in Mode}
    assert all(step["surplus"]["p10_w"] <= step["surplus"]["p90_w"] for step in told["steps"])


def test_the_sums_are_those_of_the_steps_and_the_goal_is_met_by_them(site: Site) -> None:
    told = planned(site)
    for name in ("kwh", "sun_kwh", "grid_kwh", "eur"):
        assert told["total"][name] == pytest.approx(sum(step[name] for step in told["steps"]))
    assert told["total"]["kwh"] == pytest.approx(told["total"]["sun_kwh"] + told["total"]["grid_kwh"])
    goal = told["goal"]
    assert goal["is_met"] is True
    assert goal["taken_kwh"] + goal["planned_kwh"] == pytest.approx(12.0, abs=0.05)
    assert told["forecast"]["provider"] == "own-offline"
    age_s = (at(told["seen_at"]) - at(told["forecast"]["issued"])).total_seconds()
    assert told["forecast"]["age_s"] == pytest.approx(age_s, abs=0.01)


def test_why_tells_each_modes_value_in_euros_beside_the_one_that_holds(site: Site) -> None:
    lines = call(site, "why").out.splitlines()
    first = lines.index("  from here on, all told:")
    told = [line.split(maxsplit=1) for line in lines[first + 1 :]]
    assert {name for name, _ in told} == {mode.name for mode in Mode}
    assert dict(told)[lines[0].split()[1].strip(",")] == "this mode"
    assert all(re.fullmatch(r"this mode|the same|\d+\.\d\d EUR (more|less)", value) for _, value in told)
    assert told[-1][1].endswith("more")
    (following,) = [line for line in lines if line.startswith("  next: ")]
    assert following.removeprefix("  next: ") in planned(site)["decided"]["reason"]


def test_a_plan_of_an_earlier_time_goes_by_what_was_known_then(site: Site) -> None:
    early = planned(site, (START + timedelta(minutes=20)).isoformat())
    assert at(early["seen_at"]) <= START + timedelta(minutes=20)
    assert early["goal"]["taken_kwh"] < planned(site)["goal"]["taken_kwh"]
    refused(call(site, "plan", "2999-01-01"), "lies ahead")


def test_a_plan_that_nobody_renews_says_that_it_is_old(site: Site) -> None:
    assert "old: nothing was decided for " in call(site, "plan").out
    assert "old: " not in call(site, "plan", (START + timedelta(minutes=30)).isoformat()).out


def test_a_goal_out_of_reach_says_what_will_be_missing(tmp_path: Path, token: str) -> None:
    goal = '[[charger.goal]]\nby = "12:00"\nenergy_kwh = 25\n'
    site = lived(tmp_path, token, goal + ROOF + PLANNER, hours=0.5, sky=dark)
    told = call(site, "plan").out
    assert re.search(r"25 kWh by Tue 12:00; .* planned: \d+\.\d kWh will be missing", told), told
    assert planned(site)["goal"]["is_met"] is False


def test_without_a_car_there_is_nothing_to_plan(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        life.home.unplug("SQ1")
        await life.begin()
        await life.passes(10 * MINUTE)
        await life.ends()

    live(tmp_path, token, script, config=ROOF + PLANNER)
    site = Site(tmp_path, token)
    told = call(site, "plan")
    assert (told.code, "no plan: no car is plugged in" in told.out) == (0, True), told
    assert "  goal      none" in told.out
    found = planned(site)
    assert (found["steps"], found["total"], found["nothing"]) == ([], None, "no car is plugged in")


def test_a_full_car_has_no_plan(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        life.home.unplug("SQ1")
        life.home.plug("SQ1", 0.3)
        await life.begin()
        await life.passes(1 * HOUR)
        await life.ends()

    live(tmp_path, token, script, config=ROOF + PLANNER)
    assert "no plan: the car is full" in call(Site(tmp_path, token), "plan").out


def test_a_strategy_that_does_not_plan_says_so(tmp_path: Path, token: str) -> None:
    site = lived(tmp_path, token, '[strategy]\nname = "threshold"\n', hours=0.3)
    told = call(site, "plan")
    assert told.code == 0
    assert "no plan: threshold does not plan: it decides by what it sees from cycle to cycle" in told.out


def test_what_another_strategy_decided_can_be_planned_on(tmp_path: Path, token: str) -> None:
    site = lived(tmp_path, token, '[strategy]\nname = "threshold"\n', hours=0.3)
    with site.config.open("a", encoding="utf-8") as file:
        file.write("\n")
    site.config.write_text(site.config.read_text().replace('"threshold"', '"planner"'), encoding="utf-8")
    told = call(site, "plan").out
    assert "threshold decided then; this is how planner would go on" in told
    assert "not known" in told
    assert "  sun       no forecast" in told
    assert {step["surplus"] for step in planned(site)["steps"]} == {None}


def test_a_forecast_that_is_gone_from_the_log_is_told(tmp_path: Path, token: str) -> None:
    site = lived(tmp_path, token, GOAL + ROOF + PLANNER, hours=0.5)
    with closing(sqlite3.connect(site.database)) as conn:
        conn.execute("DELETE FROM forecast")
        conn.commit()
    assert "  sun       the forecast that there was is in the log no more" in call(site, "plan").out
    assert "forecast" in planned(site)["lost_forecasts"]


def test_before_anything_was_decided_it_says_so(tmp_path: Path, token: str) -> None:
    site = lived(tmp_path, token, PLANNER, hours=0.1)
    told = call(site, "plan", (START - timedelta(hours=1)).isoformat())
    assert (told.code, told.out) == (0, "garage: nothing has been decided yet\n")
    site.database.unlink()
    refused(call(site, "plan"), "no such log")


def test_a_charger_that_is_unknown_is_refused_with_those_there_are(site: Site) -> None:
    refused(call(site, "plan", "--charger", "garag"), "(there are: garage)")
    assert call(site, "plan", "--charger", "garage").code == 0


@pytest.mark.parametrize(
    ("kwh", "eur", "price", "feed_in", "sun_kwh"),
    [
        (2.0, 0.16, 0.30, 0.08, 2.0),
        (2.0, 0.60, 0.30, 0.08, 0.0),
        (2.0, 0.38, 0.30, 0.08, 1.0),
        (2.0, -0.01, -0.05, 0.08, pytest.approx(0.09 / 0.13)),
        (2.0, 0.16, 0.08, 0.08, None),
        (0.0, 0.0, 0.08, 0.08, 0.0),
        (2.0, 9.0, 0.30, 0.08, 0.0),
    ],
)
def test_what_energy_costs_tells_how_much_of_it_is_sun(
    kwh: float, eur: float, price: float, feed_in: float, sun_kwh: float | None
) -> None:
    found = sun_share_kwh(kwh, eur, price, feed_in)
    assert found == (sun_kwh if sun_kwh is None or not isinstance(sun_kwh, float) else pytest.approx(sun_kwh))
