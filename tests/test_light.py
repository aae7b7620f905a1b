"""What is loaded when: a small computer runs the service for years, and `--help` answers at once.

Structure, not seconds: those are measured by `make bench`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from fake_guide_server import guide_server

ROOT = Path(__file__).parents[1]
FRAMES = {"pandas", "pyarrow", "pvlib", "numpy", "scipy"}
SERVERS = {"starlette", "uvicorn"}
LIBRARIES = {"apscheduler", "httpx", "pydantic", "rich", "sqlite_utils"}

TOLD_AT_THE_END = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps([name for name, module in sys.modules.items() if module])))
"""
CONFIG = """
[solax]
base_url = "{url}"
inverter = "SWLIGHT001"

[[charger]]
name = "garage"
serial = "SQLIGHT001"

[store]
path = "sunmode.db"
"""


def loaded(stdout: bytes) -> set[str]:
    """Return the packages that a program had loaded when it ended: the last line that it printed."""
    return {name.partition(".")[0] for name in json.loads(stdout.splitlines()[-1])}


def loaded_by(program: str) -> set[str]:
    """Run a program to its end and return the packages that it loaded."""
    arguments = [sys.executable, "-c", TOLD_AT_THE_END + program]
    return loaded(subprocess.run(arguments, cwd=ROOT, check=True, capture_output=True, timeout=60).stdout)


def test_help_loads_nothing_that_it_does_not_need() -> None:
    packages = loaded_by("from optimizer.cli import main; main(['--help'])")
    assert "click" in packages
    heavy = (
        FRAMES | SERVERS | {"httpx", "pydantic", "sqlite_utils", "apscheduler", "rich", "asyncio", "sqlite3"}
    )
    assert not packages & heavy


def test_the_core_and_the_strategies_load_no_library_that_touches_the_world() -> None:
    packages = loaded_by("import optimizer.control.guards, optimizer.control.commands, strategies.threshold")
    assert not packages & (FRAMES | SERVERS | LIBRARIES | {"asyncio", "logging", "sqlite3", "socket"})


def test_the_running_service_loads_no_frames_and_no_server(tmp_path: Path, token: str) -> None:
    name = f"sunmode-light-{os.getpid()}"
    run = "from optimizer.cli import main; main(['run'])"
    with guide_server() as guide, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        (tmp_path / "config.toml").write_text(CONFIG.format(url=guide.url))
        inbox.bind(f"\0{name}")
        inbox.settimeout(60.0)
        with subprocess.Popen(
            [sys.executable, "-c", TOLD_AT_THE_END + run],
            cwd=tmp_path,
            env={**os.environ, "SUNMODE_SOLAX__TOKEN": token, "NOTIFY_SOCKET": f"@{name}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as service:
            while b"WATCHDOG=1" not in inbox.recv(65_536):
                pass
            service.terminate()
            packages = loaded(service.communicate(timeout=60)[0])
    assert {heard.method for heard in guide.heard} >= {"GET"}
    assert {"httpx", "pydantic", "sqlite_utils", "apscheduler"} <= packages
    assert not packages & (FRAMES | SERVERS)


def test_the_virtual_home_brings_no_pandas_and_neither_does_the_log_beside_it() -> None:
    packages = loaded_by(
        "from pathlib import Path; from optimizer.simulation.series import read_house;"
        "read_house(Path('data/samples/house_ohrberg_2019.parquet'));"
        "from optimizer.store.sqlite import sqlite_utils_without_pandas; sqlite_utils_without_pandas()"
    )
    assert {"numpy", "pyarrow", "sqlite_utils"} <= packages
    assert "pandas" not in packages


def test_pandas_can_be_used_beside_the_log() -> None:
    packages = loaded_by(
        "from optimizer.store.sqlite import sqlite_utils_without_pandas; sqlite_utils_without_pandas();"
        "import pandas; pandas.DataFrame({'pv_w': [1.0]}).sum()"
    )
    assert {"pandas", "sqlite_utils"} <= packages
