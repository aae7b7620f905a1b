"""What keys there are, what each may hold, and which variable of the environment sets it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from functools import cached_property
from pathlib import PurePath
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from optimizer.config.annotations import bare, choices, element, span
from optimizer.config.locate import Where
from optimizer.config.settings import Settings
from optimizer.config.strategies import StrategyChoice, table_models

PREFIX = "SUNMODE_"
DELIMITER = "__"


class Key(NamedTuple):
    """One key of the file that holds a value (not a table)."""

    where: tuple[str, ...]
    field: FieldInfo


class Schema:
    """The keys there are, those of the strategies' tables included.

    `strategy` is the name the owner chose: one as `module:Class` is not installed, but has a table too.
    `shadow` is the one to be tried beside it: its parameters stand in the table of that name.
    """

    def __init__(self, strategy: str = "", shadow: str = "") -> None:
        self.strategy = strategy
        self.shadow = shadow

    @cached_property
    def strategies(self) -> dict[str, type[BaseModel]]:
        """Models of the strategies' tables by name; looked for once, and only where one is asked for."""
        return table_models(self.strategy, self.shadow)

    def all_keys(self, model: type[BaseModel] = Settings, above: tuple[str, ...] = ()) -> Iterator[Key]:
        """Yield every key below `model`, in the order of the file."""
        for name, field in fields(model):
            inner = model_in(field.annotation)
            if inner is not None:
                yield from self.all_keys(inner, (*above, name))
            else:
                yield Key((*above, name), field)
        for name, table in self.tables(model).items():
            yield from self.all_keys(table, (*above, name))

    def tables(self, model: type[BaseModel]) -> dict[str, type[BaseModel]]:
        """Return the tables that are no fields of `model`, by name."""
        return self.strategies if model is StrategyChoice else {}

    def model_at(self, where: Where) -> type[BaseModel] | None:
        """Return the model of the table at `where`, or None where a value or nothing stands."""
        model: type[BaseModel] | None = Settings
        for part in where:
            if model is not None and isinstance(part, str):
                model = self._below(model, part)
        return model

    def field_at(self, where: Where) -> FieldInfo | None:
        """Return the field of the key at `where`, or None where there is no such key."""
        names = [part for part in where if isinstance(part, str)]
        table = self.model_at(tuple(names[:-1])) if names else None
        return dict(fields(table)).get(names[-1]) if table else None

    def known_names(self, model: type[BaseModel]) -> tuple[str, ...]:
        """Return what may stand in a table."""
        return (*(name for name, _ in fields(model)), *self.tables(model))

    def settable(self, where: tuple[str, ...]) -> tuple[str, ...]:
        """Return the part of a key's path that a variable can name: a list is set as a whole."""
        for end in range(1, len(where) + 1):
            field = self.field_at(where[:end])
            if field is not None and is_list(field):
                return where[:end]
        return where

    def _below(self, model: type[BaseModel], name: str) -> type[BaseModel] | None:
        field = dict(fields(model)).get(name)
        return self.tables(model).get(name) if field is None else model_in(field.annotation)


def fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Yield the fields of a model that are keys of the file; a key that is a word of Python has an alias."""
    return ((field.alias or name, field) for name, field in model.model_fields.items() if not field.exclude)


def is_list(field: FieldInfo) -> bool:
    """Whether the key holds a list, of tables or of values."""
    return get_origin(bare(field.annotation)) is tuple


def model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a key holds, alone or as a list of tables."""
    kind = element(annotation)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def takes_text(field: FieldInfo) -> bool:
    """Whether the key holds text, so that a variable's value is taken as it is, without quotes."""
    kind = bare(field.annotation)
    if get_origin(kind) is Literal:
        return all(isinstance(value, str) for value in get_args(kind))
    return isinstance(kind, type) and issubclass(kind, str | SecretStr | Enum | PurePath)


def allowed(field: FieldInfo) -> str | None:
    """Return what a key may hold in plain words, e.g. `6 to 40`, or None where anything goes."""
    listed = choices(field.annotation)
    if listed:
        return ", ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in listed)
    if bare(field.annotation) is bool:
        return "true, false"
    if is_list(field):
        return span(get_args(bare(field.annotation))[0], [])
    return span(field.annotation, field.metadata)


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (SecretStr, "text"),
    (PurePath, "the name of a file in quotes"),
    (str, "text in quotes"),
)


def needed(where: Where, field: FieldInfo | None) -> str:
    """Return what a key needs, with its range, e.g. `a number (6 to 40)`."""
    if field is None or (isinstance(where[-1], int) and model_in(field.annotation)):
        return "a table"
    if is_list(field) and isinstance(where[-1], str):
        return f"a list of {_members(where, field)}"
    if choices(field.annotation):
        return f"one of {allowed(field)}"
    kind = bare(field.annotation)
    words = next(
        (words for known, words in _KINDS if isinstance(kind, type) and issubclass(kind, known)), "a table"
    )
    bounds = allowed(field) if kind in {int, float} else None
    return f"{words} ({bounds})" if bounds else words


def _members(where: Where, field: FieldInfo) -> str:
    if model_in(field.annotation):
        return f"tables, [[{where[-1]}]]"
    if choices(field.annotation):
        return allowed(field) or ""
    if element(field.annotation) is not float:
        return "words in quotes"
    return f"numbers ({allowed(field)})"


def variable(where: tuple[str, ...]) -> str:
    """Return the name of the environment variable that sets a key."""
    return PREFIX + DELIMITER.join(where).upper()
