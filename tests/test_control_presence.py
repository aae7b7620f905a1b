"""Which car is there, and what it has taken: told by a status that may be missing and a counter that lies."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from optimizer.control.presence import UNSURE_S, Presence, Step, follow
from optimizer.domain import ChargerReading, ChargerStatus, Mode

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
AWAY, READY, CHARGING = ChargerStatus.AVAILABLE, ChargerStatus.PREPARING, ChargerStatus.CHARGING
DONE, PAUSED, FAULTED = ChargerStatus.FINISHING, ChargerStatus.CHARGE_PAUSE, ChargerStatus.FAULTED
UNKNOWN, RESERVED, OUT = ChargerStatus.UNKNOWN, ChargerStatus.RESERVED, ChargerStatus.UNAVAILABLE
Told = tuple[ChargerStatus, float | None]


def told(status: ChargerStatus, counter_kwh: float | None) -> ChargerReading:
    return ChargerReading(NOON, Mode.STOP, status, int(status), 0.0, counter_kwh)


def followed(answers: list[Told], before: Presence | None = None, every_s: float = 60.0) -> list[Step]:
    steps: list[Step] = []
    for number, answer in enumerate(answers):
        steps.append(follow(before, told(*answer), number * every_s))
        before = steps[-1].presence
    return steps


@pytest.mark.parametrize(
    ("answers", "session_kwh"),
    [
        ([(AWAY, 12.0), (READY, 0.0), (CHARGING, 0.4)], 0.4),  # reset at plug-in
        ([(AWAY, 12.0), (READY, 12.0)], 0.0),  # still the last car's
        ([(AWAY, 12.0), (READY, 12.0), (CHARGING, 12.0), (CHARGING, 0.1)], 0.1),  # reset by charging
        ([(AWAY, 12.0), (READY, None), (READY, 12.0)], 0.0),  # plugged in while the counter was silent
        ([(AWAY, 12.0), (READY, None), (CHARGING, 0.3)], 0.3),
        ([(AWAY, 12.0), (CHARGING, 0.3)], 0.3),  # nobody looked when it came
        ([(AWAY, 12.0), (READY, 12.0), (CHARGING, 13.5)], 1.5),  # a counter that is never reset
        ([(AWAY, 12.0), (CHARGING, 12.5)], 0.5),
        ([(AWAY, 12.0), (READY, 12.0), (CHARGING, 0.1), (DONE, 8.0), (CHARGING, None)], 8.0),
        ([(READY, 12.0)], 0.0),  # the first answer ever: it has not charged yet
        ([(PAUSED, 12.0)], 0.0),
        ([(CHARGING, 12.0)], 12.0),  # the first answer ever: it has
        ([(DONE, 12.0)], 12.0),
        ([(READY, None)], None),
        ([(READY, None), (READY, 5.0), (CHARGING, 0.2)], 0.2),
        ([(CHARGING, 3.0), (AWAY, 3.0)], None),
    ],
)
def test_a_session_has_what_the_counter_told_since_its_car_came(
    answers: list[Told], session_kwh: float | None
) -> None:
    assert followed(answers)[-1].presence.session_kwh == pytest.approx(session_kwh)


@pytest.mark.parametrize(
    ("answers", "came", "left"),
    [
        ([(AWAY, 0.0), (READY, 0.0), (CHARGING, 1.0), (DONE, 2.0), (AWAY, 2.0)], [1], [4]),
        ([(READY, 0.0), (OUT, 0.0)], [0], [1]),
        ([(CHARGING, 8.0), (CHARGING, 0.2)], [0, 1], [1]),  # another car, and nobody saw it
        ([(CHARGING, 8.0), (CHARGING, 7.97)], [0], []),  # a counter that is rounded anew
        ([(AWAY, 8.0), (READY, 8.0), (CHARGING, 0.1)], [1], []),  # the reset of its own charging
        ([(CHARGING, 1.0), (UNKNOWN, None), (FAULTED, 1.0), (CHARGING, 1.1)], [0], []),
        ([(AWAY, 1.0), (RESERVED, 1.0), (UNKNOWN, 1.0), (AWAY, 1.0)], [], []),
    ],
)
def test_a_car_comes_and_leaves_once(answers: list[Told], came: list[int], left: list[int]) -> None:
    steps = followed(answers)
    assert [number for number, step in enumerate(steps) if step.came] == came
    assert [number for number, step in enumerate(steps) if step.left] == left


@pytest.mark.parametrize("status", [UNKNOWN, FAULTED, RESERVED, ChargerStatus.UPDATE])
def test_an_answer_that_does_not_tell_of_the_car_is_believed_after_ten_minutes(status: ChargerStatus) -> None:
    steps = followed([(CHARGING, 1.0), *[(status, 1.0)] * 12])
    assert [step.presence.status.connected for step in steps] == [True] * 11 + [False] * 2
    assert [number for number, step in enumerate(steps) if step.left] == [UNSURE_S // 60 + 1]


def test_one_odd_answer_after_a_long_silence_is_not_believed() -> None:
    steps = followed([(CHARGING, 1.0), (UNKNOWN, None), (CHARGING, 1.2)], every_s=7200.0)
    assert [step.presence.status for step in steps] == [CHARGING, CHARGING, CHARGING]


def test_a_car_that_comes_back_after_a_fault_begins_anew() -> None:
    last = followed([(CHARGING, 4.0), (FAULTED, 4.0), (FAULTED, 4.0), (CHARGING, 4.0)], every_s=UNSURE_S)[-1]
    assert (last.came, last.presence.session_kwh) == (True, 0.0)
