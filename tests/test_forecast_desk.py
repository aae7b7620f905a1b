"""Who is asked and how often: quotas and records that outlive restarts."""

from __future__ import annotations

import asyncio
import random
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from desks import COUNT, MINUTE, NOW, Scripted, Site, lived, run_through
from hypothesis import given
from hypothesis import strategies as st

from optimizer.domain import Forecast
from optimizer.errors import Throttled, Unavailable
from optimizer.forecast.desk import Desk, Rules
from optimizer.forecast.provider import DAY, Asked, Quota, Terms, every
from optimizer.forecast.record import Record
from optimizer.forecast.roof import Powers, slot_of

DOWN, LATE = Unavailable("no answer within 30 s"), Throttled("too often", retry_after_s=7200.0)


def test_the_first_provider_that_delivers_is_believed_and_the_others_are_left_alone(tmp_path: Path) -> None:
    first, second = Scripted("first", 1.0), Scripted("second", 2.0)

    async def script(site: Site) -> None:
        (found,) = await run_through(site.chain(), [0])
        assert found is not None
        assert found.provider == "first"

    site = lived(tmp_path, [first, second], script)
    assert second.asked_at == []
    assert site.told == ["the forecast is first's"]


def test_a_provider_that_fails_hands_over_and_takes_back_and_it_is_told_once(tmp_path: Path) -> None:
    first, second = Scripted("first", DOWN, DOWN, 1.0), Scripted("second", 2.0)

    async def script(site: Site) -> None:
        found = await run_through(site.chain(), range(30))
        by = [forecast.provider for forecast in found if forecast is not None]
        assert by == ["second"] * 15 + ["first"] * 15

    site = lived(tmp_path, [first, second], script)
    assert [(at - NOW) / MINUTE for at in first.asked_at] == [0, 5, 15]
    assert site.told == [
        "first gives no forecast: no answer within 30 s",
        "the forecast is second's, in place of first",
        "first gives forecasts again",
        "the forecast is first's",
    ]


def test_a_fault_that_nobody_thought_of_hands_over_as_well(tmp_path: Path) -> None:
    class Faulty(Scripted):
        async def fetch(self, *_: Any) -> Forecast:
            raise ZeroDivisionError

    async def script(site: Site) -> None:
        (found,) = await run_through(site.chain(), [0])
        assert found is not None
        assert found.provider == "second"

    site = lived(tmp_path, [Faulty("faulty", 1.0), Scripted("second", 2.0)], script)
    assert site.told[0] == "faulty gives no forecast: its answer could not be read (ZeroDivisionError)"


def test_a_forecast_stands_until_it_is_stale(tmp_path: Path) -> None:
    first, second = Scripted("first", 1.0, DOWN), Scripted("second", 2.0)

    async def script(site: Site) -> None:
        found = await run_through(site.chain(), [0, 60, 119, 121])
        assert [f.provider for f in found if f] == ["first", "first", "first", "second"]

    lived(tmp_path, [first, second], script)


def test_where_nobody_delivers_there_is_no_forecast_and_it_is_told(tmp_path: Path) -> None:
    async def script(site: Site) -> None:
        assert await run_through(site.chain(), [0, 1]) == [None, None]

    site = lived(tmp_path, [Scripted("first", DOWN)], script)
    assert site.told == ["first gives no forecast: no answer within 30 s"]


def test_who_says_too_often_is_left_alone_as_long_as_it_says(tmp_path: Path) -> None:
    first = Scripted("first", LATE, 1.0)

    async def script(site: Site) -> None:
        await run_through(site.chain(), range(125))

    lived(tmp_path, [first], script)
    assert [(at - NOW) / MINUTE for at in first.asked_at] == [0, 120]


@pytest.mark.parametrize("told_s", [None, 0.0, 1.0])
def test_too_often_is_never_answered_by_asking_again_at_once(told_s: float | None, tmp_path: Path) -> None:
    first = Scripted("first", Throttled("too often", retry_after_s=told_s))

    async def script(site: Site) -> None:
        await run_through(site.chain(), range(5))

    lived(tmp_path, [first], script)
    assert len(first.asked_at) == 1


def test_a_restart_spends_no_call_and_forgets_no_forecast(tmp_path: Path) -> None:
    quota = Terms(every(3600.0), 7200.0, jitter_s=0.0, quotas=(Quota(10, DAY),))
    first = Scripted("first", 1.0, terms=quota)

    async def script(site: Site) -> None:
        for minute in range(60):
            (found,) = await run_through(site.chain(), [minute])
            assert found is not None
            site.store.forecasts.add(found)
            await site.store.flush()

    lived(tmp_path, [first], script)
    assert len(first.asked_at) == 1


def test_a_process_that_dies_of_the_answer_does_not_ask_again_at_once(tmp_path: Path) -> None:
    class Deadly(Scripted):
        async def fetch(self, asked: Asked) -> Forecast:
            self.asked_at.append(asked.now)
            raise KeyboardInterrupt

    deadly = Deadly("deadly", 1.0)

    async def script(site: Site) -> None:
        for minute in range(5):
            try:
                await run_through(site.chain(), [minute])
            except KeyboardInterrupt:
                continue

    lived(tmp_path, [deadly], script)
    assert len(deadly.asked_at) == 1


def test_calls_that_cannot_be_counted_are_not_made(tmp_path: Path) -> None:
    class Full:
        async def recall(self, *_: Any) -> Any:
            return None

        async def note(self, *_: Any) -> None:
            raise Unavailable("the disk is full")

    counted = Scripted("counted", 1.0, terms=Terms(every(1.0), 60.0, jitter_s=0.0, quotas=(Quota(10, DAY),)))
    free = Scripted("free", 1.0)
    asked = Asked(NOW, slot_of(NOW), COUNT, Powers(slot_of(NOW), ()))

    async def main() -> tuple[Forecast | None, ...]:
        rules = Rules(Full(), lambda *_: None, random.Random(1), None)
        return await Desk(counted, rules).latest(asked), await Desk(free, rules).latest(asked)

    without, found = asyncio.run(main())
    assert without is None
    assert found is not None
    assert counted.asked_at == []


def test_calls_that_may_have_been_made_are_not_forgotten_where_the_log_cannot_be_read() -> None:
    class Deaf:
        noted: ClassVar[list[Any]] = []
        is_deaf = True

        async def recall(self, *_: Any) -> Any:
            if self.is_deaf:
                raise Unavailable("locked")
            return Record(calls=(NOW,) * 10, due_at=NOW).to_json()

        async def note(self, *said: Any) -> None:
            self.noted.append(said)

    counted = Scripted("counted", 1.0, terms=Terms(every(1.0), 60.0, jitter_s=0.0, quotas=(Quota(10, DAY),)))
    asked = Asked(NOW, slot_of(NOW), COUNT, Powers(slot_of(NOW), ()))
    memory = Deaf()

    async def main() -> None:
        desk = Desk(counted, Rules(memory, lambda *_: None, random.Random(1), None))
        assert await desk.latest(asked) is None
        assert memory.noted == []
        memory.is_deaf = False
        assert await desk.latest(asked) is None

    asyncio.run(main())
    assert counted.asked_at == []


def test_a_first_asking_waits_up_to_a_quarter_of_an_hour_and_not_everywhere_as_long(tmp_path: Path) -> None:
    waits = set()
    for seed in range(8):
        first = Scripted("first", 1.0, terms=Terms(every(3600.0), 7200.0))

        async def script(site: Site) -> None:
            await run_through(site.chain(), range(16))

        (tmp_path / str(seed)).mkdir()
        lived(tmp_path / str(seed), [first], script, seed=seed)
        waits.add((first.asked_at[0] - NOW) / MINUTE)
    assert len(waits) > 4
    assert 0 <= min(waits) <= max(waits) <= 15


instants = st.integers(0, 7 * 1440).map(lambda minute: NOW + minute * MINUTE)
outcomes = st.lists(st.tuples(st.integers(1, 600), st.sampled_from(["good", "bad", "wait"])), max_size=200)


@given(outcomes, st.integers(1, 3), st.integers(3, 12))
def test_no_stretch_of_the_quota_has_more_calls_than_it_allows(
    steps: list[tuple[int, str]], calls: int, most: int
) -> None:
    terms = Terms(every(60.0), 60.0, calls=calls, quotas=(Quota(most, DAY),))
    record, now, made = Record(), NOW, list[datetime]()
    for minutes, outcome in steps:
        now += minutes * MINUTE
        record = Record.from_json(record.to_json())
        if record.may_ask(now, terms):
            record = record.begun(now, terms)
            made += [now] * calls
            record = (
                record.succeeded(now, terms, 0.0)
                if outcome == "good"
                else record.failed(now, 0.0, 30.0 if outcome == "wait" else None)
            )
    assert all(sum(at - DAY < other <= at for other in made) <= most for at in made)
