"""What the log says the cars took is what they took: across restarts, departures, odd answers, odd clocks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from living import FAST_ALWAYS, HOUR, MINUTE, Life, dark, live

from optimizer.domain import Mode

KEEPS_MODE = '[control]\nstop_mode = "keep"\n'
BY_SUN = "[strategy.threshold]\neco_by_surplus = false\n"
Pile = dict[str, Any]


class Tampered(httpx.AsyncBaseTransport):
    """A cloud whose answers about a charger pass through `change`."""

    def __init__(self, inner: httpx.AsyncBaseTransport, change: Callable[[Pile], None]) -> None:
        self._inner = inner
        self._change = change

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        if not request.url.path.endswith("getPileInfo"):
            return answer
        body = json.loads(await answer.aread())
        self._change(body["result"])
        return httpx.Response(answer.status_code, json=body)


def tamper(life: Life, change: Callable[[Pile], None]) -> None:
    assert life.ports.network is not None
    life.ports = replace(life.ports, network=Tampered(life.ports.network, change))


def sessions(life: Life) -> list[tuple[bool, float]]:
    """Return whether each session has ended, and its energy."""
    rows = life.rows("SELECT ended_at IS NOT NULL, round(ev_kwh, 1) FROM session ORDER BY id")
    return [(bool(has_ended), ev_kwh) for has_ended, ev_kwh in rows]


def told_kwh(life: Life) -> tuple[float, float]:
    """Return the cars' energy as the quarter hours and as the sessions tell it."""
    ((energy_kwh,),) = life.rows("SELECT total(ev_kwh) FROM energy WHERE charger != ''")
    ((session_kwh,),) = life.rows("SELECT total(ev_kwh) FROM session")
    return energy_kwh, session_kwh


@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize("down_s", [1.0, 10 * MINUTE])
def test_eight_restarts_count_every_kwh_once(
    tmp_path: Path, token: str, *, killed: bool, down_s: float
) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.FAST, 15 * MINUTE)
        for _ in range(8):
            await life.passes(7 * MINUTE)
            await (life.dies() if killed else life.ends())
            await life.passes(down_s)
            await life.begin()
        await life.passes(30 * MINUTE)
        await life.ends()
        truth_kwh = life.home.truth().ev_kwh
        assert truth_kwh > 9.0
        assert told_kwh(life) == pytest.approx((truth_kwh, truth_kwh), rel=0.02)
        ((solar_kwh, grid_kwh),) = life.rows("SELECT sum(ev_solar_kwh), sum(ev_grid_kwh) FROM energy")
        assert solar_kwh + grid_kwh == pytest.approx(truth_kwh, rel=0.02)
        assert life.rows("SELECT count(*) FROM session") == [(1,)]

    live(tmp_path, token, script, config=FAST_ALWAYS + KEEPS_MODE)


def test_what_was_taken_while_nobody_looked_is_grid_spread_over_that_time(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(HOUR)
        before_kwh = life.home.truth().ev_kwh
        await life.dies()
        await life.passes(2 * HOUR)
        taken_kwh = life.home.truth().ev_kwh - before_kwh
        await life.begin()
        await life.passes(20 * MINUTE)
        await life.ends()
        query = "SELECT ev_kwh, ev_grid_kwh FROM energy WHERE charger = 'garage' AND slot_start > '{}'"
        rows = life.rows(query.format("2026-06-02T09:01") + " AND slot_start < '2026-06-02T10:50'")
        assert len(rows) == 7
        assert all(ev_kwh == pytest.approx(taken_kwh / 8, rel=0.1) == grid_kwh for ev_kwh, grid_kwh in rows)

    live(tmp_path, token, script, config=FAST_ALWAYS + KEEPS_MODE)


def test_a_car_that_left_while_the_service_was_down_has_ended_its_session(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(HOUR)
        await life.dies()
        first_kwh = life.home.truth().ev_kwh
        life.home.unplug("SQ1")
        await life.passes(5 * MINUTE)
        await life.begin()
        await life.passes(30 * MINUTE)
        assert [ended for ended, _ in sessions(life)] == [True]
        life.home.plug("SQ1", 20.0)
        await life.passes(HOUR)
        await life.ends()
        second_kwh = life.home.truth().ev_kwh - first_kwh
        assert [ev_kwh for _, ev_kwh in sessions(life)] == pytest.approx([first_kwh, second_kwh], abs=0.1)

    live(tmp_path, token, script, config=BY_SUN)


def test_a_car_that_took_another_ones_place_meanwhile_has_its_own_session(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(HOUR)
        await life.dies()
        first_kwh = life.home.truth().ev_kwh
        life.home.unplug("SQ1")
        await life.passes(5 * MINUTE)
        life.home.plug("SQ1", 20.0)
        await life.passes(15 * MINUTE)
        await life.begin()
        await life.passes(20 * MINUTE)
        await life.ends()
        second_kwh = life.home.truth().ev_kwh - first_kwh
        assert [ended for ended, _ in sessions(life)] == [True, False]
        # What the first car took between the last rows and the kill, at most 5 min, nothing tells any more.
        assert [ev_kwh for _, ev_kwh in sessions(life)] == pytest.approx([first_kwh, second_kwh], abs=0.3)

    live(tmp_path, token, script, config=BY_SUN)


@pytest.mark.parametrize("config", [FAST_ALWAYS, BY_SUN])
@pytest.mark.parametrize(
    "odd", [{"chargerStatus": None, "chargingPower": None}, {"chargerStatus": 99}, {"chargerStatus": 4}]
)
def test_answers_that_do_not_tell_of_the_car_for_minutes_change_nothing(
    tmp_path: Path, token: str, config: str, odd: Pile
) -> None:
    now: Pile = {}

    async def script(life: Life) -> None:
        tamper(life, lambda pile: pile.update(now))
        await life.begin()
        await life.passes(40 * MINUTE)
        commands = life.commands()
        now.update(odd)
        await life.passes(8 * MINUTE)
        now.clear()
        await life.passes(30 * MINUTE)
        assert life.commands() == commands
        await life.ends()
        assert sessions(life) == [(False, pytest.approx(life.home.truth().ev_kwh, rel=0.03))]

    live(tmp_path, token, script, config=config)


def test_a_goal_is_served_though_the_charger_still_shows_the_last_cars_energy(
    tmp_path: Path, token: str
) -> None:
    def stale(pile: Pile) -> None:
        if pile["chargeEnergy"] == 0.0:
            pile["chargeEnergy"] = 12.0

    async def script(life: Life) -> None:
        tamper(life, stale)
        await life.begin()
        await life.passes(8 * HOUR)
        taken_kwh = life.home.truth().ev_kwh
        assert 10.0 <= taken_kwh < 10.5
        await life.ends()
        assert told_kwh(life) == pytest.approx((taken_kwh, taken_kwh), rel=0.02)

    goal = 'goal = [{ days = ["daily"], by = "18:00", energy_kwh = 10 }]\n'  # 16:00 UTC, 8 h after the start
    live(tmp_path, token, script, sky=dark, config=goal)


def test_a_goal_that_is_half_served_is_not_begun_anew_by_a_restart(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        tamper(life, lambda pile: pile.update(chargeEnergy=pile["chargeEnergy"] + 12.0))  # it never resets
        await life.begin()
        await life.until(lambda: life.home.truth().ev_kwh > 5.0, 8 * HOUR)
        await life.dies()
        await life.begin()
        await life.passes(3 * HOUR)
        assert 10.0 <= life.home.truth().ev_kwh < 10.5

    goal = 'goal = [{ days = ["daily"], by = "18:00", energy_kwh = 10 }]\n'
    live(tmp_path, token, script, sky=dark, config=goal)


def test_a_clock_that_jumps_by_a_year_adds_no_year_of_rows(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(HOUR)
        life.clock.step(timedelta(days=366))
        await life.passes(HOUR)
        await life.ends()
        ((rows, missing_s),) = life.rows("SELECT count(*), sum(missing_s) FROM energy")
        assert rows < 25
        assert missing_s < 1.5 * HOUR

    live(tmp_path, token, script, config=FAST_ALWAYS)
