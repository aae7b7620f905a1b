"""The three calls of the vendor's token API.

Each call takes a slot of the budget, is sent once and told back to the budget, however it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

import httpx

from optimizer.clock import Clock
from optimizer.control.budget import Gate, Outcome, Priority
from optimizer.domain import ChargerReading, Mode, SiteReading
from optimizer.errors import CloudError, Throttled, Unavailable
from optimizer.solax.answers import Answer, judge, lost, outcome_of
from optimizer.solax.readings import Accepted, StatusMap, accepted, charger_reading, site_reading
from optimizer.solax.wire import Envelope

__all__ = ["Accepted", "SolaxClient", "in_batches"]

SERIALS_PER_CALL = 100
"""The guide: "up to 100 SNs per call"."""

_PROXY = "/proxyApp/proxy/api/"
_WRITE = "2"
_SET_WORK_MODE = "1"

_T = TypeVar("_T")

Leaving = Callable[[], Awaitable[None]]
"""What a caller wants to write down when a command is about to go out."""


def in_batches(serials: Sequence[str], size: int = SERIALS_PER_CALL) -> Iterator[tuple[str, ...]]:
    """Split `serials` into as many calls as `set_mode` needs."""
    for start in range(0, len(serials), size):
        yield tuple(serials[start : start + size])


class SolaxClient:
    """Reads the house and the chargers and sends them modes; `http` comes from `transport.open_http`.

    `cars_w` is what all chargers can draw together: so much more than a house may be imported.
    Every method raises `RateLimited` when the budget has no slot, otherwise one of the `CloudError`s of
    `answers`.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        gate: Gate,
        clock: Clock,
        *,
        inverter: str,
        callback_url: str = "",
        call_timeout_s: float = 15.0,
        status_map: StatusMap = "canonical",
        cars_w: float = 0.0,
    ) -> None:
        self._http = http
        self._gate = gate
        self._clock = clock
        self._inverter = inverter
        self._callback_url = callback_url
        self._call_timeout_s = call_timeout_s
        self._status_map = status_map
        self._cars_w = cars_w
        self._readings: dict[tuple[str, str], httpx.Request] = {}

    async def read_site(self) -> SiteReading:
        """Return the house's newest telemetry; the cloud has it up to 5 minutes late."""
        request = self._reading("getRealtimeInfo.do", "sn", self._inverter)
        return await self._call(
            request, self._inverter, lambda data: site_reading(data, self._clock.now(), self._cars_w)
        )

    async def read_charger(self, serial: str) -> ChargerReading:
        """Return what the charger with this registration number last reported."""
        request = self._reading("getPileInfo", "pileSn", serial)
        return await self._call(
            request, serial, lambda data: charger_reading(data, self._clock.now(), self._status_map)
        )

    async def set_mode(
        self,
        mode: Mode,
        serials: Sequence[str],
        *,
        toward_safety: bool = False,
        leaving: Leaving | None = None,
    ) -> Accepted:
        """Tell 1 to 100 chargers to go to `mode`; `toward_safety` may use the slots that are held back.

        `leaving` is awaited when the slot is taken and nothing but the sending is left; what it raises
        comes out of here, and nothing is sent.

        Raises:
            ValueError: there is no serial or more than a call can carry; see `in_batches`.

        """
        if not 1 <= len(serials) <= SERIALS_PER_CALL:
            raise ValueError(f"{len(serials)} serials: a call carries 1 to {SERIALS_PER_CALL}")
        body = {
            "rwType": _WRITE,
            "cmdType": _SET_WORK_MODE,
            "cmdValue": str(int(mode)),
            "sns": list(serials),
            "callbackUrl": self._callback_url,
        }
        request = self._http.build_request("POST", f"{_PROXY}pileCmd", json=body)
        priority = Priority.SAFETY if toward_safety else Priority.RISE
        return await self._call(request, ",".join(serials), accepted, priority, leaving)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _reading(self, call: str, key: str, serial: str) -> httpx.Request:
        """Return the request for a reading: always the same, and to build it takes longer than to decide."""
        if (call, serial) not in self._readings:
            request = self._http.build_request("GET", f"{_PROXY}{call}", params={key: serial})
            self._readings[call, serial] = request
        return self._readings[call, serial]

    async def _call(
        self,
        request: httpx.Request,
        subject: str,
        translate: Callable[[Envelope], _T],
        priority: Priority = Priority.READ,
        leaving: Leaving | None = None,
    ) -> _T:
        endpoint = request.url.path.rpartition("/")[2].removesuffix(".do")
        call_id = await self._gate.reserve(endpoint, subject, priority)
        outcome, answer, retry_after_s = Outcome.NOT_SENT, None, None
        try:
            if leaving is not None:
                await leaving()
            outcome = Outcome.UNAVAILABLE
            answer = await self._exchange(request)
            found = translate(answer.data())
            outcome = Outcome.OK
        except CloudError as error:
            outcome = outcome if outcome is Outcome.NOT_SENT else outcome_of(error)
            retry_after_s = error.retry_after_s if isinstance(error, Throttled) else None
            raise
        finally:
            self._complete(call_id, outcome, answer, retry_after_s)
        return found

    async def _exchange(self, request: httpx.Request) -> Answer:
        try:
            async with asyncio.timeout(self._call_timeout_s):
                response = await self._http.send(request)
        except TimeoutError:
            raise Unavailable(f"no complete answer within {self._call_timeout_s:g} s") from None
        except httpx.RequestError as trouble:
            raise lost(trouble) from None
        return judge(response.status_code, response.content, response.headers.get("retry-after"))

    def _complete(
        self, call_id: int, outcome: Outcome, answer: Answer | None, retry_after_s: float | None
    ) -> None:
        http_status = None if answer is None else answer.http_status
        code = None if answer is None else answer.envelope.code
        self._gate.complete(call_id, outcome, http_status=http_status, code=code, retry_after_s=retry_after_s)
