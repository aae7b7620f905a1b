"""The nightly score's process: ended, failed, out of time, and at the lowest priority."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from optimizer.runtime.scoring import ScoreFailed, score_command, scorer


def python(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program)


def test_a_score_that_ends_well_says_nothing() -> None:
    asyncio.run(_run(python("print('done')")))


def test_a_score_that_fails_tells_its_code_and_its_last_words() -> None:
    with pytest.raises(ScoreFailed, match="exit code 3: no such log"):
        asyncio.run(_run(python("import sys; sys.stderr.write('no such log'); sys.exit(3)")))


def test_a_score_that_is_not_over_in_time_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    program = (
        f"import os, time, pathlib; pathlib.Path({str(mark)!r}).write_text(str(os.getpid())); time.sleep(60)"
    )

    async def impatient() -> None:
        scoring = asyncio.create_task(_run(python(program)))
        while not (mark.exists() and mark.read_text()):  # noqa: ASYNC110 - a file tells no loop
            await asyncio.sleep(0.05)
        scoring.cancel()  # as a timeout does
        await scoring

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(impatient())
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_the_loop_goes_on_while_a_score_runs_at_the_lowest_priority(tmp_path: Path) -> None:
    mark = tmp_path / "nice"
    program = (
        f"import os, time, pathlib; time.sleep(.5); pathlib.Path({str(mark)!r}).write_text(str(os.nice(0)))"
    )

    async def beside() -> int:
        ticks, scoring = 0, asyncio.create_task(_run(python(program)))
        while not scoring.done():
            await asyncio.sleep(0.02)
            ticks += 1
        return ticks

    assert asyncio.run(beside()) >= 10
    assert mark.read_text() == "19"


def test_the_command_is_that_of_the_owner() -> None:
    with pytest.raises(ScoreFailed, match=r"exit code 78: sunmode: .*nowhere\.toml"):
        asyncio.run(_run(tuple(score_command(Path("nowhere.toml")))))


async def _run(command: tuple[str, ...]) -> None:
    await scorer(command, os.environ)()
