"""The log as the service uses it: thinned telemetry, decisions, commands."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from log_rows import IDLE, T0, HandClock, charger, decision, intent, opened, query, site

from optimizer.domain import (
    ChargerReading,
    ChargerStatus,
    Decision,
    Goal,
    Guard,
    Mode,
    SiteReading,
)
from optimizer.store.commands import Callback, CommandState, StaleIntent
from optimizer.store.instants import from_text, to_json, to_text
from optimizer.store.sqlite import StoreUnavailable
from optimizer.store.thinning import (
    DecisionMark,
    keeps_charger_reading,
    keeps_decision,
    keeps_site_reading,
)


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
