"""Structured logs: JSON under systemd, colour on a terminal; no secret and no forged line in either."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any, Literal

import structlog

Format = Literal["auto", "json", "text"]
Redact = Callable[[str], str]
Event = MutableMapping[str, Any]
Processor = Callable[[Any, str, Event], Any]

# These print whole URLs, request lines or every tick at INFO.
_TOO_TALKATIVE = ("httpx", "httpcore", "apscheduler", "uvicorn", "uvicorn.access", "asyncio", "tzlocal")


def configure(level: str, form: Format, redact: Redact) -> None:
    """Send all logging, ours and the libraries', through one handler on standard error.

    `redact` is the last step of every line: whatever a library might say, a secret is not in it.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            _Redacted.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacted(shared, _renderers(form), redact))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _TOO_TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def report_faults() -> None:
    """Log what ends the process unexpectedly, as one line like all others and without secrets."""
    sys.excepthook = _report


def _report(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("sunmode").critical("ended by a fault", exc_info=(kind, fault, trace))


class _Redacted(structlog.stdlib.ProcessorFormatter):
    """Renders, then takes secrets out of the finished line."""

    def __init__(self, foreign: list[Processor], renderers: list[Processor], redact: Redact) -> None:
        drop = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        super().__init__(foreign_pre_chain=foreign, processors=[drop, *renderers])
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """The finished line."""
        return self._redact(super().format(record))


def _renderers(form: Format) -> list[Processor]:
    if form == "json" or (form == "auto" and not sys.stderr.isatty()):
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    # `repr` of values keeps a message from the cloud from forging a second line.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
