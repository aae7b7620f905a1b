"""Where the heavy sums are done: in this process, or in one that ends with its answer.

The service takes the second: pvlib brings 100 MB along and seconds of import, which neither its memory nor
its control loop shall know.

- the child runs at the lowest priority, on one thread, and is killed with whoever waits for it
- a child that fails or takes longer than its time is `Unavailable`: the next refresh tries again
- what goes in and comes out is JSON, checked against what was asked for
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Protocol

from optimizer.domain import Forecast, ForecastSlot
from optimizer.errors import Unavailable
from optimizer.forecast.roof import SLOT, Face, Powers, Quantiles, Roof, Weather

TIMEOUT_S = 120.0
"""The import of pvlib alone takes a small computer ten seconds."""

_CANNOT = 3
"""The child's exit code where it says why there is no answer."""
_LOWEST = 19
_TOLD = 200
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_PROGRAM = "from optimizer.forecast.reckoner import answer_stdin; answer_stdin()"


Site = tuple[float, float]
"""Latitude and longitude, degrees."""


class Reckoner(Protocol):
    """Works out what roof and house will do; each method may raise `Unavailable`: not now."""

    async def clear_sky(self, roof: Roof, start: datetime, count: int) -> Powers:
        """Return the roof's power under a cloudless sky in `count` quarter hours from `start` on."""
        ...

    async def power(self, roof: Roof, weather: Weather) -> Powers:
        """Return the roof's power in a weather."""
        ...

    async def own_sun(self, past: Powers, count: int) -> Quantiles:
        """Return the sun's power in `count` quarter hours from the end of the own past on."""
        ...

    async def own_load(self, past: Powers, count: int, zone: str) -> Quantiles:
        """Return the house's load likewise; workdays and hours are those of the zone."""
        ...

    async def set_right(self, told: Sequence[Forecast], past: Powers, site: Site) -> Quantiles:
        """Return the last of these forecasts, set right by what became of the others."""
        ...


class InlineReckoner:
    """In this process and at once: for virtual time and for commands."""

    async def clear_sky(self, roof: Roof, start: datetime, count: int) -> Powers:
        """Return the power under a cloudless sky."""
        from optimizer.forecast.pv import clear_sky_power

        return clear_sky_power(roof, start, count)

    async def power(self, roof: Roof, weather: Weather) -> Powers:
        """Return the power in a weather."""
        from optimizer.forecast.pv import pv_power

        return pv_power(roof, weather)

    async def own_sun(self, past: Powers, count: int) -> Quantiles:
        """Return the sun's power by the own past."""
        from optimizer.forecast.newest import newest_sun

        return newest_sun(past, count)

    async def own_load(self, past: Powers, count: int, zone: str) -> Quantiles:
        """Return the house's load by the own past."""
        from optimizer.forecast.newest import newest_load

        return newest_load(past, count, zone)

    async def set_right(self, told: Sequence[Forecast], past: Powers, site: Site) -> Quantiles:
        """Return the last forecast, set right."""
        from optimizer.forecast.newest import set_right

        return set_right(told, past, *site)


class ProcessReckoner:
    """In a process for each question; `env` is the child's environment."""

    def __init__(self, env: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> None:
        self._env = {**env, **_ONE_THREAD}
        self._timeout_s = timeout_s

    async def clear_sky(self, roof: Roof, start: datetime, count: int) -> Powers:
        """Return the power under a cloudless sky."""
        question = {"roof": asdict(roof), "start": start.isoformat(), "count": count}
        (watts,) = await self._asked("clear_sky", question, 1, count)
        return Powers(start, watts)

    async def power(self, roof: Roof, weather: Weather) -> Powers:
        """Return the power in a weather."""
        question = {"roof": asdict(roof), "weather": _plain(weather)}
        (watts,) = await self._asked("power", question, 1, len(weather.ghi))
        return Powers(weather.start, watts)

    async def own_sun(self, past: Powers, count: int) -> Quantiles:
        """Return the sun's power by the own past."""
        question = {"past": _plain(past), "count": count}
        return Quantiles(past.end, *await self._asked("own_sun", question, 3, count))

    async def own_load(self, past: Powers, count: int, zone: str) -> Quantiles:
        """Return the house's load by the own past."""
        question = {"past": _plain(past), "count": count, "zone": zone}
        return Quantiles(past.end, *await self._asked("own_load", question, 3, count))

    async def set_right(self, told: Sequence[Forecast], past: Powers, site: Site) -> Quantiles:
        """Return the last forecast, set right."""
        question = {"past": _plain(past), "told": [_packed(one) for one in told], "site": site}
        last = told[-1].slots
        return Quantiles(last[0].start_including, *await self._asked("set_right", question, 3, len(last)))

    async def _asked(
        self, what: str, question: Mapping[str, Any], columns: int, count: int
    ) -> list[tuple[float, ...]]:
        try:
            async with asyncio.timeout(self._timeout_s):
                said = await self._said(json.dumps({"what": what, **question}).encode())
        except TimeoutError:
            raise Unavailable(f"not worked out within {self._timeout_s:g} s") from None
        except OSError as error:
            raise Unavailable(f"no process to work it out: {error.strerror}") from error
        return _checked(said, columns, count)

    async def _said(self, question: bytes) -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _PROGRAM,
            env=self._env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            # A sandbox may forbid it, and it may have ended already: neither matters.
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, _LOWEST)
            answer, trouble = await process.communicate(question)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            said = trouble.decode(errors="replace").strip().rpartition("\n")[2][:_TOLD]
            raise Unavailable(said if process.returncode == _CANNOT else f"not worked out: {said}")
        return answer


def _checked(said: bytes, columns: int, count: int) -> list[tuple[float, ...]]:
    try:
        found = json.loads(said)
    except ValueError:
        found = None
    if not isinstance(found, list) or [len(column) for column in found] != [count] * columns:
        raise Unavailable("worked out incompletely")
    if not all(isinstance(power, float) and math.isfinite(power) for column in found for power in column):
        raise Unavailable("worked out to something that is no power")
    return [tuple(column) for column in found]


def _plain(value: Weather | Powers) -> dict[str, Any]:
    return {**asdict(value), "start": value.start.isoformat()}


def answer_stdin() -> None:
    """Answer one question of `ProcessReckoner`: the child's whole life."""
    import warnings

    warnings.simplefilter("ignore")
    try:
        answer = asyncio.run(_answer(json.load(sys.stdin)))
    except Unavailable as error:
        sys.stderr.write(str(error))
        sys.exit(_CANNOT)
    columns = [answer.watts] if isinstance(answer, Powers) else [answer.p10_w, answer.p50_w, answer.p90_w]
    sys.stdout.write(json.dumps(columns))


async def _answer(question: Mapping[str, Any]) -> Powers | Quantiles:
    reckoner = InlineReckoner()
    match question["what"]:
        case "clear_sky":
            start = datetime.fromisoformat(question["start"])
            return await reckoner.clear_sky(_roof(question["roof"]), start, question["count"])
        case "power":
            weather = Weather(**_dated(question["weather"]))
            return await reckoner.power(_roof(question["roof"]), weather)
        case "own_sun":
            return await reckoner.own_sun(Powers(**_dated(question["past"])), question["count"])
        case "own_load":
            past = Powers(**_dated(question["past"]))
            return await reckoner.own_load(past, question["count"], question["zone"])
    told = [_unpacked(one) for one in question["told"]]
    return await reckoner.set_right(told, Powers(**_dated(question["past"])), question["site"])


def _packed(forecast: Forecast) -> list[Any]:
    columns = [[getattr(slot, name) for slot in forecast.slots] for name in ("p10_w", "p50_w", "p90_w")]
    return [forecast.issued_at.isoformat(), forecast.slots[0].start_including.isoformat(), *columns]


def _unpacked(packed: list[Any]) -> Forecast:
    issued, start, *columns = packed
    first = datetime.fromisoformat(start)
    rows = enumerate(zip(*columns, strict=True))
    slots = tuple(ForecastSlot(first + SLOT * number, *quantiles) for number, quantiles in rows)
    return Forecast(datetime.fromisoformat(issued), "", slots)


def _roof(given: Mapping[str, Any]) -> Roof:
    faces = tuple(Face(**face) for face in given["faces"])
    return Roof(**{**given, "faces": faces, "skyline_deg": tuple(given["skyline_deg"])})


def _dated(given: Mapping[str, Any]) -> dict[str, Any]:
    columns = {name: tuple(value) for name, value in given.items() if name != "start"}
    return {**columns, "start": datetime.fromisoformat(given["start"])}
