"""What the service makes of prices: reckoned with, missing, and set up."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from living import START, Life, live
from price_services import BERLIN, awattar_day, source_of
from scored_day import site_with, write_day
from sunmode_process import Site
from web_service import Reply, WebService

from optimizer.clock import SystemClock
from optimizer.config.loading import load_settings
from optimizer.control.guards import guard
from optimizer.domain import Mode
from optimizer.errors import ConfigError
from optimizer.report.day import LocalDay
from optimizer.report.prices import read_in_force
from optimizer.report.score import score_day
from optimizer.runtime.price_feeds import feeds_from
from optimizer.runtime.prices import MARKET
from optimizer.runtime.replay import guard_inputs_from, policy_from, situation_from
from optimizer.sources.http_json import open_web
from optimizer.store.instants import to_text
from optimizer.tariffs.slots import SLOT, midnight


def dear_until(hour: float) -> str:
    lines = ["time,eur_per_kwh"]
    for number in range(-24, 72):
        at = START.replace(minute=0) + timedelta(hours=number)
        lines.append(f"{at:%Y-%m-%dT%H:%M}Z,{0.5 if number < hour else 0.05}")
    return "\n".join(lines) + "\n"


MARKET_CONFIG = """\
[tariff]
feed_in_eur_per_kwh = 0.08
[tariff.source]
kind = "file"
file = "prices.csv"
[strategy]
name = "fixed"
[strategy.fixed]
mode = "fast"
"""


async def _two_hours(life: Life) -> None:
    await life.begin()
    await life.passes(2 * 3600.0)
    await life.ends()


def test_the_accounts_reckon_with_the_price_in_force_and_the_log_keeps_it(tmp_path: Path, token: str) -> None:
    (tmp_path / "prices.csv").write_text(dear_until(1), encoding="utf-8")
    live(tmp_path, token, _two_hours, sky=lambda _: (0.0, 300.0), config=MARKET_CONFIG)
    with closing(sqlite3.connect(tmp_path / "sunmode.db")) as conn:
        dear, cheap = (
            conn.execute(
                "SELECT sum(cost_eur), sum(ev_grid_kwh) FROM energy"  # noqa: S608 - a sign
                f" WHERE charger != '' AND slot_start {sign} ?",
                ("2026-06-02T09:00:00.000Z",),
            ).fetchone()
            for sign in ("<", ">=")
        )
    assert dear[0] == pytest.approx(0.5 * dear[1])
    assert cheap[0] == pytest.approx(0.05 * cheap[1])
    assert min(dear[1], cheap[1]) > 3.0
    entries = read_in_force(tmp_path / "sunmode.db", START, START + timedelta(hours=2))
    assert [(one.slot, one.import_eur_per_kwh, one.known) for one in entries] == [
        (START, 0.5, True),
        (START + timedelta(hours=1), 0.05, True),
    ]


def test_decisions_are_replayed_with_the_prices_that_they_saw(tmp_path: Path, token: str) -> None:
    (tmp_path / "prices.csv").write_text(dear_until(1), encoding="utf-8")
    live(tmp_path, token, _two_hours, sky=lambda _: (0.0, 300.0), config=MARKET_CONFIG)
    with closing(sqlite3.connect(tmp_path / "sunmode.db")) as conn:
        rows = conn.execute(
            "SELECT inputs, content FROM decision d JOIN context c ON c.id = d.context_id ORDER BY d.id"
        ).fetchall()
        (contexts,) = conn.execute("SELECT count(*) FROM context").fetchone()
    last = situation_from(*(json.loads(part) for part in rows[-1]))
    assert last.tariff.price_eur_per_kwh(START) == 0.5
    assert last.tariff.price_eur_per_kwh(START + timedelta(hours=1)) == 0.05
    assert last.tariff.known_until == midnight(date(2026, 6, 4), BERLIN)
    assert contexts <= 2


@pytest.mark.parametrize("strategy", ["deadline", "threshold", "timer"])
def test_every_decision_under_moving_prices_can_be_decided_again(
    tmp_path: Path, token: str, strategy: str
) -> None:
    async def script(life: Life) -> list[tuple[Any, ...]]:
        await life.begin()
        await life.passes(20 * 3600.0)
        await life.ends()
        return life.rows(
            "SELECT proposed, mode, inputs, content FROM decision d JOIN context c ON c.id = d.context_id"
        )

    (tmp_path / "prices.csv").write_text(moving(), encoding="utf-8")
    goal = 'goal = [{ by = "07:00", energy_kwh = 8 }]\n'
    config = f'{goal}{MARKET_CONFIG.partition("[strategy]")[0]}[strategy]\nname = "{strategy}"\n'
    rows = live(tmp_path, token, script, sky=lambda _: (0.0, 300.0), config=config)
    again = load_settings(tmp_path / "config.toml", {}).build_strategy()
    assert len(rows) > 30
    for proposed, mode, *parts in rows:
        inputs, context = (json.loads(part) for part in parts)
        proposal = again.propose(situation_from(inputs, context))
        ruling = guard(proposal, guard_inputs_from(inputs), policy_from(context))
        assert (proposal.mode, ruling.mode) == (Mode(proposed), Mode(mode))


def moving() -> str:
    """Quarter-hourly prices for today alone, no two alike, some below zero."""
    start = midnight(START.astimezone(BERLIN).date(), BERLIN)
    rows = (
        f"{start + number * SLOT:%Y-%m-%dT%H:%M}Z,{(number * 37 % 96) / 300 - 0.05:.5f}"
        for number in range(96)
    )
    return "time,eur_per_kwh\n" + "\n".join(rows) + "\n"


def test_a_day_is_scored_at_the_prices_that_were_in_force(tmp_path: Path) -> None:
    site = site_with(tmp_path)
    day = LocalDay(date(2026, 6, 1), BERLIN)
    write_day(site, day.start, 24, pv_w=0.0, load_w=1000.0)
    before = score_day(site, day.date).rows[0].cost_eur
    with closing(sqlite3.connect(site.path)) as conn, conn:
        conn.executemany(
            "INSERT INTO price VALUES (?,?,0.08,1)",
            [(to_text(day.start - timedelta(days=9)), 0.5), (to_text(day.start + timedelta(hours=12)), 0.1)],
        )
    assert before == pytest.approx(24 * 0.3)
    assert score_day(site, day.date).rows[0].cost_eur == pytest.approx(12 * 0.5 + 12 * 0.1)


NIGHT_IS_CHEAP = "time,eur_per_kwh\n" + "".join(
    f"{START.replace(hour=0) + timedelta(hours=hour - 26):%Y-%m-%dT%H:%M}Z,{0.1 if hour % 24 < 5 else 0.3}\n"
    for hour in range(48)
)
"""Yesterday and today in Berlin: 10 ct until 05:00, then 30 ct; nothing of tomorrow."""


def test_nothing_is_drawn_in_the_evening_because_the_nights_prices_are_missing(
    tmp_path: Path, token: str
) -> None:
    async def script(life: Life) -> tuple[list[Mode], list[Mode]]:
        await life.begin()
        evening, night = [], []
        while life.clock.now() < START.replace(hour=0) + timedelta(hours=29):
            await life.passes(1800.0)
            (evening if life.clock.now().astimezone(BERLIN).day == START.day else night).append(life.mode())
        await life.ends()
        return evening, night

    (tmp_path / "prices.csv").write_text(NIGHT_IS_CHEAP, encoding="utf-8")
    goal = 'goal = [{ by = "07:00", energy_kwh = 14 }]\n'
    market = MARKET_CONFIG.partition("[strategy]")[0]
    evening, night = live(
        tmp_path, token, script, sky=lambda _: (0.0, 300.0),
        config=f'{goal}{market}[strategy]\nname = "deadline"\n[strategy.deadline]\ncheapest = true\n',
    )  # fmt: skip
    assert Mode.FAST not in evening
    assert Mode.FAST in night


async def _hours_without(life: Life) -> list[Mode]:
    await life.begin()
    modes = []
    for _ in range(8):
        await life.passes(1800.0)
        modes.append(life.mode())
    await life.ends()
    return modes


@pytest.mark.parametrize("strategy", ["deadline", "threshold", "timer"])
def test_missing_prices_draw_nothing_from_the_grid(tmp_path: Path, token: str, strategy: str) -> None:
    config = MARKET_CONFIG.partition("[strategy]")[0] + f'[strategy]\nname = "{strategy}"\n'
    goal = 'goal = [{ by = "23:45", energy_kwh = 10 }]\n'
    modes = live(
        tmp_path, token, _hours_without, sky=lambda _: (0.0, 300.0),
        config=f"{goal}\n[control]\ngreen_commissioned = true\n{config}",
    )  # fmt: skip
    assert Mode.FAST not in modes
    assert Mode.ECO not in modes


NIGHT = '[[tariff.window]]\nfrom = "22:00"\nto = "06:00"\nimport_eur_per_kwh = 0.2\n'


def test_check_tells_the_price_or_what_is_done_without(tmp_path: Path, service: WebService) -> None:
    today = SystemClock().now().astimezone(BERLIN).date()
    service.replies = [Reply(awattar_day(today)), Reply(b"{}", status=500)]
    site = Site(tmp_path, "")
    site.config.write_text(source_of(service), encoding="utf-8")
    good, bad = call(site, "check"), call(site, "check")
    assert good.code == 0, good
    assert "ok    prices" in good.out
    assert "EUR per kWh now, known until" in good.out
    assert bad.code == 1
    assert (
        "fault prices     the market's prices are not known (127.0.0.1: HTTP 500); tariff.import_eur"
        in bad.out
    )
    assert "s3cret" not in bad.out + bad.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            '[tariff.source]\nkind = "file"',
            'tariff.source.file: missing: kind = "file" needs it',
        ),
        ('[tariff.source]\nkind = "json"', 'tariff.source.url: missing: kind = "json" needs it'),
        ('[tariff.source]\nkind = "awattar"\nfile = "x"', "tariff.source.file: does not belong to"),
        ('[tariff.source]\nkind = "tibber"', "tariff.source.kind: 'tibber' is not one of"),
        ('[tariff.source]\nkind = "json"\nurl = "ftp://x/"', "needs a URL that begins with https://"),
        ('[tariff.source]\nkind = "json"\nurl = "http://me:pw@x/"', "must not hold a user name"),
        ('[tariff.source]\nkind = "json"\nurl = "http://x/"\nunit = "EUR"', "is not one of"),
        ("[tariff.feed_in]\nfactor = 1", "tariff.feed_in: needs a source of its own"),
        (
            '[[tariff.window]]\nfrom = "22:10"\nto = "06:00"\nimport_eur_per_kwh = 0.2',
            "tariff.window[0].from: needs a quarter hour",
        ),
        (
            '[[tariff.window]]\nfrom = "22:00"\nimport_eur_per_kwh = 0.2',
            "tariff.window[0].to: missing",
        ),
        (
            '[[tariff.window]]\nfrom = "22:00"\nto = "06:00"\nimport_eur_per_kwh = 22',
            "tariff.window[0].import_eur_per_kwh: 22 is more than allowed (-1 to 5)",
        ),
        (
            NIGHT
            + '[[tariff.window]]\ndays = ["sun"]\nfrom = "05:00"\nto = "07:00"\nimport_eur_per_kwh = 0.2',
            "tariff.window[1]: overlaps with window[0]",
        ),
        (
            NIGHT + '[tariff.source]\nkind = "awattar"',
            "windows and tariff.source exclude each other",
        ),
        ("[tariff]\nprice_factor = 11", "tariff.price_factor: 11 is more than allowed (-10 to 10)"),
    ],
)
def test_a_tariff_that_cannot_be_is_refused_at_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as told:
        load_settings(tmp_path / "config.toml", {})
    assert says in str(told.value)


def test_names_of_files_are_relative_to_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[tariff.source]\nkind = "file"\nfile = "p.csv"\n'
        '[tariff.feed_in.source]\nkind = "file"\nfile = "f.csv"',
        encoding="utf-8",
    )
    tariff = load_settings(tmp_path / "config.toml", {}).tariff
    assert tariff.source is not None
    assert tariff.feed_in is not None
    assert tariff.feed_in.source is not None
    assert (tariff.source.file, tariff.feed_in.source.file) == (tmp_path / "p.csv", tmp_path / "f.csv")


def test_the_market_is_named_in_a_variable_too(tmp_path: Path) -> None:
    env = {"SUNMODE_TARIFF__SOURCE__KIND": "awattar"}
    assert load_settings(None, env).price_plan().market is not None
    assert MARKET in feeds_from(load_settings(None, env), open_web())
