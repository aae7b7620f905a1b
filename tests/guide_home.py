"""A house with chargers behind the server of `fake_guide_server`: it obeys after a while and counts calls.

Written from the guide and from what users recorded, without a line of sunmode's own code.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fake_guide_server import PREFIX, Guide, Heard, Reply, told

STOP, FAST, ECO, GREEN = range(4)
AVAILABLE, PREPARING, CHARGING = range(3)
INVERTER = "SWGUIDE001"
GARAGE = "SQGUIDE001"
WINDOW_S = 60.0
_FIRST_SAMPLE = datetime(2026, 6, 1, 12, 0)  # noqa: DTZ001 - the vendor's stamps have no zone
_POWER_W = {STOP: 0.0, FAST: 7360.0, ECO: 1380.0, GREEN: 1380.0}


@dataclass
class Pile:
    """One charger: the mode it is in, and the one it is on its way to."""

    mode: int = STOP
    connected: bool = True
    coming: tuple[int, float] | None = None

    def settle(self, now_s: float) -> None:
        """Be in the mode that was commanded long enough ago."""
        if self.coming is not None and now_s >= self.coming[1]:
            self.mode, self.coming = self.coming[0], None

    @property
    def power_w(self) -> float:
        """What the car draws."""
        return _POWER_W[self.mode] if self.connected else 0.0


@dataclass
class GuideHome(Guide):
    """The cloud with one house; `now_s` is its only clock.

    Samples come every `telemetry_s`, the second one `first_sample_s` after the first look; a charger obeys
    `latency_s` after its command.  `lost_commands` are accepted and forgotten, `slow_commands_s` holds back
    their answers, `command_reply` is what is said to each in place of an answer, `frozen` stops the samples.
    """

    token: str = field(default="", repr=False)
    piles: dict[str, Pile] = field(default_factory=lambda: {GARAGE: Pile()})
    telemetry_s: float = 30.0
    first_sample_s: float = 0.7
    latency_s: float = 0.3
    lost_commands: int = 0
    slow_commands_s: float = 0.0
    command_reply: Reply | None = None
    frozen: bool = False
    pv_w: float = 3000.0
    now_s: Callable[[], float] = time.perf_counter
    commands: list[dict[str, Any]] = field(default_factory=list, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _looked_s: float | None = None
    _sample: int = 0

    def answer(self, heard: Heard) -> Reply:
        """Answer from the state of the house, as the cloud does."""
        routes = {
            ("GET", f"{PREFIX}getPileInfo"): self._pile_info,
            ("GET", f"{PREFIX}getRealtimeInfo.do"): self._realtime,
            ("POST", f"{PREFIX}pileCmd"): self._command,
        }
        route = routes.get((heard.method, heard.path))
        if route is None:
            return Reply(404, b"<html>no such page</html>")
        asked = dict(heard.query) if heard.method == "GET" else json.loads(heard.body)
        if asked.get("tokenId") != self.token:
            return told({"success": False, "exception": "token invalid!", "code": 103})
        if heard.method == "POST" and self.command_reply is not None:
            return self.command_reply
        with self._lock:
            reply = told(route(asked))
        if heard.method == "POST":
            self.stop.wait(self.slow_commands_s)
        return reply

    def calls(self, endpoint: str = "") -> list[Heard]:
        """Return what was heard, of one endpoint or of all."""
        return [heard for heard in list(self.heard) if endpoint in heard.path]

    def modes(self) -> list[int]:
        """Return the modes that were commanded, in order."""
        return [int(command["cmdValue"]) for command in list(self.commands)]

    def settled(self, serial: str = GARAGE) -> int:
        """Return the mode that a charger is in now."""
        with self._lock:
            self.piles[serial].settle(self.now_s())
            return self.piles[serial].mode

    def most_in_a_minute(self) -> int:
        """Return the largest number of calls that arrived within any 60 s."""
        arrivals_s = sorted(heard.at_s for heard in list(self.heard))
        return max(sum(0.0 <= at_s - begin_s < WINDOW_S for at_s in arrivals_s) for begin_s in arrivals_s)

    def _pile_info(self, asked: dict[str, Any]) -> dict[str, Any]:
        pile = self.piles.get(asked.get("pileSn", ""))
        if pile is None:
            return {"success": False, "exception": "no auth!", "code": 1003}
        pile.settle(self.now_s())
        status = CHARGING if pile.power_w else PREPARING if pile.connected else AVAILABLE
        result = {
            "chargerStatus": status,
            "chargingMode": pile.mode,
            "chargeEnergy": 0.0,
            "chargingPower": pile.power_w,
        }
        return {"success": True, "exception": "query success", "result": result}

    def _realtime(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked.get("sn") != INVERTER:
            return {"success": False, "exception": "Query success!", "result": "this sn did not access!"}
        now_s = self.now_s()
        if self._looked_s is None:
            self._looked_s = now_s
        if not self.frozen:
            self._sample = int(
                (now_s - self._looked_s + self.telemetry_s - self.first_sample_s) // self.telemetry_s
            )
        load_w = 300.0 + self._sample % 7  # a meter that repeats itself to the bit looks frozen
        car_w = sum(pile.power_w for pile in self.piles.values())
        uploaded = _FIRST_SAMPLE + timedelta(seconds=self._sample * self.telemetry_s)
        result = {
            "inverterSN": "NOTAREALSN4242",
            "sn": INVERTER,
            "acpower": self.pv_w,
            "feedinpower": self.pv_w - load_w - car_w,
            "soc": 0.0,
            "uploadTime": f"{uploaded:%Y-%m-%d %H:%M:%S}",
            "batPower": 0.0,
            "powerdc1": self.pv_w,
            "powerdc2": None,
        }
        return {"success": True, "exception": "Query success!", "result": result, "code": 0}

    def _command(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.commands.append(asked)
        if self.lost_commands:
            self.lost_commands -= 1
        else:
            due_s = self.now_s() + self.latency_s
            for serial in asked["sns"]:
                self.piles[serial].coming = (int(asked["cmdValue"]), due_s)
        task_id = f"{len(self.commands):032x}"
        return {"success": True, "exception": "accept success", "result": {"taskId": task_id}}
