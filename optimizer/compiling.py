"""One source, two speeds: functions with other functions put in their place, plain or compiled by Numba.

A function is copied with the globals of its module, in which each function of ours that it calls is replaced
by its own such copy.  Numba is imported with the first function that is compiled.  Its own cache looks at one
file only: machine code is kept in a folder named by the code of all functions that it is made of, so that a
change in any of them compiles anew.
"""

from __future__ import annotations

import dis
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from types import CodeType, FunctionType, MappingProxyType
from typing import Any

Function = Callable[..., Any]
StandIns = Mapping[Function, Function]

_OURS = ("optimizer", "strategies")
_NOBODY: StandIns = MappingProxyType({})

_WHOLE: dict[tuple[object, ...], Function] = {}
"""What was compiled, by what it was made of and how."""

_INNER: dict[tuple[bool, str], dict[Function, Function]] = {}
"""Compiled parts that no stand-in concerns, shared by all that are compiled in the same way."""


def plain(function: Function, stand_ins: StandIns = _NOBODY) -> Function:
    """Return `function` with the stand-ins in the places of what they stand for, as plain Python."""
    return _Specialist(stand_ins, lambda copy: copy, {}).of(function)


def compiled(
    function: Function,
    stand_ins: StandIns = _NOBODY,
    *,
    apart: frozenset[str] | None = None,
    error_model: str = "python",
) -> Function:
    """Return the same compiled, made once; its first call compiles, or loads what another process compiled.

    Arithmetic is that of Python: no fast-math, so that both give the same bits.  All parts but those whose
    names are in `apart` are compiled into their callers (None: as the compiler likes).  A sandbox that allows
    no new machine code (systemd's MemoryDenyWriteExecute) gets plain Python.
    """
    wanted = (function, frozenset(stand_ins.items()), apart, error_model)
    if wanted not in _WHOLE:
        _WHOLE[wanted] = _made(function, stand_ins, apart, error_model)
    return _WHOLE[wanted]


def with_arrays(part: Any) -> Any:
    """Return named tuples with arrays in place of rows of numbers, as compiled code takes them."""
    import numpy as np

    if hasattr(part, "_fields"):
        return type(part)(*(with_arrays(each) for each in part))
    return np.array(part) if isinstance(part, list | tuple) else part


def _made(
    function: Function, stand_ins: StandIns, apart: frozenset[str] | None, error_model: str
) -> Function:
    try:
        import numba
    except OSError:
        return plain(function, stand_ins)
    inner = partial(_inner, apart=apart, error_model=error_model)
    shared = _INNER.setdefault((apart is None, error_model), {})
    whole = _Specialist(stand_ins, inner, shared).copy(function)
    how = f"{error_model} {sorted(apart or ())}"
    key = hashlib.sha256(f"{_key(function, stand_ins)} {how}".encode()).hexdigest()[:16]
    whole.__qualname__ = f"{function.__qualname__}_{key}"
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(_cache_folder() / key)
    options: dict[str, Any] = {"error_model": error_model, "nogil": True}
    try:
        return numba.njit(cache=True, **options)(whole)  # type: ignore[no-any-return]
    except RuntimeError:  # no folder can be written: compile anew each time
        return numba.njit(**options)(whole)  # type: ignore[no-any-return]
    finally:
        config.CACHE_DIR = before


def _inner(function: Function, apart: frozenset[str] | None, error_model: str) -> Function:
    """Compile for compiled callers only: wrappers for Python take a third of the time to compile."""
    import numba

    inline = apart is not None and function.__name__ not in apart
    options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    options |= {"forceinline": inline, "error_model": error_model, "nogil": True}
    part: Function = numba.njit(**options)(function)
    return part


class _Specialist:
    """Makes the copies, each once; `shared` keeps those that no stand-in concerns."""

    def __init__(
        self,
        stand_ins: StandIns,
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


def _parts(function: Function) -> Iterator[tuple[str, FunctionType]]:
    """Yield the functions of ours, or of the function's own distribution, that it names."""
    own = function.__module__.partition(".")[0]
    for name in _globals_of(function.__code__):
        part = function.__globals__.get(name)
        if isinstance(part, FunctionType) and part.__module__.partition(".")[0] in (*_OURS, own):
            yield name, part


@cache
def _globals_of(code: CodeType) -> tuple[str, ...]:
    """Return the names that a function looks up in its module; an attribute may be called like a part."""
    return tuple(dict.fromkeys(i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"))


def _key(function: Function, stand_ins: StandIns) -> str:
    """Return a digest of what the machine code follows from: code, constants, and the same of all parts."""
    function = stand_ins.get(function, function)
    code, known = function.__code__, function.__globals__
    kinds = (int, float, str, tuple)
    constants = [(name, known[name]) for name in _globals_of(code) if isinstance(known.get(name), kinds)]
    pieces = [function.__module__, function.__qualname__, code.co_code.hex(), repr(code.co_consts)]
    pieces += [repr(code.co_names), repr(constants)]
    pieces += [_key(part, stand_ins) for _, part in _parts(function)]
    return hashlib.sha256("\n".join(pieces).encode()).hexdigest()[:16]


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "sunmode" / "numba"
