"""The receiver for what the cloud says about a command after it was sent.

The cloud's callbacks are not signed, so an event is a hint: it never sets what is true, it only makes a
confirming read worth its call.  Matching it to a command, and counting how often, is the listener's business.

- The path is the only key: whoever does not know it sees the same 404 as anywhere else.
- A body is read for 5 s and 16 KiB at most; what is not a callback is answered with 400.
- An event is acknowledged (200) only after `on_event` took it; when that raises, the cloud sees a 500.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import compare_digest
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from optimizer.clock import Clock
from optimizer.solax.wire import (
    identifier,
    integer,
    json_value,
    lower_keys,
    opened,
    text,
    truth,
)

BODY_CAP_BYTES = 16 * 1024
BODY_DEADLINE_S = 5.0
SHORTEST_SECRET = 22
"""Characters of `secrets.token_urlsafe(16)`: 128 bits."""

_SERIALS_CAP = 100
_CLOSE = {"Connection": "close"}

Kind = Literal[1, 2, 3]
_KINDS: Mapping[int | None, Kind] = {1: 1, 2: 2, 3: 3}


@dataclass(frozen=True, slots=True)
class CallbackEvent:
    """One of the guide's three answers: 1 the command went out, 2 a device answered, 3 the task is over.

    `code` 0 is good in all three; 1 and 2 say that some or all devices were not reached or did not do it.
    """

    task_id: str
    kind: Kind
    success: bool | None
    code: int | None
    serials_failed: tuple[str, ...]
    serials_timed_out: tuple[str, ...]
    serial: str | None
    text: str
    received_at: datetime


def parse_callback(body: bytes, received_at: datetime) -> CallbackEvent | None:
    """Return the event in `body`, or None when it holds no task id or no known kind; never raises.

    The guide prints `failureList` after the object that should hold it has been closed: lists are looked for
    inside `result` and beside it, and where the text is no JSON at all, its fields are picked one by one.
    """
    try:
        found = lower_keys(json_value(body))
    except ValueError:
        found = _picked(body.decode("utf-8", errors="replace"))
    if not isinstance(found, Mapping):
        return None
    result = lower_keys(opened(found.get("result")))
    fields = {**found, **result} if isinstance(result, Mapping) else {"ack": result, **found}
    return _event({**fields, **_own(found)}, received_at)


def _own(found: Mapping[str, Any]) -> dict[str, Any]:
    """What belongs to the envelope, whatever `result` repeats."""
    return {name: found[name] for name in ("taskid", "rsptype", "code", "success") if name in found}


def _event(fields: Mapping[str, Any], received_at: datetime) -> CallbackEvent | None:
    task_id, kind = identifier(fields.get("taskid")), _KINDS.get(integer(fields.get("rsptype")))
    if task_id is None or kind is None:
        return None
    return CallbackEvent(
        task_id=task_id,
        kind=kind,
        success=truth(fields.get("success")),
        code=integer(fields.get("code")),
        serials_failed=_serials(fields.get("failurelist")),
        serials_timed_out=_serials(fields.get("timeoutlist")),
        serial=identifier(fields.get("sn")),
        text=text(fields.get("ack")),
        received_at=received_at,
    )


def _serials(found: object) -> tuple[str, ...]:
    if isinstance(found, str):
        found = found.split(",")
    if not isinstance(found, list):
        return ()
    return tuple(serial for serial in map(identifier, found[:_SERIALS_CAP]) if serial is not None)


_SCALAR = re.compile(
    r'"(success|ack|sn|rspType|taskId|code)"\s{0,9}:\s{0,9}(?:"([^"\n]{0,400})"|(-?\w{1,20}))'
)
_LIST = re.compile(r'"(failureList|timeoutList)"\s{0,9}:\s{0,9}\[([^\[\]]{0,8000})\]')


def _picked(broken: str) -> dict[str, Any]:
    """Pick the guide's fields out of text that is no JSON; the first mention of each counts."""
    fields: dict[str, Any] = {}
    for name, quoted, bare in _SCALAR.findall(broken):
        fields.setdefault(name.lower(), quoted or bare)
    for name, inside in _LIST.findall(broken):
        fields.setdefault(name.lower(), re.findall(r'"([^"]{1,64})"', inside))
    return fields


class _Receiver:
    """Answers every method and every path below `/callback/` alike, except the right one."""

    def __init__(
        self, secret: str, on_event: Callable[[CallbackEvent], None], clock: Clock, body_deadline_s: float
    ) -> None:
        self._secret = secret.encode()
        self._on_event = on_event
        self._clock = clock
        self._body_deadline_s = body_deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        offered = str(request.path_params["secret"]).encode()
        if not compare_digest(offered, self._secret) or request.method != "POST":
            raise HTTPException(404)
        event = parse_callback(await read_body(request, self._body_deadline_s), self._clock.now())
        if event is None:
            raise HTTPException(400, "not a callback")
        self._on_event(event)
        await JSONResponse({"success": True})(scope, receive, send)


def callback_app(
    secret: str,
    on_event: Callable[[CallbackEvent], None],
    clock: Clock,
    *,
    body_deadline_s: float = BODY_DEADLINE_S,
    extra_routes: Sequence[BaseRoute] = (),
) -> Starlette:
    """Return the web application that serves `/callback/<secret>` and `extra_routes`.

    `on_event` is called in the event loop and must not block.

    Raises:
        ValueError: the secret can be guessed.

    """
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"the callback's secret has {len(secret)} characters, not {SHORTEST_SECRET} or more")
    receiver = _Receiver(secret, on_event, clock, body_deadline_s)
    app = Starlette(routes=[Route("/callback/{secret}", receiver), *extra_routes])
    # A redirect from `/callback/x/` would tell that the path exists.
    app.router.redirect_slashes = False
    return app


async def read_body(request: Request, deadline_s: float = BODY_DEADLINE_S) -> bytes:
    """Return the request's body.

    Raises:
        HTTPException: 413 it is longer than `cap`, 408 it takes longer than `deadline_s`, 400 it was cut off.

    """
    announced = integer(request.headers.get("content-length"))
    if announced is not None and announced > BODY_CAP_BYTES:
        raise HTTPException(413, headers=_CLOSE)
    body = bytearray()
    try:
        async with asyncio.timeout(deadline_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_CAP_BYTES:
                    raise HTTPException(413, headers=_CLOSE)
    except TimeoutError:
        raise HTTPException(408, headers=_CLOSE) from None
    except ClientDisconnect:
        raise HTTPException(400, headers=_CLOSE) from None
    return bytes(body)
