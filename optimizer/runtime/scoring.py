"""The nightly score, in a process of its own: the control loop is not held up, and its memory does not grow.

- the child runs at the lowest priority and is killed with the job: after its time, or when the service stops
- it keeps to one thread; where a hardened service may not make machine code it runs in plain Python
- what it says is not read while it runs but for its last words, which tell why it failed
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from optimizer.errors import SunmodeError

TIMEOUT_S = 3600.0
"""A day of a house with a battery takes a slow computer minutes; there may be 31 of them after a pause."""

Scorer = Callable[[], Awaitable[None]]

_LOWEST = 19
_TOLD = 300
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class ScoreFailed(SunmodeError):  # noqa: N818 - the state, not the mishap
    """Look at the text, or run `sunmode score`; the next night makes up for it."""


def score_command(config: Path) -> Sequence[str]:
    """Return the command that scores what has no score yet."""
    program = "from optimizer.cli import main; main()"
    return (sys.executable, "-c", program, "score", "--config", str(config))


def scorer(command: Sequence[str], env: Mapping[str, str]) -> Scorer:
    """Return what the calendar runs: `command` at the lowest priority, until it ends.

    It raises `ScoreFailed` where the command ends with another code than 0.
    """

    async def run() -> None:
        code, said = await _ended(command, {**env, **_ONE_THREAD})
        if code != 0:
            raise ScoreFailed(f"exit code {code}: {said}")

    return run


async def _ended(command: Sequence[str], env: Mapping[str, str]) -> tuple[int, str]:
    """Run the command; return its exit code, negative after a signal, and its last words."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        # A sandbox may forbid it, and it may have ended already: neither matters.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _LOWEST)
        _, said = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode or 0, said.decode(errors="replace").strip()[-_TOLD:]
