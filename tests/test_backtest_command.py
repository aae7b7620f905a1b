"""`sunmode backtest` as a user calls it: figures, traces, parameters, and what is refused."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import call, refused
from sunmode_process import Ended, Site

FIGURES = (
    "cost_eur",
    "ev_kwh",
    "ev_solar_kwh",
    "ev_grid_kwh",
    "unmet_kwh",
    "import_kwh",
    "export_kwh",
    "mode_changes",
    "api_calls",
    "regret_eur",
    "wall_s",
    "skill",
)
SESSIONS = """\
arrival,departure,energy_kwh
2026-06-01T18:00+02:00,2026-06-02T07:00+02:00,10
2026-06-02T10:00+02:00,2026-06-02T16:30+02:00,12
"""
RAISES = """\
from dataclasses import dataclass

class Broken:
    name = "broken"
    serves_goals = True

    @dataclass(frozen=True)
    class Params:
        pass

    def __init__(self, params):
        self.params = params

    def propose(self, situation):
        raise RuntimeError("oh dear")
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A folder with three sunny days by the quarter hour, and two sessions."""
    time = pd.date_range(datetime(2026, 6, 1, tzinfo=UTC), periods=3 * 96, freq="15min")
    hour = time.hour + time.minute / 60.0
    pv_w = np.maximum(0.0, 7000.0 * np.sin((hour - 4.0) / 15.0 * np.pi)) * ((hour > 4) & (hour < 19))
    pd.DataFrame({"time": time, "pv_w": pv_w, "load_w": 350.0}).to_csv(tmp_path / "house.csv", index=False)
    (tmp_path / "sessions.csv").write_text(SESSIONS)
    return Site(tmp_path, "")


def backtest(site: Site, *args: str, house: str = "house.csv") -> Ended:
    # At reference speed: three days are run sooner than a kernel is compiled.
    given = ["--house", house, "--sessions", "sessions.csv", "--reference", *args]
    return call(site, "backtest", *given)


def told(site: Site, *args: str, **options: str) -> Any:
    ended = backtest(site, "--json", *args, **options)
    assert (ended.code, ended.err) == (0, ""), ended
    return json.loads(ended.out)


def by_name(document: Any) -> dict[str, Any]:
    return {line["name"]: line for line in document["strategies"]}


# Figures.


def test_the_usual_strategies_run_and_the_document_has_its_keys(site: Site) -> None:
    document = told(site)
    assert list(document)[:6] == ["house", "from", "to", "steps", "strategies", "bound"]
    assert (document["house"], document["steps"], document["bound"]) == ("house.csv", 3 * 1440, None)
    assert (document["from"], document["to"]) == ("2026-06-01T00:00:00.000Z", "2026-06-04T00:00:00.000Z")
    assert (document["sessions"], document["need_kwh"], document["notes"]) == (2, 22.0, [])
    names = [line["name"] for line in document["strategies"]]
    assert names == ["stop", "fast", "eco", "green", "threshold", "timer", "deadline", "planner"]
    for line in document["strategies"]:
        assert tuple(line) == ("name", "params", *FIGURES)
        assert line["regret_eur"] is line["skill"] is None
        assert line["ev_kwh"] == pytest.approx(line["ev_solar_kwh"] + line["ev_grid_kwh"])
        assert line["ev_kwh"] + line["unmet_kwh"] == pytest.approx(22.0, abs=0.01)


def test_the_bounds_lie_below_every_strategy_and_skill_is_measured_from_fast(site: Site) -> None:
    document = told(site, "--bound", "--strategy", "deadline", "--strategy", "stop")
    lines = by_name(document)
    assert list(lines) == ["deadline", "stop"], "fast runs in silence"
    fast_eur = by_name(told(site, "--strategy", "fast"))["fast"]["cost_eur"]
    best_eur = document["mode_bound"]["cost_eur"]
    assert document["bound"]["cost_eur"] <= best_eur + 1e-9 < lines["deadline"]["cost_eur"]
    assert (document["bound"]["kind"], document["mode_bound"]["kind"]) == ("lp", "mode")
    for line in lines.values():
        assert line["regret_eur"] == pytest.approx(line["cost_eur"] - best_eur)
        assert line["skill"] == pytest.approx(1 - line["regret_eur"] / (fast_eur - best_eur))
    (fast,) = told(site, "--bound", "--strategy", "fast")["strategies"]
    assert fast["skill"] == pytest.approx(0.0)


def test_people_get_a_table_with_the_notes_below(site: Site) -> None:
    text = (site.folder / "sessions.csv").read_text()
    (site.folder / "sessions.csv").write_text(text + "2026-06-03T20:00Z,2026-06-04T05:00Z,9\n")
    ended = backtest(site, "--bound", "--strategy", "green", "--strategy", "fast")
    assert (ended.code, ended.err) == (0, "")
    shown = ended.out.splitlines()
    assert shown[0] == "house.csv: 2026-06-01T00:00Z to 2026-06-04T00:00Z, 3.0 days"
    assert shown[1] == "2 sessions that take 22 kWh in all"
    assert [line.split()[0] for line in shown if line.lstrip().startswith(("green", "fast"))] == [
        "green",
        "fast",
    ]
    assert "regret €" in ended.out
    assert "…" not in ended.out
    assert "1 session lies partly outside of the house's time and is left out" in shown[-1]


def test_several_houses_give_a_list_and_one_gives_itself(site: Site) -> None:
    text = (site.folder / "house.csv").read_text()
    (site.folder / "other.csv").write_text(text.replace(",350.0", ",900.0"))
    documents = told(site, "--house", "other.csv", "--strategy", "fast")
    assert [document["house"] for document in documents] == ["house.csv", "other.csv"]
    costs_eur = [document["strategies"][0]["cost_eur"] for document in documents]
    assert costs_eur[0] < costs_eur[1]


def test_options_of_prices_reach_the_cost(site: Site) -> None:
    cheap, dear = (
        by_name(told(site, "--strategy", "fast", "--price", price, "--feed-in", "0"))["fast"]
        for price in ("0.1", "0.4")
    )
    assert dear["import_kwh"] == cheap["import_kwh"]
    assert dear["cost_eur"] - cheap["cost_eur"] == pytest.approx(0.3 * dear["import_kwh"])


@pytest.mark.parametrize("goals", ["announced", "habit"])
def test_goals_change_what_a_law_does(site: Site, goals: str) -> None:
    (line,) = told(site, "--strategy", "deadline", "--goals", goals)["strategies"]
    assert (line["unmet_kwh"] < 0.1) == (goals == "announced"), "two sessions are no habit"


def test_the_time_can_be_cut(site: Site) -> None:
    document = told(site, "--strategy", "fast", "--from", "2026-06-02", "--to", "2026-06-03")
    assert (document["from"], document["to"]) == ("2026-06-02T00:00:00.000Z", "2026-06-03T00:00:00.000Z")
    assert document["sessions"] == 1
    assert "partly outside" in document["notes"][0]


# Parameters.


def test_a_parameter_is_set_with_or_without_its_strategys_name(site: Site) -> None:
    one = told(site, "--strategy", "threshold", "--set", "start_delay_s=60", "--set", "idle_mode=green")
    params = one["strategies"][0]["params"]
    assert (params["start_delay_s"], params["idle_mode"]) == (60.0, "green")
    both = told(site, "--strategy", "threshold", "--strategy", "timer", "--set", "threshold.start_delay_s=61")
    assert by_name(both)["threshold"]["params"]["start_delay_s"] == 61.0
    assert by_name(both)["timer"]["params"]["start_delay_s"] != 61.0


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--set", "start_dely_s=60"], "unknown key 'start_dely_s'; did you mean 'start_delay_s'?"),
        (["--set", "threshold.start_dely_s=60"], "unknown key 'start_dely_s'; did you mean 'start_delay_s'?"),
        (["--set", "start_delay_s=7200"], "threshold.start_delay_s: 7200 is more than allowed (0 to 3600)"),
        (["--set", "start_delay_s=-1"], "-1 is less than allowed (0 to 3600)"),
        (["--set", "start_delay_s=soon"], "start_delay_s: needs a number (0 to 3600), not text"),
        (["--set", "eco_by_surplus=1"], "needs true or false"),
        (["--set", "idle_mode=gren"], "'gren' is not one of"),
        (["--set", "idle_mode=fast"], "draws from the grid: stop or green would do"),
        (["--set", "eco_start_factor=0.1"], "eco_start_factor 0.1 is below eco_stop_factor 0.5"),
        (["--set", "start_delay_s"], "needs key=value"),
        (["--set", "=60"], "needs key=value"),
        (["--set", "timr.start_delay_s=60"], "'timr' does not run here"),
        (["--strategy", "fast", "--set", "fast.mode=eco"], "fast has no parameters"),
        (["--strategy", "timer", "--set", "start_delay_s=60"], "name it: threshold.start_delay_s, timer"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_told_with_what_is_allowed(site: Site, args: list[str], says: str) -> None:
    refused(backtest(site, "--strategy", "threshold", *args), says)


def test_a_strategy_of_ones_own_runs_by_module_and_class(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    code = RAISES.replace(
        'raise RuntimeError("oh dear")', "return Proposal(Mode.GREEN, Reason('mine', 'so'))"
    )
    head = "from optimizer.domain import Mode, Proposal, Reason\n"
    (site.folder / "my_green.py").write_text(head + code.replace("broken", "mine"))
    monkeypatch.syspath_prepend(site.folder)
    mine, green = told(site, "--strategy", "my_green:Broken", "--strategy", "green")["strategies"]
    assert mine["name"] == "mine"
    # It serves goals, which `green` does not: a guard goes to FAST for it.
    assert mine["unmet_kwh"] < green["unmet_kwh"]


def test_a_strategy_that_raises_is_a_fault_and_leaves_no_trace(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.folder / "my_broken.py").write_text(RAISES)
    monkeypatch.syspath_prepend(site.folder)
    ended = backtest(site, "--strategy", "my_broken:Broken", "--trace", "traces")
    assert (ended.code, ended.out) == (1, "")
    assert "strategy 'broken' failed at 2026-06-01" in ended.err
    assert "RuntimeError: oh dear" in ended.err
    assert "Traceback" not in ended.err
    assert not list(site.folder.rglob("*.parquet*"))


# Traces.


def test_a_trace_is_each_known_minute_and_its_powers_add_up(site: Site) -> None:
    text = (site.folder / "house.csv").read_text().splitlines(keepends=True)
    (site.folder / "house.csv").write_text("".join(text[:260] + text[270:]))
    document = told(site, "--strategy", "deadline", "--strategy", "eco", "--trace", "out/traces")
    assert sorted(path.name for path in (site.folder / "out/traces").iterdir()) == [
        "deadline.parquet",
        "eco.parquet",
    ]
    table = pq.read_table(site.folder / "out/traces/deadline.parquet")
    assert {field.name: str(field.type) for field in table.schema} == {
        "time": "timestamp[ms, tz=UTC]",
        "pv_w": "double",
        "base_load_w": "double",
        "ev_w": "double",
        "battery_w": "double",
        "grid_w": "double",
        "mode": "int8",
        "status": "int16",
        "session": "int32",
        "ev_kwh": "double",
        "need_kwh": "double",
    }
    rows = table.to_pandas()
    assert len(rows) == document["steps"] == 3 * 1440 - 150
    np.testing.assert_allclose(
        rows.pv_w + rows.grid_w + rows.battery_w, rows.base_load_w + rows.ev_w, atol=1e-6
    )
    line = by_name(document)["deadline"]
    assert rows.ev_w.sum() / 60e3 == pytest.approx(line["ev_kwh"])
    assert rows.grid_w.clip(lower=0).sum() / 60e3 == pytest.approx(line["import_kwh"])
    per_session = rows.groupby("session").agg({"need_kwh": "first", "ev_kwh": "last", "time": "count"})
    assert list(per_session.need_kwh) == [10.0, 12.0]
    assert list(per_session.time) == [13 * 60, 390]
    assert per_session.ev_kwh.sum() == pytest.approx(line["ev_kwh"])
    assert set(rows.need_kwh[rows.session.isna()]) == {0.0}


def test_each_of_several_houses_has_a_folder_of_traces(site: Site) -> None:
    text = (site.folder / "house.csv").read_text()
    (site.folder / "other.csv").write_text(text)
    told(site, "--house", "other.csv", "--strategy", "fast", "--trace", "traces")
    found = sorted(str(path.relative_to(site.folder)) for path in site.folder.rglob("*.parquet"))
    assert found == ["traces/house/fast.parquet", "traces/other/fast.parquet"]


def test_a_trace_that_cannot_be_written_is_told_and_leaves_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(backtest(site, "--strategy", "fast", "--trace", "house.csv"), "house.csv")
    (site.folder / "traces").mkdir()

    def full(table: pa.Table, path: Path) -> None:
        path.write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    refused(backtest(site, "--strategy", "fast", "--trace", "traces"), "No space left on device")
    assert not list((site.folder / "traces").iterdir())


# Configuration.


def test_a_configuration_gives_charger_battery_prices_goals_and_parameters(site: Site) -> None:
    site.config.write_text(
        '[[charger]]\nphases = 3\nmax_current_a = 16\n[[charger.goal]]\nby = "07:00"\nenergy_kwh = 10\n'
        "[battery]\ncapacity_kwh = 8\n[tariff]\nimport_eur_per_kwh = 0.5\n"
        "[strategy.threshold]\nstart_delay_s = 90\n"
    )
    args = ("--strategy", "threshold", "--strategy", "fast", "--goals", "config", "--trace", "t")
    own = told(site, *args, "--config", "config.toml")
    assert by_name(own)["threshold"]["params"]["start_delay_s"] == 90.0
    rows = pd.read_parquet(site.folder / "t/fast.parquet")
    assert rows.ev_w.max() == pytest.approx(3 * 16 * 230)
    assert rows.battery_w.abs().max() > 0
    costs = [
        by_name(told(site, "--strategy", "fast", *args, "--config", "config.toml"))["fast"]["cost_eur"]
        for args in ((), ("--price", "0.5"), ("--price", "0.2"))
    ]
    assert costs[0] == costs[1] > costs[2]


def test_a_bad_configuration_is_a_matter_of_configuration(site: Site) -> None:
    site.config.write_text("[charger]\n")
    ended = backtest(site, "--config", "config.toml")
    assert (ended.code, ended.out) == (78, "")
    assert "config.toml:1" in ended.err


def test_no_configuration_is_looked_for_where_none_is_named(site: Site) -> None:
    site.config.write_text("nonsense")
    assert told(site, "--strategy", "fast")["sessions"] == 2


# Mistakes.


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "Missing option '--house'"),
        (["--house", "none.csv"], "none.csv: no such file"),
        (["--house", "house.csv"], "no sessions: name a file with arrival, departure, energy_kwh"),
        (["--house", "."], "is a directory"),
        (["--house", "sessions.csv", "--sessions", "sessions.csv"], "sessions.csv: no column 'time'"),
        (["--house", "house.csv", "--sessions", "house.csv"], "house.csv: no column 'arrival'"),
        (["--house", "house.csv", "--sessions", "none.csv"], "none.csv: no such file"),
    ],
)
def test_missing_data_is_told(site: Site, args: list[str], says: str) -> None:
    refused(call(site, "backtest", *args), says)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--user", "anna"], "no user 'anna'"),
        (["--prices", "house.csv"], "house.csv: no column 'eur_per_kwh'"),
        (["--price", "30"], "price 30: allowed are -1 to 5 EUR per kWh (not ct)"),
        (["--feed-in", "8"], "feed-in 8: allowed"),
        (["--price", "cheap"], "is not a valid float"),
        (["--pv-scale", "-1"], "is not in the range"),
        (["--load-column", "load_b_w"], "no column 'load_b_w'; did you mean 'load_w'?"),
        (["--forecast", "none.csv"], "none.csv: no such file"),
        (["--forecast", "house.csv"], "house.csv: no column 'issued'"),
        (["--strategy", "treshold"], "no strategy is called 'treshold'; did you mean 'threshold'?"),
        (["--strategy", "fixed"], "name one of its modes: stop, fast, eco, green"),
        (["--strategy", "eco", "--strategy", "eco"], "--strategy eco: is there twice"),
        (["--strategy", "nowhere:Class"], "cannot be imported"),
        (["--strategy", "1:2"], "not of the form module:Class"),
        (["--goals", "guess"], "is not one of 'announced', 'habit', 'config'"),
        (["--goals", "config"], "the configuration has no [[charger.goal]]"),
        (["--from", "june"], "does not match the format"),
        (["--from", "2027-01-01"], "no data between --from and --to"),
        (["--set", "x=1", "--strategy", "fast"], "unknown key 'x'"),
        (["extra"], "unexpected extra argument"),
    ],
)
def test_a_wrong_option_is_told(site: Site, args: list[str], says: str) -> None:
    refused(backtest(site, *args), says)


def test_nothing_runs_or_is_written_if_one_house_of_two_is_wrong(site: Site) -> None:
    refused(backtest(site, "--house", "none.csv", "--trace", "traces"), "none.csv: no such file")
    assert not (site.folder / "traces").exists()


def test_the_help_is_quick_to_come(site: Site) -> None:
    shown = call(site, "backtest", "--help")
    assert shown.code == 0
    assert "--house" in shown.out
    assert os.fspath(site.folder) not in shown.out
