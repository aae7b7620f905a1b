"""How long the service takes from its process's start to READY and to its first decision."""

from __future__ import annotations

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


def _figures(what: str, config: Path, database: Path) -> list[Result]:
    first, ready, decided = [], [], []
    for _ in range(_RUNS):
        _forget(database)
        first.append(_start(config)[0])
        again = _start(config)
        ready.append(again[0])
        decided.append(again[1])
    return [
        Result(f"start to READY, {what}, new log", median(first), "s", LIMIT_S, COMMAND),
        Result(f"start to READY, {what}", median(ready), "s", LIMIT_S, COMMAND),
        Result(f"start to first decision, {what}", median(decided), "s", None, COMMAND),
    ]


def _start(config: Path) -> tuple[float, float]:
    with sunmode_run(config) as service:
        return service.until(READY), service.until(CYCLE_ENDED)


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
