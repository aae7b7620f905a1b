"""`sunmode virtual` as another program uses it: the three calls, the callbacks, and the truth."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_guide_server import guide_server
from sunmode_process import free_port

ROOT = Path(__file__).parents[1]
SUNMODE = Path(sys.executable).with_name("sunmode")
API = "/proxyApp/proxy/api/"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[httpx.Client, dict[str, str]]]:
    """A client of the running command, and what the command has told to use."""
    command = [str(SUNMODE), "virtual", "--port", str(free_port())]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        told = re.match(
            r"(?P<url>\S+)  token (?P<token>\S+)  inverter (?P<inverter>\S+)  chargers (?P<charger>\S+)",
            server.stdout.readline(),
        )
        assert told is not None
        with httpx.Client(base_url=told["url"], trust_env=False) as client:
            yield client, told.groupdict()
        server.terminate()
        assert server.wait(10) == 0


def test_house_and_charger_answer_in_the_vendors_format(served: tuple[httpx.Client, dict[str, str]]) -> None:
    client, told = served
    house = client.get(
        f"{API}getRealtimeInfo.do", params={"tokenId": told["token"], "sn": told["inverter"]}
    ).json()
    assert house["success"]
    assert house["result"]["uploadTime"]
    pile = client.get(
        f"{API}getPileInfo", params={"tokenId": told["token"], "pileSn": told["charger"]}
    ).json()
    assert pile["success"]


def test_a_command_is_reported_by_callback(served: tuple[httpx.Client, dict[str, str]]) -> None:
    client, told = served
    with guide_server() as receiver:
        order: dict[str, Any] = {"tokenId": told["token"], "rwType": "2", "cmdType": "1", "cmdValue": "3"}
        order |= {"sns": [told["charger"]], "callbackUrl": f"{receiver.url}/told"}
        assert client.post(f"{API}pileCmd", json=order).json()["success"]
        assert receiver.arrived.wait(20)
        threading.Event().wait(0.1)
    (heard, *_) = receiver.heard
    assert heard.path == "/told"
    assert str(json.loads(heard.body)["rspType"]) == "1"


def test_the_truth_is_there_for_human_eyes_and_costs_no_call(
    served: tuple[httpx.Client, dict[str, str]],
) -> None:
    client, told = served
    before, after = (client.get("/virtual/state").json() for _ in range(2))
    assert before["calls"] == after["calls"]
    assert [charger["serial"] for charger in after["chargers"]] == [told["charger"]]
    assert told["token"] not in json.dumps(after)
