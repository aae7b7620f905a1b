"""What has been tried, in a file: a search that is killed goes on where it was.

A search is deterministic, so it is enough to remember what each trial came to: the next process asks the same
questions and finds the answers.  The first line says what the study is about, each further one is a trial.  A
line that death cut short is dropped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from optimizer.errors import InputError
from optimizer.runtime.locks import held
from optimizer.tune.evaluate import Score
from optimizer.tune.space import Plain

_KIND = "sunmode tune"


class Study:
    """The scores that are known, by split and parameters; each new one is in the file at once."""

    def __init__(self, path: Path, fd: int, known: dict[str, Score]) -> None:
        self.path = path
        self._fd = fd
        self._known = known

    def __len__(self) -> int:
        return len(self._known)

    def get(self, split: str, values: Plain) -> Score | None:
        """Return the score of these parameters if they have been tried."""
        return self._known.get(_key(split, values))

    def put(self, split: str, values: Plain, score: Score) -> None:
        """Remember a score."""
        self._known[_key(split, values)] = score
        line = {"split": split, "params": dict(values), **asdict(score)}
        os.write(self._fd, json.dumps(line).encode() + b"\n")

    @classmethod
    @contextmanager
    def opened(cls, path: Path, about: Mapping[str, str]) -> Iterator[Self]:
        """Hold the study at `path`, a new one if there is no such file.

        Raises:
            InputError: the file is something else, or a study about something else; it is named.
            AnotherInstance: another process goes on with it.

        """
        if path.is_dir():
            raise InputError(f"--study {path}: is a directory")
        with held(path.with_name(f"{path.name}.lock"), "the same study"):
            known = _read(path, about)
            try:
                fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise InputError(f"--study {path}: {error.strerror}") from error
            try:
                if known is None:
                    os.write(fd, json.dumps({"kind": _KIND, "about": dict(about)}).encode() + b"\n")
                yield cls(path, fd, known or {})
            finally:
                os.close(fd)


def _read(path: Path, about: Mapping[str, str]) -> dict[str, Score] | None:
    """Return what is known, None where there is no study yet; what a death cut short is cut off."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"--study {path}: {error.strerror}") from error
    whole = text[: text.rfind(b"\n") + 1]
    if text and not whole and not text.startswith(b'{"kind"'):
        raise InputError(f"--study {path}: is no study of sunmode tune")
    head, *lines = whole.splitlines() or [b""]
    if head:
        _check(path, head, about)
    if len(whole) < len(text):
        os.truncate(path, len(whole))
    return dict(_trial(path, line) for line in lines) if head else None


def _check(path: Path, head: bytes, about: Mapping[str, str]) -> None:
    try:
        begun: Any = json.loads(head)
        kind, was = begun["kind"], begun["about"]
    except (ValueError, KeyError, TypeError):
        kind, was = None, {}
    if kind != _KIND:
        raise InputError(f"--study {path}: is no study of sunmode tune")
    other = [name for name in {**was, **about} if was.get(name) != about.get(name)]
    if other:
        told = "; ".join(_told(name, was.get(name), about.get(name)) for name in other)
        raise InputError(f"--study {path}: was begun otherwise ({told}): name another file")


def _told(name: str, was: str | None, now: str | None) -> str:
    return f"{name} {was}, now {now}" if name.startswith("--") else f"other {name}"


def _trial(path: Path, line: bytes) -> tuple[str, Score]:
    try:
        read = json.loads(line)
        return _key(read["split"], read["params"]), Score(read["cost_eur"], read["changes_per_day"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"--study {path}: a line is damaged: {line[:60]!r}") from error


def _key(split: str, values: Plain) -> str:
    return json.dumps([split, dict(values)], sort_keys=True)
