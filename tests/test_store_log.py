"""The log as the service uses it: thinned telemetry, commands, overrides, what a restart finds."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import stat
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from optimizer.clock import SystemClock
from optimizer.control.budget import Outcome
from optimizer.control.energy import Account, EnergyRow, Since
from optimizer.domain import (
    Alternative,
    ChargerReading,
    ChargerStatus,
    Decision,
    Forecast,
    ForecastSlot,
    Goal,
    Guard,
    Mode,
    Reason,
    SiteReading,
)
from optimizer.store.accounts import Accounts
from optimizer.store.commands import Callback, CommandState, Intent, StaleIntent
from optimizer.store.instants import from_text, to_json, to_text
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions
from optimizer.store.overrides import override_for
from optimizer.store.sqlite import StoreUnavailable
from optimizer.store.thinning import (
    DecisionMark,
    keeps_charger_reading,
    keeps_decision,
    keeps_site_reading,
)

T0 = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
ACCOUNTS = Accounts(
    T0,
    {"car": Account(7.25, (Since(EnergyRow(T0, "car", ev_kwh=0.1, ev_solar_kwh=0.1, missing_s=3.0), 60.0),))},
    {"car": 5.0},
)
OPTIONS = FileOptions(durable=False, ballast_bytes=0)


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self, at: datetime = T0, s: float = 1000.0, boot_id: str = "boot") -> None:
        self.at, self.s, self.boot_id = at, s, boot_id

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return self.s

    async def sleep(self, seconds: float) -> None:
        self.at, self.s = self.at + timedelta(seconds=seconds), self.s + seconds


@contextmanager
def opened(path: Path, clock: HandClock) -> Iterator[Store]:
    store = Store.open(path, clock, inline=True, options=OPTIONS)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as conn:
        return conn.execute(sql).fetchall()


def site(
    minutes: float = 0, stamp: str | None = "2026-06-01 12:00:00", **fields: float | None
) -> SiteReading:
    values: dict[str, float | None] = {
        "pv_w": 4000.0,
        "grid_w": -500.0,
        "battery_w": 0.0,
        "battery_soc": None,
    }
    return SiteReading(T0 + timedelta(minutes=minutes), stamp, **{**values, **fields})


def charger(
    minutes: float = 0,
    status: ChargerStatus = ChargerStatus.CHARGING,
    ev_w: float | None = 3000.0,
    session_kwh: float | None = 1.0,
    mode: Mode = Mode.GREEN,
) -> ChargerReading:
    return ChargerReading(T0 + timedelta(minutes=minutes), mode, status, int(status), ev_w, session_kwh)


def decision(
    minutes: float = 0, mode: Mode = Mode.GREEN, code: str = "surplus", guard: Guard | None = None
) -> Decision:
    reason = Reason(code, "{surplus_w:.0f} W surplus", {"surplus_w": 2100.0 + minutes})
    at = T0 + timedelta(minutes=minutes)
    return Decision(
        at, "car", mode, reason, Mode.FAST, guard, at + timedelta(minutes=15), (Alternative(Mode.STOP, 0.04),)
    )


def intent(attempt: int = 1, mode: Mode = Mode.STOP, name: str = "car") -> Intent:
    return Intent(name, f"SN-{name}", mode, T0, attempt, mode is Mode.STOP, "the sun is gone")


# Instants and structures


def test_instants_are_utc_text_that_sorts_as_they_do() -> None:
    summer = datetime.fromisoformat("2026-07-01T14:00:00.123456+02:00")
    assert to_text(summer) == "2026-07-01T12:00:00.123Z"
    assert from_text(to_text(summer)) == summer.replace(microsecond=123000)
    with pytest.raises(ValueError, match="no time zone"):
        to_text(datetime(2026, 7, 1))  # noqa: DTZ001 - that is the point


def test_json_keeps_every_digit_and_spells_out_what_json_has_no_word_for() -> None:
    value = {
        "w": 0.1 + 0.2,
        "mode": Mode.ECO,
        "at": T0,
        "goal": Goal(T0, 5.0),
        "bad": [float("nan"), float("inf")],
    }
    back = json.loads(to_json(value))
    assert back["w"] == 0.1 + 0.2
    assert back["mode"] == 2
    assert back["goal"] == {"deadline": "2026-06-01T12:00:00.000Z", "energy_kwh": 5.0}
    assert back["bad"] == ["nan", "inf"]


# Thinning

CAR = ChargerStatus.CHARGING
IDLE = ChargerStatus.AVAILABLE


@pytest.mark.parametrize(
    ("later", "connected", "kept"),
    [
        (decision(1), True, False),
        (decision(29.9), True, False),
        (decision(30), True, True),
        (decision(30), False, False),
        (decision(60), False, True),
        (decision(1, mode=Mode.STOP), True, True),
        (decision(1, code="night"), False, True),
        (decision(1, guard=Guard.LEASE), False, True),
        (decision(-1), True, True),  # the clock was set back
    ],
)
def test_a_decision_is_kept_when_it_changes_and_now_and_then(
    later: Decision, connected: bool, kept: bool
) -> None:
    assert keeps_decision(DecisionMark.of(decision()), DecisionMark.of(later), connected=connected) is kept


@pytest.mark.parametrize(
    ("later", "kept"),
    [
        (site(1), False),
        (site(60), False),
        (site(1, "2026-06-01 12:05:00"), True),
        (site(1, None), True),
    ],
)
def test_a_reading_of_the_house_is_kept_when_its_stamp_is_new(later: SiteReading, kept: bool) -> None:
    assert keeps_site_reading(site(), later) is kept
    assert keeps_site_reading(None, later)


def test_a_house_without_stamps_is_kept_every_five_minutes() -> None:
    assert not keeps_site_reading(site(0, None), site(4.9, None))
    assert keeps_site_reading(site(0, None), site(5, None))


@pytest.mark.parametrize(
    ("before", "later", "kept"),
    [
        (charger(), charger(1), False),
        (charger(), charger(1, ev_w=3499.0), False),
        (charger(), charger(1, ev_w=3500.0), True),
        (charger(), charger(1, ev_w=0.0), True),
        (charger(), charger(1, ev_w=None), True),
        (charger(), charger(1, session_kwh=0.2), True),
        (charger(), charger(1, session_kwh=1.1), False),
        (charger(), charger(1, mode=Mode.STOP), True),
        (charger(), charger(1, ChargerStatus.CHARGE_PAUSE), True),
        (charger(), charger(5), True),
        (charger(0, IDLE, 0.0), charger(29, IDLE, 0.0), False),
        (charger(0, IDLE, 0.0), charger(30, IDLE, 0.0), True),
    ],
)
def test_a_reading_of_a_charger_is_kept_when_it_says_something_new(
    before: ChargerReading, later: ChargerReading, kept: bool
) -> None:
    assert keeps_charger_reading(before, later) is kept


def test_a_decision_row_holds_what_a_replay_needs(path: Path) -> None:
    with opened(path, HandClock()) as store:
        for minute in range(3):
            store.decision(decision(minute), {"surplus_w": 0.1 + 0.2}, {"max_power_w": 7360.0})
        store.decision(decision(3, Mode.STOP), {"surplus_w": 1.0}, {"max_power_w": 7360.0})
    rows = query(
        path, "SELECT mode, proposed, guard, reason_code, reason, inputs, alternatives FROM decision"
    )
    assert len(rows) == 2
    assert rows[0] == (
        *(3, 1, None, "surplus", "2100 W surplus"),
        *('{"surplus_w":0.30000000000000004}', '[{"mode":0,"cost_eur":0.04}]'),
    )
    assert query(path, "SELECT content FROM context") == [('{"max_power_w":7360.0}',)]


# Commands


def test_a_command_is_followed_from_its_intent_to_its_end(path: Path) -> None:
    async def main() -> None:
        clock = HandClock()
        with opened(path, clock) as store:
            ids = await store.intend([intent(name="west"), intent(name="east")])
            await clock.sleep(5)
            await store.mark(ids, CommandState.SENT)
            await store.mark(ids, CommandState.ACCEPTED, task_id="T1", detail={"code": 0})
            issued = Callback("T1", "callback_1", {"code": 0})
            assert await store.callback(issued) == ("west", "east")
            assert await store.callback(issued) == (), "a repeated callback is no news"
            assert await store.callback(replace(issued, task_id="T9")) == (), "nor is an unknown task"
            await store.mark(ids[:1], CommandState.CONFIRMED)
            await store.mark(ids, CommandState.SUPERSEDED)

    asyncio.run(main())
    assert query(path, "SELECT charger, state, sent_at, task_id FROM command") == [
        ("west", "confirmed", "2026-06-01T12:00:05.000Z", "T1"),
        ("east", "superseded", "2026-06-01T12:00:05.000Z", "T1"),
    ]
    kinds = "SELECT group_concat(kind) FROM command_event WHERE command_id = 1"
    assert query(path, kinds) == [("intent,sent,accepted,callback_1,confirmed,superseded",)]


def test_a_device_that_says_it_is_done_acknowledges_its_own_command_and_no_end(path: Path) -> None:
    done = Callback("T1", "callback_2", {"code": 0}, serial="east-serial", acknowledges=True)

    async def main() -> None:
        with opened(path, HandClock()) as store:
            ids = await store.intend(
                [replace(intent(name=name), serial=f"{name}-serial") for name in ("west", "east")]
            )
            await store.mark(ids, CommandState.SENT)
            await store.mark(ids, CommandState.ACCEPTED, task_id="T1")
            assert await store.callback(done) == ("east",)
            await store.mark(ids[:1], CommandState.CONFIRMED)
            await store.callback(replace(done, serial="west-serial"))

    asyncio.run(main())
    assert query(path, "SELECT state FROM command ORDER BY id") == [("confirmed",), ("acknowledged",)]


def test_an_intent_is_not_sent_late_nor_twice_nor_after_a_reboot(path: Path) -> None:
    async def main() -> None:
        clock = HandClock()
        with opened(path, clock) as store:
            late, twice, rebooted = await store.intend([intent(1), intent(2), intent(3)])
            await clock.sleep(59)
            await store.mark([twice], CommandState.SENT)
            with pytest.raises(StaleIntent):
                await store.mark([twice], CommandState.SENT)
            clock.boot_id = "other"
            with pytest.raises(StaleIntent):
                await store.mark([rebooted], CommandState.SENT)
            clock.boot_id = "boot"
            clock.at -= timedelta(hours=1)
            await clock.sleep(2)
            with pytest.raises(StaleIntent):
                await store.mark([late], CommandState.SENT)
            with pytest.raises(ValueError, match="no command"):
                await store.mark([999], CommandState.FAILED)
            with pytest.raises(ValueError, match="intent again"):
                await store.mark([late], CommandState.INTENT)

    asyncio.run(main())


def test_one_stale_intent_of_several_sends_none(path: Path) -> None:
    async def main() -> None:
        with opened(path, HandClock()) as store:
            ids = await store.intend([intent(1), intent(2)])
            await store.mark(ids[1:], CommandState.SENT)
            with pytest.raises(StaleIntent):
                await store.mark(ids, CommandState.SENT)

    asyncio.run(main())
    assert query(path, "SELECT state FROM command") == [("intent",), ("sent",)]


def test_what_is_true_already_is_written_later_where_an_intent_is_refused(path: Path) -> None:
    async def main() -> None:
        with opened(path, HandClock()) as store:
            ids = await store.intend([intent(1)])
            await store.mark(ids, CommandState.SENT)
            with closing(sqlite3.connect(path, isolation_level=None)) as notebook:
                notebook.execute("BEGIN IMMEDIATE")
                await store.mark(ids, CommandState.ACCEPTED, task_id="T1")
                with pytest.raises(StoreUnavailable):
                    await store.intend([intent(2)])
                notebook.execute("ROLLBACK")
            await store.flush()

    asyncio.run(main())
    assert query(path, "SELECT state, task_id FROM command") == [("accepted", "T1")]


# A restart


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


# The owner's word


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


# Energy, forecasts, upkeep


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
