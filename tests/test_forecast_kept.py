"""Forecasts in the log, in the configuration and in what the check says."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from forecast_lives import ROOF, SLOT
from living import START, Life

from optimizer.cli.forecast_view import forecast_lines
from optimizer.config import load_settings
from optimizer.control.energy import EnergyRow
from optimizer.domain import Forecast, ForecastSlot
from optimizer.errors import ConfigError
from optimizer.store.accounts import Accounts
from optimizer.store.forecasts import vintage_at
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions


@contextmanager
def opened(path: Path, clock: Any) -> Iterator[Store]:
    store = Store.open(
        path, clock, inline=True, options=FileOptions(durable=False, busy_ms=5, ballast_bytes=0)
    )
    try:
        yield store
    finally:
        store.close()


@dataclass
class WallClock:
    """A clock that a test sets."""

    at: datetime
    boot_id: str = "test"

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return (self.at - START).total_seconds()

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def vintage(provider: str, issued: datetime, dark: bool = True) -> Forecast:
    """48 h of a forecast; the sun's has nights of ten hours."""
    starts = [issued.replace(minute=0) + SLOT * n for n in range(192)]
    shines = [not dark or 5 <= at.hour < 19 for at in starts]
    quantiles = [(1234.0 + n, 2345.0 + n, 3456.0 + n) if s else (0.0,) * 3 for n, s in enumerate(shines)]
    slots = (ForecastSlot(at, *three) for at, three in zip(starts, quantiles, strict=True))
    return Forecast(issued, provider, tuple(slots))


def test_old_vintages_grow_thin(tmp_path: Path) -> None:
    now = datetime(2026, 6, 2, 2, 40, tzinfo=UTC)

    async def main() -> None:
        with opened(tmp_path / "log.db", WallClock(now)) as store:
            slots = vintage("open-meteo", now).slots[:4]
            for hours in range(24 * 70):
                store.forecasts.add(Forecast(now - timedelta(hours=hours), "open-meteo", slots))
            await store.flush()
            assert await store.forecasts.thin(now) > 0
            assert await store.forecasts.thin(now) == 0

    asyncio.run(main())
    life = Life(None, None, None, None, None, "")  # type: ignore[arg-type]
    life.settings = type("S", (), {"store": type("P", (), {"path": tmp_path / "log.db"})})
    issued = [datetime.fromisoformat(row[0]) for row in life.rows("SELECT DISTINCT issued FROM forecast")]
    ages = sorted((now - at) / timedelta(days=1) for at in issued)
    assert sum(age <= 2 for age in ages) == 49
    assert 28 * 8 - 2 <= sum(2 < age <= 30 for age in ages) <= 28 * 8 + 2
    assert 39 <= sum(age > 30 for age in ages) <= 41


def test_a_vintage_comes_back_with_its_nights(tmp_path: Path) -> None:
    written = vintage("open-meteo", START)
    with opened(tmp_path / "log.db", WallClock(START)) as store:
        store.forecasts.add(written)
        asyncio.run(store.flush())
        assert store.forecasts.newest("open-meteo") == written
        assert store.forecasts.newest("solcast") is None
    assert vintage_at(tmp_path / "log.db", "open-meteo", START) == written
    assert vintage_at(tmp_path / "log.db", "open-meteo", START + SLOT) is None


def test_a_year_of_forecasts_takes_its_share_of_the_log_and_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An hourly forecast of sun and load each, as much as is kept; lives leave gaps. The log takes 31 MB."""
    path, now = tmp_path / "log.db", datetime(2026, 12, 31, 2, 40, tzinfo=UTC)
    kept = {
        "open-meteo": (*range(48), *range(48, 720, 3), *range(720, 4320, 24), *range(4320, 8760, 168)),
        "own-load": (*range(48), *range(48, 720, 24)),
    }

    def used_bytes() -> int:
        with sqlite3.connect(path) as conn:
            numbers = [
                conn.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            ]
        conn.close()
        return (numbers[0] - numbers[1]) * numbers[2]

    async def main() -> None:
        with opened(path, WallClock(now)) as store:
            for provider, ages_h in kept.items():
                whole = vintage(provider, now, dark=provider == "open-meteo")
                for hours in reversed(ages_h):
                    store.forecasts.add(replace(whole, issued_at=now - timedelta(hours=hours)))
            await store.flush()
            assert await store.forecasts.thin(now) < 10

    with opened(path, WallClock(now)):
        pass
    empty_bytes = used_bytes()
    asyncio.run(main())
    year_mb = (used_bytes() - empty_bytes) / 1e6
    with capsys.disabled():
        print(f"\nforecasts: {year_mb:.1f} MB a year")  # noqa: T201
    assert year_mb * 1.4 < 8.5


def test_the_own_past_is_read_from_the_accounts(tmp_path: Path) -> None:
    from optimizer.runtime.forecasting import series_of

    rows = [
        EnergyRow(START, None, pv_kwh=1.0, base_load_kwh=0.25),
        EnergyRow(START + SLOT, None, pv_kwh=0.5, base_load_kwh=0.1, missing_s=450.0),
        EnergyRow(START + 3 * SLOT, None, pv_kwh=1.0, base_load_kwh=-0.1, missing_s=900.0),
    ]
    with opened(tmp_path / "log.db", WallClock(START)) as store:
        store.account(rows, {}, Accounts(START, {}, {}))
        asyncio.run(store.flush())
        found = store.forecasts.past(START - timedelta(days=1))
    sun = series_of(found, "pv_kwh", START + 4 * SLOT)
    assert (sun.start, sun.watts) == (START, (4000.0, 4000.0, None, None))
    assert series_of(found, "base_load_kwh", START + 2 * SLOT).watts == (1000.0, 800.0)
    assert series_of((), "pv_kwh", START).watts == ()


MISTAKES = {
    "twice": ('providers = ["offline", "offline"]', "twice"),
    "behind": ('providers = ["offline", "open-meteo"]', "never be asked"),
    "unknown": ('providers = ["open meteo"]', '"open-meteo"'),
    "no roof": ('providers = ["open-meteo"]', "[[roof]]"),
    "no site": ('providers = ["solcast"]', "resource ids"),
    "no key": ('providers = ["solcast"]\nsolcast = { sites = ["a"] }', "SUNMODE_FORECAST__SOLCAST__API_KEY"),
    "key in file": (
        'solcast = { api_key = "0123456789" }',
        "secrets do not belong in this file; give the key",
    ),
    "no file": ('solcast = { key_file = "nowhere.key" }', "no such file"),
    "no https": ('solcast = { url = "http://api.solcast.com.au" }', "https"),
    "virtual": ('solcast = { url = "virtual" }', "https"),
    "low": ("hours = 3", "24 to 96"),
    "skyline": ("skyline_deg = [10, 95]", "0 to 90"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_table_is_told_with_its_line(mistake: str, tmp_path: Path) -> None:
    line, words = MISTAKES[mistake]
    path = tmp_path / "config.toml"
    path.write_text(f"[forecast]\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {})
    assert words in str(caught.value)
    assert "0123456789" not in str(caught.value)
    assert f"{path}:" in str(caught.value)


KEYS = {
    "variable": {"SUNMODE_FORECAST__SOLCAST__API_KEY": "abcdefgh"},
    "credential": {"CREDENTIALS_DIRECTORY": "credentials"},
    "file": {"SUNMODE_FORECAST__SOLCAST__KEY_FILE": "solcast.key"},
}


@pytest.mark.parametrize("way", KEYS)
def test_a_key_comes_from_the_environment_a_credential_or_a_file(way: str, tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    if way == "credential":
        (tmp_path / "credentials" / "forecast__solcast__api_key").write_text("abcdefgh\n")
    (tmp_path / "solcast.key").write_text("abcdefgh\n")
    path = tmp_path / "config.toml"
    path.write_text(f'{ROOF}\n[forecast]\nproviders = ["solcast"]\nsolcast = {{ sites = ["a"] }}\n')
    env = {k: str(tmp_path / v) if k == "CREDENTIALS_DIRECTORY" else v for k, v in KEYS[way].items()}
    settings = load_settings(path, env)
    assert settings.forecast.solcast.key() == "abcdefgh"
    assert "abcdefgh" not in repr(settings)


def test_a_key_that_others_can_read_is_a_reason_to_warn(tmp_path: Path) -> None:
    key_file, path = tmp_path / "solcast.key", tmp_path / "config.toml"
    key_file.write_text("abcdefgh\n")
    path.write_text('[forecast.solcast]\nkey_file = "solcast.key"\n')
    for mode, count in ((0o644, 1), (0o600, 0)):
        key_file.chmod(mode)
        assert len([told for told in load_settings(path, {}).warnings() if "solcast" in told]) == count


def test_a_check_tells_who_is_asked_and_how_old_its_word_is(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'[forecast]\nproviders = ["open-meteo"]\n{ROOF}')
    with opened(tmp_path / "log.db", WallClock(START)) as store:
        store.forecasts.add(vintage("open-meteo", START - timedelta(minutes=23)))
        asyncio.run(store.flush())
        lines = list(forecast_lines(load_settings(path, {}), store.forecasts, START))
    assert lines == [
        "open-meteo is asked first; it spoke last 23 min ago",
        "offline stands in; it has said nothing yet",
    ]


CHAINS: dict[str, tuple[tuple[str, ...] | None, bool, bool, bool, tuple[str, ...]]] = {
    "virtual": (None, True, True, True, ("offline",)),
    "real": (None, False, True, True, ("open-meteo", "offline")),
    "real without a roof": (None, False, True, False, ("offline",)),
    "nobody wants any": (None, False, False, True, ()),
    "named": (("solcast", "open-meteo"), True, False, True, ("solcast", "open-meteo", "offline")),
    "none": ((), False, True, True, ()),
}


@pytest.mark.parametrize("case", CHAINS)
def test_who_is_asked(case: str) -> None:
    named, is_virtual, is_wanted, has_roof, expected = CHAINS[case]
    choice = load_settings(None, {}).forecast.model_copy(update={"providers": named})
    assert choice.chain(is_virtual=is_virtual, is_wanted=is_wanted, has_roof=has_roof) == expected


def test_looking_ahead_loads_neither_pvlib_nor_frames_into_the_service() -> None:
    program = (
        "import sys; import optimizer.runtime.forecasting;"
        "assert not {'pvlib', 'pandas', 'numpy', 'scipy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env=dict(os.environ))
