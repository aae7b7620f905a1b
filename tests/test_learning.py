"""What experience changes: learnt each night, kept by serial, counted on where the owner has said nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import call
from fake_guide_server import guide_server
from guide_home import GARAGE, GuideHome
from living import FAST_ALWAYS, HOUR, START, Life, dark, live
from sunmode_process import Site, site_of

from optimizer.cli.report_site import site_of as site_of_config
from optimizer.clock import SystemClock
from optimizer.control.commissioning import Proof
from optimizer.domain import ChargerReading, ChargerSpec, ChargerStatus, Mode
from optimizer.forecast.charger import Drawn, Experience
from optimizer.plant.car import CarLimits
from optimizer.runtime.learning import honoured
from optimizer.runtime.rules import Rules
from optimizer.store.experience import Known, known_at, write_experience, write_proof
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions

SPEC = ChargerSpec("garage", "SQ1")
YARD = ChargerSpec("yard", "SQ2")
SLOW = Experience(
    fast=Drawn(3620.0, 3605.0, 5), eco_floor=Drawn(1380.0, 1380.0, 4), phases=1, full_sessions=2
)
DOUBT = "[[charger]] garage: max_current_a says 7.4 kW, FAST has drawn 3.6 kW in the last"
WORKS = Proof(follows=True, pauses=True)


def rules(*specs: ChargerSpec) -> Rules:
    return Rules(specs or (SPEC,), lambda _: None)  # type: ignore[arg-type,return-value]


# What is honoured.


def test_a_slower_car_is_counted_on_where_the_owner_has_said_nothing() -> None:
    known = {"SQ1": Known(SLOW)}
    (spec,) = honoured(rules(), known, None).chargers
    assert spec.car_max_w == 3600.0
    owners = replace(SPEC, car_max_w=7000.0)
    assert honoured(rules(owners), known, None).chargers == (owners,)
    assert honoured(rules(replace(SPEC, serial="ANOTHER")), known, None).chargers[0].car_max_w is None


@pytest.mark.parametrize(
    ("said", "proofs", "resting"),
    [
        (None, {}, Mode.STOP),
        (None, {"SQ1": WORKS}, Mode.STOP),
        (None, {"SQ1": WORKS, "SQ2": WORKS}, Mode.GREEN),
        (None, {"SQ1": WORKS, "SQ2": Proof(follows=True)}, Mode.STOP),
        (None, {"SQ1": WORKS, "SQ2": replace(WORKS, pauses=False)}, Mode.STOP),
        (False, {"SQ1": WORKS, "SQ2": WORKS}, Mode.STOP),
        (True, {}, Mode.GREEN),
    ],
)
def test_green_is_the_resting_mode_where_it_works_at_every_charger_unless_the_owner_says(
    said: bool | None, proofs: dict[str, Proof], resting: Mode
) -> None:
    known = {serial: Known(proof=proof) for serial, proof in proofs.items()}
    assert honoured(rules(SPEC, YARD), known, said).guard.resting_mode is resting


# What is kept.


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.db"
    Store.open(path, SystemClock(), inline=True, options=FileOptions(ballast_bytes=0)).close()
    return path


def test_experience_and_proof_are_kept_side_by_side_and_the_newest_stands(log: Path) -> None:
    assert known_at(log) == {}
    write_proof(log, SPEC, START, Proof(follows=True))
    write_experience(log, SPEC, START, SLOW, ("fast_less",))
    assert known_at(log) == {"SQ1": Known(SLOW, ("fast_less",), Proof(follows=True))}
    write_proof(log, SPEC, START, WORKS)
    write_experience(log, SPEC, START, Experience(), ())
    assert known_at(log) == {"SQ1": Known(proof=WORKS)}


def test_without_a_log_nothing_is_known(tmp_path: Path) -> None:
    assert known_at(tmp_path / "none.db") == {}


# The service.


async def three_sessions(life: Life) -> None:
    """A car that takes 3.6 kW comes three times, and a night follows."""
    await life.begin()
    for _ in range(3):
        life.home.plug("SQ1", 30.0)
        await life.passes(1.5 * HOUR)
        life.home.unplug("SQ1")
        await life.passes(0.5 * HOUR)
    await life.passes(16 * HOUR)


def test_the_service_learns_by_night_tells_it_once_and_counts_on_it_from_then_on(
    tmp_path: Path, token: str
) -> None:
    async def script(life: Life) -> None:
        await three_sessions(life)
        told = "SELECT kind, level, message FROM event WHERE kind IN ('learnt', 'doubt') ORDER BY id"
        await life.service.store.flush()
        expected = [
            ("learnt", "info", "garage: FAST draws 3.6 kW (3 sessions)"),
            (
                "doubt",
                "warning",
                f"{DOUBT} 3 sessions: set car_max_w = 3600",
            ),
        ]
        assert life.rows(told) == expected
        assert life.service.world.chargers["garage"].spec.max_power_w == 3600.0
        await life.passes(24 * HOUR)
        await life.ends()
        assert life.rows(told) == expected, "the second night tells nothing new"
        contexts = [json.loads(row[0]) for row in life.rows("SELECT content FROM context ORDER BY id")]
        assert [context["charger"]["car_max_w"] for context in contexts] == [None, 3600.0]
        await life.begin()
        assert life.service.rules.chargers[0].car_max_w == 3600.0
        assert life.service.client._cars_w == 7360.0, "what may be imported is not what was learnt"

    live(tmp_path, token, script, config=FAST_ALWAYS, world={"cars": (CarLimits(max_w=3600.0),)})


def test_the_service_finds_out_that_a_charger_has_three_phases(tmp_path: Path, token: str) -> None:
    three = replace(SPEC, phases=3, max_current_a=16.0)

    async def script(life: Life) -> None:
        await three_sessions(life)
        await life.service.store.flush()
        events = dict(life.rows("SELECT kind, message FROM event WHERE kind IN ('learnt', 'doubt')"))
        assert events["learnt"] == "garage: ECO holds 4.1 kW (3 sessions) on 3 phases"
        assert events["doubt"].endswith(
            "has held 4.1 kW without surplus in the last 3 sessions: set phases = 3"
        )

    world = {"chargers": (three,), "cars": (CarLimits(max_w=11_000.0, phases=3),)}
    live(tmp_path, token, script, sky=dark, config=FAST_ALWAYS.replace("fast", "eco"), world=world)


def test_a_stop_leaves_green_behind_where_it_was_shown_to_work(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(300)
        await life.ends()
        await life.passes(120)
        assert life.mode() is Mode.STOP
        write_proof(life.settings.store.path, SPEC, START, WORKS)
        await life.begin()
        await life.passes(300)
        await life.ends()
        await life.passes(120)
        assert life.mode() is Mode.GREEN

    live(tmp_path, token, script, config=FAST_ALWAYS)


def test_a_score_reckons_with_the_power_that_was_learnt(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.ends()
        write_experience(life.settings.store.path, SPEC, START, SLOW, ())

    live(tmp_path, token, script)
    site = site_of_config(tmp_path / "config.toml")
    assert (site.home.charger.max_power_w, site.home.car.max_w) == (3600.0, 3600.0)


# The command line.


@pytest.fixture
def home(token: str) -> Iterator[GuideHome]:
    with guide_server(GuideHome(token=token)) as served:
        yield served  # type: ignore[misc]


@pytest.fixture
def site(home: GuideHome, tmp_path: Path) -> Site:
    site = site_of(home, tmp_path)
    assert call(site, "check").code == 0
    write_experience(site.database, replace(SPEC, serial=GARAGE), START, SLOW, ())
    write_proof(site.database, replace(SPEC, serial=GARAGE), START, Proof(follows=True))
    return site


LINES = (
    "garage: FAST draws 3.6 kW (5 sessions); ECO holds 1.4 kW (4 sessions) on 1 phase; the car was full 2 ",
    "garage: plans count on 3.6 kW",
    f"but {DOUBT} 5 sessions: set car_max_w = 3600",
    "garage: not shown yet: follows the surplus, not seen without surplus",
)


@pytest.mark.parametrize("command", ["check", "status"])
def test_what_is_known_is_shown(site: Site, command: str) -> None:
    shown = call(site, command).out
    for line in LINES:
        assert line in shown


def test_what_is_known_is_shown_to_programs(site: Site) -> None:
    known = json.loads(call(site, "status", "--json").out)["experience"]["garage"]
    assert known["fast"] == {"power_w": 3620.0, "low_w": 3605.0, "sessions": 5}
    assert known["counted_on_w"] == 3600.0
    assert known["green"] == {"verdict": "not shown yet", "follows": True, "pauses": None}
    assert len(known["doubts"]) == 1


def test_an_attempt_to_rest_goes_by_what_was_shown(site: Site, home: GuideHome) -> None:
    write_proof(site.database, replace(SPEC, serial=GARAGE), START, WORKS)
    clock = SystemClock()
    store = Store.open(site.database, clock, inline=True, options=FileOptions(ballast_bytes=0))
    store.charger_reading(
        "garage", ChargerReading(clock.now(), Mode.FAST, ChargerStatus.CHARGING, 2, 7000.0, 1.0)
    )
    asyncio.run(store.flush())
    store.close()
    assert call(site, "rest").code == 0
    assert home.modes() == [int(Mode.GREEN)]
