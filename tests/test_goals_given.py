"""Goals for once: what people say, which goal counts, and what the service and `status` make of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from command_line import call
from fake_guide_server import guide_server
from guide_home import GuideHome
from hypothesis import given, settings
from hypothesis import strategies as st
from living import HOUR, MINUTE, START, Life, dark, live
from sunmode_process import Site, site_of

from optimizer.clock import SystemClock
from optimizer.config.goals import deadline_from, energy_from, one_charger, wanted
from optimizer.config.loading import load_settings
from optimizer.config.sections import Charger
from optimizer.domain import Goal, Mode
from optimizer.errors import ConfigError, InputError
from optimizer.goals import Given

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = "2026-06-01T12:00"


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def charger(*goals: dict[str, Any]) -> Charger:
    return Charger.model_validate({"goal": goals})


def hand(by: str, energy_kwh: float = 20.0) -> Given:
    return Given("garage", Goal(berlin(by), energy_kwh), "command line")


# What people say.


@pytest.mark.parametrize(
    ("now", "text", "deadline"),
    [
        (MONDAY, "06:30", "2026-06-02T06:30"),
        (MONDAY, "18:00", "2026-06-01T18:00"),
        (MONDAY, "12:00", "2026-06-02T12:00"),
        (MONDAY, "6:30", "2026-06-02T06:30"),
        (MONDAY, "fri 06:30", "2026-06-05T06:30"),
        (MONDAY, "  FRI   6:30 ", "2026-06-05T06:30"),
        (MONDAY, "mon 18:00", "2026-06-01T18:00"),
        (MONDAY, "mon 06:30", "2026-06-08T06:30"),
        (MONDAY, "today 18:00", "2026-06-01T18:00"),
        (MONDAY, "tomorrow 06:30", "2026-06-02T06:30"),
        (MONDAY, "2026-06-05 06:30", "2026-06-05T06:30"),
        (MONDAY, "2026-06-05T06:30+00:00", "2026-06-05T08:30"),
        (MONDAY, "2026-06-05T04:30Z", "2026-06-05T06:30"),
        # The clock goes forward on 2026-03-29 at 02:00 and back on 2026-10-25 at 03:00.
        ("2026-03-28T12:00", "02:30", "2026-03-29T01:30"),
        ("2026-03-28T12:00", "sun 03:00", "2026-03-29T03:00"),
        ("2026-10-24T12:00", "02:30", "2026-10-25T02:30"),
        ("2026-10-24T12:00", "2026-10-25 02:30", "2026-10-25T02:30"),
    ],
)
def test_a_time_is_meant_on_the_sites_own_clock(now: str, text: str, deadline: str) -> None:
    assert deadline_from(text, BERLIN, berlin(now)) == berlin(deadline)


def test_of_the_two_readings_of_an_autumn_night_the_earlier_one_counts_until_it_is_over() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert deadline_from("02:30", BERLIN, first - timedelta(hours=1)) == first
    assert deadline_from("02:30", BERLIN, first + timedelta(minutes=1)) == berlin("2026-10-26T02:30")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no time like"),
        ("soon", "is no time like"),
        ("25:00", "is no time like"),
        ("06:60", "is no time like"),
        ("freitag 06:30", "is no time like"),
        ("fri", "is no time like"),
        ("2026-06-31 06:30", "is no time like"),
        ("2026-06-05", "is no time like"),
        ("٠٦:٣٠", "is no time like"),
        ("x" * 5000, "is no time like"),
        ("9999-12-31T23:59-23:00", "is no time like"),
        ("today 06:30", "(2026-06-01 06:30) does not lie within the next 14 days"),
        ("2026-05-31 06:30", "does not lie within the next 14 days"),
        ("2026-06-15 12:01", "does not lie within the next 14 days"),
    ],
)
def test_a_bad_time_is_refused_with_what_would_be_right(text: str, says: str) -> None:
    with pytest.raises(InputError) as told:
        deadline_from(text, BERLIN, berlin(MONDAY))
    assert says in str(told.value)
    assert len(str(told.value)) < 200


@settings(derandomize=True)
@given(
    st.text(max_size=20) | st.from_regex(r"(mon|sun|today|tomorrow) \d\d?:\d\d", fullmatch=True),
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
    st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "UTC"]),
)
def test_whatever_is_said_is_a_time_ahead_or_is_refused(text: str, now: datetime, zone: str) -> None:
    try:
        deadline = deadline_from(text, ZoneInfo(zone), now)
    except InputError:
        return
    assert now < deadline <= now + timedelta(days=14)
    assert deadline.tzinfo is UTC


@pytest.mark.parametrize("value", [0, -1, 200.1, float("nan"), float("inf"), True, "20", None, [20]])
def test_an_energy_that_cannot_be_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="above 0 and up to 200"):
        energy_from(value)


def test_the_charger_must_be_named_where_there_are_several() -> None:
    one, two = Charger.model_validate({"name": "a"}), Charger.model_validate({"name": "b"})
    assert one_charger([one], None) == "a"
    assert one_charger([one, two], "b") == "b"
    with pytest.raises(InputError, match="say which charger: a, b"):
        one_charger([one, two], None)
    with pytest.raises(InputError, match="no charger is called 'c'; there is a, b"):
        one_charger([one, two], "c")


# Which one counts.

DAILY = {"by": "07:00", "energy_kwh": 8.0}


@pytest.mark.parametrize(
    ("given_goal", "counts"),
    [
        (None, ("2026-06-02T07:00", 8.0, "weekly")),
        ("2026-06-01T18:00", ("2026-06-01T18:00", 20.0, "command line")),
        ("2026-06-02T06:00", ("2026-06-02T06:00", 20.0, "command line")),
        # On its own day it stands in the place of the weekly ones, though it falls due later.
        ("2026-06-02T09:00", ("2026-06-02T09:00", 20.0, "command line")),
        ("2026-06-03T09:00", ("2026-06-02T07:00", 8.0, "weekly")),
        ("2026-06-01T11:00", ("2026-06-02T07:00", 8.0, "weekly")),
    ],
)
def test_the_goal_that_falls_due_first_counts(given_goal: str | None, counts: tuple[str, float, str]) -> None:
    found = wanted(
        charger(DAILY), None if given_goal is None else hand(given_goal), None, BERLIN, berlin(MONDAY)
    )
    assert found is not None
    assert (found.goal, found.origin) == (Goal(berlin(counts[0]), counts[1]), counts[2])


def test_a_given_goal_may_ask_for_less_than_the_weekly_one_of_its_day() -> None:
    found = wanted(charger(DAILY), hand("2026-06-02T07:00", 2.0), None, BERLIN, berlin(MONDAY))
    assert found is not None
    assert found.goal.energy_kwh == 2.0


def test_a_day_in_the_configuration_has_no_weekly_goal_and_is_over_when_it_is_over() -> None:
    car = charger(DAILY, {"on": "2026-06-02", "by": "05:00", "energy_kwh": 30.0})
    before, after = (wanted(car, None, None, BERLIN, berlin(now)) for now in (MONDAY, "2026-06-02T05:00"))
    assert before is not None
    assert after is not None
    assert (before.goal, before.origin) == (Goal(berlin("2026-06-02T05:00"), 30.0), "for 2026-06-02")
    assert after.goal == Goal(berlin("2026-06-03T07:00"), 8.0)


def test_without_any_goal_there_is_none() -> None:
    assert wanted(charger(), None, None, BERLIN, berlin(MONDAY)) is None
    assert wanted(charger(), hand("2026-05-31T07:00"), None, BERLIN, berlin(MONDAY)) is None


@pytest.mark.parametrize(
    ("goal", "says"),
    [
        ('on = "2026-6-2"', 'charger[0].goal[0].on: needs a day, "YYYY-MM-DD"'),
        ('on = "2026-02-30"', 'charger[0].goal[0].on: needs a day, "YYYY-MM-DD"'),
        ("on = 2026-06-02", "charger[0].goal[0].on: needs text in quotes, not a date alone"),
        ('on = "2026-06-02", days = ["mon"]', "charger[0].goal[0].on: days and on exclude each other"),
        ("soc = 0.8", "charger[0].goal[0].soc: needs a table [charger.car] that tells it"),
        ("soc = 80", "charger[0].goal[0].soc: 80 is more than allowed (above 0 to 1)"),
    ],
)
def test_a_goal_that_cannot_be_is_refused_at_its_line(tmp_path: Path, goal: str, says: str) -> None:
    (tmp_path / "c.toml").write_text(
        f'[[charger]]\ngoal = [{{ by = "07:00", energy_kwh = 8, {goal} }}]\n', encoding="utf-8"
    )
    with pytest.raises(ConfigError) as told:
        load_settings(tmp_path / "c.toml", {})
    assert f"c.toml:2: {says}" in str(told.value)


# The command line.


@pytest.fixture
def home(token: str) -> Iterator[GuideHome]:
    with guide_server(GuideHome(token=token)) as served:
        yield served  # type: ignore[misc]


@pytest.fixture
def site(home: GuideHome, tmp_path: Path) -> Site:
    return site_of(home, tmp_path)


def test_a_goal_is_given_listed_shown_and_taken_back(site: Site) -> None:
    assert call(site, "goal").out == "no goal stands\n"
    gave = call(site, "goal", "20", "--by", "tomorrow 06:30")
    assert gave.code == 0, gave
    assert gave.out.startswith("garage: 20 kWh by ")
    listed = call(site, "goal").out
    assert "garage: 20 kWh by " in listed
    assert "06:30 (command line); no car is plugged in" in listed
    assert call(site, "run", "--once").code == 0
    assert "  goal      garage: 20 kWh by " in call(site, "status").out
    told = json.loads(call(site, "status", "--json").out)["goals"]["garage"]
    assert (told["energy_kwh"], told["origin"]) == (20.0, "command line")
    cleared = call(site, "goal", "none")
    assert cleared.out == "all chargers: 1 given goal cleared; those of the configuration stand\n"
    assert call(site, "goal", "none", "--charger", "garage").out.startswith("garage: 0 given goals cleared")
    assert call(site, "goal").out == "no goal stands\n"


def test_a_second_goal_takes_the_place_of_the_first(site: Site) -> None:
    call(site, "goal", "20", "--by", "tomorrow 06:30")
    call(site, "goal", "5.5", "--by", "tomorrow 09:00")
    assert call(site, "goal").out.count("kWh by") == 1
    assert site.rows("SELECT energy_kwh, cleared_at IS NULL FROM goal ORDER BY id") == [(20.0, 0), (5.5, 1)]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["20"], "say by when"),
        (["--by", "06:30"], "say how many kWh, or none"),
        (["none", "--by", "06:30"], "none has no time"),
        (["much", "--by", "06:30"], "'much' is neither a number of kWh nor none"),
        (["0", "--by", "06:30"], "above 0 and up to 200"),
        (["nan", "--by", "06:30"], "above 0 and up to 200"),
        (["20", "--by", "later"], "'later' is no time like"),
        (["20", "--by", "2020-01-01 06:30"], "does not lie within the next 14 days"),
        (["20", "--by", "06:30", "--charger", "shed"], "no charger is called 'shed'; there is garage"),
        (["none", "--charger", "shed"], "no charger is called 'shed'; there is garage"),
    ],
)
def test_a_mistake_is_told_in_one_message(site: Site, args: list[str], says: str) -> None:
    ended = call(site, "goal", *args)
    assert ended.code == 2
    assert says in ended.err
    assert "Traceback" not in ended.err
    assert site.rows("SELECT * FROM goal") == []


# The service.

PATIENT = '[strategy]\nname = "deadline"\n[control]\ngreen_commissioned = true\n'


async def give(life: Life, energy_kwh: float, ahead: timedelta) -> None:
    now = life.clock.now()
    await life.service.store.goals.give(Given("garage", Goal(now + ahead, energy_kwh), "command line"), now)


def test_the_running_service_serves_a_given_goal_from_its_next_cycle_on(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(HOUR)
        assert life.mode() is not Mode.FAST
        await give(life, 7.0, timedelta(hours=1))
        await life.until(lambda: life.mode() is Mode.FAST, 5 * MINUTE)
        await life.passes(HOUR)
        assert life.service.world.chargers["garage"].session_kwh == pytest.approx(7.0, abs=1.5)
        await life.until(lambda: life.mode() is not Mode.FAST, 20 * MINUTE)

    live(tmp_path, token, script, sky=dark, config=PATIENT)


def test_a_goal_that_is_taken_back_is_not_served_any_more(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(HOUR / 2)
        await give(life, 20.0, timedelta(hours=2))
        await life.until(lambda: life.mode() is Mode.FAST, 10 * MINUTE)
        await life.service.store.goals.clear(None, life.clock.now())
        await life.until(lambda: life.mode() is not Mode.FAST, 20 * MINUTE)

    live(tmp_path, token, script, sky=dark, config=PATIENT)


def test_a_goal_out_of_reach_is_served_as_far_as_possible_and_told_once(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> list[tuple[Any, ...]]:
        await life.begin()
        await life.passes(HOUR / 2)
        await give(life, 25.0, timedelta(hours=2))
        await life.passes(1.9 * HOUR)
        assert life.service.world.chargers["garage"].session_kwh == pytest.approx(13.5, abs=1.0)
        await life.ends()
        return [
            (row[0], row[1]) for row in life.rows("SELECT level, message FROM event WHERE kind LIKE 'goal%'")
        ]

    ((level, message),) = live(tmp_path, token, script, sky=dark, config=PATIENT)
    assert level == "warning"
    assert message.startswith("garage: of 25 kWh at least 10.")
    assert message.endswith("will be missing in time")


def test_a_given_goal_survives_a_kill(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await give(life, 5.0, timedelta(hours=8))
        await life.passes(3 * MINUTE)
        await life.dies()
        await life.begin()
        await life.passes(3 * MINUTE)
        found = life.service.outside.goals.goal_for("garage", life.clock.now())
        assert found is not None
        assert found.energy_kwh == 5.0

    live(tmp_path, token, script, sky=dark, config=PATIENT)


def test_status_tells_a_goal_that_is_out_of_reach(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(HOUR)
        await life.ends()

    live(tmp_path, token, script, sky=dark, config=PATIENT)
    now = SystemClock().now()
    with closing(sqlite3.connect(tmp_path / "sunmode.db")) as conn, conn:
        conn.execute(
            "INSERT INTO goal (set_at, charger, energy_kwh, deadline, origin) VALUES (?,?,?,?,?)",
            (
                f"{START:%Y-%m-%dT%H:%M:%S.000Z}",
                "garage",
                100.0,
                f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M:%S.000Z}",
                "http",
            ),
        )
    told = call(Site(tmp_path, ""), "status").out
    assert "(http); 0.0 kWh taken, out of reach: 92.6 kWh will be missing at the best" in told
