"""The second net under the token: it is cut out of whatever text passes, in every usual spelling.

The first net is `TokenTransport`, which keeps the token below everything that logs.  This one catches
what comes back from outside (the cloud echoes a refused token) and what nobody thought of.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable

from optimizer.errors import SunmodeError

HIDDEN = "[token]"
SHORTEST = 8
"""Shorter tokens are not searched for: they would tear holes into ordinary text."""

_TOKENS_KEPT = 4
_FORMATTER = logging.Formatter()


def _spelling(char: str) -> str:
    r"""Pattern for one character: plain, `%2B`, `%252B`, `\u002B`, and behind JSON's backslashes.

    The repetitions are bounded, so that a long run of backslashes costs linear time.
    """
    code = f"{ord(char):02x}"
    return rf"(?:\\{{0,4}}{re.escape(char)}|\\{{1,4}}u(?i:{code:0>4})|%(?:25){{0,2}}(?i:{code}))"


def _base64_cores(token: bytes) -> list[str]:
    """What base64 makes of the token wherever it stands in a longer text, without the edges it shares."""
    cores = []
    for offset in range(3):
        coded = base64.b64encode(bytes(offset) + token).decode("ascii")
        # A character holds 6 bits: `offset` bytes before us touch the first ones, the last may be partial.
        cores.append(coded[-(-offset * 8 // 6) : (offset + len(token)) * 8 // 6])
    return cores


def _forms(token: str) -> list[str]:
    cores = _base64_cores(token.encode())
    return [token, *cores, *(core.replace("+", "-").replace("/", "_") for core in cores)]


class Redactor:
    """Hides the token in text, in bytes and, as a `logging.Filter`, in log records.

    It hides the tokens it was told to `learn`, and asks `token_source`, if there is one, before each line.
    The source must not log.  Tokens that were replaced stay hidden, for they may still be valid.
    """

    def __init__(self, token_source: Callable[[], str] | None = None) -> None:
        self._token_source = token_source
        self._tokens: list[str] = []
        self._forms: list[str] = []
        self._escaped: re.Pattern[str] | None = None

    def learn(self, token: str) -> None:
        """Hide `token` from now on."""
        if len(token) < SHORTEST or token in self._tokens:
            return
        self._tokens = [*self._tokens, token][-_TOKENS_KEPT:]
        self._forms = [form for known in self._tokens for form in _forms(known)]
        self._escaped = re.compile("|".join("".join(map(_spelling, form)) for form in self._forms))

    def text(self, text: str) -> str:
        """Return `text` with every spelling of a known token replaced."""
        self._refresh()
        return self._hidden(text)

    def body(self, data: bytes) -> bytes:
        """Return `data` with every spelling of a known token replaced."""
        return self.text(data.decode("latin-1")).encode("latin-1")

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean a record in place: message, arguments, traceback and extra fields; never drops one."""
        self._refresh()
        if record.exc_info:
            told = _FORMATTER.formatException(record.exc_info)
            if self._hides(told):
                record.exc_text, record.exc_info = told, None
        if self._hides(record.args):
            record.msg, record.args = _message(record), None
        for key, value in list(vars(record).items()):
            if key not in ("args", "exc_info") and self._hides(value):
                setattr(record, key, self._hidden(str(value)))
        return True

    def _refresh(self) -> None:
        if self._token_source is None:
            return
        try:
            self.learn(self._token_source())
        except (SunmodeError, OSError):
            # The source reports its own trouble to whoever wants a token; logging goes on without it.
            return

    def _hidden(self, text: str) -> str:
        if self._escaped is not None and ("%" in text or "\\" in text):
            return self._escaped.sub(HIDDEN, text)
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def _hides(self, thing: object) -> bool:
        told = repr(thing)
        return self._hidden(told) != told


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        # Otherwise logging prints template and arguments to stderr, past every filter.
        return f"{record.msg!s} {record.args!r}"
