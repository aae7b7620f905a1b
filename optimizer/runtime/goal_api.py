"""`POST /api/goal`: a goal given by another program on this machine.

Whoever can open a page in the owner's browser must not be able to give one:

- the request names this listener as its host, so that no foreign name leads here (DNS rebinding)
- it comes from no other site: no foreign `Origin`, and a content type that a form cannot send (CSRF)
- a body is read for 5 s and 16 KiB at most; an unknown key is refused like a wrong value, with a sentence
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from optimizer.clock import Clock
from optimizer.config import Settings
from optimizer.config.goals import deadline_from, energy_from, one_charger
from optimizer.domain import Goal
from optimizer.errors import InputError
from optimizer.goals import Given
from optimizer.solax.callbacks import read_body
from optimizer.store.instants import to_text
from optimizer.store.sqlite import StoreUnavailable

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost", "[::1]")
_KEYS = {"charger", "energy_kwh", "by"}
_NEEDED = {"energy_kwh", "by"}

Give = Callable[[Given], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class GoalApi:
    """Takes goals for the chargers of `settings` and hands them to `give`."""

    settings: Settings
    clock: Clock
    give: Give

    async def answer(self, request: Request) -> JSONResponse:
        """Answer one request."""
        check_sender(request)
        try:
            given = self._given(_object(await read_body(request)))
            await self.give(given)
        except InputError as error:
            raise HTTPException(400, str(error)) from None
        except StoreUnavailable:
            raise HTTPException(503, "the log cannot be written now; try again") from None
        goal = given.goal
        told = {"charger": given.charger, "energy_kwh": goal.energy_kwh, "deadline": to_text(goal.deadline)}
        return JSONResponse(told)

    def _given(self, asked: Mapping[str, Any]) -> Given:
        charger, by = asked.get("charger"), asked["by"]
        if not isinstance(by, str) or not (charger is None or isinstance(charger, str)):
            raise InputError("charger and by need text")
        name = one_charger(self.settings.charger, charger)
        goal = Goal(deadline_from(by, self.settings.zone, self.clock.now()), energy_from(asked["energy_kwh"]))
        return Given(name, goal, "http")


def goal_app(api: GoalApi) -> Starlette:
    """Return the web application that serves `/api/goal`; errors are JSON, too."""
    app = Starlette(
        routes=[Route("/api/goal", api.answer, methods=["POST"])],
        exception_handlers={HTTPException: _refused},
    )
    app.router.redirect_slashes = False
    return app


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


def check_sender(request: Request) -> None:
    """Let only programs of this machine through, and pages that this listener itself has served.

    Raises:
        HTTPException: 403 it is meant for another host, or comes from another site; 415 it is no JSON.

    """
    host = request.headers.get("host", "")
    server = request.scope.get("server") or ("", 0)
    if host not in {f"{name}:{server[1]}" for name in _NAMES}:
        raise HTTPException(403, "this is not the host that was asked for")
    origins = request.headers.getlist("origin")
    if any(origin != f"http://{host}" for origin in origins):
        raise HTTPException(403, "requests from other sites are refused")
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise HTTPException(403, "requests from other sites are refused")
    kinds = request.headers.getlist("content-type")
    if [kind.partition(";")[0].strip().lower() for kind in kinds] != ["application/json"]:
        raise HTTPException(415, "needs Content-Type: application/json")


def _object(body: bytes) -> Mapping[str, Any]:
    """Return what was asked.

    Raises:
        InputError: it is no JSON object with the right keys.

    """
    try:
        asked = json.loads(body, parse_constant=_no_number, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise InputError("the body is not a JSON object, or names a key twice") from None
    if not isinstance(asked, dict):
        raise InputError('needs an object like {"charger": "garage", "energy_kwh": 20, "by": "fri 06:30"}')
    unknown, missing = sorted(asked.keys() - _KEYS), sorted(_NEEDED - asked.keys())
    if unknown or missing:
        what = f"unknown: {unknown[0][:40]!r}" if unknown else f"missing: {missing[0]}"
        raise InputError(f"{what}; the keys are charger, energy_kwh and by")
    return asked


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
