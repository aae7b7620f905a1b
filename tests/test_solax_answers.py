"""What the cloud's payloads mean: the recorded ones, the guide's, and whatever bytes there may be."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.control.budget import Outcome
from optimizer.domain import ChargerReading, ChargerStatus, Mode, SiteReading
from optimizer.errors import (
    AuthError,
    BadAnswer,
    CloudError,
    Refused,
    Throttled,
    Unavailable,
    UnknownDevice,
)
from optimizer.solax.answers import Answer, judge, outcome_of
from optimizer.solax.readings import Accepted, StatusMap, accepted, charger_reading, site_reading
from optimizer.solax.wire import Envelope, clean_text, number

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
SLOWEST_S = 0.1


def _error(payload: object, http_status: int = 200, retry_after: str | None = None) -> CloudError:
    answer = judge(http_status, json.dumps(payload).encode(), retry_after)
    assert answer.error is not None
    return answer.error


def _charger(result: object, status_map: StatusMap = "canonical") -> ChargerReading:
    body = json.dumps({"success": True, "exception": "query success", "result": result}).encode()
    return charger_reading(judge(200, body).data(), NOON, status_map)


def _site(**result: object) -> SiteReading:
    body = json.dumps({"success": True, "exception": "Query success!", "result": result, "code": 0}).encode()
    return site_reading(judge(200, body).data(), NOON)


BAN = "There have been several violations in a row, and the system will prohibit calls within the next hour"
INVALID = {"exception": "token invalid!", "code": 103, "tokenId": "2025", "success": False}
NO_ACCESS = {"success": False, "exception": "Query success!", "result": "this sn did not access!"}


def _no(exception: object, code: int | str | None = None) -> dict[str, Any]:
    return {"success": False, "exception": exception} | ({} if code is None else {"code": code})


RECORDED: list[tuple[dict[str, Any], type[CloudError], str]] = [
    (INVALID, AuthError, "token invalid!"),
    (_no("token invalid!"), AuthError, "token invalid!"),
    (_no("Interface Unauthorized", 1001), AuthError, "the token is refused"),
    (_no("no auth!", 103), AuthError, "the token is refused"),
    (_no("no auth!"), UnknownDevice, "registration number"),
    (_no("no auth!", 1003), UnknownDevice, "registration number"),
    (_no("Data Unauthorized", 1003), UnknownDevice, "registration number"),
    (_no("Data Unauthorized"), UnknownDevice, "registration number"),
    (_no("Request calls within the current minute > threshold", 104), Throttled, "threshold"),
    (_no("maximum call threshold", 3), Throttled, "too many calls"),
    (_no("suspend the request"), Throttled, "suspend"),
    (_no(BAN, 1), Throttled, "shut out for an hour"),
    (_no("something", 1), Refused, "something"),
    (NO_ACCESS, Refused, "registration number"),
    (_no("Parameter validation failed", 1002), Refused, "Parameter"),
    (_no("Duplicate data", "1004") | {"success": True}, Refused, "Duplicate"),
    (_no("Operation failed", 2001), Unavailable, "Operation failed"),
    (_no("Data not found", 2002), Refused, "registration number"),
    (_no("device offline"), Unavailable, "offline"),
    (_no(None), Refused, "no reason given"),
    (_no(5) | {"success": "false"}, Refused, "no reason given"),
]


@pytest.mark.parametrize(("payload", "error", "text"), RECORDED)
def test_each_refusal_says_what_to_do(payload: dict[str, Any], error: type[CloudError], text: str) -> None:
    found = _error(payload)
    assert type(found) is error
    assert text in str(found)


def test_a_ban_is_told_from_a_throttle() -> None:
    ban, throttle = _error({"success": False, "exception": BAN}), _error({"success": False, "code": 104})
    assert isinstance(ban, Throttled)
    assert isinstance(throttle, Throttled)
    assert (ban.banned, ban.retry_after_s, outcome_of(ban).value) == (True, 3600.0, "banned")
    assert (throttle.banned, throttle.retry_after_s, outcome_of(throttle).value) == (False, None, "throttled")


def test_a_refusal_carries_the_clouds_code() -> None:
    found = _error({"success": False, "code": "1004"})
    assert isinstance(found, Refused)
    assert found.code == 1004


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        ("99999999", 3600.0),
        ("-5", None),
        ("Wed, 21 Oct 2026", None),
        ("nan", None),
        (None, None),
    ],
)
def test_retry_after_is_obeyed_within_an_hour(header: str | None, seconds: float | None) -> None:
    found = _error({}, 429, header)
    assert isinstance(found, Throttled)
    assert found.retry_after_s == seconds


def test_a_payload_that_says_why_goes_before_the_status() -> None:
    assert isinstance(_error({"success": False, "exception": "token invalid!"}, 500), AuthError)
    assert isinstance(_error({"success": False, "exception": BAN}, 429), Throttled)
    assert isinstance(_error({"success": False, "exception": "sorry"}, 500), Unavailable)
    assert isinstance(_error({"success": True, "result": {"chargerStatus": 1}}, 500), Unavailable)
    assert isinstance(_error({"success": False, "code": 1003}, 403), UnknownDevice)


def test_a_foreign_device_is_no_strike_against_the_token() -> None:
    assert outcome_of(_error({"success": False, "code": 1003})) is Outcome.REFUSED
    assert outcome_of(_error({"success": False, "code": 103})) is Outcome.AUTH


def test_the_clouds_words_cannot_forge_a_log_line() -> None:
    evil = "bad\r\n2026 ERROR forged\x1b[31m\u202eevil\u2028\x85" + "x" * 500
    text = str(_error({"success": False, "exception": evil}))
    assert text.startswith("bad 2026 ERROR forged [31m evil xxx")
    assert len(text) <= 200
    assert text.isprintable()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text())
def test_clean_text_is_one_short_printable_line(text: str) -> None:
    cleaned = clean_text(text)
    assert cleaned.isprintable()
    assert len(cleaned) <= 200
    assert clean_text(cleaned) == cleaned


NUMBERS: list[tuple[object, float | None]] = [
    (6, 6.0), (6.5, 6.5), ("6.5", 6.5), (" -12 ", -12.0), ("1e3", 1000.0), (0, 0.0), ("5.", 5.0),
    (None, None), ("", None), (True, None), ("NaN", None), (float("nan"), None), (float("inf"), None),
    ("1_000", None), ("12,5", None), ("0x10", None), ("٣", None), (10**400, None), ([1], None), ({}, None),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "expected"), NUMBERS)
def test_numbers_come_in_many_ways(raw: object, expected: float | None) -> None:
    assert number(raw) == expected


KNOWN = {"chargerStatus": 2, "chargingMode": 1, "chargeEnergy": 4.2}


@pytest.mark.parametrize(
    "result",
    [
        {"chargerStatus": 2, "chargingMode": 1, "chargingPower": 3363.0, "chargeEnergy": 4.2},
        {"chargerStatus": 2, "chargingMode": 1, "ChargingPower": 3363, "chargeEnergy": "4.2"},
        {"CHARGERSTATUS": "2", "chargingmode": 1.0, "chargingPower": "3363", "chargeEnergy": 4.2, "x": []},
        KNOWN | {"ChargingPower": None, "chargingPower": 3363},
        KNOWN | {"chargingPower": 3363, "ChargingPower": None},
        '{"chargerStatus": 2, "chargingMode": 1, "chargingPower": 3363, "chargeEnergy": 4.2}',
    ],
)
def test_the_guides_contradictions_read_the_same(result: object) -> None:
    assert _charger(result) == ChargerReading(NOON, Mode.FAST, ChargerStatus.CHARGING, 2, 3363.0, 4.2)


@pytest.mark.parametrize(
    ("field", "raw", "name", "expected"),
    [
        ("chargingMode", 4, "mode", None),
        ("chargingMode", 2.5, "mode", None),
        ("chargingMode", "3", "mode", Mode.GREEN),
        ("chargingPower", -50, "ev_w", 0.0),
        ("chargingPower", -51, "ev_w", None),
        ("chargingPower", 50_000, "ev_w", 50_000.0),
        ("chargingPower", 50_001, "ev_w", None),
        ("chargingPower", float("nan"), "ev_w", None),
        ("chargeEnergy", -0.1, "session_kwh", None),
        ("chargeEnergy", 1000.1, "session_kwh", None),
        ("chargeEnergy", 1000, "session_kwh", 1000.0),
        ("chargerStatus", 42, "status", ChargerStatus.UNKNOWN),
        ("chargerStatus", 42, "status_code", 42),
        ("chargerStatus", None, "status", ChargerStatus.UNKNOWN),
        ("chargerStatus", "twelve", "status_code", None),
        ("chargerStatus", 12, "status", ChargerStatus.CHARGE_PAUSE),
        ("chargerStatus", 17, "status", ChargerStatus.PHASE_SWITCHING),
    ],
)
def test_a_value_that_cannot_be_is_unknown(field: str, raw: object, name: str, expected: object) -> None:
    assert getattr(_charger({field: raw}), name) == expected


@pytest.mark.parametrize(
    ("code", "power_w", "canonical", "legacy"),
    [
        (0, 0, ChargerStatus.AVAILABLE, ChargerStatus.AVAILABLE),
        (1, 0, ChargerStatus.PREPARING, ChargerStatus.CHARGING),
        (2, 0, ChargerStatus.CHARGING, ChargerStatus.FAULTED),
        (3, 0, ChargerStatus.FINISHING, ChargerStatus.PREPARING),
        (7, 0, ChargerStatus.SUSPENDED_EV, ChargerStatus.UNKNOWN),
        (3, 200, ChargerStatus.FINISHING, ChargerStatus.PREPARING),
        (3, 201, ChargerStatus.CHARGING, ChargerStatus.CHARGING),
        (None, 3363, ChargerStatus.CHARGING, ChargerStatus.CHARGING),
    ],
)
def test_two_ways_to_number_the_status(
    code: int | None, power_w: int, canonical: ChargerStatus, legacy: ChargerStatus
) -> None:
    result = {"chargerStatus": code, "chargingPower": power_w}
    assert (_charger(result).status, _charger(result, "legacy").status) == (canonical, legacy)


RECORDED_SITES: list[tuple[dict[str, object], tuple[float | None, ...]]] = [
    # pv_w, grid_w, battery_w, battery_soc
    (
        {"acpower": 575, "feedinpower": -44, "soc": 15, "batPower": -355, "powerdc2": 213},
        (213, 44, 355, 0.15),
    ),
    ({"acpower": 4335, "feedinpower": 0, "soc": 65, "batPower": -4444}, (0, 0, 4444, 0.65)),
    ({"acpower": 170, "feedinpower": 3, "soc": 65, "batPower": -170}, (0, -3, 170, 0.65)),
    ({"acpower": 152, "feedinpower": 0, "soc": None, "batPower": None, "powerdc1": 162}, (162, 0, 0, None)),
    ({"acpower": 1598, "feedinpower": 1598, "batPower": "", "powerdc1": None}, (1598, -1598, 0, None)),
    ({"acpower": 500, "feedinpower": "12.5", "batPower": 2000, "soc": "101"}, (2500, -12.5, -2000, None)),
    ({"acpower": None, "feedinpower": None, "batPower": None}, (None, None, 0, None)),
    ({"acpower": 5e5, "feedinpower": -1e9, "batPower": 100_001, "soc": -1}, (None, None, None, None)),
    ({"powerdc1": 90_000, "powerdc2": 90_000, "feedinpower": float("nan")}, (None, None, 0, None)),
    ({"powerdc1": 500, "powerdc2": "x", "feedinpower": 1}, (None, -1, 0, None)),
    ({"powerdc1": -3, "powerdc2": 0, "feedinpower": 1}, (0, -1, 0, None)),
    ({"powerdc1": -300, "feedinpower": 1}, (None, -1, 0, None)),
    ({"acpower": 500, "batPower": "x"}, (None, None, None, None)),
]


@pytest.mark.parametrize(("result", "expected"), RECORDED_SITES)
def test_a_record_of_the_house_in_our_signs(
    result: dict[str, object], expected: tuple[float | None, ...]
) -> None:
    reading = _site(**result)
    assert (reading.pv_w, reading.grid_w, reading.battery_w, reading.battery_soc) == expected


@pytest.mark.parametrize(("cars_w", "grid_w"), [(0.0, None), (200_000.0, 220_000.0)])
def test_many_chargers_may_import_more_than_a_house(cars_w: float, grid_w: float | None) -> None:
    envelope = Envelope(success=True, result={"feedinpower": -220_000})
    assert site_reading(envelope, NOON, cars_w).grid_w == grid_w


@pytest.mark.parametrize(
    ("raw", "stamp"),
    [
        ("2024-10-14 05:40:01", "2024-10-14 05:40:01"),
        ("2024-10-14\n05:40:01" + "0" * 99, "2024-10-14 05:40:01" + "0" * 21),
        ("", None),
        (None, None),
        (20241014, None),
    ],
)
def test_the_vendors_stamp_is_kept_as_it_is(raw: object, stamp: str | None) -> None:
    assert _site(uploadTime=raw).stamp == stamp


@pytest.mark.parametrize(
    ("result", "task_id"),
    [
        ({"taskId": "4746"}, "4746"),
        ({"TASKID": 17}, "17"),
        ({}, None),
        (None, None),
        ("done", None),
        ([1], None),
    ],
)
def test_a_command_is_accepted_with_or_without_a_task(result: object, task_id: str | None) -> None:
    body = json.dumps({"success": True, "exception": "accept success", "result": result}).encode()
    assert accepted(judge(200, body).data()).task_id == task_id


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "success",
        "exception",
        "code",
        "result",
        "tokenId",
        "taskId",
        "chargerStatus",
        "chargingMode",
        "ChargingPower",
        "chargingPower",
        "chargeEnergy",
        "acpower",
        "feedinpower",
        "batPower",
        "powerdc1",
        "powerdc2",
        "soc",
        "uploadTime",
    ]
)
PAYLOADS = st.fixed_dictionaries(
    {"success": st.just(True) | JSON, "result": st.dictionaries(FIELDS, JSON) | JSON},
    optional={"exception": JSON, "code": JSON},
)
BODIES = st.binary(max_size=2000) | (PAYLOADS | st.dictionaries(FIELDS, JSON)).map(
    lambda payload: json.dumps(payload).encode()
)
TRANSLATIONS: list[Callable[[Envelope], object]] = [
    lambda data: charger_reading(data, NOON, "canonical"),
    lambda data: charger_reading(data, NOON, "legacy"),
    lambda data: site_reading(data, NOON),
    accepted,
]


def _is_believable(found: object) -> bool:
    if isinstance(found, ChargerReading):
        return found.ev_w is None or 0.0 <= found.ev_w <= 50_000.0
    if isinstance(found, SiteReading):
        powers_w = (found.grid_w, found.battery_w, found.pv_w)
        return all(power_w is None or abs(power_w) <= 200_000.0 for power_w in powers_w)
    return isinstance(found, Accepted)


def _is_short_and_printable(error: CloudError) -> bool:
    return str(error).isprintable() and len(str(error)) < 400


def _outcome(answer: Answer, translate: Callable[[Envelope], object]) -> object:
    try:
        return translate(answer.data())
    except CloudError as error:
        return error


def _believed_in_time(http_status: int, body: bytes) -> None:
    started_s = time.thread_time()
    answer = judge(http_status, body)
    for translate in TRANSLATIONS:
        found = _outcome(answer, translate)
        assert _is_short_and_printable(found) if isinstance(found, CloudError) else _is_believable(found)
    assert time.thread_time() - started_s < SLOWEST_S


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(http_status=st.sampled_from([200, 200, 200, 302, 401, 404, 429, 500]), body=BODIES)
def test_whatever_comes_is_a_believable_reading_or_a_typed_error(http_status: int, body: bytes) -> None:
    _believed_in_time(http_status, body)


GOOD = json.dumps(
    {
        "success": True,
        "exception": "query success",
        "result": {"chargerStatus": 2, "chargingPower": 6.5, "acpower": 587.0, "powerdc1": "1", "soc": 14},
        "code": 0,
    }
).encode()


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, len(GOOD)), gone=st.integers(0, 3), put=st.binary(max_size=3))
def test_a_damaged_answer_is_a_believable_reading_or_a_typed_error(at: int, gone: int, put: bytes) -> None:
    _believed_in_time(200, GOOD[:at] + put + GOOD[at + gone :])


LONG_NONSENSE = {
    "nested lists": b"[" * 262_144,
    "nested objects": b'{"a":' * 50_000,
    "backslashes": b'"' + b"\\" * 200_000,
    "a long number": b"9" * 262_144,
}


@pytest.mark.parametrize("body", LONG_NONSENSE.values(), ids=LONG_NONSENSE)
def test_long_nonsense_is_refused_quickly(body: bytes) -> None:
    started_s = time.thread_time()
    assert isinstance(judge(200, body).error, BadAnswer)
    assert time.thread_time() - started_s < SLOWEST_S
