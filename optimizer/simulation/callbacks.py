"""The three callbacks of a command: which are sent, when, and how they reach the client."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from optimizer.simulation.faults import LATEST_CALLBACK_S, FaultKind, Faults
from optimizer.simulation.settings import Latencies, Quirk
from optimizer.simulation.wire import Json, completed_callback, device_callback, encode, issued_callback

PostCallback = Callable[[str, bytes], Awaitable[None]]
"""Sends one callback body to a URL; a client that cannot be reached is not its concern."""


class Task(NamedTuple):
    """One accepted command: when each serial carries it out (None: never), and who could not be told."""

    task_id: str
    done_after_s: Mapping[str, float | None]
    unreachable: tuple[str, ...]


class Post(NamedTuple):
    """One callback, `delay_s` after the command was accepted."""

    delay_s: float
    body: bytes


def plan_callbacks(
    task: Task, latencies: Latencies, quirks: frozenset[Quirk], faults: Faults, t_s: float, rng: random.Random
) -> list[Post]:
    """Return the callbacks of a task in the order of sending, with the faults that hit them."""
    timed_out = [sn for sn, after_s in task.done_after_s.items() if after_s is None]
    done = {sn: after_s for sn, after_s in task.done_after_s.items() if after_s is not None}
    serials = [*task.done_after_s, *task.unreachable]
    over_s = latencies.device_timeout_s if timed_out else max(done.values(), default=0.0)
    planned: list[tuple[float, Json]] = [
        (0.0, issued_callback(task.task_id, serials, list(task.unreachable), quirks)),
        *((after_s, device_callback(task.task_id, sn)) for sn, after_s in done.items()),
        (over_s, completed_callback(task.task_id, timed_out, quirks)),
    ]
    last_s = max(delay_s for delay_s, _ in planned) + latencies.callback_s[1]
    posts: list[Post] = []
    for delay_s, body in planned:
        sent_s = delay_s + rng.uniform(*latencies.callback_s)
        posts += [Post(at_s, encode(body)) for at_s in _sendings_s(sent_s, last_s, faults, t_s, rng)]
    return sorted(posts, key=lambda post: post.delay_s)


def _sendings_s(sent_s: float, last_s: float, faults: Faults, t_s: float, rng: random.Random) -> list[float]:
    """Return when one callback is sent: normally once, else never, twice, late or after the last one."""
    if faults.strikes(FaultKind.LOST_CALLBACK, t_s, ""):
        return []
    if faults.strikes(FaultKind.LATE_CALLBACK, t_s, ""):
        sent_s += rng.uniform(0.0, LATEST_CALLBACK_S)
    if faults.strikes(FaultKind.REORDERED_CALLBACK, t_s, ""):
        sent_s = last_s + rng.uniform(0.0, 1.0)
    if faults.strikes(FaultKind.DUPLICATE_CALLBACK, t_s, ""):
        return [sent_s, sent_s + rng.uniform(0.0, LATEST_CALLBACK_S)]
    return [sent_s]
