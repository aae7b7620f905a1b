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

DEFAULT = "planner"
SHADOW = "shadow"
"""The table of the strategy that is tried, and therefore no name of a strategy."""

_OWN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_CORE_ERRORS = frozenset(get_args(ErrorType))


class ShadowTable(Section):
    """A strategy that decides beside the one in use, is logged and never sent; leave the table out for none.

    Beside its name the table takes the parameters of that strategy; the ones left out are those of the
    strategy's own table.
    """

    name: Line = Field(
        description="The strategy to try, also the one in use with other parameters. Its parameters stand in "
        "this table too; those left out are as in the strategy's own table, `[strategy.threshold]` for "
        "instance."
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Tried:
    """The strategy of `[strategy.shadow]` with its `Params`."""

    name: str
    params: Any

    def build(self) -> Strategy:
        """Return the strategy."""
        return load_strategy(self.name)(self.params)


class StrategyChoice(Section):
    """Which strategy decides; each strategy has its own table, `[strategy.threshold]` for instance."""

    name: Line = Field(
        DEFAULT, description='Name of an installed strategy, or "module:Class" for one of your own.'
    )
    tables: Mapping[str, Any] = Field(default_factory=dict, exclude=True)
    """`Params` of each strategy that has a table, and of the active one; not a key of the file."""
    shadow: Tried | None = Field(None, exclude=True)
    """What `[strategy.shadow]` says; a table, but no field of the file: its keys depend on its name."""

    @model_validator(mode="before")
    @classmethod
    def _read_tables(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        name = given.get("name", DEFAULT)
        if not isinstance(name, str):
            return {"name": name}
        own = {key: value for key, value in given.items() if key not in {"name", SHADOW}}
        tables, refused = _read_all(name, own)
        shadow = None
        if SHADOW in given:
            shadow, refused_there = _read_shadow(given[SHADOW], tables)
            refused += refused_there
        if refused:
            raise ValidationError.from_exception_data("strategy", refused, hide_input=True)
        return {"name": name, "tables": tables, SHADOW: shadow}

    def build(self) -> Strategy:
        """Return the active strategy with its parameters."""
        strategy = load_strategy(self.name)
        return strategy(self.tables[_table_of(self.name, strategy)])

    def build_shadow(self) -> Strategy | None:
        """Return the strategy that is tried beside it, if there is one."""
        return None if self.shadow is None else self.shadow.build()

    @property
    def is_its_own_shadow(self) -> bool:
        """Whether the one that is tried is the one in use, with the same parameters."""
        return self.shadow is not None and self.shadow == Tried(self.name, self._params_in_use)

    @property
    def _params_in_use(self) -> Any:
        return self.tables[_table_of(self.name, load_strategy(self.name))]


def table_models(chosen: str, tried: str = "") -> dict[str, type[BaseModel]]:
    """Return the model of each table: the one to be tried, the installed strategies, and the chosen one.

    A strategy that cannot be loaded has none; if it is the chosen one, the check of its name says so.
    """
    found: dict[str, type[BaseModel]] = {}
    for name in {*known_strategies(), chosen}:
        with suppress(ConfigError):
            strategy = _find(name)
            table = _table_of(name, strategy)
            found[table] = params_model(table, strategy.Params)
    return {SHADOW: _shadow_model(tried), **dict(sorted(found.items()))}


def _shadow_model(tried: str) -> type[BaseModel]:
    """Return the model of the shadow's table; with nothing but a name where that says nothing."""
    with suppress(ConfigError):
        return params_model(SHADOW, _find(tried).Params, ShadowTable)
    return ShadowTable


def params_model(name: str, params: type, base: type[BaseModel] = Section) -> type[BaseModel]:
    """Return the model of a strategy's table: a key for each field of its `Params`, nothing coerced.

    Raises:
        ConfigError: a type annotation of `Params` cannot be resolved, or says what no file can hold.

    """
    try:
        hints = get_type_hints(params, include_extras=True)
        fields = {f.name: (_kind(hints[f.name]), _field(f)) for f in dataclasses.fields(params) if f.init}
        model = create_model(name, __base__=base, **cast("dict[str, Any]", fields))
    except (NameError, PydanticUserError) as error:
        raise ConfigError(f"no table can be made of its Params: {error}") from error
    model.__doc__ = params.__doc__ if base is Section else base.__doc__
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


def _read_shadow(given: Any, tables: Mapping[str, Any]) -> tuple[Tried | None, list[InitErrorDetails]]:
    """Return what the shadow's table says; what it leaves out is as in the strategy's own of `tables`."""
    try:
        name = ShadowTable.model_validate(_name_of(given)).name
        strategy = _tried(name)
        base = tables.get(_table_of(name, strategy))
        values = {key: value for key, value in given.items() if key != "name"}
        return Tried(name, _params(strategy, _fields_of(base, strategy) | values)), []
    except ValidationError as error:
        return None, list(_below(SHADOW, error))
    except ConfigError as error:
        return None, [refusal((SHADOW, "name"), str(error))]


def _name_of(table: Any) -> Any:
    """Return the table with nothing but its name, which is checked first: the other keys depend on it."""
    return {key: table[key] for key in table if key == "name"} if isinstance(table, Mapping) else table


def _tried(name: str) -> StrategyClass:
    strategy = _find(name)
    if any(field.name == "name" for field in dataclasses.fields(strategy.Params)):
        raise ConfigError("a strategy with a parameter called 'name' cannot be tried")
    return strategy


def _fields_of(params: Any, strategy: StrategyClass) -> dict[str, Any]:
    """Return parameters that were good as values for a table; none where there are none."""
    if not isinstance(params, strategy.Params):
        return {}
    return {field.name: getattr(params, field.name) for field in dataclasses.fields(params) if field.init}


def _find(name: str) -> StrategyClass:
    strategy = _loaded(name)
    if _table_of(name, strategy) == SHADOW:
        raise ConfigError(f"no strategy can be called {SHADOW!r}: that is the table of the one that is tried")
    return strategy


def _loaded(name: str) -> StrategyClass:
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
