"""One source, two speeds: functions with other functions put in their place, plain or compiled by Numba.

A function is copied with the globals of its module, in which each function of ours that it calls is replaced
by its own such copy.  Numba's cache looks at one file only: it is kept in a folder named by the hash of all
sources, so that a change anywhere compiles anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

Function = Callable[..., Any]

_OURS = ("optimizer", "strategies")
_APART = frozenset({"charger_moved", "_follows"})
"""Functions that are seldom called: not compiled into their callers, which saves time to compile."""

_INNER: dict[Function, Function] = {}
"""Compiled functions that every strategy shares."""


def plain(function: Function, stand_ins: Mapping[Function, Function]) -> Function:
    """Return `function` with the stand-ins in the places of what they stand for, as plain Python."""
    return _Specialist(stand_ins, lambda copy: copy, {}).of(function)


def compiled(function: Function, stand_ins: Mapping[Function, Function] | None = None) -> Function:
    """Return the same compiled; the first call compiles, or loads what an earlier process compiled.

    Integer and floating-point arithmetic is that of Python: no fast-math, so both give the same bits.
    """
    import numba

    stand_ins = stand_ins or {}
    # Numba sets its options as attributes of the module when it is imported.
    setattr(numba.config, "CACHE_DIR", str(_cache_folder(_files(function, stand_ins))))  # noqa: B010
    whole = _Specialist(stand_ins, _inner, _INNER).copy(function)
    names = sorted(f"{other.__module__}.{other.__qualname__}" for other in stand_ins.values())
    tag = hashlib.sha256(" ".join(names).encode()).hexdigest()[:12]
    whole.__qualname__ = f"{function.__qualname__}_{tag}"
    compiled_whole: Function = numba.njit(cache=True)(whole)
    return compiled_whole


def _inner(function: Function) -> Function:
    """Compile for compiled callers only, as a rule into them: calls with many numbers are dear."""
    import numba

    # Wrappers would let Python call it, and take a third of the time to compile.
    options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    compiled_part: Function = numba.njit(forceinline=function.__name__ not in _APART, **options)(function)
    return compiled_part


class _Specialist:
    """Makes the copies, each once; `shared` keeps those that no stand-in concerns."""

    def __init__(
        self,
        stand_ins: Mapping[Function, Function],
        finish: Callable[[Function], Function],
        shared: dict[Function, Function],
    ) -> None:
        self._stand_ins = stand_ins
        self._finish = finish
        self._shared = shared
        self._own: dict[Function, Function] = {}

    def of(self, function: Function) -> Function:
        """Return what takes the place of `function`, finished."""
        function = self._stand_ins.get(function, function)
        if not isinstance(function, FunctionType):
            return function
        done = self._own if self._is_concerned(function) else self._shared
        if function not in done:
            done[function] = self._finish(self.copy(function))
        return done[function]

    def copy(self, function: Function) -> FunctionType:
        """Return a copy whose globals name the parts that `of` returns."""
        assert isinstance(function, FunctionType)  # noqa: S101 - whoever calls has made sure
        parts = {name: self.of(part) for name, part in _parts(function)}
        copy = FunctionType(
            function.__code__,
            {**function.__globals__, **parts},
            function.__name__,
            function.__defaults__,
            function.__closure__,
        )
        copy.__qualname__, copy.__module__ = function.__qualname__, function.__module__
        return copy

    def _is_concerned(self, function: FunctionType) -> bool:
        """Tell whether a stand-in is somewhere below this function."""
        return any(part in self._stand_ins or self._is_concerned(part) for _, part in _parts(function))


def _parts(function: FunctionType) -> Iterator[tuple[str, FunctionType]]:
    """Yield the functions of ours, or of the function's own module, that it names."""
    own = function.__module__.partition(".")[0]
    for name in function.__code__.co_names:
        part = function.__globals__.get(name)
        if isinstance(part, FunctionType) and part.__module__.partition(".")[0] in (*_OURS, own):
            yield name, part


def _files(function: Function, stand_ins: Mapping[Function, Function]) -> frozenset[Path]:
    """Return the files of all functions that would be compiled."""
    found: dict[Function, Path] = {}

    def visit(part: Function) -> Function:
        found[part] = Path(part.__code__.co_filename)
        return part

    _Specialist(stand_ins, visit, {}).of(function)
    return frozenset(found.values())


@cache
def _cache_folder(files: frozenset[Path]) -> Path:
    """Return a folder for what is compiled from exactly these sources and all of `optimizer`."""
    digest = hashlib.sha256()
    for path in sorted({*files, *Path(__file__).parents[1].rglob("*.py")}):
        digest.update(path.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "sunmode" / digest.hexdigest()[:16]
