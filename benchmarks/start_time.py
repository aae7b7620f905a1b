"""How long the service takes from its process's start to READY and to its first decision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from places import ROOT, SHIPPED, workplace, write_config
from processes import CYCLE_ENDED, READY, cloud_process, free_port, sunmode_run, virtual
from result import Result

COMMAND = "python benchmarks/run.py start"
LIMIT_S = 1.5
_RUNS = 5


def measure() -> list[Result]:
    """Start it with a new log and again with that log, before a cloud elsewhere and before its own."""
    with workplace() as folder:
        port = free_port()
        elsewhere = write_config(folder, port=port, every_s=60.0)
        with cloud_process(virtual(port), port):
            results = _figures("cloud elsewhere", elsewhere, folder / f"{port}.db")
        return results + _figures("virtual home as shipped", _shipped_config(folder), folder / "shipped.db")


@dataclass(frozen=True, slots=True)
class Start:
    """One start, in seconds after the process's own; `cpu_s` is what was computed until READY."""

    ready_s: float
    cpu_s: float
    decided_s: float


def _figures(what: str, config: Path, database: Path) -> list[Result]:
    first, again = [], []
    for _ in range(_RUNS):
        _forget(database)
        first.append(_start(config))
        again.append(_start(config))
    ready, decided = median(one.ready_s for one in again), median(one.decided_s for one in again)
    computed = median(one.cpu_s for one in again)
    return [
        Result(f"start to READY, {what}", ready, "s", LIMIT_S, COMMAND),
        Result("  of it computing", computed, "s", None, COMMAND),
        Result(
            "  the first start, with a new log", median(one.ready_s for one in first), "s", LIMIT_S, COMMAND
        ),
        Result("  start to the first decision", decided, "s", None, COMMAND),
    ]


def _start(config: Path) -> Start:
    with sunmode_run(config) as service:
        ready_s = service.until(READY)
        return Start(ready_s, service.cpu_s(), service.until(CYCLE_ENDED))


def _forget(database: Path) -> None:
    for file in database.parent.glob(f"{database.name}*"):
        file.unlink()


def _shipped_config(folder: Path) -> Path:
    """Return the shipped config with its files by full name, and a log of its own."""
    text = SHIPPED.read_text(encoding="utf-8")
    text = text.replace('"data/samples/', f'"{ROOT}/data/samples/')
    path = folder / "shipped.toml"
    path.write_text(text.replace("data/sunmode.db", "shipped.db"), encoding="utf-8")
    return path
