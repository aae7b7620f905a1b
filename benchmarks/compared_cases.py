"""The houses and cars that `compare.py` tells of, and where their files are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from places import ROOT

from optimizer.backtest.assemble import CaseOptions
from optimizer.backtest.case import Home
from optimizer.backtest.house_file import HouseColumns
from optimizer.backtest.price_file import Prices
from optimizer.plant.battery import BatteryLimits

SAMPLES = ROOT / "data" / "samples"
MEASURED = Path(os.environ.get("SUNMODE_REAL_DATA", ROOT.parent / "shared" / "data"))
SAMPLE = "sample"

_OHRBERG = "house_ohrberg_2019_1min.parquet"
_FRENCH = "home_fr_2024_30min_with_forecast.parquet"
_SESSIONS = "sessions_trondheim_2019.csv"
_PRICES = "prices_de_2019_hourly.csv"
_USERS = ("Bl2-3", "Bl2-1", "AdO1-1", "AdO1-3", "AdO3-2", "AsO6-1")
_BATTERY_KWH = 10.0
_AWAY = timedelta(weeks=261)
"""From 2019 to 2024 by whole weeks: days of the week and both changes of the clock fall together."""


@dataclass(frozen=True, slots=True)
class Told:
    """A case with its name, a title for people, and the command that runs it."""

    name: str
    title: str
    command: str
    options: CaseOptions


def sample_case() -> Told:
    """Return the case that everybody has who has the repository."""
    options = CaseOptions(
        SAMPLES / "house_ohrberg_2019.parquet",
        SAMPLES / "sessions.csv",
        columns=HouseColumns(pv_scale=0.6),
    )
    files = (
        "--house data/samples/house_ohrberg_2019.parquet --pv-scale 0.6 --sessions data/samples/sessions.csv"
    )
    return Told(SAMPLE, "Ohrberg b (the sample), made-up commuter, 0.30 €/kWh", _command(files), options)


def measured_cases(folder: Path) -> Iterator[Told]:
    """Yield the cases of the measured data, the reference case first; `folder` is for what is made of it.

    Nothing comes where the data is not there.
    """
    if not MEASURED.is_dir():
        return
    for user in _USERS:
        yield _ohrberg("b", user)
    for user in _USERS[:2]:
        yield _ohrberg("a", user)
    shifted = _shifted_sessions(folder / "sessions_2024.csv")
    for user in _USERS[:2]:
        yield _french(user, shifted)
    yield _with_battery(_ohrberg("b", _USERS[0]))
    yield _with_battery(_french(_USERS[0], shifted))


def _command(options: str) -> str:
    return f"sunmode backtest {options} --bound"


def _ohrberg(house: str, user: str) -> Told:
    options = CaseOptions(
        MEASURED / _OHRBERG,
        MEASURED / _SESSIONS,
        user,
        HouseColumns(load=f"load_{house}_w", pv_scale=0.6),
        Prices(MEASURED / _PRICES, adder=0.18),
    )
    files = f"--house {_OHRBERG} --load-column load_{house}_w --pv-scale 0.6 --sessions {_SESSIONS}"
    command = _command(f"{files} --user {user} --prices {_PRICES} --price-adder 0.18")
    title = f"Ohrberg {house}, user {user}, day-ahead + 0.18 €/kWh"
    return Told(f"{house}-{user}", title, command, options)


def _french(user: str, sessions: Path) -> Told:
    until = datetime(2024, 12, 31, tzinfo=UTC)
    options = replace(CaseOptions(MEASURED / _FRENCH, sessions, user), until=until)
    files = f"--house {_FRENCH} --to 2024-12-31 --sessions {sessions.name} --user {user}"
    title = f"French home, user {user} moved to 2024, 0.30 €/kWh"
    return Told(f"fr-{user}", title, _command(files), options)


def _with_battery(told: Told) -> Told:
    """Return a case with a home battery, which takes what the car leaves and covers what it can."""
    home = Home(battery=BatteryLimits(capacity_kwh=_BATTERY_KWH))
    return Told(
        f"{told.name}-battery",
        f"{told.title}, battery of {_BATTERY_KWH:g} kWh",
        told.command.replace("backtest", "backtest --config battery.toml"),
        replace(told.options, home=home),
    )


def _shifted_sessions(path: Path) -> Path:
    frame = pd.read_csv(MEASURED / _SESSIONS)
    for name in ("arrival", "departure"):
        frame[name] = [(datetime.fromisoformat(text) + _AWAY).isoformat() for text in frame[name]]
    frame.to_csv(path, index=False)
    return path
