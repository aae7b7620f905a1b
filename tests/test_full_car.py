"""A car that is full before its goal is met."""

from __future__ import annotations

from pathlib import Path

from living import HOUR, Life, dark, live, sunny

from optimizer.domain import Mode

GOAL = 'goal = [{ days = ["daily"], by = "18:00", energy_kwh = 10 }]\n'  # 16:00 UTC, 8 h after the start


def test_a_car_that_is_full_before_its_goal_is_not_asked_again_and_again(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        life.home.unplug("SQ1")
        life.home.plug("SQ1", 2.0)
        await life.begin()
        await life.passes(7.9 * HOUR)
        assert [change.mode for change in life.home.mode_changes] == [Mode.FAST, Mode.STOP]

    live(tmp_path, token, script, sky=dark, config=GOAL)


def test_a_car_that_wants_more_in_the_sun_has_its_goal_again(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        life.home.unplug("SQ1")
        life.home.plug("SQ1", 1.0)
        await life.begin()
        await life.passes(1.0 * HOUR)
        garage = life.service.world.chargers["garage"]
        assert garage.had_enough
        life.home.plug("SQ1", 20.0)
        await life.passes(0.5 * HOUR)
        assert not garage.had_enough

    live(tmp_path, token, script, sky=sunny, config=GOAL)
