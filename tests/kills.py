"""Two supervisors that both want to run sunmode on one site, an owner who checks, a hand that pulls the plug.

`make kills` runs it for five minutes; the everyday tests do so for half a minute.
"""

from __future__ import annotations

import itertools
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fake_guide_server import Heard, guide_server
from guide_home import FAST, STOP, GuideHome
from sunmode_process import Running, Site, pause, site_of

PATIENCE_S = 10.0
SAME_AGAIN_S = 85.0
"""A command that is not confirmed is sent again after 90 s, and not earlier because of a restart."""
_OFTEN = (
    ("charger_active_s = 60, charger_idle_s = 60", "charger_active_s = 1, charger_idle_s = 1"),
    ('level = "debug"', 'level = "info"'),
)


@dataclass
class Witness:
    """What was seen in a campaign."""

    home: GuideHome
    site: Site
    ends: Counter[int] = field(default_factory=Counter)
    checks: Counter[int] = field(default_factory=Counter)
    kills: int = 0
    last_code: int | None = None

    def verify(self) -> None:
        """Compare what the server heard with what the log says, and both with the promises."""
        assert self.home.most_in_a_minute() <= 9
        told = (self.site.folder / "stderr.log").read_text()
        # SIGTERM: while it was still importing; 1: it told that it could not bring the charger to rest.
        assert set(self.ends) <= {0, 1, 75, -signal.SIGKILL, -signal.SIGTERM}, self.ends
        assert self.ends[1] <= told.count("may go on drawing from the grid")
        assert "Traceback" not in told
        assert set(self.checks) <= {0, 1}, self.checks
        with closing(sqlite3.connect(self.site.database)) as conn:
            assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        self._verify_calls()
        self._verify_commands()

    def _verify_calls(self) -> None:
        """Each call that was heard has a row of its own; a row that was not heard was cut off by a kill."""
        rows = self.site.rows("SELECT endpoint, reserved_s, completed_s, outcome FROM call ORDER BY id")
        shift_s = time.clock_gettime(time.CLOCK_BOOTTIME) - time.perf_counter()
        unheard = rows[::-1]  # where two rows would do, the later one is meant: the former was cut off
        for call in self.home.calls():
            row = next((row for row in unheard if _tells(row, call, shift_s)), None)
            assert row is not None, f"no row tells of {call.path} at {call.at_s + shift_s:.3f} s: {rows}"
            unheard.remove(row)
        assert all(row[3] in (None, "not_sent") for row in unheard), unheard
        assert len(unheard) <= self.kills

    def _verify_commands(self) -> None:
        """Each command that was heard is in the log as sent, in order, and none came again too early."""
        logged = self.site.rows("SELECT mode FROM command WHERE sent_at IS NOT NULL ORDER BY id")
        unheard = iter(mode for (mode,) in logged)
        assert all(mode in unheard for mode in self.home.modes()), "a subsequence of what was sent"
        assert len(logged) - len(self.home.modes()) <= self.kills
        heard = list(zip(self.home.modes(), self.home.calls("pileCmd"), strict=True))
        for (mode, call), (next_mode, next_call) in itertools.pairwise(heard):
            assert mode != next_mode or next_call.at_s - call.at_s > SAME_AGAIN_S
        assert self.last_code in (0, 1)
        assert (self.home.settled() == STOP) >= (self.last_code == 0), "a clean stop leaves it resting"


def _tells(row: tuple[Any, ...], call: Heard, shift_s: float) -> bool:
    endpoint, reserved_s, completed_s, _ = row
    ended_s = reserved_s + 15.0 if completed_s is None else completed_s
    named = call.path.rpartition("/")[2].removesuffix(".do") == endpoint
    return named and reserved_s - 0.01 <= call.at_s + shift_s <= ended_s + 0.01


def campaign(folder: Path, token: str, seconds: float, seed: int = 1) -> Witness:
    """Let two supervisors and an owner have their way for `seconds`, then stop cleanly."""
    rng = random.Random(seed)
    home = GuideHome(token=token, telemetry_s=1.0, lost_commands=1)
    with guide_server(home), ExitStack() as processes:
        witness = Witness(home, site_of(home, folder, *_OFTEN))
        over = threading.Event()
        owner = threading.Thread(target=_check_now_and_then, args=(witness, over, random.Random(seed)))
        owner.start()
        end_s = time.perf_counter() + seconds
        pair = [_started(witness, processes) for _ in range(2)]
        while time.perf_counter() < end_s:
            pause(rng.uniform(2.0, 7.0))
            pair = [_followed(run, witness, processes, rng) for run in pair]
        over.set()
        owner.join()
        _end(pair, witness)
        pause(2 * home.latency_s)
        home.settled()
    return witness


def _started(witness: Witness, processes: ExitStack) -> Running:
    return processes.enter_context(witness.site.running())


def _followed(run: Running, witness: Witness, processes: ExitStack, rng: random.Random) -> Running:
    """Return the successor of a process that has ended, or end it by chance: mostly the hard way."""
    code = run.process.poll()
    if code is None:
        choice = rng.random()
        if choice < 0.5:
            return run
        run.process.send_signal(signal.SIGTERM if choice > 0.9 else signal.SIGKILL)
        code = run.process.wait(PATIENCE_S)
        witness.kills += code == -signal.SIGKILL
    witness.ends[code] += 1
    return _started(witness, processes)


def _end(pair: list[Running], witness: Witness) -> None:
    """Stop both, and run once more to an end that is certain to be that of a service."""
    for run in pair:
        run.stop()
        witness.ends[run.process.returncode] += 1
    with witness.site.running() as last:
        last.until_said('"event": "started"')
        last.stop()
        witness.last_code = last.process.returncode


def _check_now_and_then(witness: Witness, over: threading.Event, rng: random.Random) -> None:
    while not over.wait(rng.uniform(4.0, 12.0)):
        witness.checks[witness.site.run("check").code] += 1


def main() -> None:
    """Run for as many seconds as the command line says."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 300.0
    with tempfile.TemporaryDirectory() as folder:
        witness = campaign(Path(folder), "202611220000KILLS0000000", seconds)
        witness.verify()
    heard = Counter(call.path.rpartition("/")[2] for call in witness.home.calls())
    sys.stdout.write(
        f"{seconds:g} s: {witness.kills} kills, ends {dict(witness.ends)}, checks {dict(witness.checks)}; the"
        f" server heard {dict(heard)}, at most {witness.home.most_in_a_minute()} in any minute,"
        f" {witness.home.modes().count(FAST)} times FAST; the log tells the same\n"
    )


if __name__ == "__main__":
    main()
