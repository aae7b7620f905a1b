"""The virtual SolaX cloud: the vendor's three calls in front of a virtual home.

It counts every call with its own time, which no step of the client's clock moves: the log is
the judge of whether a client kept the vendor's limits.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from optimizer.clock import Clock
from optimizer.domain import Mode
from optimizer.simulation.answers import HTML_HEADERS, Answer, spoil
from optimizer.simulation.callbacks import PostCallback, Task, plan_callbacks
from optimizer.simulation.faults import LATEST_COMMAND_S, Fault, FaultKind, Faults
from optimizer.simulation.home import VirtualHome
from optimizer.simulation.quota import CallRecord, Quota, Verdict
from optimizer.simulation.telemetry import Telemetry
from optimizer.simulation.wire import (
    API_PREFIX,
    CHARGER,
    COMMAND,
    INVERTER,
    Json,
    accepted,
    bad_parameter,
    charger_answer,
    encode,
    inverter_answer,
    never_seen,
    over_quota,
    refused_parameter,
    wrong_serial,
    wrong_token,
)

_METHODS = {COMMAND: "POST", CHARGER: "GET", INVERTER: "GET"}

# These come from a gate in front of the cloud: what was asked for has not happened.
_AT_THE_GATE = frozenset({FaultKind.TOO_MANY_REQUESTS, FaultKind.THROTTLED, FaultKind.AUTH_ERROR})
_NOT_TAKEN_IN = 0.5


class _Call(NamedTuple):
    endpoint: str
    token: str
    subject: str
    mode: Mode | None
    body: Json


class VirtualCloud:
    """One account with one virtual home.

    `post_callback` sends callbacks (None: they go nowhere).  Time starts with the first call,
    at the home's `start`, and follows `clock.monotonic_s()`; equal seeds and calls give equal answers.
    """

    def __init__(
        self,
        home: VirtualHome,
        clock: Clock,
        rng: random.Random,
        faults: Faults | None = None,
        post_callback: PostCallback | None = None,
    ) -> None:
        self.home = home
        self.clock = clock
        self.settings = home.settings
        self.faults = faults or Faults(_child(rng))
        self.calls: deque[CallRecord] = deque(maxlen=home.settings.keep_calls)
        self.telemetry = Telemetry(home, self.faults, _child(rng))
        self._quota = Quota(home.settings.vendor)
        self._post_callback = post_callback
        self._wire_rng, self._device_rng, self._task_rng = _child(rng), _child(rng), _child(rng)
        self._origin_s: float | None = None
        self._posting: set[asyncio.Task[None]] = set()
        for fault in self.faults.happenings():
            home.schedule(home.start.timestamp() + fault.start_s, partial(self._happen, fault))

    def elapsed_s(self) -> float:
        """Return the cloud's own time: seconds since the first time it was asked."""
        now_s = self.clock.monotonic_s()
        if self._origin_s is None:
            self._origin_s = now_s
        return now_s - self._origin_s

    def now(self) -> datetime:
        """Return the virtual world's wall time, aware UTC."""
        return self.home.start + timedelta(seconds=self.elapsed_s())

    def advance(self) -> None:
        """Let the home catch up with the clock."""
        self.home.advance(self.now())

    def worst_minute(self) -> int:
        """Return the most calls in any 60 s (half-open) so far."""
        return self._quota.worst_minute

    def worst_day(self) -> int:
        """Return the most calls in any 24 h (half-open) so far."""
        return self._quota.worst_day

    def source_age_s(self) -> float:
        """Return how long ago the site record that the cloud shows was measured."""
        return self.now().timestamp() - self.telemetry.site.measured_s

    def state(self) -> Json:
        """Return the truth and the call counts for human eyes; no secret is in it."""
        self.advance()
        return {
            "time": self.now().isoformat(),
            "home": {**asdict(self.home.truth()), "at": self.home.truth().at.isoformat()},
            "chargers": [
                {**asdict(truth), "mode": truth.mode.name, "status": truth.status.name}
                for truth in map(self.home.charger, self.home.serials)
            ],
            "upload_time": self.telemetry.site.stamp,
            "calls": {
                "kept": len(self.calls),
                "worst_minute": self.worst_minute(),
                "worst_day": self.worst_day(),
            },
        }

    async def aclose(self) -> None:
        """Stop sending callbacks."""
        for task in self._posting:
            task.cancel()
        await asyncio.gather(*self._posting, return_exceptions=True)

    async def handle(self, method: str, path: str, query: Mapping[str, str], body: bytes = b"") -> Answer:
        """Answer one HTTP call; it counts when it arrives, after its way through the wire."""
        await self.clock.sleep(self._wire_rng.uniform(*self.settings.latencies.request_s))
        t_s = self.elapsed_s()
        self.advance()
        verdict = self._quota.count(t_s)
        call = _parse(path, query, body)
        answer, outcome = self._answer(call, method, verdict, t_s)
        self.calls.append(CallRecord(t_s, call.endpoint, call.subject, call.mode, outcome))
        return answer

    def _answer(self, call: _Call, method: str, verdict: Verdict, t_s: float) -> tuple[Answer, str]:
        delay_s = self._wire_rng.uniform(*self.settings.latencies.answer_s)
        if _METHODS.get(call.endpoint) != method:
            return Answer(b"<html>not found</html>", delay_s, 404, HTML_HEADERS), "not_found"
        if verdict is not Verdict.ALLOWED:
            return Answer(encode(over_quota(verdict)), delay_s), verdict.value
        fault = self.faults.answer_fault(t_s, call.endpoint)
        if fault is None:
            payload, outcome = self._serve(call, t_s)
            return Answer(encode(payload), delay_s), outcome
        if self._stays_at_the_gate(call, fault):
            payload = accepted(self._task_id())
        else:
            payload, _ = self._serve(call, t_s)
        return spoil(Answer(encode(payload), delay_s), fault, self._wire_rng), fault.value

    def _stays_at_the_gate(self, call: _Call, fault: FaultKind) -> bool:
        """Whether a command whose answer is spoilt was not even taken in: always, or every other time."""
        if call.endpoint != COMMAND or call.token != self.settings.token:
            return False
        return fault in _AT_THE_GATE or self._wire_rng.random() < _NOT_TAKEN_IN

    def _serve(self, call: _Call, t_s: float) -> tuple[Json, str]:
        if call.token != self.settings.token:
            return wrong_token(call.token), "token"
        if call.endpoint == COMMAND:
            return self._command(call, t_s)
        return self._charger(call, t_s) if call.endpoint == CHARGER else self._inverter(call, t_s)

    def _inverter(self, call: _Call, t_s: float) -> tuple[Json, str]:
        settings, record = self.settings, self.telemetry.site
        if call.subject in self.telemetry.chargers:
            return never_seen(), "serial"
        if call.subject != settings.inverter:
            return wrong_serial(), "serial"
        if self.faults.lasts(FaultKind.INVERTER_OFFLINE, t_s, settings.inverter):
            return never_seen(), FaultKind.INVERTER_OFFLINE.value
        payload = inverter_answer(
            record.truth, record.stamp, settings.inverter, len(settings.roof), settings.quirks
        )
        return payload, "ok"

    def _charger(self, call: _Call, t_s: float) -> tuple[Json, str]:
        if call.subject not in self.telemetry.chargers:
            return wrong_serial(), "serial"
        if self.faults.lasts(FaultKind.CHARGER_OFFLINE, t_s, call.subject):
            return charger_answer(None, self.settings.quirks), FaultKind.CHARGER_OFFLINE.value
        return charger_answer(self.telemetry.chargers[call.subject], self.settings.quirks), "ok"

    def _command(self, call: _Call, t_s: float) -> tuple[Json, str]:
        refused = refused_parameter(call.body)
        if refused is not None or call.mode is None:
            return bad_parameter(refused or "cmdValue"), "parameter"
        serials = list(dict.fromkeys(call.body["sns"]))
        if not any(serial in self.telemetry.chargers for serial in serials):
            return wrong_serial(), "serial"
        reachable = [serial for serial in serials if self._reachable(serial, t_s)]
        done_after_s = {serial: self._send(serial, call.mode, t_s) for serial in reachable}
        unreachable = tuple(serial for serial in serials if serial not in done_after_s)
        task = Task(self._task_id(), done_after_s, unreachable)
        self._start_callbacks(call.body["callbackUrl"], task, t_s)
        return accepted(task.task_id), "ok"

    def _reachable(self, serial: str, t_s: float) -> bool:
        return serial in self.telemetry.chargers and not (
            self.faults.lasts(FaultKind.CHARGER_OFFLINE, t_s, serial)
            or self.faults.lasts(FaultKind.CHARGER_FROZEN, t_s, serial)
        )

    def _send(self, serial: str, mode: Mode, t_s: float) -> float | None:
        """Send a command on its way; return when it will be carried out, or None if it gets lost."""
        after_s = self._device_rng.uniform(*self.settings.latencies.command_s)
        if self.faults.strikes(FaultKind.LOST_COMMAND, t_s, serial):
            return None
        if self.faults.strikes(FaultKind.LATE_COMMAND, t_s, serial):
            after_s = self._device_rng.uniform(after_s, LATEST_COMMAND_S)
        now_s = self.home.start.timestamp() + t_s
        self.home.schedule(now_s + after_s, partial(self.home.set_mode, serial, mode, "command"))
        if self.faults.strikes(FaultKind.DUPLICATE_COMMAND, t_s, serial):
            again_s = now_s + self._device_rng.uniform(after_s, LATEST_COMMAND_S)
            self.home.schedule(again_s, partial(self.home.set_mode, serial, mode, "command"))
        return after_s

    def _happen(self, fault: Fault) -> None:
        """Let the owner, or the charger by itself, change the mode."""
        by_owner = fault.kind is FaultKind.MANUAL_CHANGE
        serial = fault.subject or self.home.serials[0]
        mode, cause = (fault.mode, "owner") if by_owner else (Mode.FAST, "device")
        self.home.set_mode(serial, mode, cause)

    def _task_id(self) -> str:
        return f"{self._task_rng.getrandbits(128):032x}"

    def _start_callbacks(self, url: str, task: Task, t_s: float) -> None:
        if not url or self._post_callback is None:
            return
        sending = asyncio.get_running_loop().create_task(
            self._send_callbacks(url, task, t_s, self._post_callback)
        )
        self._posting.add(sending)
        sending.add_done_callback(self._posting.discard)

    async def _send_callbacks(self, url: str, task: Task, t_s: float, post: PostCallback) -> None:
        latencies, quirks = self.settings.latencies, self.settings.quirks
        for delay_s, body in plan_callbacks(task, latencies, quirks, self.faults, t_s, self._device_rng):
            await self.clock.sleep(max(0.0, t_s + delay_s - self.elapsed_s()))
            await post(url, body)


def _child(rng: random.Random) -> random.Random:
    """Draw an independent generator, so that one more draw here moves nothing elsewhere."""
    return random.Random(rng.getrandbits(64))  # noqa: S311 - a simulation, not a secret


def _parse(path: str, query: Mapping[str, str], body: bytes) -> _Call:
    endpoint = path.removeprefix(API_PREFIX)
    if endpoint != COMMAND:
        subject = query.get("pileSn" if endpoint == CHARGER else "sn", "")
        return _Call(endpoint, query.get("tokenId", ""), subject, None, {})
    payload = _json_object(body)
    sns = payload.get("sns")
    subject = ",".join(map(str, sns)) if isinstance(sns, list) else ""
    return _Call(endpoint, str(payload.get("tokenId", "")), subject, _mode(payload.get("cmdValue")), payload)


def _json_object(body: bytes) -> Json:
    try:
        payload: Any = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}


def _mode(value: object) -> Mode | None:
    return next((mode for mode in Mode if value == str(int(mode))), None)
