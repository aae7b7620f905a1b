"""Finding strategies: by entry point (ours and a stranger's alike) or as `module:Class`."""

from __future__ import annotations

from dataclasses import is_dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Protocol, cast

from optimizer.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from optimizer.domain import Strategy

GROUP = "sunmode.strategies"
"""Entry points of this group name strategy classes."""


class StrategyClass(Protocol):
    """What a strategy's class offers: its two facts, its parameters' dataclass, and `Class(params)`."""

    name: str
    serves_goals: bool
    Params: type[Any]

    def __call__(self, params: Any) -> Strategy:
        """Return the strategy with these parameters."""
        ...


def known_strategies() -> tuple[str, ...]:
    """Names of all installed strategies, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def load_strategy(name: str) -> StrategyClass:
    """Return the class behind an entry point's name or behind `module:Class`.

    Raises:
        ConfigError: nobody has that name, it cannot be imported, or it is not a strategy.

    """
    point = _point(name)
    try:
        found: object = point.load()
    except Exception as error:
        # A stranger's module may raise anything while it is imported.
        kind = "" if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: "
        raise ConfigError(f"strategy {name!r} ({point.value}) cannot be imported: {kind}{error}") from error
    return _checked(name, found)


def _point(name: str) -> EntryPoint:
    if ":" in name:
        if not all(part.isidentifier() for part in name.replace(":", ".", 1).split(".")):
            raise ConfigError(f"strategy {name!r} is not of the form module:Class")
        return EntryPoint(name=name, value=name, group=GROUP)
    found = entry_points(group=GROUP, name=name)
    if not found:
        raise ConfigError(_unknown(name))
    return next(iter(found))


def _unknown(name: str) -> str:
    known = known_strategies()
    close = get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"no strategy is called {name!r}.{hint} Known: {', '.join(known) or 'none'}; or give module:Class."


def _checked(name: str, found: object) -> StrategyClass:
    lacks = [part for part, good in _PARTS.items() if not good(getattr(found, part, None))]
    if not isinstance(found, type) or lacks:
        what = f"lacks {', '.join(lacks)}" if lacks else "is not a class"
        raise ConfigError(
            f"strategy {name!r} {what}: it needs name, serves_goals, Params (a dataclass), propose"
        )
    return cast("StrategyClass", found)


_PARTS: dict[str, Callable[[object], bool]] = {
    "name": lambda value: isinstance(value, str) and value != "",
    "serves_goals": lambda value: isinstance(value, bool),
    "Params": lambda value: isinstance(value, type) and is_dataclass(value),
    "propose": callable,
}
