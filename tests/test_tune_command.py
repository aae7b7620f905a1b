"""`sunmode tune` as a user calls it: found, judged on held-out weeks, stopped and gone on with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from command_line import call, refused
from sunmode_process import SUNMODE, Ended, Site
from tuning_cases import ABSURD, SPRING, is_soon

from optimizer.config.loading import load_settings

TUNING = (Path(__file__).parents[1] / "docs" / "tuning.md").read_text(encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, "")


def tune(site: Site, *args: str) -> Ended:
    return call(site, "tune", *SPRING, "--jobs", "1", *args)


def told(site: Site, *args: str) -> Any:
    ended = tune(site, "--json", *args)
    assert (ended.code, ended.err) == (0, ""), ended
    return json.loads(ended.out)


# What it ends in.


def test_a_bad_setting_is_bettered_and_the_section_is_ready_to_paste(site: Site) -> None:
    document = told(site, *ABSURD, "--trials", "24", "--out", "tuned.toml")
    held = document["held_out"]
    assert (document["is_better"], document["against"]) == (True, [])
    assert held["gain_eur_per_year"] > held["low_eur_per_year"] > 10.0
    assert held["better"] > held["worse"]
    assert held["tuned"]["cost_eur_per_year"] < held["current"]["cost_eur_per_year"]
    assert held["tuned"]["skill"] > held["current"]["skill"]
    assert held["tuned"]["changes_per_day"] <= 8.0
    assert {int(week[-2:]) % 2 for week in held["tuned_weeks"]} == {1}
    assert {int(week[-2:]) % 2 for week in held["judged_weeks"]} == {0}
    text = (site.folder / "tuned.toml").read_text()
    assert text == document["toml"]
    assert tomllib.loads(text) == {"strategy": {"threshold": held["params"]}}
    assert re.search(rf"#   before: {held['current']['cost_eur_per_year']:.2f} EUR a year, .*% sun", text)
    assert f"# better in {held['better']}, worse in {held['worse']} of them" in text


def test_the_section_is_a_configuration_that_gives_the_same_figures(site: Site) -> None:
    found = told(site, *ABSURD, "--trials", "16", "--out", "tuned.toml")
    site.config.write_text((site.folder / "tuned.toml").read_text())
    load_settings(site.config, {})
    settings = [f"{name}={json.dumps(value)}" for name, value in found["held_out"]["params"].items()]
    given = [part for setting in (*ABSURD[1::2], *settings) for part in ("--set", setting)]
    again = told(site, *given, "--trials", "1")
    assert again["held_out"]["current"] == found["held_out"]["tuned"]


def test_what_is_best_already_stays(site: Site) -> None:
    document = told(site, "--param", "release_s", "--trials", "16", "--out", "tuned.toml")
    assert (document["is_better"], document["toml"]) == (False, None)
    assert document["against"]
    assert not (site.folder / "tuned.toml").exists()
    shown = tune(site, "--param", "release_s", "--trials", "16")
    assert shown.code == 0
    assert "No better than what you have:" in shown.out
    assert document["against"][0] in shown.out
    assert "[strategy.threshold]" not in shown.out


def test_people_get_both_parameters_figures_and_the_section(site: Site) -> None:
    ended = tune(site, *ABSURD, "--trials", "16")
    assert (ended.code, ended.err) == (0, "")
    assert "6 even weeks" in ended.out
    assert "in use" in ended.out
    assert "…" not in ended.out
    section = ended.out[ended.out.index("# sunmode tune") :]
    assert tomllib.loads(section)["strategy"]["threshold"]


def test_the_mode_changes_no_oftener_than_is_asked_for(site: Site) -> None:
    often, seldom = (
        told(site, *ABSURD, "--trials", "24", "--max-changes-per-day", limit)["held_out"]
        for limit in ("8", "2")
    )
    assert often["tuned"]["changes_per_day"] > 2.2
    assert seldom["tuned"]["changes_per_day"] < 2.2, "2 on the weeks that were tuned on"
    assert seldom["params"]


def test_every_key_of_the_document_is_told(site: Site) -> None:
    document = told(site, "--param", "margin_s", "--trials", "1")
    for key in (*document, *document["held_out"]):
        assert f"`{key}`" in TUNING, key
    assert len(document["forward"]) == 4
    assert all(fold.keys() == document["held_out"].keys() for fold in document["forward"])


# Where it runs, and going on.


def test_more_processes_find_the_same(site: Site) -> None:
    one = told(site, *ABSURD, "--trials", "10", "--study", "one.jsonl")
    two = told(site, *ABSURD, "--trials", "10", "--study", "two.jsonl", "--jobs", "2")
    assert one == two


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def test_a_killed_run_goes_on_and_loses_nothing_but_what_was_under_way(site: Site) -> None:
    options = (*SPRING, *ABSURD, "--trials", "16", "--jobs", "1", "--json", "--study")
    whole = json.loads(call(site, "tune", *options, "whole.jsonl").out)
    cut = site.folder / "cut.jsonl"
    process = subprocess.Popen(
        [str(SUNMODE), "tune", *options, str(cut)],
        cwd=site.folder,
        env=site.environment(),
        stdout=subprocess.DEVNULL,
    )
    assert is_soon(lambda: cut.exists() and len(lines(cut)) > 20)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was over too soon to be killed"
    before = lines(cut)
    with cut.open("ab") as file:
        file.write(b'{"split": "odd weeks", "par')
    again = call(site, "tune", *options, "cut.jsonl")
    assert json.loads(again.out) == whole
    after = lines(cut)
    assert after[: len(before)] == before
    tried = [json.dumps([line["split"], line["params"]]) for line in after[1:]]
    assert len(tried) == len(set(tried)) == len(lines(site.folder / "whole.jsonl")) - 1


def test_without_a_name_the_study_lies_in_the_cache_and_more_trials_go_on_with_it(site: Site) -> None:
    told(site, "--param", "margin_s", "--trials", "9")
    (study,) = (site.folder / "data/cache").glob("tune-*.jsonl")
    before = study.read_bytes()
    told(site, "--param", "margin_s", "--trials", "12")
    assert study.read_bytes().startswith(before)
    told(site, "--param", "margin_s", "--trials", "9", "--seed", "2")
    assert len(list((site.folder / "data/cache").glob("tune-*.jsonl"))) == 2


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--seed", "2"], "--seed 1, now 2"),
        (["--max-changes-per-day", "4"], "--max-changes-per-day 8, now 4"),
        (["--param", "release_s"], "--param margin_s, now margin_s, release_s"),
        (["--goals", "habit"], "other goals"),
        (["--price", "0.31"], "other prices"),
        (["--pv-scale", "0.7"], "other house"),
        (["--set", "margin_s=60"], "other parameters in use"),
        (["--strategy", "deadline"], "--strategy threshold, now deadline"),
    ],
)
def test_a_study_of_something_else_is_refused_by_name(site: Site, args: list[str], says: str) -> None:
    base = ("--param", "margin_s", "--trials", "1", "--study", "study.jsonl")
    told(site, *base)
    refused(tune(site, *base, *args), says)


def test_a_study_of_another_program_is_refused(site: Site) -> None:
    told(site, "--param", "margin_s", "--trials", "1", "--study", "study.jsonl")
    study = site.folder / "study.jsonl"
    study.write_text(re.sub(r'"cost_eur": [-\d.]+', '"cost_eur": 1.0', study.read_text()))
    ended = tune(site, "--param", "margin_s", "--trials", "1", "--study", "study.jsonl")
    refused(ended, "was begun with another version of sunmode or of the strategy")


# Mistakes.


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--param", "marginn_s"], "threshold has no such parameter; did you mean 'margin_s'?"),
        (["--strategy", "fast"], "has no parameters that could be searched"),
        (["--strategy", "thresold"], "did you mean 'threshold'?"),
        (["--strategy", "fixed"], "name one of its modes"),
        (["--trials", "0"], "--trials"),
        (["--jobs", "0"], "--jobs"),
        (["--max-changes-per-day", "0"], "--max-changes-per-day"),
        (["--from", "2019-06-10"], "of 2 weeks 2 have sessions: to tune on some and judge on others takes 6"),
        (["--house", "other.csv"], "--house: tune takes one house"),
        (["--study", "config.toml"], "config.toml: is no study of sunmode tune"),
        (["--study", "."], "--study .: is a directory"),
        (["--set", "margin_s=-1"], "-1 is less than allowed"),
    ],
)
def test_a_wrong_argument_is_told(site: Site, args: list[str], says: str) -> None:
    site.config.write_text("[solax]\n")
    refused(tune(site, *args), says)


def test_two_cannot_go_on_with_one_study(site: Site) -> None:
    import fcntl

    lock = os.open(site.folder / "study.jsonl.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    ended = tune(site, "--param", "margin_s", "--trials", "1", "--study", "study.jsonl")
    os.close(lock)
    assert (ended.code, ended.out) == (75, "")
    assert "another sunmode runs with the same study" in ended.err


def test_without_what_it_needs_it_says_how_to_install_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    refused(tune(site), "pip install 'sunmode[tune]'")
