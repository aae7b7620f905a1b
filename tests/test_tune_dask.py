"""A real Dask cluster on this machine: one of its workers is killed half-way, and nobody notices."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from sunmode_process import Ended, Site
from tuning_cases import ABSURD, SPRING, a_failure, is_soon

from optimizer.clock import SystemClock
from optimizer.tune import cluster

OPTIONS = (*SPRING, *ABSURD, "--trials", "12", "--json")

distributed = pytest.importorskip("distributed", reason="no Dask here: the extra `tune` is not installed")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, "")


@contextmanager
def started(folder: Path, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of Dask's programs while the block lasts."""
    with (folder / f"{args[0]}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + args[0], *args[1:]],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def worker(folder: Path, address: str) -> Any:
    options = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder))
    return started(folder, "worker", address, *options)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler without workers."""
    file = tmp_path / "scheduler.json"
    with started(
        tmp_path,
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--scheduler-file",
        str(file),
    ):
        assert is_soon(lambda: bool(_address(file)), 30.0), "the scheduler did not start"
        yield _address(file)


def _address(file: Path) -> str:
    with suppress(OSError, ValueError):
        return str(json.loads(file.read_text())["address"])
    return ""


def killed_half_way(study: Path, process: subprocess.Popen[bytes]) -> threading.Thread:
    """Kill a worker as soon as the study has some trials."""

    def kill() -> None:
        if is_soon(lambda: study.exists() and study.read_bytes().count(b"\n") > 30):
            process.send_signal(signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def test_a_worker_that_is_killed_takes_no_trial_with_it(site: Site, scheduler: str) -> None:
    alone = call(site, "tune", *OPTIONS, "--jobs", "2", "--study", "alone.jsonl")
    assert alone.code == 0, alone
    study = site.folder / "cluster.jsonl"
    with worker(site.folder, scheduler) as first, worker(site.folder, scheduler):
        thread = killed_half_way(study, first)
        together = call(site, "tune", *OPTIONS, "--dask", scheduler, "--study", str(study))
        thread.join()
        assert first.wait() == -signal.SIGKILL
    assert (together.code, together.err) == (0, "")
    assert json.loads(together.out) == json.loads(alone.out)
    assert sorted(study.read_bytes().splitlines()) == sorted(
        (site.folder / "alone.jsonl").read_bytes().splitlines()
    )


def failed(ended: Ended, code: int, says: str) -> None:
    assert (ended.code, ended.out) == (code, ""), ended
    assert re.search(says, ended.err), ended.err
    assert "Traceback" not in ended.err


def test_a_scheduler_that_does_not_answer_is_told_within_ten_seconds(site: Site) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    began_s = SystemClock().monotonic_s()
    failed(
        call(site, "tune", *OPTIONS, "--dask", address), 1, f"--dask {address}: no scheduler answers there"
    )
    assert SystemClock().monotonic_s() - began_s < 15.0, "10 s and what reading the data takes"


def test_a_scheduler_without_workers_is_told(site: Site, scheduler: str) -> None:
    failed(call(site, "tune", *OPTIONS, "--dask", scheduler), 1, "the scheduler has no workers")


def test_a_scheduler_that_goes_ends_the_run_and_the_study_goes_on(site: Site, tmp_path: Path) -> None:
    study, file = site.folder / "cluster.jsonl", tmp_path / "scheduler.json"
    options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    with started(tmp_path, "scheduler", *options) as process:
        assert is_soon(lambda: bool(_address(file)), 30.0), "the scheduler did not start"
        with worker(site.folder, _address(file)):
            thread = killed_half_way(study, process)
            ended = call(site, "tune", *OPTIONS, "--dask", _address(file), "--study", str(study))
            thread.join()
    failed(ended, 1, "--dask: the scheduler is gone; the same command goes on where it was")
    kept = study.read_bytes()
    assert call(site, "tune", *OPTIONS, "--jobs", "1", "--study", str(study)).code == 0
    assert study.read_bytes().startswith(kept)


@pytest.mark.parametrize("address", ["nonsense", "tcp://", "ftp://127.0.0.1:1", ""])
def test_what_is_no_address_is_told(site: Site, address: str) -> None:
    failed(call(site, "tune", *OPTIONS, "--dask", address), 2, r"--dask .*: needs tcp://HOST:PORT")


class Elsewhere:
    """A cluster's client whose one worker has another Numba and no sunmode by its name."""

    def run(self, function: Any, **_options: Any) -> dict[str, dict[str, str]]:
        found = {**function(), "numba": "0.0.1"}
        del found["sunmode"]
        return {"tcp://10.0.0.1:4": found}


def test_other_versions_on_a_worker_are_a_warning() -> None:
    (told,) = cluster.differences(Elsewhere())
    numba, sunmode = (cluster.versions_here()[name] for name in ("numba", "sunmode"))
    assert told == (
        f"tcp://10.0.0.1:4 has numba 0.0.1, here {numba}; sunmode missing, here {sunmode}: results may differ"
    )


def test_a_trial_that_fails_there_is_told_as_it_would_be_here(
    site: Site, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_scores", a_failure)
    with worker(site.folder, scheduler):
        failed(call(site, "tune", *OPTIONS, "--dask", scheduler), 1, "strategy 'x' failed at noon")


def test_without_distributed_it_says_how_to_install_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    failed(call(site, "tune", *OPTIONS, "--dask", "tcp://127.0.0.1:1"), 2, r"pip install 'sunmode\[tune\]'")
