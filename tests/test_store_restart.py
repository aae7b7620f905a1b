"""What a restart finds in the log, what is pruned, and how much it grows in a year."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from log_rows import IDLE, OPTIONS, T0, HandClock, charger, decision, intent, opened, query, site

from optimizer.clock import SystemClock
from optimizer.control.budget import Outcome
from optimizer.control.energy import Account, EnergyRow, Since
from optimizer.domain import (
    ChargerStatus,
    Forecast,
    ForecastSlot,
    Goal,
    Mode,
)
from optimizer.store.accounts import Accounts
from optimizer.store.commands import CommandState
from optimizer.store.log import Store
from optimizer.store.overrides import override_for
from optimizer.store.sqlite import StoreUnavailable

ACCOUNTS = Accounts(
    T0,
    {"car": Account(7.25, (Since(EnergyRow(T0, "car", ev_kwh=0.1, ev_solar_kwh=0.1, missing_s=3.0), 60.0),))},
    {"car": 5.0},
)
CAR = ChargerStatus.CHARGING


def test_a_restart_finds_what_was_known_and_what_was_under_way(path: Path) -> None:
    async def main() -> None:
        clock = HandClock()
        with opened(path, clock) as store:
            store.site_reading(site())
            store.charger_reading("car", charger())
            store.session_started("car", T0, Goal(T0 + timedelta(hours=8), 10.0))
            store.account([], {"car": EnergyRow(T0, "car", ev_kwh=2.0, ev_solar_kwh=1.5)}, ACCOUNTS)
            done, sent, meant = await store.intend([intent(1), intent(2, Mode.FAST), intent(3)])
            await store.mark([done, sent], CommandState.SENT)
            await store.mark([done], CommandState.CONFIRMED)
            await store.set_override("car", Mode.FAST, T0 + timedelta(hours=3), "test")
        await clock.sleep(600)
        clock.at += timedelta(hours=1)  # a step does not make data older
        with opened(path, clock) as store:
            found = await store.recover()
            assert [(c.id, c.mode, c.state) for c in found.interrupted] == [
                (sent, Mode.FAST, "sent"),
                (meant, Mode.STOP, "intent"),
            ]
            assert [c.state for c in found.commands] == ["confirmed", "unknown", "unknown"]
            assert found.interrupted[1].sent_at is None
            assert found.chargers == {"car": charger()}
            assert found.site == site()
            assert found.stamp_age_s == 600
            assert [o.mode for o in found.overrides] == [Mode.FAST]
            assert found.sessions["car"].ev_kwh == 2.0
            assert found.accounts == ACCOUNTS
            store.site_reading(site(10))
            assert (await store.recover()).stamp_age_s == 600, "the same stamp again does not make it young"
            assert (await store.recover()).interrupted == ()
            store.site_reading(site(10, "2026-06-01 12:05:00"))
            assert (await store.recover()).stamp_age_s == 0
            store.session_ended("car", clock.now())
            assert (await store.recover()).sessions == {}

    asyncio.run(main())


def test_after_a_reboot_the_age_of_the_data_is_taken_from_wall_time(path: Path) -> None:
    async def main() -> None:
        with opened(path, HandClock()) as store:
            store.site_reading(site())
        with opened(path, HandClock(T0 + timedelta(minutes=9), 30.0, "rebooted")) as store:
            assert (await store.recover()).stamp_age_s == 540

    asyncio.run(main())


def test_an_empty_log_recovers_nothing(path: Path) -> None:
    async def main() -> None:
        with opened(path, HandClock()) as store:
            found = await store.recover()
            assert (found.interrupted, found.site, found.stamp_age_s, found.overrides) == ((), None, None, ())

    asyncio.run(main())


def test_an_override_of_another_process_is_seen_at_once_and_ends_in_time(path: Path) -> None:
    async def main() -> None:
        clock = HandClock()
        with opened(path, clock) as service, opened(path, clock) as command_line:
            assert service.active_overrides(T0) == ()
            await command_line.set_override(None, Mode.STOP, T0 + timedelta(hours=1), "cli")
            (override,) = service.active_overrides(T0)
            assert (override.charger, override.mode, override.origin) == (None, Mode.STOP, "cli")
            assert service.active_overrides(T0 + timedelta(hours=1)) == ()

    asyncio.run(main())


def test_the_newest_order_for_a_charger_holds(path: Path) -> None:
    async def main() -> None:
        clock = HandClock()
        until = T0 + timedelta(hours=1)

        def held(name: str) -> Mode | None:
            override = override_for(name, store.active_overrides(T0))
            return None if override is None else override.mode

        with opened(path, clock) as store:
            await store.set_override(None, Mode.STOP, until, "test")
            await store.set_override("west", Mode.FAST, until, "test")
            assert (held("west"), held("east")) == (Mode.FAST, Mode.STOP)
            await store.set_override("west", None, until, "test")
            assert (held("west"), held("east")) == (None, Mode.STOP)
            await store.set_override(None, Mode.ECO, until, "test")
            assert (held("west"), held("east")) == (Mode.ECO, Mode.ECO)
            await store.set_override(None, None, until, "test")
            assert (held("west"), held("east")) == (None, None)

    asyncio.run(main())


def test_overrides_hold_on_while_the_file_is_gone(path: Path) -> None:
    async def main() -> None:
        with opened(path, HandClock()) as store:
            await store.set_override(None, Mode.STOP, T0 + timedelta(hours=1), "test")
            assert len(store.active_overrides(T0)) == 1
            for suffix in ("-wal", "-shm", ""):
                path.with_name(path.name + suffix).unlink()
            assert len(store.active_overrides(T0)) == 1
            assert store.active_overrides(T0 + timedelta(hours=2)) == ()

    asyncio.run(main())


def test_energy_adds_up_per_quarter_hour_and_charger(path: Path) -> None:
    row = EnergyRow(T0, "car", ev_kwh=1.0, ev_solar_kwh=0.75, ev_grid_kwh=0.25, cost_eur=0.08)
    with opened(path, HandClock()) as store:
        store.account([row, EnergyRow(T0, None, pv_kwh=2.0)], {}, ACCOUNTS)
        store.account([replace(row, ev_kwh=-0.5)], {}, ACCOUNTS)
    rows = query(path, "SELECT slot_start, charger, pv_kwh, ev_kwh, cost_eur FROM energy ORDER BY charger")
    assert rows == [
        ("2026-06-01T12:00:00.000Z", "", 2.0, 0.0, 0.0),
        ("2026-06-01T12:00:00.000Z", "car", 0.0, 0.5, 0.16),
    ]


def test_a_forecast_is_kept_by_vintage(path: Path) -> None:
    forecast = Forecast(T0, "test", (ForecastSlot(T0, 1.0, 2.0, 3.0),))
    with opened(path, HandClock()) as store:
        store.forecasts.add(forecast)
        store.forecasts.add(forecast)
        store.forecasts.add(replace(forecast, issued_at=T0 + timedelta(hours=1)))
    assert query(path, "SELECT count(*), sum(p50_w) FROM forecast") == [(2, 4.0)]


def test_pruning_deletes_the_old_and_keeps_accounts_and_open_commands(path: Path) -> None:
    async def main() -> int:
        clock = HandClock()
        with opened(path, clock) as store:
            ids = await store.intend([intent(1), intent(2)])
            await store.mark(ids[:1], CommandState.FAILED)
            await store.ledger.reserve("x", "y")
            store.account([EnergyRow(T0, None, pv_kwh=1.0)], {}, ACCOUNTS)
            for hour in range(200):
                clock.at = T0 + timedelta(hours=hour)
                store.event("test", "x")
                store.site_reading(site(60 * hour, str(hour)))
                store.decision(decision(60 * hour), {}, {"hour": hour})
            return await store.prune(T0 + timedelta(hours=100))

    assert asyncio.run(main()) == 100 * 3 + 1 + 1
    counts = (
        "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM context), (SELECT count(*) FROM energy)"
    )
    assert query(path, counts) == [(100, 100, 1)]
    assert query(path, "SELECT state FROM command") == [("intent",)]


def test_a_backup_is_whole_while_the_service_writes(tmp_path: Path) -> None:
    path, copy = tmp_path / "log.db", tmp_path / "copy.db"

    async def main() -> None:
        store = Store.open(path, SystemClock(), options=OPTIONS)
        for number in range(500):
            store.event("test", str(number))
        backup = asyncio.create_task(store.backup(copy))
        store.event("test", "meanwhile")
        await backup
        with pytest.raises(StoreUnavailable):
            await store.backup(tmp_path / "no folder" / "copy.db")
        store.close()

    asyncio.run(main())
    assert query(copy, "SELECT count(*) FROM event WHERE message != 'meanwhile'") == [(500,)]
    assert query(copy, "PRAGMA integrity_check") == [("ok",)]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_a_year_of_log_stays_below_forty_megabytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A 60 s cycle, a car plugged in for 14 h a day, 28 changes of mind a day; calls are kept 30 days."""
    days = 4
    telemetry_bytes = _grown_bytes(tmp_path / "telemetry.db", days, _one_cycle)
    call_bytes = _grown_bytes(tmp_path / "calls.db", days, _one_call)
    year_mb = (telemetry_bytes * 365 + call_bytes * 30) / days / 1e6
    with capsys.disabled():
        print(f"\nlog: {year_mb:.1f} MB a year, {telemetry_bytes / days / 1e3:.0f} kB of telemetry a day")  # noqa: T201
    assert year_mb < 40


def _grown_bytes(path: Path, days: int, cycle: Callable[[Store, int], Awaitable[None]]) -> int:
    async def main() -> None:
        clock = HandClock()
        with opened(path, clock) as store:
            for minute in range(days * 1440):
                clock.at, clock.s = T0 + timedelta(minutes=minute), 1000.0 + 60 * minute
                await cycle(store, minute)

    with opened(path, HandClock()):
        pass
    empty_bytes = path.stat().st_size
    asyncio.run(main())
    return path.stat().st_size - empty_bytes


async def _one_cycle(store: Store, minute: int) -> None:
    hour = minute / 60 % 24
    plugged = hour < 14
    inputs = {f"input_{number}": 1234.5 + number + minute for number in range(20)}
    store.site_reading(site(minute, f"2026-06-01 {minute // 5:08d}", pv_w=1234.5 + minute, grid_w=-2345.6))
    status = CAR if plugged else IDLE
    store.charger_reading("car", charger(minute, status, 3210.5 if plugged else 0.0, minute / 100))
    code = "surplus" if minute % 60 < 30 else "cloud"
    store.decision(decision(minute, code=code if plugged else "idle"), inputs, {"max_power_w": 7360.0})
    if minute % 15 == 0:
        at = T0 + timedelta(minutes=minute)
        values = dict.fromkeys(("pv_kwh", "base_load_kwh", "export_kwh"), 0.123456789 + minute)
        energy = [EnergyRow(at, None, **values), EnergyRow(at, "car", ev_kwh=0.123456 + minute)]
        store.account(energy, {}, ACCOUNTS)


async def _one_call(store: Store, minute: int) -> None:
    if minute % 2 == 0:
        call_id = await store.ledger.reserve("getPileInfo", "C3220000000000")
        store.ledger.complete(call_id, Outcome.OK, http_status=200, code=0)
