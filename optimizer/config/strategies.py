"""The table of a strategy, checked against that strategy's own `Params`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import Enum
from typing import Annotated, Any, cast, get_args, get_type_hints

from pydantic import (
    AllowInfNan,
    BaseModel,
    BeforeValidator,
    Field,
    PydanticUserError,
    Strict,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticUndefined
from pydantic_core.core_schema import ErrorType

from optimizer.config.annotations import bare
from optimizer.config.kinds import Line, Section, refusal
from optimizer.config.words import did_you_mean, shown
from optimizer.domain import Strategy
from optimizer.errors import ConfigError
from optimizer.plugins import StrategyClass, known_strategies, load_strategy

DEFAULT = "threshold"

_OWN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_CORE_ERRORS = frozenset(get_args(ErrorType))


class StrategyChoice(Section):
    """Which strategy decides; each strategy has its own table, `[strategy.threshold]` for instance."""

    name: Line = Field(
        DEFAULT, description='Name of an installed strategy, or "module:Class" for one of your own.'
    )
    tables: Mapping[str, Any] = Field(default_factory=dict, exclude=True)
    """`Params` of each strategy that has a table, and of the active one; not a key of the file."""

    @model_validator(mode="before")
    @classmethod
    def _read_tables(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        name = given.get("name", DEFAULT)
        if not isinstance(name, str):
            return {"name": name}
        tables, refused = _read_all(name, {key: value for key, value in given.items() if key != "name"})
        if refused:
            raise ValidationError.from_exception_data("strategy", refused, hide_input=True)
        return {"name": name, "tables": tables}

    def build(self) -> Strategy:
        """Return the active strategy with its parameters."""
        strategy = load_strategy(self.name)
        return strategy(self.tables[_table_of(self.name, strategy)])


def table_models(chosen: str) -> dict[str, type[BaseModel]]:
    """Return the model of each table in `[strategy]`: one per installed strategy, and the chosen one's.

    A strategy that cannot be loaded has none; if it is the chosen one, the check of its name says so.
    """
    found: dict[str, type[BaseModel]] = {}
    for name in {*known_strategies(), chosen}:
        with suppress(ConfigError):
            strategy = _find(name)
            table = _table_of(name, strategy)
            found[table] = params_model(table, strategy.Params)
    return dict(sorted(found.items()))


def params_model(name: str, params: type) -> type[BaseModel]:
    """Return the model of a strategy's table: a key for each field of its `Params`, nothing coerced.

    Raises:
        ConfigError: a type annotation of `Params` cannot be resolved, or says what no file can hold.

    """
    try:
        hints = get_type_hints(params, include_extras=True)
        fields = {f.name: (_kind(hints[f.name]), _field(f)) for f in dataclasses.fields(params) if f.init}
        model = create_model(name, __base__=Section, **cast("dict[str, Any]", fields))
    except (NameError, PydanticUserError) as error:
        raise ConfigError(f"no table can be made of its Params: {error}") from error
    model.__doc__ = params.__doc__
    return model


def _field(field: dataclasses.Field[Any]) -> Any:
    doc = field.metadata.get("doc", "")
    if field.default_factory is not dataclasses.MISSING:
        return Field(default_factory=field.default_factory, description=doc)
    required = field.default is dataclasses.MISSING
    return Field(PydanticUndefined if required else field.default, description=doc)


def _kind(hint: Any) -> Any:
    """Return the annotation as a key of a file needs it: numbers are not read out of text, enums by name."""
    kind = bare(hint)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return Annotated[hint, BeforeValidator(lambda value: _member(kind, value))]
    if kind is float:
        return Annotated[hint, Strict(), AllowInfNan(False)]
    return Annotated[hint, Strict()] if kind in {int, bool, str} else hint


def _member(kind: type[Enum], value: Any) -> Any:
    if isinstance(value, kind):
        return value
    names = {member.name.lower(): member for member in kind}
    if not isinstance(value, str) or value not in names:
        raise PydanticCustomError("word", "unknown word")
    return names[value]


def _table_of(name: str, strategy: StrategyClass) -> str:
    """Return how the strategy's table is called: by its entry point, or by the class's own name."""
    return strategy.name if ":" in name else name


def _read_all(name: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[InitErrorDetails]]:
    tables: dict[str, Any] = {}
    refused: list[InitErrorDetails] = []
    try:
        own = _table_of(name, _find(name))
    except ConfigError as error:
        own = ""
        refused.append(refusal(("name",), str(error)))
    for key, values in ({own: {}} | dict(given) if own else given).items():
        try:
            tables[key] = _params(_find(name if key == own else key), values)
        except ValidationError as error:
            refused += _below(key, error)
        except ConfigError as error:
            unknown = InitErrorDetails(type="extra_forbidden", loc=(key,), input=None)
            refused.append(refusal((key,), str(error)) if key == own else unknown)
    return tables, refused


def _find(name: str) -> StrategyClass:
    if ":" in name and not _OWN.fullmatch(name):
        raise ConfigError('needs "module:Class"')
    try:
        return load_strategy(name)
    except ConfigError:
        known = known_strategies()
        if ":" in name or name in known:
            raise
    # Said anew, for the loader repeats whatever stands there.
    said = shown(name) or "this"
    raise ConfigError(f"{said} is no strategy{did_you_mean(name, known)} (there are: {', '.join(known)})")


def _params(strategy: StrategyClass, values: Any) -> Any:
    """Return the strategy's `Params` from its table.

    Raises:
        ValidationError: with the location inside the table.

    """
    read = params_model(strategy.name, strategy.Params).model_validate(values)
    try:
        return strategy.Params(**{name: getattr(read, name) for name in type(read).model_fields})
    except ValueError as error:
        refused = [refusal((), str(error))]
        raise ValidationError.from_exception_data(strategy.name, refused, hide_input=True) from error


def _below(key: str, error: ValidationError) -> Iterator[InitErrorDetails]:
    """Yield the errors of a table once more, located from the table above it."""
    for line in error.errors(include_url=False, include_input=False):
        kind: Any = line["type"]
        if kind not in _CORE_ERRORS:
            kind = PydanticCustomError(kind, "{text}", {"text": line["msg"]})
        yield InitErrorDetails(type=kind, loc=(key, *line["loc"]), ctx=line.get("ctx", {}), input=None)
