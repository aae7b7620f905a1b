"""Which strategies run, and with which parameters.

`fixed` is called by its modes here: `stop`, `fast`, `eco`, `green`.  Parameters come from `key=value`, or
`strategy.key=value` where several strategies have the key; they are checked as those of a configuration are.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import ValidationError

from optimizer.config.problems import Sources, messages
from optimizer.config.schema import Schema
from optimizer.config.strategies import params_model
from optimizer.config.words import did_you_mean
from optimizer.domain import Mode, Strategy
from optimizer.errors import ConfigError, InputError
from optimizer.plugins import StrategyClass, known_strategies, load_strategy

FIXED = "fixed"
MODES: Mapping[str, Mode] = {mode.name.lower(): mode for mode in (Mode.STOP, Mode.FAST, Mode.ECO, Mode.GREEN)}
USUAL = (*MODES, "threshold", "timer", "deadline", "planner")
"""What runs where nothing is named, as far as it is installed."""

YARDSTICK = "fast"
"""What skill is measured from: the car that charges at once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A strategy as it runs: `name` as the report calls it, `params` as plain values."""

    name: str
    strategy: Strategy
    params: Mapping[str, Any]


def lineup(
    names: Sequence[str], settings: Sequence[str] = (), tables: Mapping[str, Any] | None = None
) -> tuple[Entry, ...]:
    """Return the strategies called `names` (none: the usual ones) with their parameters.

    `tables` are the `Params` of a configuration, by strategy; what `settings` say goes above them.

    Raises:
        InputError: no such strategy, twice the same, no such parameter, or a value that is not allowed.

    """
    chosen = [_Chosen.of(name) for name in names or _usual()]
    called = [one.name for one in chosen]
    for name in called:
        if called.count(name) > 1:
            raise InputError(f"--strategy {name}: is there twice")
    given: dict[str, dict[str, Any]] = {name: {} for name in called}
    for text in settings:
        name, key, value = _setting(text, chosen)
        given[name][key] = value
    return tuple(one.entry(given[one.name], (tables or {}).get(one.name)) for one in chosen)


def yardstick() -> Entry:
    """Return the strategy that skill is measured from."""
    return lineup([YARDSTICK])[0]


@dataclass(frozen=True, slots=True)
class _Chosen:
    name: str
    asked: str
    strategy: StrategyClass
    mode: Mode | None = None

    @classmethod
    def of(cls, name: str) -> _Chosen:
        if name == FIXED:
            raise InputError(f"--strategy {FIXED}: name one of its modes: {', '.join(MODES)}")
        try:
            found = load_strategy(FIXED if name in MODES else name)
        except ConfigError as error:
            known = _known()
            if ":" in name or name in known:
                raise InputError(f"--strategy: {error}") from error
            near = did_you_mean(name, known)
            listed = ", ".join(known)
            raise InputError(
                f"--strategy: no strategy is called '{name}'{near} (there are: {listed}, or module:Class)"
            ) from None
        return cls(found.name if ":" in name else name, name, found, MODES.get(name))

    @property
    def keys(self) -> tuple[str, ...]:
        """What can be set; a mode has nothing to set."""
        if self.mode is not None:
            return ()
        return tuple(field.name for field in dataclasses.fields(self.strategy.Params) if field.init)

    def entry(self, given: Mapping[str, Any], base: object | None) -> Entry:
        if self.mode is not None:
            fixed = self.strategy(self.strategy.Params(mode=self.mode))
            return Entry(self.name, fixed, {})
        params = self._params(given, base)
        try:
            strategy = self.strategy(params)
        except Exception as error:
            # A stranger's constructor may raise anything.
            told = f"{type(error).__name__}: {error}"
            raise InputError(f"--strategy {self.asked}: cannot be made: {told}") from error
        return Entry(self.name, strategy, {key: _plain(getattr(params, key)) for key in self.keys})

    def _params(self, given: Mapping[str, Any], base: object | None) -> Any:
        values = {key: getattr(base, key) for key in self.keys} if base is not None else {}
        try:
            read = params_model(self.name, self.strategy.Params).model_validate({**values, **given})
            return self.strategy.Params(**{key: getattr(read, key) for key in self.keys})
        except ValidationError as error:
            raise InputError("\n".join(self._told(error, given))) from None
        except ConfigError as error:
            raise InputError(f"--strategy {self.asked}: {error}") from error
        except ValueError as error:
            raise InputError(f"--set: {self.name}: {error}") from error

    def _told(self, error: ValidationError, given: Mapping[str, Any]) -> list[str]:
        """Return the problems as those of a configuration are told."""
        above = ("strategy", self.name)
        found = [
            {**line, "loc": (*above, *line["loc"])}
            for line in error.errors(include_url=False, include_input=False)
        ]
        document = {"strategy": {self.name: dict(given)}}
        told = messages(found, Sources("--set", document, {}, {}, {}, Schema(self.asked)))
        return [line.replace("strategy.", "", 1) for line in told]


def _known() -> tuple[str, ...]:
    return (*MODES, *(name for name in known_strategies() if name != FIXED))


def _usual() -> list[str]:
    known = _known()
    return [name for name in USUAL if name in known]


def _setting(text: str, chosen: Sequence[_Chosen]) -> tuple[str, str, Any]:
    """Return strategy, key and value of `key=value` or `strategy.key=value`."""
    key, sign, value = text.partition("=")
    key = key.strip()
    if not (sign and key):
        raise InputError(f"--set {text}: needs key=value, or strategy.key=value")
    name, dot, own = key.rpartition(".")
    if dot:
        return _owner(name, own, chosen), own, _value(value.strip())
    having = [one for one in chosen if key in one.keys] or [one for one in chosen if one.keys]
    if len(having) > 1 and key in having[0].keys:
        raise InputError(f"--set {text}: whose? name it: {', '.join(f'{one.name}.{key}' for one in having)}")
    if len(having) != 1:
        raise InputError(f"--set: unknown key '{key}'{did_you_mean(key, _all_keys(chosen))}")
    return having[0].name, key, _value(value.strip())


def _owner(name: str, key: str, chosen: Sequence[_Chosen]) -> str:
    for one in chosen:
        if name in {one.name, one.asked}:
            if not one.keys:
                raise InputError(f"--set {name}.{key}: {name} has no parameters")
            return one.name
    running = [one.name for one in chosen]
    near = did_you_mean(name, running)
    raise InputError(
        f"--set {name}.{key}: '{name}' does not run here{near} (there are: {', '.join(running)})"
    )


def _all_keys(chosen: Sequence[_Chosen]) -> Iterator[str]:
    for one in chosen:
        yield from one.keys


def _value(text: str) -> Any:
    """Read a value as in a configuration; what is none of TOML's is taken as a word."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _plain(value: Any) -> Any:
    return value.name.lower() if isinstance(value, Enum) else value
