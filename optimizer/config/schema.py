"""What keys there are, what each may hold, and which variable of the environment sets it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from optimizer.config.annotations import bare, choices, element, span
from optimizer.config.kinds import Section
from optimizer.config.locate import Where
from optimizer.config.settings import Settings

PREFIX = "SUNMODE_"
DELIMITER = "__"


class Key(NamedTuple):
    """One key of the file that holds a value (not a table)."""

    where: tuple[str, ...]
    field: FieldInfo


def keys(model: type[BaseModel] = Settings, above: tuple[str, ...] = ()) -> Iterator[Key]:
    """Yield every key below `model`, tables of installed strategies included, in the order of the file."""
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        inner = model_in(field.annotation)
        if inner is not None:
            yield from keys(inner, (*above, name))
        else:
            yield Key((*above, name), field)
    for name, table in open_tables(model):
        yield from keys(table, (*above, name))


def open_tables(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield name and model of each table that is no field: those of the installed strategies."""
    if issubclass(model, Section):
        for name in model.open_tables():
            table = model.open_table(name)
            if table is not None:
                yield name, table


def model_at(where: Where) -> type[BaseModel] | None:
    """Return the model of the table at `where`, or None where a value or nothing stands."""
    model: type[BaseModel] | None = Settings
    for part in where:
        if model is None:
            return None
        if isinstance(part, str):
            model = _below(model, part)
    return model


def _below(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    field = model.model_fields.get(name)
    if field is not None and not field.exclude:
        return model_in(field.annotation)
    return model.open_table(name) if issubclass(model, Section) else None


def field_at(where: Where) -> FieldInfo | None:
    """Return the field of the key at `where`, or None where there is no such key."""
    names = [part for part in where if isinstance(part, str)]
    table = model_at(tuple(names[:-1])) if names else None
    field = table.model_fields.get(names[-1]) if table else None
    return None if field is None or field.exclude else field


def known_names(model: type[BaseModel]) -> tuple[str, ...]:
    """Return what may stand in a table."""
    names = tuple(name for name, field in model.model_fields.items() if not field.exclude)
    return names + (model.open_tables() if issubclass(model, Section) else ())


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
    return span(field.annotation, field.metadata)


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (datetime, "a date and time like 2019-05-14T04:00:00"),
    (SecretStr, "text"),
    (PurePath, "the name of a file in quotes"),
    (str, "text in quotes"),
)


def needed(where: Where, field: FieldInfo | None) -> str:
    """Return what a key needs, with its range, e.g. `a number (6 to 40)`."""
    if field is None or isinstance(where[-1], int):
        return "a table"
    if is_list(field):
        name = where[-1]
        return (
            f"a list of tables, [[{name}]]" if model_in(field.annotation) else f"a list of {allowed(field)}"
        )
    if choices(field.annotation):
        return f"one of {allowed(field)}"
    kind = bare(field.annotation)
    words = next(
        (words for known, words in _KINDS if isinstance(kind, type) and issubclass(kind, known)), "a table"
    )
    bounds = allowed(field) if kind in {int, float} else None
    return f"{words} ({bounds})" if bounds else words


def variable(where: tuple[str, ...]) -> str:
    """Return the name of the environment variable that sets a key."""
    return PREFIX + DELIMITER.join(where).upper()


def settable(where: tuple[str, ...]) -> tuple[str, ...]:
    """Return the part of a key's path that a variable can name: a list is set as a whole."""
    for end in range(1, len(where) + 1):
        field = field_at(where[:end])
        if field is not None and is_list(field):
            return where[:end]
    return where
