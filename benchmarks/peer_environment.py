"""Peers in environments of their own: installed from PyPI the first time they are asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from places import ROOT
from result import Skipped

_SCRIPTS = Path(__file__).parent / "peers"
_PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True)
class Peer:
    """What is installed, and the script in `peers/` that asks it."""

    requirement: str
    script: str

    @property
    def folder(self) -> Path:
        """Its environment."""
        return ROOT / f".venv-{self.requirement.partition('==')[0]}"

    def answer(self, question: str = "") -> str:
        """Return the last line that the script prints for what it reads.

        Raises:
            Skipped: it cannot be installed here, or fails.

        """
        lines = _run([self._python(), str(_SCRIPTS / self.script)], question).strip().splitlines()
        if not lines:
            raise Skipped(f"{self.script} says nothing")
        return lines[-1]

    def _python(self) -> str:
        """Return the Python that has the peer; installed once."""
        python, done = self.folder / "bin" / "python", self.folder / ".installed"
        if not done.exists():
            print(f"installing {self.requirement} into {self.folder.name} ...", file=sys.stderr, flush=True)
            _run([sys.executable, "-m", "venv", "--clear", str(self.folder)])
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, self.requirement])
            done.touch()
        return str(python)


def _run(command: Sequence[str], question: str = "") -> str:
    try:
        done = subprocess.run(
            command, input=question, capture_output=True, text=True, check=True, timeout=_PATIENCE_S
        )
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"exit code {error.returncode}"]
        raise Skipped(f"{Path(command[0]).name} {command[1]}: {lines[-1]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Skipped(str(error)) from error
    return done.stdout
