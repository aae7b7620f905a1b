"""Scoring a day out of the log: what happened beside what each strategy would have made of it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from conftest import CANARY
from living import Life, live
from scored_day import LIVED, live_a_day, site_with, write_day

from optimizer.backtest.case import Home
from optimizer.backtest.lineup import Entry
from optimizer.cli.report_site import site_of
from optimizer.domain import ChargerSpec, Proposal, Situation
from optimizer.errors import InputError
from optimizer.plant.battery import BatteryLimits
from optimizer.report.day import LocalDay, read_day
from optimizer.report.replay import Contender, Site, case_of
from optimizer.report.score import catch_up, record, score_day
from optimizer.store.scores import ScoreRow, read_scores

JUNE = date(2026, 6, 1)
JUNE_START = datetime(2026, 5, 31, 22, tzinfo=UTC)
STRATEGIES = {"stop", "fast", "eco", "green", "threshold", "timer", "deadline"}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A day lived by the real service, and how to score it."""
    folder = tmp_path_factory.mktemp("lived")
    live_a_day(folder, CANARY)
    return site_of(folder / "config.toml")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_with(tmp_path)


def by_name(rows: tuple[ScoreRow, ...]) -> dict[str, ScoreRow]:
    return {row.strategy: row for row in rows}


def replayed(rows: tuple[ScoreRow, ...]) -> list[ScoreRow]:
    return [row for row in rows if row.kind in {"active", "shadow", "strategy"}]


# A lived day.


def test_the_replay_of_the_strategy_in_use_comes_near_to_what_happened(lived: Site) -> None:
    rows = by_name(score_day(lived, LIVED).rows)
    actual, active = rows["actual"], rows["active"]
    assert active.detail["name"] == "threshold"
    assert actual.ev_kwh is not None
    assert actual.ev_kwh > 10.0
    assert active.ev_kwh == pytest.approx(actual.ev_kwh, rel=0.1)
    assert active.ev_solar_kwh == pytest.approx(actual.ev_solar_kwh, rel=0.1)
    assert active.cost_eur == pytest.approx(actual.cost_eur, abs=0.1)
    assert actual.mode_changes is not None
    assert active.mode_changes == pytest.approx(actual.mode_changes, abs=3)


def test_what_happened_is_the_sum_of_the_accounts(lived: Site) -> None:
    day = LocalDay(LIVED, lived.zone)
    with closing(sqlite3.connect(lived.path)) as conn:
        ev_kwh, import_kwh, export_kwh = conn.execute(
            "SELECT sum(ev_kwh), sum(import_kwh), sum(export_kwh) FROM energy"
            " WHERE slot_start BETWEEN '2026-06-02T22:00:00.000Z' AND '2026-06-03T21:45:00.000Z'"
        ).fetchone()
    actual = score_day(lived, LIVED).rows[0]
    assert (actual.strategy, day.slots) == ("actual", 96)
    assert (actual.ev_kwh, actual.unmet_kwh) == (pytest.approx(ev_kwh), 0.0)
    assert actual.detail["import_kwh"] == pytest.approx(import_kwh, rel=0.05)
    assert export_kwh <= actual.detail["export_kwh"] < 1.05 * export_kwh
    import_eur = actual.detail["import_kwh"] * lived.tariff.import_eur_per_kwh
    earned_eur = actual.detail["export_kwh"] * lived.tariff.feed_in_eur_per_kwh
    assert actual.cost_eur == pytest.approx(import_eur - earned_eur)


def test_time_that_the_accounts_do_not_tell_of_is_at_the_power_before(site: Site) -> None:
    write_day(site, JUNE_START, 24, pv_w=0.0)
    with closing(sqlite3.connect(site.path)) as conn, conn:
        conn.execute("DELETE FROM energy WHERE slot_start LIKE '%:15:00.000Z'")
        conn.execute(
            "UPDATE energy SET import_kwh = import_kwh / 3, missing_s = 600"
            " WHERE slot_start LIKE '%:45:00.000Z'"
        )
    assert score_day(site, JUNE).rows[0].detail["import_kwh"] == pytest.approx(12.0)


def test_no_replay_costs_less_than_the_bounds_and_the_order_of_the_bounds_holds(lived: Site) -> None:
    rows = score_day(lived, LIVED).rows
    found = by_name(rows)
    least_eur, strict_eur = found["mode_bound"].cost_eur, found["lp_bound"].cost_eur
    assert least_eur is not None
    assert strict_eur is not None
    assert strict_eur <= least_eur + 1e-9
    for row in replayed(rows):
        assert row.cost_eur is not None
        assert row.cost_eur >= least_eur - 1e-9, row.strategy
        assert row.regret_eur == pytest.approx(row.cost_eur - least_eur)
    assert found["fast"].detail["skill"] == pytest.approx(0.0)


def test_each_strategy_has_its_row_as_documented(lived: Site) -> None:
    rows = by_name(score_day(lived, LIVED).rows)
    assert STRATEGIES | {"actual", "active", "mode_bound", "lp_bound"} <= set(rows)
    assert "shadow" not in rows
    for name, row in rows.items():
        bounds = {"need_kwh", "cars", "grid_error_eur", "unknown_share"}
        figures = {"import_kwh", "export_kwh", "api_calls", "skill", "bounds_eur", "unknown_share"}
        who = set() if name == "actual" else {"name", "params"}
        assert set(row.detail) == {"kind"} | (bounds if row.kind == "bound" else figures | who)
    assert rows["threshold"].detail["params"]["start_delay_s"] == 120.0


def test_a_day_scored_twice_has_the_same_rows_once(lived: Site, tmp_path: Path) -> None:
    shutil.copy(lived.path, tmp_path / "copy.db")
    site, told = replace(lived, path=tmp_path / "copy.db"), []
    assert record(site, LIVED, told.append)
    first = read_scores(site.path, LIVED, LIVED)
    assert record(site, LIVED, told.append)
    assert read_scores(site.path, LIVED, LIVED) == first
    assert len(first) >= len(STRATEGIES) + 4
    assert told[-1].startswith("2026-06-03: cost ")


def test_only_days_without_a_score_are_made_up_for_and_only_so_far_back(lived: Site, tmp_path: Path) -> None:
    shutil.copy(lived.path, tmp_path / "copy.db")
    site, told = replace(lived, path=tmp_path / "copy.db"), []
    late = LIVED + timedelta(days=32)
    assert catch_up(site, late, told.append) == ()
    assert catch_up(site, late - timedelta(days=1), told.append) == (LIVED,)
    assert catch_up(site, late - timedelta(days=1), told.append) == ()


# Days written row by row.


@pytest.mark.parametrize(
    ("day", "start", "hours"),
    [
        (date(2026, 3, 29), datetime(2026, 3, 28, 23, tzinfo=UTC), 23),
        (date(2026, 10, 25), datetime(2026, 10, 24, 22, tzinfo=UTC), 25),
    ],
)
def test_a_day_on_which_the_clocks_change_has_92_or_100_quarter_hours(
    site: Site, day: date, start: datetime, hours: int
) -> None:
    write_day(site, start, hours, ev_w=3000.0, car=(2.0, 6.0))
    log = read_day(site.path, LocalDay(day, site.zone), "garage")
    assert (log.day.slots, log.unknown_share) == (4 * hours, 0.0)
    rows = by_name(score_day(site, day).rows)
    assert rows["actual"].ev_kwh == pytest.approx(12.0)
    assert rows["actual"].cost_eur == pytest.approx(-0.08 * (hours * 3.5 - 12.0))
    assert rows["fast"].ev_kwh == pytest.approx(12.0, abs=0.01)


def test_a_day_without_a_car_costs_the_same_under_all_strategies_and_has_no_skill(site: Site) -> None:
    write_day(site, JUNE_START, 24)
    rows = score_day(site, JUNE).rows
    for row in rows:
        assert row.cost_eur == pytest.approx(-0.08 * 24 * 3.5)
        assert row.regret_eur == pytest.approx(0.0, abs=1e-9)
        assert row.detail.get("skill") is None


def test_a_long_hole_is_left_out_of_what_happened_and_of_what_is_replayed(site: Site) -> None:
    write_day(site, JUNE_START, 24, ev_w=2000.0, car=(8.0, 16.0), holes=((10.25, 14.0),))
    score = score_day(site, JUNE)
    rows = by_name(score.rows)
    assert score.log.unknown_share == pytest.approx(3.5 / 24, abs=0.01)
    assert any("3.6 h are not known" in note for note in score.notes)
    assert [stay.took_kwh for stay in score.log.stays] == pytest.approx([4.5, 4.0])
    assert rows["actual"].ev_kwh == pytest.approx(8.5)
    assert rows["fast"].ev_kwh == pytest.approx(8.5, abs=0.01)
    assert rows["stop"].cost_eur - rows["stop"].unmet_kwh * 0.6 == pytest.approx(
        -0.08 * (24 - 215 / 60) * 3.5
    )


def test_a_day_of_which_too_little_is_known_gets_no_score_and_says_so(site: Site) -> None:
    write_day(site, JUNE_START, 24, holes=((9.0, 17.0),))
    told: list[str] = []
    assert not record(site, JUNE, told.append)
    assert told == ["2026-06-01: 33% of the day is not known; more than 25% cannot be scored"]
    assert read_scores(site.path, JUNE, JUNE) == ()
    assert [row.strategy for row in score_day(site, JUNE).rows] == ["actual"]


def test_a_day_that_the_log_does_not_have_is_told_with_what_it_has(site: Site) -> None:
    write_day(site, JUNE_START, 24)
    with pytest.raises(InputError, match=r"nothing about 2026-06-05; it goes from 2026-06-01 to 2026-06-01"):
        score_day(site, date(2026, 6, 5))


def test_a_strategy_that_waits_for_the_night_is_not_blamed_at_midnight(tmp_path: Path) -> None:
    goal = 'goal = [{ by = "07:00", energy_kwh = 8 }]'
    site = site_with(tmp_path, more=goal)
    write_day(site, JUNE_START, 26, pv_w=0.0, ev_w=4000.0, car=(20.0, None))
    (stay,) = read_day(site.path, LocalDay(JUNE, site.zone), "garage").stays
    assert (stay.took_kwh, stay.goes_on) == (16.0, True)
    rows = by_name(score_day(site, JUNE).rows)
    deadline, fast = rows["deadline"], rows["fast"]
    assert fast.ev_kwh == pytest.approx(16.0, abs=0.01)
    assert deadline.unmet_kwh == pytest.approx(8.0, abs=1.0)  # it was told of 8, not of 16
    assert rows["stop"].unmet_kwh == pytest.approx(16.0)
    assert deadline.mode_changes is not None
    assert deadline.mode_changes <= 2


def test_a_car_that_was_there_at_midnight_needs_only_what_its_goal_still_lacks(tmp_path: Path) -> None:
    site = site_with(tmp_path, more='goal = [{ by = "07:00", energy_kwh = 20 }]')
    write_day(site, JUNE_START - timedelta(hours=4), 28, pv_w=0.0, ev_w=4000.0, car=(0.0, 10.0))
    log = read_day(site.path, LocalDay(JUNE, site.zone), "garage")
    (stay,) = log.stays
    assert (stay.arrival, stay.departure, stay.took_kwh, stay.before_kwh) == (0, 360, 24.0, 16.0)
    goals = case_of(log, site).case.goals
    assert [(goal.start, goal.energy_kwh) for goal in goals[:2]] == [(0, 4.0), (360, 20.0)]


def test_what_a_goal_lacked_when_the_car_left_counts_as_missed(site: Site) -> None:
    write_day(site, JUNE_START, 24, ev_w=1000.0, car=(2.0, 6.0))
    with closing(sqlite3.connect(site.path)) as conn, conn:
        conn.execute("UPDATE session SET goal_kwh = 10, goal_deadline = '2026-06-01T03:30:00.000Z'")
    rows = by_name(score_day(site, JUNE).rows)
    assert rows["actual"].unmet_kwh == pytest.approx(6.0)
    assert rows["fast"].ev_kwh == pytest.approx(10.0, abs=0.01)
    with closing(sqlite3.connect(site.path)) as conn, conn:  # the car was full: it would not have taken more
        conn.execute("UPDATE charger_reading SET status = 7 WHERE received_at = '2026-06-01T03:50:00.000Z'")
    assert by_name(score_day(site, JUNE).rows)["actual"].unmet_kwh == 0.0


def test_another_chargers_car_is_load_of_the_house(site: Site) -> None:
    write_day(site, JUNE_START, 24)
    with closing(sqlite3.connect(site.path)) as conn, conn:
        conn.execute(
            "INSERT INTO energy SELECT slot_start, 'yard', 0,0,0,0,0,0, 0.5, 0.5, 0, 0,0,0 FROM energy"
            " WHERE charger = '' AND slot_start < '2026-06-01T02:00:00.000Z'"
        )
    log = read_day(site.path, LocalDay(JUNE, site.zone), "garage")
    assert list(log.load_w[:1]) == [2500.0]
    assert list(log.load_w[-1:]) == [500.0]
    assert not log.accounts.ev_kwh.any()


def test_with_a_home_battery_the_bounds_hold_as_well(site: Site) -> None:
    home = Home(ChargerSpec("garage", "SQ1"), battery=BatteryLimits(5.0, 3000.0, 3000.0))
    site = replace(site, home=home, contenders=site.contenders[1:4])
    write_day(site, JUNE_START, 24, pv_w=2500.0, ev_w=2000.0, car=(20.0, 22.0))
    rows = score_day(site, JUNE).rows
    error_eur = by_name(rows)["mode_bound"].detail["grid_error_eur"]
    for row in replayed(rows):
        assert row.regret_eur is not None
        assert row.regret_eur >= -error_eur - 1e-9


class _Broken:
    name, serves_goals = "broken", False

    def propose(self, situation: Situation) -> Proposal:
        raise RuntimeError(f"out of order at {situation.now}")


def test_a_strategy_that_fails_is_left_out_and_told(site: Site) -> None:
    write_day(site, JUNE_START, 24, ev_w=2000.0, car=(8.0, 10.0))
    broken = Contender("strategy", "broken", Entry("broken", _Broken(), {}))
    score = score_day(replace(site, contenders=(broken, *site.contenders)), JUNE)
    assert "broken" not in by_name(score.rows)
    assert any(note.startswith("broken: is not scored: ") for note in score.notes)
    assert score.is_scored


def test_the_shadow_has_a_row_of_its_own_with_its_parameters(tmp_path: Path) -> None:
    shadow = '[strategy.shadow]\nname = "threshold"\nstart_delay_s = 600.0\n'
    site = site_with(tmp_path, more=shadow)
    write_day(site, JUNE_START, 24, ev_w=2000.0, car=(8.0, 10.0))
    row = by_name(score_day(site, JUNE).rows)["shadow"]
    assert (row.kind, row.detail["name"]) == ("shadow", "threshold")
    assert row.detail["params"]["start_delay_s"] == 600.0


def test_scoring_only_reads_until_the_rows_are_written(site: Site) -> None:
    write_day(site, JUNE_START, 24)
    before = site.path.read_bytes()
    score_day(site, JUNE)
    assert site.path.read_bytes() == before


# In the service.


def test_the_service_scores_by_night_and_a_score_that_fails_is_an_event_and_not_its_end(
    tmp_path: Path, token: str
) -> None:
    called: list[datetime] = []

    async def script(life: Life) -> list[tuple[object, ...]]:
        async def score() -> None:
            called.append(life.clock.now())
            raise RuntimeError("no")

        life.ports = replace(life.ports, scorer=score)
        await life.begin()
        await life.passes(20 * 3600)
        assert life.running is not None
        assert not life.running.done()
        await life.ends()
        return life.rows("SELECT message FROM event WHERE kind = 'job_failed'")

    assert live(tmp_path, token, script) == [("the job score failed: RuntimeError",)]
    assert [f"{at:%d %H:%M}" for at in called] == ["03 03:30"]
