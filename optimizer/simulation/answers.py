"""An answer on its way to the client, and what faults make of it."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import Any

from optimizer.simulation.faults import FaultKind
from optimizer.simulation.quota import Verdict
from optimizer.simulation.wire import encode, over_quota

JSON_HEADERS: Mapping[str, str] = {"content-type": "application/json;charset=UTF-8"}
HTML_HEADERS: Mapping[str, str] = {"content-type": "text/html"}
BOMB_BYTES = 16 * 1024 * 1024
_ABSURD_W = 1e9
_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class Shape(StrEnum):
    """How the bytes travel."""

    WHOLE = "whole"
    DRIP = "drip"
    TRUNCATED = "truncated"
    RESET = "reset"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client, `delay_s` after the call arrived."""

    body: bytes
    delay_s: float
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_HEADERS)
    shape: Shape = Shape.WHOLE


def spoil(answer: Answer, fault: FaultKind, rng: random.Random) -> Answer:
    """Return the answer as `fault` leaves it."""
    if fault in _SHAPES:
        return replace(answer, shape=_SHAPES[fault])
    if fault in _REPLACED:
        return _REPLACED[fault](answer, rng)
    return replace(answer, body=_spoil_values(answer.body, _VALUES[fault], rng))


_SHAPES = {
    FaultKind.DRIP: Shape.DRIP,
    FaultKind.TRUNCATED: Shape.TRUNCATED,
    FaultKind.RESET: Shape.RESET,
    FaultKind.SILENT: Shape.SILENT,
}


def _too_many(answer: Answer, rng: random.Random) -> Answer:
    headers = {**HTML_HEADERS, "retry-after": str(rng.choice((30, 60, 120)))}
    return replace(answer, status=429, headers=headers, body=b"Too Many Requests")


def _server_error(answer: Answer, rng: random.Random) -> Answer:
    return replace(answer, status=rng.choice((500, 502, 503, 504)), headers=HTML_HEADERS, body=_PAGE)


def _auth_error(answer: Answer, _rng: random.Random) -> Answer:
    return replace(answer, body=encode({"exception": "token invalid!", "code": 103, "success": False}))


def _bomb(answer: Answer, _rng: random.Random) -> Answer:
    return replace(answer, headers={**JSON_HEADERS, "content-encoding": "gzip"}, body=_bomb_body())


@cache
def _bomb_body() -> bytes:
    return gzip.compress(b'{"success":true,"result":"' + b" " * BOMB_BYTES + b'"}', mtime=0)


_REPLACED: Mapping[FaultKind, Callable[[Answer, random.Random], Answer]] = {
    FaultKind.HTML: lambda answer, _: replace(answer, headers=HTML_HEADERS, body=_PAGE),
    FaultKind.TOO_MANY_REQUESTS: _too_many,
    FaultKind.THROTTLED: lambda answer, _: replace(answer, body=encode(over_quota(Verdict.MINUTE))),
    FaultKind.SERVER_ERROR: _server_error,
    FaultKind.AUTH_ERROR: _auth_error,
    FaultKind.EMPTY_BODY: lambda answer, _: replace(answer, body=b""),
    FaultKind.GZIP_BOMB: _bomb,
}


def _spoil_values(body: bytes, change: Callable[[Any, random.Random], Any], rng: random.Random) -> bytes:
    """Change one or more values inside `result`, or `result` itself where it is no object."""
    payload = json.loads(body)
    result = payload.get("result")
    if not isinstance(result, dict) or not result:
        return encode({**payload, "result": change(result, rng)})
    hit = set(rng.sample(sorted(result), rng.randint(1, len(result))))
    payload["result"] = {key: change(value, rng) if key in hit else value for key, value in result.items()}
    return encode(payload)


def _wrong_type(value: Any, rng: random.Random) -> Any:
    return rng.choice(([value], {"value": value}, "", "n/a", True))


def _lie(value: Any, rng: random.Random) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return rng.choice((_ABSURD_W, -_ABSURD_W, -value))


_VALUES: Mapping[FaultKind, Callable[[Any, random.Random], Any]] = {
    FaultKind.WRONG_TYPES: _wrong_type,
    FaultKind.NAN: lambda _value, rng: float(rng.choice(("nan", "inf", "-inf"))),
    FaultKind.NULL: lambda _value, _rng: None,
    FaultKind.LIE: _lie,
}
