"""`sunmode forecast`: verdicts on the forecasts of a real log, for people, for programs, and as a picture."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from optimizer.cli import cli
from optimizer.clock import SystemClock
from optimizer.control.energy import EnergyRow
from optimizer.domain import Forecast, ForecastSlot
from optimizer.forecast.logged import slot_number, vintages_from
from optimizer.forecast.roof import SLOT, slot_of
from optimizer.store.accounts import Accounts
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PNG = b"\x89PNG"


@dataclass
class WallClock:
    """A clock that a test sets."""

    at: datetime
    boot_id: str = "test"

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def sun_w(at: datetime) -> float:
    """A sun that is a little brighter each day."""
    hour = at.hour + at.minute / 60.0
    brightness = 3000.0 + 100.0 * (at.timetuple().tm_yday % 7)
    return max(0.0, brightness * math.sin(math.pi * (hour - 5.0) / 14.0)) if 5.0 < hour < 19.0 else 0.0


def told(provider: str, issued: datetime, factor: float, spread: float) -> Forecast:
    """What a provider says that is wrong by a factor, and how sure it is."""
    starts = [slot_of(issued) + SLOT * n for n in range(96)]
    middles = [factor * sun_w(at) for at in starts]
    slots = (
        ForecastSlot(at, (1 - spread) * w, w, (1 + spread) * w) for at, w in zip(starts, middles, strict=True)
    )
    return Forecast(issued, provider, tuple(slots))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Five days of a house with two providers, one of them good."""
    now = slot_of(SystemClock().now())
    options = FileOptions(durable=False, busy_ms=5, ballast_bytes=0)
    store = Store.open(tmp_path / "sunmode.db", WallClock(now), inline=True, options=options)
    rows = [
        EnergyRow(at, None, pv_kwh=sun_w(at) / 4000.0, base_load_kwh=0.1)
        for at in (now - 5 * DAY + SLOT * n for n in range(5 * 96))
    ]
    store.account(rows, {}, Accounts(now, {}, {}))
    for hours in range(0, 48, 3):
        store.forecasts.add(told("good", now - 2 * DAY + hours * HOUR, 1.0, 0.1))
        store.forecasts.add(told("bad", now - 2 * DAY + hours * HOUR, 3.0, 0.1))
    asyncio.run(store.flush())
    store.close()
    path = tmp_path / "config.toml"
    path.write_text('[store]\npath = "sunmode.db"\n', encoding="utf-8")
    return path


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["forecast", "--config", str(config), *arguments])


def document(config: Path, *arguments: str) -> dict[str, Any]:
    result = run(config, "--json", *arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_good_forecast_is_told_from_a_bad_one(config: Path) -> None:
    found = {one["provider"]: one for one in document(config)["providers"]}
    assert set(found) == {"good", "bad"}
    good, bad = found["good"]["all"], found["bad"]["all"]
    assert found["good"]["forecasts"] == 16
    assert good["coverage"] == 1.0
    assert bad["coverage"] == 0.0
    assert good["pinball_w"] < bad["pinball_w"] / 10
    assert good["skill"] > 0.0 > bad["skill"]
    assert [part["lead_until_h"] for part in found["good"]["by_lead"]][:3] == [1.0, 3.0, 6.0]
    assert sum(part["cases"] for part in found["good"]["by_lead"]) == good["cases"]


def test_one_provider_can_be_asked_for_and_one_that_is_not_there_is_told(config: Path) -> None:
    assert [one["provider"] for one in document(config, "--provider", "bad")["providers"]] == ["bad"]
    result = run(config, "--provider", "nobody")
    assert result.exit_code != 0
    assert "there are: bad, good" in str(result.exception)


def test_people_are_given_a_table(config: Path) -> None:
    result = run(config)
    assert "good, of the sun: 16 forecasts" in result.stdout
    assert "100%" in result.stdout


def test_a_picture_is_written(config: Path, tmp_path: Path) -> None:
    assert run(config, "--plot", str(tmp_path / "forecast.png")).exit_code == 0
    assert (tmp_path / "forecast.png").read_bytes().startswith(PNG)
    result = run(config, "--plot", str(tmp_path / "nowhere" / "forecast.png"))
    assert "cannot be written" in str(result.exception)


def test_a_log_without_forecasts_says_who_could_be_asked(config: Path) -> None:
    result = run(config, "--days", "1", "--provider", "good")
    assert result.exit_code == 0
    (config.parent / "sunmode.db").unlink()
    assert "no such log" in str(run(config).exception)


def test_a_vintage_is_known_from_the_quarter_hour_after_it_was_issued() -> None:
    issued = datetime(2026, 6, 2, 8, 7, tzinfo=UTC)
    first = slot_number(issued)
    forecast = told("x", issued, 1.0, 0.1)
    at_once = told("x", issued.replace(minute=15), 1.0, 0.1)
    vintages = vintages_from([forecast, at_once], first)
    assert vintages.known_from.tolist() == [1, 1]
    assert vintages.first.tolist() == [0, 1]
    assert vintages_from([], first).p50_w.shape == (0, 0)
