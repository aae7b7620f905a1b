"""`sunmode report` and `sunmode score`: text, JSON, picture, page, and what they refuse."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from command_line import call
from scored_day import NAME, site_with, write_day
from sunmode_process import Ended, Site

from optimizer.domain import PriceStep, Tariff
from optimizer.report import build, picture
from optimizer.report.bar import text_picture
from optimizer.report.day import LocalDay, read_day

NIGHT = datetime(2026, 5, 31, 22, tzinfo=UTC)
DAY = "2026-06-01"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three days in its log: one with a car, one without, one with a long hole."""
    folder = tmp_path_factory.mktemp("home")
    site = site_with(folder, NAME)
    write_day(site, NIGHT, 24, ev_w=3000.0, car=(8.0, 12.0))
    write_day(site, NIGHT + timedelta(days=1), 23.9)
    write_day(site, NIGHT + timedelta(days=2), 24, holes=((2.0, 20.0),))
    return folder


def sunmode(home: Path, *args: str) -> Ended:
    return call(Site(home, ""), *args)


def row_of(text: str, name: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()


# Text and JSON.


def test_the_text_tells_what_happened_first_and_the_bounds_last(home: Path) -> None:
    told = sunmode(home, "report", "--day", DAY)
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert lines[0] == "Monday, 1 June 2026: 12.0 kWh into the car, 100% of them sun"
    head = next(at for at, line in enumerate(lines) if "cost €" in line)
    names = [line.split("  ")[0] for line in lines[head + 1 : lines.index("", head)]]
    assert names[0] == "actual"
    assert names[1] == "active (planner)"
    assert names[-2:] == ["best of four modes", "best of all"]
    assert {"stop", "fast", "eco", "green", "deadline", "timer", "threshold"} <= set(names)
    assert row_of(told.out, "actual")[1:4] == ["-5.76", "12.0", "100%"]


def test_the_text_draws_the_day_where_the_screen_is_wide_enough(home: Path) -> None:
    site = site_with_log(home)
    log = read_day(site.path, LocalDay(date(2026, 6, 1), site.zone), NAME)
    wide = list(text_picture(log, 110, blocks=True))
    assert [len(line) <= 102 for line in wide] == [True] * len(wide)
    assert wide[0].split() == ["00", "03", "06", "09", "12", "15", "18", "21"]
    (modes,) = (line for line in wide if line.startswith("mode"))
    assert modes[6:] == "." * 32 + "G" * 16 + "." * 48
    narrow = list(text_picture(log, 60, blocks=False))
    assert max(len(line) for line in narrow) <= 60
    assert all(line.isascii() for line in narrow)
    assert list(text_picture(log, 20, blocks=False)) == []


def test_the_json_holds_the_same_with_details(home: Path) -> None:
    told = json.loads(sunmode(home, "report", "--day", DAY, "--json").out)
    assert (told["day"], told["charger"], told["unknown_share"]) == (DAY, NAME, 0.0)
    assert (told["from"], told["to"]) == ("2026-05-31T22:00:00.000Z", "2026-06-01T22:00:00.000Z")
    first = told["strategies"][0]
    assert (first["strategy"], first["solar_share"]) == ("actual", 1.0)
    assert first["detail"]["kind"] == "actual"
    assert first["cost_eur"] == pytest.approx(-0.08 * (24 * 3.5 - 12.0))


def test_a_score_that_is_stored_is_told_and_one_that_is_not_is_worked_out(home: Path) -> None:
    fresh = sunmode(home, "report", "--day", DAY, "--json").out
    scored = sunmode(home, "score", "--day", DAY)
    assert scored.code == 0
    assert scored.out.splitlines()[-1].startswith("2026-06-01: cost -5.76 EUR, 12.0 kWh into the car; best ")
    assert sunmode(home, "report", "--day", DAY, "--json").out == fresh
    with closing(sqlite3.connect(home / "sunmode.db")) as conn, conn:
        conn.execute("UPDATE score SET cost_eur = 99.5 WHERE strategy = 'actual'")
    assert row_of(sunmode(home, "report", "--day", DAY).out, "actual")[1] == "99.50"
    with closing(sqlite3.connect(home / "sunmode.db")) as conn, conn:
        conn.execute("DELETE FROM score")


def test_a_day_that_cannot_be_scored_still_tells_what_happened(home: Path) -> None:
    told = sunmode(home, "report", "--day", "2026-06-03", "--png", "hole.png", "--html", "hole.html")
    assert told.code == 0, told.err
    assert "2026-06-03: 74% of the day is not known; more than 25% cannot be scored" in told.out
    assert "actual" in told.out
    assert "fast" not in told.out
    assert matplotlib.image.imread(home / "hole.png").ndim == 3


def test_a_month_is_the_sum_of_the_days_that_are_scored(home: Path) -> None:
    told = json.loads(sunmode(home, "report", "--month", "2026-06", "--json").out)
    assert told["scored_days"] == ["2026-06-01", "2026-06-02"]
    assert any("2026-06-03: 74%" in note for note in told["notes"])
    lines = {line["strategy"]: line for line in told["strategies"]}
    days = [
        next(line for line in day["strategies"] if line["strategy"] == "fast") for day in told["days"][:2]
    ]
    assert lines["fast"]["days"] == 2
    assert lines["fast"]["cost_eur"] == pytest.approx(sum(day["cost_eur"] for day in days))
    assert (lines["fast"]["skill"], lines["mode_bound"]["skill"]) == (pytest.approx(0.0), None)
    assert lines["actual"]["ev_kwh"] == pytest.approx(12.0)
    text = sunmode(home, "report", "--month", "2026-06").out
    assert text.startswith("June 2026, 2 days scored: 12 kWh into the car, 100% of them sun\n")


# Picture and page.


def test_the_picture_is_a_png_of_a_good_size_with_something_in_it(home: Path) -> None:
    told = sunmode(home, "report", "--day", DAY, "--png", "day.png")
    assert told.code == 0, told.err
    image = matplotlib.image.imread(home / "day.png")
    assert (image.shape[1], image.shape[2]) == (1650, 4)
    assert 600 < image.shape[0] < 1000
    assert len(np.unique((image[::7, ::7, :3] * 255).astype(int).reshape(-1, 3), axis=0)) > 20
    assert [path.name for path in home.iterdir() if path.name.endswith(".tmp")] == []


def test_the_months_picture_is_a_png_too(home: Path) -> None:
    told = sunmode(home, "report", "--month", "2026-06", "--png", "month.png", "--html", "month.html")
    assert told.code == 0, told.err
    assert matplotlib.image.imread(home / "month.png").shape[1] == 1650
    assert "June 2026" in (home / "month.html").read_text(encoding="utf-8")


def test_a_price_that_varies_has_a_row_of_its_own_and_local_time_is_below(home: Path) -> None:
    site = site_with_log(home)
    steps = (PriceStep(NIGHT, 0.2), PriceStep(NIGHT + timedelta(hours=12), 0.4))
    site = replace(site, tariff=Tariff(0.3, 0.08, steps))
    figure = picture.draw_day(build.day_report(site, date(2026, 6, 1)).picture())
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels[:3] == ["kW", "ct/kWh", "actual"]
    figure.canvas.draw()
    hours = [text.get_text() for text in figure.axes[-1].get_xticklabels()]
    assert hours == ["00:00", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "00:00"]
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend[:4] == ["sun on the roof", "house", "car, from the sun", "car, from the grid"]
    assert legend[4].startswith("house and car, best replayed: ")


class _Reader(HTMLParser):
    """Collects tags, attributes and texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_fetches_nothing_runs_nothing_and_escapes_a_hostile_name(home: Path) -> None:
    told = sunmode(home, "report", "--day", DAY, "--html", "day.html")
    assert told.code == 0, told.err
    page = (home / "day.html").read_text(encoding="utf-8")
    assert "://" not in page
    assert not re.search(r"url\((?!#)|@import", page)
    read = _Reader()
    read.feed(page)
    assert not {"script", "img", "link", "iframe", "object", "image"} & set(read.tags)
    assert {"svg", "table", "style", "title"} <= set(read.tags)
    assert all(value.startswith("#") for name, value in read.attributes if name.endswith(("href", "src")))
    assert not any(name.startswith("on") for name, _ in read.attributes)
    assert NAME in read.text
    assert ("name", "viewport") in read.attributes
    assert "prefers-color-scheme: dark" in page
    assert "currentColor" in page
    assert len(page) < 400_000


def test_the_page_is_the_same_each_time(home: Path) -> None:
    for name in ("one.html", "two.html"):
        assert sunmode(home, "report", "--day", DAY, "--html", name).code == 0
    assert (home / "one.html").read_bytes() == (home / "two.html").read_bytes()


# What is refused.


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--day", "yesterday"), "does not match the format"),
        (("--day", DAY, "--month", "2026-06"), "name a --day or a --month, not both"),
        (("--month", "2026-13"), "does not match the format"),
        (("--day", "2999-01-01"), "2999-01-01 has not ended yet"),
        (("--month", "2999-01"), "no day of this month has ended yet"),
        (("--day", "2020-01-01"), "has nothing about 2020-01-01; it goes from 2026-06-01 to 2026-06-03"),
        (("--month", "2020-01"), "has no whole day of 2020-01; it goes from 2026-06-01 to 2026-06-03"),
        (("--day", DAY, "--png", "nowhere/day.png"), "nowhere/day.png: cannot be written: No such file"),
        (("--day", DAY, "--html", "."), "is a directory"),
    ],
)
def test_a_wrong_argument_is_told_and_ends_with_code_2(home: Path, args: tuple[str, ...], said: str) -> None:
    told = sunmode(home, "report", *args)
    assert told.code == 2
    assert said in told.err
    assert "Traceback" not in told.err


def test_without_a_log_there_is_no_report_and_no_score(tmp_path: Path) -> None:
    site_with(tmp_path)
    (tmp_path / "sunmode.db").unlink()
    for command in ("report", "score"):
        told = sunmode(tmp_path, command)
        assert told.code == 2
        assert "no such log" in told.err


def test_a_score_of_a_day_that_has_not_ended_is_refused(home: Path) -> None:
    told = sunmode(home, "score", "--day", "2999-01-01")
    assert (told.code, "has not ended yet" in told.err) == (2, True)


def test_where_no_day_lacks_a_score_it_says_so(home: Path) -> None:
    told = sunmode(home, "score")
    assert (told.code, told.out) == (0, "no day lacks a score\n")  # all of it is more than 31 days ago


def site_with_log(home: Path) -> build.Site:
    from optimizer.cli.report_site import site_of

    return site_of(home / "config.toml")
