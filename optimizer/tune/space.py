"""What of a strategy's `Params` can be searched, and how a point of the search becomes parameters.

A number is searched on a quadratic scale from its lower bound to its upper one, or to ten times of what it
is now (or as shipped) where the bound lies beyond that: `Le(86400.0)` says what is allowed, not what is
sensible.  What is tried has three significant digits, so that what is pasted is what was judged.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, cast, get_type_hints

from annotated_types import GroupedMetadata
from pydantic import BaseModel, ValidationError

from optimizer.config.annotations import bare, choices
from optimizer.config.strategies import params_model
from optimizer.config.words import did_you_mean
from optimizer.domain import Mode
from optimizer.errors import ConfigError, InputError
from optimizer.plugins import StrategyClass

Value = float | int | bool | str
Plain = Mapping[str, Value]
"""Parameters as a configuration has them; enums by lower-case name."""

REACH = 10.0
"""How many times its present value a number may become."""

_DIGITS = 3
_OPEN_SHARE = 1e-3


@dataclass(frozen=True, slots=True)
class Number:
    """A number between `low` and `high`; `place` and `value` translate to and from [0, 1]."""

    name: str
    low: float
    high: float
    whole: bool

    def value(self, place: float) -> float | int:
        """Return the number at a place, of few digits."""
        raw = self.low + (self.high - self.low) * place * place
        if self.whole:
            return round(raw)
        return min(self.high, max(self.low, _short(raw)))

    def place(self, value: float) -> float:
        """Return the place of a number."""
        share = (value - self.low) / (self.high - self.low)
        return math.sqrt(min(1.0, max(0.0, share)))


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several words, or true and false."""

    name: str
    options: tuple[Value, ...]


Knob = Number | Choice


@dataclass(frozen=True, slots=True)
class Space:
    """The knobs of one strategy around its present parameters."""

    strategy: StrategyClass
    current: Plain
    knobs: tuple[Knob, ...]

    def is_allowed(self, values: Plain) -> bool:
        """Tell whether the strategy's own checks pass."""
        try:
            params_of(self.strategy, values)
        except (ValueError, ConfigError):
            return False
        return True

    def changed(self, values: Plain) -> dict[str, Value]:
        """Return what is not as it is now."""
        return {name: value for name, value in values.items() if value != self.current[name]}


def params_of(strategy: StrategyClass, values: Plain) -> Any:
    """Return the strategy's `Params`.

    Raises:
        ValueError: they are not allowed.

    """
    try:
        read = _model(cast("Any", strategy)).model_validate(dict(values))
    except ValidationError as error:
        raise ValueError(str(error)) from error
    return strategy.Params(**{name: getattr(read, name) for name in type(read).model_fields})


@cache
def _model(strategy: StrategyClass) -> type[BaseModel]:
    return params_model(strategy.name, strategy.Params)


def space_of(strategy: StrategyClass, name: str, current: Plain, only: Sequence[str] = ()) -> Space:
    """Return what can be searched: the parameters called `only`, or all that people would have searched.

    Left out unless named: a parameter that is a mode, for that is what the owner wants the charger to do, and
    one whose field says so by `metadata={"tune": False}`.

    Raises:
        InputError: there is no such parameter, it cannot be searched, or there is nothing to search.

    """
    knobs = {knob.name: knob for knob in _knobs(strategy.Params, current)}
    for wanted in only:
        if wanted not in current:
            there = f" (there are: {', '.join(current)})" if current else ""
            raise InputError(
                f"--param {wanted}: {name} has no such parameter{did_you_mean(wanted, list(current))}{there}"
            )
        if wanted not in knobs:
            raise InputError(
                f"--param {wanted}: neither a bounded number nor a choice, so not to be searched"
            )
    chosen = tuple(knobs[each] for each in dict.fromkeys(only)) or tuple(
        knob for knob in knobs.values() if _is_usual(strategy.Params, knob.name)
    )
    if not chosen:
        raise InputError(f"--strategy {name}: has no parameters that could be searched")
    return Space(strategy, dict(current), chosen)


def _knobs(params: type, current: Plain) -> Iterator[Knob]:
    hints = get_type_hints(params, include_extras=True)
    for field in dataclasses.fields(params):
        if field.init and current[field.name] is not None:
            knob = _knob(field, hints[field.name], current[field.name])
            if knob is not None:
                yield knob


def _knob(field: dataclasses.Field[Any], hint: Any, current: Value) -> Knob | None:
    kind = bare(hint)
    if kind is bool:
        return Choice(field.name, (False, True))
    if options := choices(hint):
        return Choice(field.name, options) if len(options) > 1 else None
    if kind in {float, int} and isinstance(current, int | float):
        return _number(field, hint, current, whole=kind is int)
    return None


def _number(field: dataclasses.Field[Any], hint: Any, current: float, *, whole: bool) -> Number | None:
    bounds = _bounds(hint)
    shipped = field.default if isinstance(field.default, int | float) else current
    usual = max(current, shipped)
    high = min(
        [REACH * usual] * (usual > 0.0) + [bounds[key] for key in ("le", "lt") if key in bounds] or [0.0]
    )
    low = max([bounds[key] for key in ("ge", "gt") if key in bounds] or [min(0.0, REACH * current)])
    if not low < high:
        return None
    gap = 1.0 if whole else (high - low) * _OPEN_SHARE
    low += gap if bounds.get("gt") == low else 0.0
    high -= gap if bounds.get("lt") == high else 0.0
    return Number(field.name, low, high, whole) if low < high else None


def _bounds(hint: Any) -> dict[str, float]:
    """Return the bounds that an annotation carries, by `ge`, `gt`, `le`, `lt`."""
    bounds: dict[str, float] = {}
    for mark in getattr(hint, "__metadata__", ()):
        for one in mark if isinstance(mark, GroupedMetadata) else (mark,):
            found = {sign: getattr(one, sign, None) for sign in ("ge", "gt", "le", "lt")}
            bounds |= {sign: value for sign, value in found.items() if value is not None}
    return bounds


def _is_usual(params: type, name: str) -> bool:
    field = next(field for field in dataclasses.fields(params) if field.name == name)
    kind = bare(get_type_hints(params)[name])
    is_mode = isinstance(kind, type) and issubclass(kind, Enum) and issubclass(kind, Mode)
    return not is_mode and bool(field.metadata.get("tune", True))


def _short(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")
