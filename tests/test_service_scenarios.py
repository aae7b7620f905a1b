"""The whole service in closed loop: what its promises mean on a day when something goes wrong."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from living import FAST_ALWAYS, FOLLOW_THE_SUN, HOUR, MINUTE, Life, dark, live

from optimizer.domain import Goal, Mode, Proposal, Reason, Situation
from optimizer.errors import Unavailable
from optimizer.simulation.faults import Fault, FaultKind


def test_surplus_charges_the_car_in_green(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.GREEN, 15 * MINUTE)
        await life.passes(HOUR)
        assert life.home.truth().ev_w == pytest.approx(3500, abs=300)
        assert life.home.truth().import_kwh < 0.05
        assert len(life.commands()) == 1

    live(tmp_path, token, script, config=FOLLOW_THE_SUN)


def test_without_sun_nothing_is_charged(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(3 * HOUR)
        assert life.commands() == []

    live(tmp_path, token, script, sky=dark)


def test_a_passing_cloud_changes_nothing(tmp_path: Path, token: str) -> None:
    def cloudy(hours: float) -> tuple[float, float]:
        return (200.0 if 1.0 <= hours % 2 < 1.08 else 4000.0), 500.0

    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(6 * HOUR)
        assert len(life.commands()) == 1

    live(tmp_path, token, script, sky=cloudy, config=FOLLOW_THE_SUN)


def test_frozen_data_ends_grid_power_within_a_quarter_of_an_hour_and_a_cycle(
    tmp_path: Path, token: str
) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.FAST, 15 * MINUTE)
        await life.until(lambda: life.clock.monotonic_s() >= HOUR, HOUR)
        await life.until(lambda: life.mode() is Mode.STOP, 15 * MINUTE + 60 + 30)
        assert life.rows("SELECT guard FROM decision ORDER BY id DESC LIMIT 1") == [("lease",)]

    frozen = Fault(FaultKind.INVERTER_FROZEN, start_s=HOUR, duration_s=4 * HOUR)
    live(tmp_path, token, script, config=FAST_ALWAYS, faults=[frozen])


def test_a_commissioned_site_rests_in_green(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.FAST, 15 * MINUTE)
        await life.until(lambda: life.mode() is Mode.GREEN, 2 * HOUR)
        await life.passes(2 * HOUR)
        assert life.mode() is Mode.GREEN

    frozen = Fault(FaultKind.INVERTER_FROZEN, start_s=HOUR, duration_s=9 * HOUR)
    config = FAST_ALWAYS + "[control]\ngreen_commissioned = true\n"
    live(tmp_path, token, script, config=config, faults=[frozen])


def test_data_that_was_never_seen_to_change_permits_no_grid_power(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(3 * HOUR)
        assert life.commands() == []

    frozen = Fault(FaultKind.INVERTER_FROZEN, start_s=0.0, duration_s=9 * HOUR)
    live(tmp_path, token, script, config=FAST_ALWAYS, faults=[frozen])


def test_a_lost_command_is_noticed_and_repeated(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> list[tuple[int, str]]:
        await life.begin()
        await life.until(lambda: len(life.commands()) == 2, 30 * MINUTE)
        assert life.mode() is Mode.STOP
        first, second = (call.t_s for call in life.cloud.calls if call.endpoint == "pileCmd")
        assert 90.0 <= second - first <= 91.0 + 60.0
        await life.until(lambda: life.mode() is Mode.GREEN, 15 * MINUTE)
        await life.passes(3 * MINUTE)
        await life.ends()
        return life.rows("SELECT attempt, state FROM command WHERE mode = 3 ORDER BY id")

    lost = Fault(FaultKind.LOST_COMMAND, start_s=0.0, duration_s=11 * MINUTE)
    rows = live(tmp_path, token, script, config=FOLLOW_THE_SUN, faults=[lost])
    assert [attempt for attempt, _ in rows] == list(range(1, len(rows) + 1))
    assert {state for _, state in rows} == {"confirmed"}


def test_a_charger_that_does_not_obey_raises_one_alarm_and_is_told_again_and_again(
    tmp_path: Path, token: str
) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(HOUR)
        assert len(life.commands()) > 8
        await life.until(lambda: life.mode() is Mode.GREEN, HOUR)
        await life.passes(10 * MINUTE)
        await life.ends()
        kinds = [kind for (kind,) in life.rows("SELECT kind FROM event ORDER BY id")]
        assert kinds.count("not_obeying") == 1
        assert kinds.count("obeys") == 1

    deaf = Fault(FaultKind.LOST_COMMAND, start_s=0.0, duration_s=1.5 * HOUR)
    live(tmp_path, token, script, config=FOLLOW_THE_SUN, faults=[deaf])


def test_a_kill_in_the_middle_of_a_command_neither_repeats_nor_forgets_it(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: bool(life.commands()), 30 * MINUTE)
        await life.dies()
        await life.begin()
        await life.passes(10 * MINUTE)
        assert [mode for mode, _ in life.commands()] == [Mode.GREEN]
        assert life.mode() is Mode.GREEN
        await life.ends()
        assert life.rows("SELECT state FROM command WHERE mode = 3") == [("confirmed",)]

    live(tmp_path, token, script, config=FOLLOW_THE_SUN)


def test_a_restart_does_not_make_old_data_young(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.FAST, 15 * MINUTE)
        await life.until(lambda: life.clock.monotonic_s() >= HOUR + 8 * MINUTE, 2 * HOUR)
        await life.dies()
        await life.begin()
        await life.until(lambda: life.mode() is Mode.STOP, 9 * MINUTE)

    frozen = Fault(FaultKind.INVERTER_FROZEN, start_s=HOUR, duration_s=9 * HOUR)
    live(tmp_path, token, script, config=FAST_ALWAYS, faults=[frozen])


@pytest.mark.parametrize(("stop_mode", "left"), [("resting", Mode.STOP), ("keep", Mode.GREEN)])
def test_a_clean_stop_leaves_what_the_owner_wants(
    tmp_path: Path, token: str, stop_mode: str, left: Mode
) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.GREEN, 30 * MINUTE)
        await life.passes(5 * MINUTE)
        began_s = life.clock.monotonic_s()
        await life.ends()
        assert life.clock.monotonic_s() - began_s <= 5.0
        await life.passes(2 * MINUTE)
        assert life.mode() is left

    live(tmp_path, token, script, config=f'{FOLLOW_THE_SUN}[control]\nstop_mode = "{stop_mode}"\n')


@pytest.mark.parametrize("trouble", [FaultKind.SERVER_ERROR, FaultKind.THROTTLED])
def test_a_stop_that_the_cloud_does_not_take_is_told_and_fails(
    tmp_path: Path, token: str, trouble: FaultKind
) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.FAST, 15 * MINUTE)
        await life.until(lambda: life.clock.monotonic_s() >= HOUR, HOUR)
        with pytest.raises(Unavailable, match="garage may go on drawing"):
            await life.ends()
        life.running = None
        assert life.rows("SELECT 1 FROM event WHERE kind = 'left_drawing'") == [(1,)]

    fault = Fault(trouble, start_s=HOUR - 1.0, duration_s=HOUR)
    live(tmp_path, token, script, config=FAST_ALWAYS, faults=[fault])


async def _ends_drawing(life: Life) -> None:
    """End the service before a cloud that refuses it; it must say that the charger may go on drawing."""
    life.token = life.token[::-1]
    with pytest.raises(Unavailable, match="garage may go on drawing"):
        await life.ends()
    life.running = None


def test_a_stop_right_after_a_raise_does_not_forget_it(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.commands() != [], 15 * MINUTE)
        view = life.service.world.chargers["garage"]
        assert (view.mode, view.accepted) == (Mode.STOP, Mode.FAST)
        await _ends_drawing(life)

    live(tmp_path, token, script, config=FAST_ALWAYS)


def test_a_stop_by_hand_that_did_not_arrive_is_not_left_at_that(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.FAST, 15 * MINUTE)
        await life.passes(5 * MINUTE)
        until = life.clock.now() + timedelta(hours=1)
        await life.service.store.set_override("garage", Mode.STOP, until, "test")
        await _ends_drawing(life)

    live(tmp_path, token, script, config=FAST_ALWAYS)


def test_a_stop_that_fails_once_is_sent_again(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.FAST, 15 * MINUTE)
        await life.until(lambda: life.clock.monotonic_s() >= HOUR, HOUR)
        began_s = life.clock.monotonic_s()
        await life.ends()
        assert life.clock.monotonic_s() - began_s <= 5.0
        await life.passes(2 * MINUTE)
        assert life.mode() is Mode.STOP

    blip = Fault(FaultKind.SERVER_ERROR, start_s=HOUR - 0.5, duration_s=1.2)
    live(tmp_path, token, script, config=FAST_ALWAYS, faults=[blip])


def test_a_dry_run_decides_and_sends_nothing(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin(dry_run=True)
        await life.passes(HOUR)
        await life.ends()
        assert life.commands() == []
        assert (3,) in life.rows("SELECT DISTINCT mode FROM decision")

    live(tmp_path, token, script, config=FOLLOW_THE_SUN)


def test_a_goal_is_met_from_the_grid_when_the_sun_does_not_suffice(tmp_path: Path, token: str) -> None:
    goal = 'goal = [{ days = ["daily"], by = "18:00", energy_kwh = 10 }]\n'  # 16:00 UTC, 8 h after the start

    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(7.9 * HOUR)
        assert life.home.charger("SQ1").session_kwh >= 10.0
        assert life.home.truth().ev_kwh < 10.5

    live(tmp_path, token, script, sky=dark, config=goal)


def test_a_refused_token_is_probed_not_hammered(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        life.token = token[::-1]
        await life.begin()
        await life.passes(3 * HOUR)
        assert len(life.cloud.calls) <= 2 + 3 * 4
        life.token = token
        await life.until(lambda: life.mode() is Mode.GREEN, HOUR)
        assert len(life.rows("SELECT 1 FROM event WHERE kind = 'auth'")) == 1

    live(tmp_path, token, script, config=FOLLOW_THE_SUN)


def test_a_throttled_client_waits_and_comes_back(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(30 * MINUTE)
        struck = [call for call in life.cloud.calls if call.t_s >= 10 * MINUTE]
        assert len(struck) <= 8
        await life.until(lambda: life.mode() is Mode.GREEN, HOUR)

    throttle = Fault(FaultKind.THROTTLED, start_s=10 * MINUTE, duration_s=20 * MINUTE)
    live(tmp_path, token, script, config=FOLLOW_THE_SUN, faults=[throttle])


class Odd:
    """A stranger's strategy on a bad day."""

    name = "odd"
    serves_goals = True

    def __init__(self, answer: Callable[[], object]) -> None:
        self.answer = answer

    def propose(self, situation: Situation) -> Any:  # noqa: ARG002 - the signature of a strategy
        return self.answer()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: None, "AttributeError"),
        (lambda: Proposal(7, Reason("odd", "odd")), "ValueError"),
        (lambda: Proposal(Mode.FAST, Reason("odd", "{missing}")), "KeyError"),
        (lambda: Proposal(Mode.FAST, Reason("odd", "odd"), memory=(math.nan,)), "ValueError"),
    ],
)
def test_a_strategy_that_fails_rests_the_charger_and_is_told_once(
    tmp_path: Path, token: str, answer: Callable[[], object], fault: str
) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.GREEN, 30 * MINUTE)
        life.service.cycle._parts.decider._strategy = Odd(answer)
        await life.until(lambda: life.mode() is Mode.STOP, 10 * MINUTE)
        await life.passes(HOUR)
        await life.ends()
        events = life.rows("SELECT message FROM event WHERE kind = 'strategy_failed'")
        assert events == [(f"the strategy failed: {fault}",)]

    live(tmp_path, token, script, config=FOLLOW_THE_SUN)


def test_a_stepped_wall_clock_is_told_and_changes_no_lease(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.FAST, 15 * MINUTE)
        life.clock.step(timedelta(hours=-1))
        await life.passes(30 * MINUTE)
        assert life.mode() is Mode.FAST
        assert len(life.commands()) == 1
        await life.ends()
        assert len(life.rows("SELECT 1 FROM event WHERE kind = 'clock_step'")) == 1

    live(tmp_path, token, script, config=FAST_ALWAYS)


def test_energy_in_the_log_is_what_the_home_has_seen(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(6 * HOUR)
        await life.ends()
        (ev, solar, pv) = life.rows("SELECT sum(ev_kwh), sum(ev_solar_kwh), sum(pv_kwh) FROM energy")[0]
        truth = life.home.truth()
        assert ev == pytest.approx(truth.ev_kwh, rel=0.02)
        assert solar == pytest.approx(ev, rel=0.05)
        assert pv == pytest.approx(truth.pv_kwh, rel=0.03)

    live(tmp_path, token, script, config=FOLLOW_THE_SUN)


def test_a_goal_that_is_served_shows_in_the_log_with_its_lease(tmp_path: Path, token: str) -> None:
    goal = 'goal = [{ days = ["daily"], by = "11:30", energy_kwh = 10 }]\n'

    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.FAST, HOUR)
        await life.passes(10 * MINUTE)
        await life.ends()
        rows = life.rows("SELECT lease_until, inputs FROM decision WHERE mode = 1 ORDER BY id")
        assert rows
        lease_until, inputs = rows[0]
        assert lease_until is not None
        assert Goal(life.clock.now(), json.loads(inputs)["goal"][1]).energy_kwh == 10

    live(tmp_path, token, script, sky=dark, config=goal)


def test_a_service_goes_on_while_nothing_can_be_written(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.FAST, 15 * MINUTE)
        rude = sqlite3.connect(life.settings.store.path)
        rude.execute("BEGIN IMMEDIATE")
        await life.passes(2 * HOUR)
        assert life.mode() is Mode.STOP
        rude.rollback()
        rude.close()
        await life.until(lambda: life.mode() is Mode.FAST, HOUR)

    frozen = Fault(FaultKind.INVERTER_FROZEN, start_s=20 * MINUTE, duration_s=1.5 * HOUR)
    live(tmp_path, token, script, config=FAST_ALWAYS, faults=[frozen])
