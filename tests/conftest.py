"""What every test gets: a canary for the token, and a check that it showed up nowhere."""

from __future__ import annotations

import base64
import logging
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import structlog
from hypothesis import settings

from optimizer.logs import _TOO_TALKATIVE

pytest_plugins = ("house_files", "log_rows", "price_services", "provider_answers")
"""Modules with fixtures that several test files use."""

# The machines are shared: a slow example is no failure, and each run shall try the same ones.
settings.register_profile("sunmode", deadline=None, derandomize=True)
settings.load_profile("sunmode")

CANARY = "CANARY+7/0427266767791=K"  # 24 characters, as the vendor's tokens have; quoting changes it
FORMS = tuple(
    form.encode()
    for form in (
        CANARY,
        quote(CANARY, safe=""),
        quote(CANARY),
        base64.b64encode(CANARY.encode()).decode().rstrip("="),
    )
)


def leaks(data: bytes) -> bool:
    """Whether any spelling of the canary is in `data`."""
    return any(form in data for form in FORMS)


@pytest.fixture
def token() -> str:
    """The token to use wherever a test needs one."""
    return CANARY


_FORMATTER = logging.Formatter()


class _Watch(logging.Handler):
    """Looks through each log record as it comes and keeps nothing but whether one showed the token."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.saw_the_token = False

    def emit(self, record: logging.LogRecord) -> None:
        said = f"{_FORMATTER.format(record)} {record.args}"
        self.saw_the_token = self.saw_the_token or leaks(said.encode(errors="replace"))


@pytest.fixture(autouse=True)
def _logging_is_left_as_it_was_found() -> Iterator[None]:
    """Undo what a command run in this process has configured."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in _TOO_TALKATIVE}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _the_token_stays_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> Iterator[None]:
    watch, root = _Watch(), logging.getLogger()
    caplog.set_level(logging.DEBUG)
    # Whole lives say too much to be kept: there pytest's own handlers hear of trouble only.
    kept = logging.ERROR if request.node.get_closest_marker("campaign") else logging.NOTSET
    for handler in root.handlers:
        handler.setLevel(kept)
    root.addHandler(watch)
    yield
    root.removeHandler(watch)
    assert not watch.saw_the_token, "the token is in a log record"
    for path in tmp_path.rglob("*"):
        if path.is_file() and "token" not in path.name:
            assert not leaks(path.read_bytes()), f"the token is in {path.name}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that none of them is left alone at the end."""
    items.sort(key=lambda item: "ordinary_year" not in item.name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test whose output or traceback shows the token."""
    report = yield
    said = report.capstdout + report.capstderr + report.longreprtext
    if leaks(said.encode(errors="replace")):
        report.outcome = "failed"
        told = report.longreprtext.encode(errors="replace")
        for form in FORMS:
            told = told.replace(form, b"<token>")
        report.longrepr = f"the token is in the test's output or traceback:\n{told.decode(errors='replace')}"
    return report
