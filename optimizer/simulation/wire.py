"""The vendor's wire format: bodies of answers and callbacks, and the checks on a command.

Shapes follow the guide "Solax X1 & X3-EVC System API" of 2023-07-04 and, for the inverter and the
errors, replies that were recorded in the field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from optimizer.domain import Mode
from optimizer.simulation.home import ChargerTruth, HomeTruth
from optimizer.simulation.quota import Verdict
from optimizer.simulation.settings import Quirk

API_PREFIX = "/proxyApp/proxy/api/"
COMMAND, CHARGER, INVERTER = "pileCmd", "getPileInfo", "getRealtimeInfo.do"
MAX_SERIALS = 100

Json = dict[str, Any]


def encode(payload: object) -> bytes:
    """Return compact JSON; NaN is written as the vendor's Java would, bare."""
    return json.dumps(payload, separators=(",", ":")).encode()


# Errors, with the words that were seen.


def wrong_token(token: str) -> Json:
    """The cloud repeats the token that it refuses."""
    return {"exception": "token invalid!", "code": 103, "tokenId": token, "success": False}


def wrong_serial() -> Json:
    """A serial of somebody else, or of nothing."""
    return {"exception": "no auth!", "code": 1003, "success": False}


def never_seen() -> Json:
    """A device of ours that does not report as what it was asked for; `result` is a string then."""
    return {"success": False, "exception": "Query success!", "result": "this sn did not access!"}


def bad_parameter(name: str) -> Json:
    """A parameter is missing or malformed."""
    return {"success": False, "exception": f"Parameter validation failed: {name}", "code": 1002}


def over_quota(verdict: Verdict) -> Json:
    """The call came too early; the texts are the vendor's."""
    if verdict is Verdict.BANNED:
        text = "There have been several violations in a row, and the system will prohibit calls "
        text += "within the next hour"
        return {"exception": text, "code": 1, "success": False}
    span = (
        "the current minute > threshold" if verdict is Verdict.MINUTE else "the day > maximum call threshold"
    )
    return {"exception": f"Request calls within {span}", "code": 104, "success": False}


# Answers.


def accepted(task_id: str) -> Json:
    """The cloud took the command; the device has not heard of it yet."""
    return {"success": True, "exception": "accept success", "result": {"taskId": task_id}}


def charger_answer(truth: ChargerTruth | None, quirks: frozenset[Quirk]) -> Json:
    """`getPileInfo`: power in W, the session's energy in kWh; without a record `result` is null."""
    if truth is None:
        return {"success": True, "exception": "query success", "result": None}
    power_key = "ChargingPower" if Quirk.CAPITAL_CHARGING_POWER in quirks else "chargingPower"
    result: Json = {
        "chargerStatus": int(truth.status),
        "chargingMode": int(truth.mode),
        "chargeEnergy": round(truth.session_kwh, 2),
        power_key: float(round(truth.ev_w)),
    }
    if Quirk.NUMBERS_AS_STRINGS in quirks:
        result = {key: str(value) for key, value in result.items()}
    return _with_result("query success", result, quirks)


def inverter_answer(
    truth: HomeTruth, stamp: str, inverter: str, strings: int, quirks: frozenset[Quirk] = frozenset()
) -> Json:
    """`getRealtimeInfo.do`: `feedinpower` + export, `batPower` + charge, both W; soc in percent.

    `acpower` is the hybrid inverter's output, production and battery; there is no house load and
    no charger in it.  What the site has not got is null.
    """
    has_battery = truth.battery_soc is not None
    result: Json = {
        "inverterSN": f"H{inverter}",
        "sn": inverter,
        "acpower": float(round(truth.pv_w + truth.battery_w)),
        "yieldtoday": round(truth.pv_today_kwh, 1),
        "yieldtotal": round(truth.pv_kwh, 1),
        "feedinpower": float(-round(truth.grid_w)),
        "feedinenergy": round(truth.export_kwh, 2),
        "consumeenergy": round(truth.import_kwh, 2),
        "feedinpowerM2": 0.0,
        "soc": None if truth.battery_soc is None else float(round(100.0 * truth.battery_soc)),
        "peps1": 0.0,
        "peps2": None,
        "peps3": None,
        "inverterType": "15" if has_battery else "4",
        "inverterStatus": "102",
        "uploadTime": stamp,
        "batPower": float(-round(truth.battery_w)) if has_battery else None,
        **_string_powers(truth.pv_w, strings),
        "batStatus": "0" if has_battery else None,
    }
    return {**_with_result("Query success!", result, quirks), "code": 0}


def _string_powers(pv_w: float, strings: int) -> Json:
    """Spread the production over `powerdc1` … `powerdc4`, watts that add up."""
    used = max(1, min(4, strings))
    total_w, share_w = round(pv_w), round(pv_w) // used
    powers: list[float | None] = [float(total_w - share_w * (used - 1)), *[float(share_w)] * (used - 1)]
    powers += [None] * (4 - used)
    return {f"powerdc{number}": power for number, power in enumerate(powers, start=1)}


def _with_result(text: str, result: Json, quirks: frozenset[Quirk]) -> Json:
    as_string = Quirk.RESULT_AS_STRING in quirks
    return {"success": True, "exception": text, "result": json.dumps(result) if as_string else result}


# Commands.


def refused_parameter(body: Mapping[str, Any]) -> str | None:
    """Return the first parameter of a `pileCmd` body that breaks the guide, or None: all are strings."""
    for name in ("tokenId", "rwType", "cmdType", "cmdValue", "callbackUrl"):
        if not isinstance(body.get(name), str):
            return name
    if body["rwType"] != "2":
        return "rwType"
    if body["cmdType"] != "1":
        return "cmdType"
    if body["cmdValue"] not in {str(int(mode)) for mode in Mode}:
        return "cmdValue"
    return None if _are_serials(body.get("sns")) else "sns"


def _are_serials(sns: object) -> bool:
    return (
        isinstance(sns, list)
        and 0 < len(sns) <= MAX_SERIALS
        and all(isinstance(sn, str) and sn for sn in sns)
    )


# Callbacks.


def issued_callback(task_id: str, sns: list[str], failed: list[str], quirks: frozenset[Quirk]) -> Json:
    """`rspType` 1, sent to the devices: code 0 all, 1 partly, 2 none."""
    code = "0" if not failed else "2" if len(failed) == len(sns) else "1"
    ack = "issue successfully" if not failed else "issue failed"
    return _callback(1, task_id, code, {"ack": ack}, ("failureList", failed), quirks)


def device_callback(task_id: str, serial: str) -> Json:
    """`rspType` 2, one device has carried the command out."""
    return _callback(2, task_id, "0", {"ack": "success", "sn": serial}, ("", []), frozenset())


def completed_callback(task_id: str, timed_out: list[str], quirks: frozenset[Quirk]) -> Json:
    """`rspType` 3, the task is over: code 0 all devices answered, 1 some did not."""
    ack = "partial timeout" if timed_out else "all handled"
    code = "1" if timed_out else "0"
    return _callback(3, task_id, code, {"ack": ack}, ("timeoutList", timed_out), quirks)


def _callback(
    kind: int, task_id: str, code: str, result: Json, blamed: tuple[str, list[str]], quirks: frozenset[Quirk]
) -> Json:
    """The guide's own JSON is broken around the lists: they stand inside `result` or beside it."""
    name, serials = blamed
    outside: Json = {}
    if serials:
        (outside if Quirk.CALLBACK_LISTS_OUTSIDE in quirks else result)[name] = serials
    return {
        "success": code == "0",
        "result": result,
        **outside,
        "rspType": kind,
        "taskId": task_id,
        "code": code,
    }
