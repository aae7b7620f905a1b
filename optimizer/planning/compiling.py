"""Compile kernels on first use: importing this room costs nothing, and plain Python stays the reference.

A kernel is a plain function of numbers, tuples and arrays.  `compiled(kernel)` is its Numba twin, with every
function of this package that it calls compiled as well.  Machine code is kept on disk under a key made of the
code of all of them, because Numba's own cache does not notice a change in a called function of another file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, cast

_PACKAGE = "optimizer."


@cache
def compiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Return the compiled twin of a plain function of this package; itself where nothing may be compiled."""
    try:
        import numba
    except OSError:  # a sandbox that allows no new machine code, as systemd's MemoryDenyWriteExecute
        return kernel
    function = cast("FunctionType", kernel)
    twin = FunctionType(
        function.__code__,
        {**function.__globals__, **{name: compiled(callee) for name, callee in _callees(function)}},
        function.__name__,
        function.__defaults__,
    )
    twin.__module__, twin.__qualname__ = function.__module__, function.__qualname__
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(_cache_folder() / _key(function))
    try:
        return cast("Callable[..., Any]", numba.njit(cache=True, error_model="numpy", nogil=True)(twin))
    except RuntimeError:  # no folder can be written: compile anew each time
        return cast("Callable[..., Any]", numba.njit(error_model="numpy", nogil=True)(twin))
    finally:
        config.CACHE_DIR = before


def _callees(function: FunctionType) -> Iterator[tuple[str, FunctionType]]:
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if isinstance(value, FunctionType) and value.__module__.startswith(_PACKAGE):
            yield name, value


def _key(function: FunctionType) -> str:
    """Return a digest of what the machine code follows from: byte code, constants, globals, callees."""
    code = function.__code__
    constants = [
        (name, value)
        for name in code.co_names
        if isinstance(value := function.__globals__.get(name), int | float | str)
    ]
    parts = [code.co_code.hex(), repr(code.co_consts), repr(code.co_names), repr(constants)]
    parts += [_key(callee) for _, callee in _callees(function)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "sunmode" / "numba"
