"""Forecasts in the life of the real service: asked for, handed to the strategy, and done without."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_forecast_servers import OpenMeteoServer
from fake_guide_server import Heard, Reply
from forecast_lives import ROOF, SLOT
from living import HOUR, MINUTE, START, Life, live

from optimizer.domain import Mode, Proposal, Reason, Situation
from optimizer.runtime.replay import situation_from
from optimizer.store.forecasts import vintage_at
from optimizer.store.queries import decision_at

STRATEGY = '[strategy]\nname = "test_forecast_service:Ahead"\n' + ROOF
AHEAD = "[forecast]\ncalibrate = false\n" + STRATEGY
METEO = '[forecast]\nproviders = ["open-meteo"]\ncalibrate = false\n' + STRATEGY


@dataclass(frozen=True)
class NoParams:
    """Nothing to set."""


class Ahead:
    """A strategy that looks ahead, and says what it sees."""

    name = "ahead"
    serves_goals = True
    wants_forecast = True
    Params = NoParams

    def __init__(self, params: NoParams) -> None:
        self.params = params

    def propose(self, situation: Situation) -> Proposal:
        forecast, load = situation.forecast, situation.load_forecast
        reason = Reason(
            "seen",
            "{sun} of the sun, {load} of the load",
            {
                "sun": "nothing" if forecast is None else forecast.provider,
                "load": "nothing" if load is None else load.provider,
            },
        )
        return Proposal(Mode.GREEN, reason)


class Wire(httpx.AsyncBaseTransport):
    """A provider in virtual time: the server's own answers without a socket."""

    def __init__(self, life: Life) -> None:
        self.server = OpenMeteoServer()
        self.life = life
        self.heard: list[datetime] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.heard.append(self.life.clock.now())
        target = request.url.raw_path.decode()
        reply: Reply = self.server.answer(Heard("GET", target, dict(request.headers), b"", 0))
        return httpx.Response(reply.status, headers=list(reply.headers), content=reply.body)


def wired(life: Life) -> Wire:
    wire = Wire(life)
    life.ports = replace(life.ports, web=wire)
    return wire


def reasons(life: Life) -> list[str]:
    return [row[0] for row in life.rows("SELECT reason FROM decision ORDER BY id")]


def events(life: Life) -> list[str]:
    return [row[0] for row in life.rows("SELECT message FROM event WHERE kind LIKE 'forecast%' ORDER BY id")]


def test_without_a_wish_there_is_no_job_and_no_forecast(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        wire = wired(life)
        await life.begin()
        await life.passes(3 * HOUR)
        assert life.service.world.forecast is None
        assert wire.heard == []
        await life.ends()
        assert life.rows("SELECT count(*) FROM forecast") == [(0,)]

    live(tmp_path, token, script, config='[strategy]\nname = "threshold"\n' + ROOF)


def test_a_strategy_that_looks_ahead_is_given_forecasts_and_nothing_leaves_the_virtual_home(
    tmp_path: Path, token: str
) -> None:
    async def script(life: Life) -> None:
        wire = wired(life)
        await life.begin()
        await life.passes(30 * HOUR)
        assert wire.heard == []
        assert life.service.world.forecast is not None
        await life.ends()
        assert reasons(life)[-1] == "offline of the sun, own-load of the load"
        assert "the forecast is offline's" in events(life)

    live(tmp_path, token, script, config=AHEAD)


def test_equal_lives_have_equal_forecasts(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> list[tuple[Any, ...]]:
        await life.begin()
        await life.passes(4 * HOUR)
        await life.ends()
        return life.rows("SELECT * FROM forecast")

    lives = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        lives.append(live(tmp_path / name, token, script, config=AHEAD))
    assert lives[0]
    assert lives[0] == lives[1]


def test_each_vintage_is_logged_with_its_time_of_issue_and_without_its_nights(
    tmp_path: Path, token: str
) -> None:
    async def script(life: Life) -> None:
        wired(life)
        await life.begin()
        await life.passes(5 * HOUR)
        await life.ends()
        vintages = life.rows(
            "SELECT issued, count(*), max(p50_w), min(slot), max(slot) FROM forecast"
            " WHERE provider = 'open-meteo' GROUP BY issued ORDER BY issued"
        )
        assert 3 <= len(vintages) <= 5
        for issued, count, most_w, first, last in vintages:
            assert START <= datetime.fromisoformat(issued) <= START + timedelta(hours=5)
            assert 90 < count < 150
            assert 2500 < most_w < 6000
            assert datetime.fromisoformat(last) - datetime.fromisoformat(first) == 191 * SLOT

    live(tmp_path, token, script, config=METEO)


def test_a_provider_is_asked_once_an_hour_at_its_own_minute(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        wire = wired(life)
        await life.begin()
        await life.passes(24 * HOUR)
        await life.ends()
        forecasts = wire.heard[::2]
        assert 19 <= len(forecasts) <= 25
        assert len({at.minute for at in forecasts}) > 5
        gaps = [b - a for a, b in pairwise(forecasts)]
        assert min(gaps) >= timedelta(hours=1)

    live(tmp_path, token, script, config=METEO)


def zeroed(payload: dict[str, Any]) -> Any:
    columns = payload.get("minutely_15", {})
    for name in columns:
        if name != "time":
            columns[name] = [0.0] * len(columns[name])
    return payload


def ten_times(payload: dict[str, Any]) -> Any:
    columns = payload.get("minutely_15", {})
    for name in ("shortwave_radiation", "direct_normal_irradiance", "diffuse_radiation"):
        columns[name] = [10 * power for power in columns.get(name, [])]
    return payload


def shifted(payload: dict[str, Any]) -> Any:
    columns = payload.get("minutely_15", {})
    columns["time"] = [at + 86_400 for at in columns.get("time", [])]
    return payload


def silent(payload: dict[str, Any]) -> Any:
    raise httpx.ReadTimeout("never")


FAULTS = {
    "down": lambda _: Reply(503, b""),
    "late": silent,
    "all zero": zeroed,
    "ten times too high": ten_times,
    "shifted by a day": shifted,
    "null": lambda payload: {**payload, "minutely_15": None},
    "html": lambda _: Reply(200, b"<html>"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_service_goes_on_whatever_the_provider_does_and_says_without_what(
    fault: str, tmp_path: Path, token: str
) -> None:
    async def script(life: Life) -> None:
        wire = wired(life)
        await life.begin()
        await life.passes(2 * HOUR)
        wire.server.bend = FAULTS[fault]
        await life.passes(10 * HOUR)
        assert life.service.world.forecast is not None
        assert life.service.world.forecast.provider == "offline"
        wire.server.bend = lambda payload: payload
        await life.passes(7 * HOUR)
        assert life.service.world.forecast.provider == "open-meteo"
        cycles = life.service.cycle
        assert cycles is not None
        await life.ends()
        sentences = [sentence for sentence in events(life) if "own-load" not in sentence]
        assert len([s for s in sentences if s.startswith("open-meteo gives no forecast: ")]) == 1
        assert sentences[-4:][0].startswith("open-meteo gives no forecast: ")
        assert sentences[-3:] == [
            "the forecast is offline's, in place of open-meteo",
            "open-meteo gives forecasts again",
            "the forecast is open-meteo's",
        ]

    live(tmp_path, token, script, config=METEO)


def test_a_restart_goes_on_with_the_forecast_it_had_and_asks_nobody(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        wire = wired(life)
        await life.begin()
        await life.passes(2 * HOUR)
        heard = len(wire.heard)
        for _ in range(5):
            await life.dies()
            await life.begin()
            known = life.service.world.forecast
            assert known is not None
            assert known.provider == "open-meteo"
            assert len(known.slots) == 192
            await life.passes(2 * MINUTE)
        assert len(wire.heard) <= heard + 2
        await life.ends()

    live(tmp_path, token, script, config=METEO)


def test_a_decision_can_be_replayed_with_the_forecasts_that_it_saw(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> datetime:
        wired(life)
        await life.begin()
        await life.passes(3 * HOUR)
        await life.ends()
        return life.clock.now()

    at = live(tmp_path, token, script, config=METEO)
    log = tmp_path / "sunmode.db"
    (decision,) = decision_at(log, at).values()
    found = situation_from(decision.inputs, decision.context, lambda by, issued: vintage_at(log, by, issued))
    assert found.forecast is not None
    assert str(Ahead(NoParams()).propose(found).reason).startswith("open-meteo of the sun")
    assert decision.reason.startswith("open-meteo of the sun")


def test_a_forecast_is_set_right_by_what_the_roof_made_of_the_earlier_ones(
    tmp_path: Path, token: str
) -> None:
    async def script(life: Life) -> None:
        wired(life)
        await life.begin()
        await life.passes(30 * HOUR)
        right = life.service.world.forecast
        assert right is not None
        assert right.provider == "own-open-meteo"
        await life.ends()
        issued: dict[str, set[str]] = {"open-meteo": set(), "own-open-meteo": set()}
        for provider, at in life.rows("SELECT DISTINCT provider, issued FROM forecast"):
            issued.get(provider, set()).add(at)
        assert len(issued["own-open-meteo"]) > 20
        assert issued["own-open-meteo"] < issued["open-meteo"]

    config = '[forecast]\nproviders = ["open-meteo"]\n' + STRATEGY
    live(tmp_path, token, script, config=config)
