"""Where benchmarks work and what with: the shipped config, a real measured day, files on the real disk."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from optimizer.config import Settings, load_settings

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
SHIPPED = ROOT / "config.toml"
SUNNY_MORNING = datetime(2019, 9, 10, 4, tzinfo=UTC)
"""A day with sun, clouds and a car at home, as in the demo."""


@contextmanager
def workplace() -> Iterator[Path]:
    """Yield an empty folder on the disk of the project (a RAM disk would flatter every commit)."""
    cache = ROOT / "data" / "cache"
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=cache) as folder:
        yield Path(folder)


def shipped(database: Path, strategy: str = "planner") -> Settings:
    """Return the shipped settings with another database, and perhaps another strategy than the default."""
    settings = load_settings(SHIPPED, {"SUNMODE_STRATEGY__NAME": strategy})
    store = settings.store.model_copy(update={"path": database})
    return settings.model_copy(update={"store": store})


def write_config(folder: Path, *, port: int, every_s: float) -> Path:
    """Write a config for a cloud on this machine with a cycle and new samples every so many seconds."""
    path = folder / f"config-{port}.toml"
    path.write_text(
        f"""
        [solax]
        base_url = "http://127.0.0.1:{port}"
        inverter = "VIRTUALINV"
        telemetry_interval_s = {min(300, 5 * every_s)}
        [[charger]]
        name = "garage"
        serial = "VIRTUAL0001"
        [control]
        cycle_s = {every_s}
        [store]
        path = "{port}.db"
        """,
        encoding="utf-8",
    )
    return path
