"""The guide's three callbacks, its broken one, and whatever else somebody sends."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.solax.callbacks import CallbackEvent, parse_callback

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
TASK = "c40c3d8d43684a74b275c645b69300c0"
DONE = {"success": True, "result": {"ack": "all handled"}, "rspType": 3, "taskId": TASK, "code": "0"}


def _parsed(payload: object) -> CallbackEvent | None:
    return parse_callback(json.dumps(payload).encode(), NOON)


def _event(kind: int, **fields: object) -> CallbackEvent:
    known: dict[str, object] = {
        "success": True,
        "code": 0,
        "serials_failed": (),
        "serials_timed_out": (),
        "serial": None,
        "text": "",
    }
    return CallbackEvent(task_id=TASK, kind=kind, received_at=NOON, **known | fields)


THE_GUIDES_OWN = """
{
  "success": true,           false: command sent failed   true: command send
  "result": {
    "ack": "issue successfully"  ack include the detailed information
  }
}
"failureList": [
  "XXXXXX"
]
                                failed sn set(while code>0)
},
"rspType": 1,                    response to issued command send
"taskId": "c40c3d8d43684a74b275c645b69300c0", taskId for current command
"code": "0"                      0:send successfully 1:send partly successfully 2:
send all failed
}
"""


def test_the_guides_broken_text_is_understood() -> None:
    expected = _event(1, serials_failed=("XXXXXX",), text="issue successfully")
    assert parse_callback(THE_GUIDES_OWN.encode(), NOON) == expected


def test_the_first_mention_of_a_field_counts_in_broken_text() -> None:
    broken = THE_GUIDES_OWN + '"code": "2", "rspType": 3, "failureList": ["OTHER"]'
    assert parse_callback(broken.encode(), NOON) == parse_callback(THE_GUIDES_OWN.encode(), NOON)


SENT = {"success": False, "rspType": 1, "taskId": TASK, "code": "1"}


@pytest.mark.parametrize(
    "payload",
    [
        SENT | {"result": {"ack": "partly", "failureList": ["A1", "B2"]}},
        SENT | {"result": {"ack": "partly"}, "failureList": ["A1", "B2"]},
        SENT | {"result": {"ack": "partly", "FailureList": "A1, B2"}, "rspType": "1", "code": 1},
        SENT | {"result": '{"ack": "partly", "failureList": ["A1", "B2"]}', "success": "false"},
        SENT | {"result": "partly", "failurelist": ["A1", None, {}, "B2"]},
    ],
)
def test_the_answer_to_sending_wherever_its_list_stands(payload: dict[str, object]) -> None:
    assert _parsed(payload) == _event(1, success=False, code=1, serials_failed=("A1", "B2"), text="partly")


def test_a_devices_answer() -> None:
    payload = {
        "success": True,
        "result": {"ack": "success", "sn": "A1"},
        "rspType": 2,
        "taskId": TASK,
        "code": "2",
    }
    assert _parsed(payload) == _event(2, code=2, serial="A1", text="success")


@pytest.mark.parametrize(
    "payload",
    [
        {"result": {"ack": "all handled", "timeoutList": ["A1"]}, "rspType": 3, "taskId": TASK},
        {
            "result": {"ack": "all handled"},
            "timeoutList": ["A1"],
            "rspType": 3.0,
            "taskId": TASK,
            "code": "x",
        },
    ],
)
def test_the_answer_to_completion_with_fields_missing(payload: dict[str, object]) -> None:
    expected = _event(3, success=None, code=None, serials_timed_out=("A1",), text="all handled")
    assert _parsed(payload) == expected


def test_the_envelope_is_not_overruled_by_its_result() -> None:
    payload = DONE | {"result": {"taskId": "other", "rspType": 1, "code": "2", "success": False}}
    assert _parsed(payload) == _event(3)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        b"\xff\xfe",
        json.dumps(DONE | {"taskId": None}).encode(),
        json.dumps(DONE | {"rspType": 4}).encode(),
        json.dumps(DONE | {"rspType": None}).encode(),
        b"[" * 16_384,
    ],
)
def test_what_is_no_callback_is_nothing(body: bytes) -> None:
    assert parse_callback(body, NOON) is None


def test_the_lists_and_texts_of_a_stranger_are_bounded() -> None:
    event = _parsed(DONE | {"timeoutList": ["S" * 999] * 999, "result": {"ack": "a\r\nb" * 999}})
    assert event is not None
    assert len(event.serials_timed_out) == 100
    assert {len(serial) for serial in event.serials_timed_out} == {64}
    assert 190 < len(event.text) <= 200
    assert event.text.isprintable()


GUIDE_BYTES = THE_GUIDES_OWN.encode()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=st.binary(max_size=3000)
    | st.tuples(st.integers(0, len(GUIDE_BYTES)), st.binary(max_size=4)).map(
        lambda cut: GUIDE_BYTES[: cut[0]] + cut[1] + GUIDE_BYTES[cut[0] + len(cut[1]) :]
    )
)
def test_no_bytes_upset_the_parser(body: bytes) -> None:
    event = parse_callback(body, NOON)
    assert event is None or (event.task_id and event.text.isprintable())


@pytest.mark.parametrize("piece", ['"failureList":[', '"taskId":"', "{", '"sn" ', '"code":' + " " * 9, "\\"])
def test_the_longest_nonsense_is_parsed_quickly(piece: str) -> None:
    body = (piece * 16_384)[:16_384].encode()

    def taken_s() -> float:
        started_s = time.thread_time()
        assert parse_callback(body, NOON) is None
        return time.thread_time() - started_s

    assert min(taken_s() for _ in range(5)) < 0.1, (
        "time that grows with the square of the length takes seconds"
    )
