"""The owner's hand in closed loop: what is set at the charger or by order stands before what is planned."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from living import FOLLOW_THE_SUN, HOUR, MINUTE, Life, dark, live

from optimizer.domain import Mode
from optimizer.simulation.faults import Fault, FaultKind


def test_the_owners_hand_holds_for_three_hours(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.GREEN, 30 * MINUTE)
        await life.until(lambda: life.mode() is Mode.FAST, HOUR)
        before = len(life.commands())
        await life.passes(2.9 * HOUR)
        assert (life.mode(), len(life.commands())) == (Mode.FAST, before)
        await life.until(lambda: life.mode() is Mode.GREEN, 30 * MINUTE)

    hand = Fault(FaultKind.MANUAL_CHANGE, start_s=HOUR, mode=Mode.FAST)
    live(tmp_path, token, script, config=FOLLOW_THE_SUN, faults=[hand])


def test_the_owners_hand_survives_a_restart(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(70 * MINUTE)
        await life.dies()
        await life.begin()
        await life.passes(2 * HOUR)
        assert life.mode() is Mode.STOP

    hand = Fault(FaultKind.MANUAL_CHANGE, start_s=HOUR, mode=Mode.STOP)
    live(tmp_path, token, script, config=FOLLOW_THE_SUN, faults=[hand])


def test_an_order_from_the_command_line_is_followed_and_taken_back(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        until = life.clock.now() + timedelta(hours=5)
        await life.service.store.set_override("garage", Mode.FAST, until, "test")
        await life.until(lambda: life.mode() is Mode.FAST, 5 * MINUTE)
        await life.passes(HOUR)
        await life.service.store.set_override(None, None, until, "test")
        await life.until(lambda: life.mode() is Mode.STOP, 10 * MINUTE)

    live(tmp_path, token, script, sky=dark)


def test_our_own_stop_is_not_the_owners_hand_after_a_pause(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.GREEN, 30 * MINUTE)
        await life.passes(5 * MINUTE)
        await life.ends()
        await life.passes(20 * MINUTE)
        await life.begin()
        await life.until(lambda: life.mode() is Mode.GREEN, 20 * MINUTE)
        assert life.rows("SELECT 1 FROM override") == []

    live(tmp_path, token, script, config=FOLLOW_THE_SUN)


@pytest.mark.parametrize("mode", [Mode.STOP, Mode.FAST, Mode.ECO])
def test_the_owners_hand_counts_again_and_again(tmp_path: Path, token: str, mode: Mode) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.GREEN, 30 * MINUTE)
        await life.passes(10 * MINUTE)
        for by_hand in (mode, Mode.GREEN, mode):
            life.home.set_mode("SQ1", by_hand, "owner")
            await life.passes(15 * MINUTE)
            assert life.mode() is by_hand
        assert len(life.commands()) == 1

    live(tmp_path, token, script, config=FOLLOW_THE_SUN)
