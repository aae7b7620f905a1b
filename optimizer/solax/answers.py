"""What the cloud's answers mean: a reading, an acceptance, or one of our errors.

| what happens | error |
|---|---|
| no connection, TLS refused, reset, cut off, time-out, HTTP 5xx | `Unavailable` |
| HTTP 200 with HTML or nothing (a gateway talks, not the API) | `Unavailable` |
| HTTP 429; code 3, 104; "threshold", "suspend the request" | `Throttled` |
| "several violations ... prohibit calls within the next hour" (code 1) | `Throttled(banned=True)` |
| code 103, 1001; "token invalid"; HTTP 401, 403 | `AuthError` |
| code 1003; "no auth", "data unauthorized" | `UnknownDevice`, a `Refused` |
| code 2001 "operation failed"; "offline", "busy"; `result` null or empty | `Unavailable` |
| any other `success: false`, or a sentence where data should be | `Refused` |
| redirect, other 4xx, too long, badly encoded, not JSON, not this JSON | `BadAnswer` |

A payload that says why goes before the HTTP status.
Codes: SolaXCloud User API V2.0; texts: as users recorded them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from optimizer.control.budget import Outcome
from optimizer.errors import AuthError, BadAnswer, CloudError, Refused, Throttled, Unavailable, UnknownDevice
from optimizer.solax.wire import Envelope, clean_text, integer, json_value

RETRY_AFTER_CAP_S = 3600.0
BAN_S = 3600.0
"""The cloud's own word: "will prohibit calls within the next hour"."""

_NO_RIGHT = 1003
_NOT_FOUND = 2002
_THROTTLED_CODES = frozenset({3, 104})
_AUTH_CODES = frozenset({103, 1001})
_LATER_CODES = frozenset({2001})
_REFUSED_CODES = frozenset({1002, _NO_RIGHT, 1004, _NOT_FOUND})
_FAILED_CODES = _THROTTLED_CODES | _AUTH_CODES | _LATER_CODES | _REFUSED_CODES

_BANNED_WORDS = ("violations", "prohibit calls")
_THROTTLED_WORDS = ("threshold", "suspend the request", "too many requests", "too frequent")
_DEVICE_WORDS = ("no auth", "data unauthorized")
_AUTH_WORDS = ("token invalid", "invalid token", "unauthorized")
_LATER_WORDS = ("offline", "busy")
_DEVICE_HINT = "is it the registration number, not the serial number, and the device in this account?"
_ACCOUNT_HINT = "the token is refused; compare it with the cloud's API page"
_SAYS_NO_MORE_THAN_STATUS = frozenset({Refused, BadAnswer, Unavailable})


@dataclass(frozen=True, slots=True)
class Answer:
    """A judged answer: what it said, and what is wrong with it, if anything."""

    http_status: int
    envelope: Envelope
    error: CloudError | None = None

    def data(self) -> Envelope:
        """Return the envelope of a good answer.

        Raises:
            CloudError: the answer was not good.

        """
        if self.error is not None:
            raise self.error
        return self.envelope


def judge(http_status: int, body: bytes, retry_after: str | None = None) -> Answer:
    """Judge an answer by its payload, then by its status.  `retry_after` is the header, in seconds."""
    envelope, error = _parsed(body)
    if envelope.success is False or envelope.code in _FAILED_CODES:
        error = declined(envelope, _seconds(retry_after))
    elif error is None and envelope.success is None:
        error = BadAnswer("the answer does not say whether it is a success")
    if http_status != HTTPStatus.OK and (error is None or type(error) in _SAYS_NO_MORE_THAN_STATUS):
        error = _by_status(http_status, envelope, _seconds(retry_after))
    return Answer(http_status, envelope, error)


def outcome_of(error: CloudError) -> Outcome:
    """Return how the budget shall book a call that ended with `error`."""
    if isinstance(error, Throttled):
        return Outcome.BANNED if error.banned else Outcome.THROTTLED
    if isinstance(error, Refused):
        return Outcome.REFUSED
    by_kind = {AuthError: Outcome.AUTH, BadAnswer: Outcome.BAD_ANSWER}
    return by_kind.get(type(error), Outcome.UNAVAILABLE)


def lost(trouble: httpx.RequestError) -> CloudError:
    """Return our error for an exchange that httpx could not finish."""
    kind = BadAnswer if isinstance(trouble, httpx.DecodingError) else Unavailable
    return kind(f"{type(trouble).__name__}: {clean_text(str(trouble))}".rstrip(": "))


def declined(envelope: Envelope, retry_after_s: float | None = None) -> CloudError:
    """Return the error that the cloud's code and words stand for."""
    told, code = envelope.told or "no reason given", envelope.code
    words = told.lower()
    if _any(words, _BANNED_WORDS):
        return Throttled(f"shut out for an hour: {told}", banned=True, retry_after_s=retry_after_s or BAN_S)
    if code in _THROTTLED_CODES or _any(words, _THROTTLED_WORDS):
        return Throttled(f"too many calls: {told}", retry_after_s=retry_after_s)
    if code == _NO_RIGHT or (code not in _AUTH_CODES and _any(words, _DEVICE_WORDS)):
        return UnknownDevice(f"{told} ({_DEVICE_HINT})", code)
    if code in _AUTH_CODES or _any(words, _AUTH_WORDS):
        return AuthError(f"{told} ({_ACCOUNT_HINT})")
    if code in _LATER_CODES or _any(words, _LATER_WORDS):
        return Unavailable(told)
    hint = f" ({_DEVICE_HINT})" if code == _NOT_FOUND or "did not access" in words else ""
    return Refused(told + hint, code)


def _parsed(body: bytes) -> tuple[Envelope, CloudError | None]:
    start = body[:64].lstrip()
    if not start:
        return Envelope(), Unavailable("the answer is empty")
    if start.startswith(b"<"):
        return Envelope(), Unavailable("a web page came instead of data")
    try:
        found = json_value(body)
    except ValueError:
        return Envelope(), BadAnswer("the answer is not JSON")
    if not isinstance(found, Mapping):
        return Envelope(), BadAnswer("the answer is not a JSON object")
    return Envelope.model_validate(found), None


def _by_status(http_status: int, envelope: Envelope, retry_after_s: float | None) -> CloudError:
    told = f"HTTP {http_status}: {envelope.told}".rstrip(": ")
    if http_status == HTTPStatus.TOO_MANY_REQUESTS:
        return Throttled(told, retry_after_s=retry_after_s)
    if http_status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return AuthError(f"{told} ({_ACCOUNT_HINT})")
    if http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unavailable(told)
    if HTTPStatus.MULTIPLE_CHOICES <= http_status < HTTPStatus.BAD_REQUEST:
        return BadAnswer(f"{told} (a redirect, which is never followed; is base_url right?)")
    return BadAnswer(f"{told} (is base_url right?)")


def _seconds(retry_after: str | None) -> float | None:
    found = integer(retry_after)
    return None if found is None or found < 0 else min(float(found), RETRY_AFTER_CAP_S)


def _any(words: str, needles: tuple[str, ...]) -> bool:
    return any(needle in words for needle in needles)
