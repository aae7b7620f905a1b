from __future__ import annotations

from datetime import UTC, datetime

import pytest

from optimizer.control.polling import Activity
from optimizer.domain import ChargerReading, ChargerSpec, ChargerStatus, Mode, SiteReading
from optimizer.runtime.world import ChargerView, World

NOON = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
GARAGE = ChargerSpec("garage", "SQ1")
CHARGING, READY, AWAY = ChargerStatus.CHARGING, ChargerStatus.PREPARING, ChargerStatus.AVAILABLE


def site(stamp: str | None, grid_w: float | None = -2000.0, pv_w: float | None = 3000.0) -> SiteReading:
    return SiteReading(NOON, stamp, pv_w, grid_w)


def charger(
    mode: Mode | None = Mode.STOP,
    status: ChargerStatus = READY,
    ev_w: float | None = 0.0,
    session_kwh: float | None = 0.0,
) -> ChargerReading:
    return ChargerReading(NOON, mode, status, int(status), ev_w, session_kwh)


@pytest.fixture
def world() -> World:
    return World((GARAGE,), interval_s=300.0, fresh_s=420.0)


@pytest.fixture
def garage(world: World) -> ChargerView:
    return world.chargers["garage"]


def test_a_first_sample_proves_nothing_and_the_next_one_does(world: World) -> None:
    assert world.absorb_site(site("10:00"), 0.0)
    assert world.site.freshness is not None
    assert not world.site.freshness.proven
    assert world.absorb_site(site("10:05"), 300.0)
    assert world.site.freshness.proven


def test_a_sample_that_is_read_again_is_no_news_and_grows_old(world: World) -> None:
    world.absorb_site(site("10:00"), 0.0)
    assert not world.absorb_site(site("10:00"), 200.0)
    assert (world.site.age_s(200.0), world.site.unchanged_reads) == (200.0, 1)


def test_a_sample_that_came_while_nobody_looked_is_as_old_as_that_may_make_it(world: World) -> None:
    for stamp, at_s in (("10:00", 0.0), ("10:05", 300.0), ("10:05", 500.0)):
        world.absorb_site(site(stamp), at_s)
    world.absorb_site(site("10:10"), 1000.0)
    assert world.site.age_s(1000.0) == 500.0
    world.absorb_site(site("10:15"), 1200.0)
    assert world.site.age_s(1200.0) == 0.0


def test_a_record_without_the_meter_refreshes_nothing(world: World) -> None:
    world.absorb_site(site("10:00"), 0.0)
    assert not world.absorb_site(site("10:05", grid_w=None), 300.0)
    assert world.site.age_s(300.0) == 300.0


def test_records_without_the_meter_do_not_tell_when_samples_come(world: World) -> None:
    for stamp, at_s in (("10:00", 0.0), ("10:00", 290.0), ("10:05", 310.0)):
        world.absorb_site(site(stamp), at_s)
    for at_s in (610.0, 640.0, 680.0):
        world.absorb_site(site("10:10", grid_w=None), at_s)
    world.absorb_site(site("10:10"), 760.0)
    assert world.site.phase_s == 300.0 + 297.0


def test_a_sample_is_turned_into_a_surplus_once(world: World) -> None:
    world.absorb_site(site("10:00"), 0.0)
    world.chargers["garage"].absorb(charger(status=AWAY), 0.0)
    world.estimate_surplus(0.0)
    assert world.site.estimate is not None
    assert world.site.estimate.surplus_w == 2000.0
    assert world.site.take_news() is world.site.estimate
    assert world.site.take_news() is None


def test_an_unread_charger_makes_the_first_sample_ambiguous(world: World) -> None:
    world.absorb_site(site("10:00"), 0.0)
    world.estimate_surplus(0.0)
    assert world.site.estimate is None


def test_a_car_that_charges_steadily_belongs_to_the_sample(world: World, garage: ChargerView) -> None:
    for at_s in (0.0, 300.0):
        garage.absorb(charger(Mode.GREEN, CHARGING, 1500.0), at_s)
    world.absorb_site(site("10:05", grid_w=-500.0), 300.0)
    world.estimate_surplus(305.0)
    assert world.site.estimate is not None
    assert (world.site.estimate.surplus_w, world.site.estimate.measured) == (2000.0, True)


def test_a_command_on_its_way_makes_the_sample_fall_back_on_the_last_base_load(
    world: World, garage: ChargerView
) -> None:
    garage.absorb(charger(), 0.0)
    world.absorb_site(site("10:00", grid_w=-2000.0), 0.0)
    world.estimate_surplus(0.0)
    garage.note_sent(Mode.FAST, 250.0)
    world.absorb_site(site("10:05", grid_w=4400.0), 300.0)
    world.estimate_surplus(301.0)
    assert world.site.estimate is not None
    assert (world.site.estimate.surplus_w, world.site.estimate.measured) == (2000.0, False)


def test_a_mode_that_nobody_here_has_sent_is_the_owners_hand(garage: ChargerView) -> None:
    garage.absorb(charger(Mode.STOP), 0.0)
    assert garage.absorb(charger(Mode.FAST), 60.0).by_hand


def test_the_first_mode_ever_read_is_nobodys_hand(garage: ChargerView) -> None:
    assert not garage.absorb(charger(Mode.FAST), 0.0).by_hand


def test_the_echo_of_a_late_command_is_not_the_owners_hand(garage: ChargerView) -> None:
    garage.absorb(charger(Mode.STOP), 0.0)
    garage.note_sent(Mode.FAST, 10.0)
    garage.note_sent(Mode.GREEN, 200.0)
    garage.absorb(charger(Mode.GREEN), 260.0)
    assert not garage.absorb(charger(Mode.FAST), 300.0).by_hand


def test_an_unknown_mode_leaves_the_last_known_one(garage: ChargerView) -> None:
    garage.absorb(charger(Mode.GREEN), 0.0)
    noticed = garage.absorb(charger(None), 60.0)
    assert (garage.mode, noticed.mode_changed) == (Mode.GREEN, False)


def test_energy_that_an_answer_left_out_is_what_it_was_while_the_car_stays(garage: ChargerView) -> None:
    garage.absorb(charger(session_kwh=3.2), 0.0)
    garage.absorb(charger(session_kwh=None), 60.0)
    assert garage.reading is not None
    assert garage.reading.session_kwh == 3.2
    garage.absorb(charger(status=AWAY, session_kwh=None), 120.0)
    assert garage.reading.session_kwh is None


def test_coming_and_leaving_is_noticed_once(garage: ChargerView) -> None:
    came = [
        garage.absorb(charger(status=s), t).plugged_in
        for s, t in ((AWAY, 0.0), (READY, 60.0), (READY, 120.0))
    ]
    left = [garage.absorb(charger(status=s), t).unplugged for s, t in ((AWAY, 180.0), (AWAY, 240.0))]
    assert (came, left) == ([False, True, False], [True, False])


@pytest.mark.parametrize(
    ("status", "mode", "ambiguous"),
    [
        (CHARGING, Mode.GREEN, True),
        (ChargerStatus.STOPPING, Mode.STOP, True),
        (ChargerStatus.UNKNOWN, Mode.STOP, True),
        (READY, Mode.STOP, False),
        (ChargerStatus.CHARGE_PAUSE, Mode.GREEN, False),
        (AWAY, Mode.STOP, False),
    ],
)
def test_a_power_that_was_left_out_is_zero_only_where_nothing_can_flow(
    world: World, garage: ChargerView, status: ChargerStatus, mode: Mode, *, ambiguous: bool
) -> None:
    garage.absorb(charger(mode, CHARGING, 1500.0), 0.0)
    world.absorb_site(site("10:00", grid_w=-500.0), 0.0)
    world.estimate_surplus(0.0)
    garage.absorb(charger(mode, status, None), 600.0)
    garage.absorb(charger(mode, status, None), 900.0)
    world.absorb_site(site("10:15", grid_w=-500.0), 900.0)
    world.estimate_surplus(900.0)
    assert world.site.estimate is not None
    assert world.site.estimate.measured is not ambiguous
    assert world.site.estimate.surplus_w == (2000.0 if ambiguous else 500.0)


def test_an_unknown_status_leaves_the_last_known_one_and_moves_nothing(garage: ChargerView) -> None:
    garage.absorb(charger(status=CHARGING, ev_w=1500.0), 0.0)
    noticed = garage.absorb(charger(status=ChargerStatus.UNKNOWN, ev_w=None), 60.0)
    assert (garage.status, noticed.unplugged, garage.ev_w) == (CHARGING, False, None)
    assert garage.may_draw
    assert garage.unsettled_at_s is None


def test_changes_of_mode_are_forgotten_after_a_day(garage: ChargerView) -> None:
    garage.changes_s.extend([0.0, 50_000.0])
    assert [garage.changes_24h(at_s) for at_s in (60_000.0, 90_000.0, 140_000.0)] == [2, 1, 0]


@pytest.mark.parametrize(
    ("reading", "pv_w", "activity"),
    [
        (charger(status=CHARGING, ev_w=1400.0), 3000.0, Activity.CHARGING),
        (charger(status=READY), 3000.0, Activity.CONNECTED),
        (charger(status=AWAY), 3000.0, Activity.IDLE),
        (charger(status=AWAY), 0.0, Activity.DORMANT),
        (charger(status=READY), 0.0, Activity.CONNECTED),
    ],
)
def test_activity_follows_the_car_and_the_sun(
    world: World, garage: ChargerView, reading: ChargerReading, pv_w: float, activity: Activity
) -> None:
    world.absorb_site(site("10:00", pv_w=pv_w), 0.0)
    garage.absorb(reading, 0.0)
    assert world.activity(garage) is activity


def test_a_hint_from_outside_is_worth_one_look_in_30_s(world: World, garage: ChargerView) -> None:
    garage.absorb(charger(), 100.0)
    assert not world.look_soon(["garage", "stranger"], 120.0)
    assert world.look_soon(["garage", "stranger"], 131.0)
    assert [target.key for target in world.targets() if target.hinted] == ["garage"]
    world.drop_hints()
    assert not any(target.hinted for target in world.targets())


def test_a_failed_try_counts_as_the_last_look(world: World, garage: ChargerView) -> None:
    garage.tried_at_s, garage.failures = 50.0, 1
    house, *chargers = world.targets()
    targets = {target.key: target for target in chargers}
    assert (targets["garage"].last_read_s, targets["garage"].failures) == (50.0, 1)
    assert house.last_read_s is None
