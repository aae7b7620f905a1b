"""`sunmode` called in this process, where one of its own would add nothing but a second of waiting."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from unittest.mock import patch

import structlog
from sunmode_process import Ended, Site

from optimizer.cli import main


def call(site: Site, *args: str) -> Ended:
    """Run one command in the site's folder and environment; a traceback would come out of here."""
    out, err = io.StringIO(), io.StringIO()
    with (
        chdir(site.folder),
        patch.dict(os.environ, site.environment(), clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
        logging_kept(),
    ):
        try:
            code = main(list(args))
        except SystemExit as end:
            code = end.code
    return Ended(int(code or 0), out.getvalue(), err.getvalue())


def refused(ended: Ended, says: str) -> None:
    """Check that a mistake was told in one message, and that nothing else was."""
    assert ended.code == 2, ended
    assert says in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


@contextmanager
def logging_kept() -> Iterator[None]:
    """Undo what a command does to the logging of its process."""
    loggers = [logging.getLogger(name) for name in ("", *logging.root.manager.loggerDict)]
    levels, handlers, config = [one.level for one in loggers], logging.root.handlers, structlog.get_config()
    hook = sys.excepthook
    try:
        yield
    finally:
        sys.excepthook = hook
        logging.root.handlers = handlers
        structlog.configure(**config)
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
