"""Reading type annotations: what is inside `Annotated` and `| None`, and which bounds it carries."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import GroupedMetadata


def bare(annotation: Any) -> Any:
    """Return an annotation without `Annotated` and without `| None`."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return bare(next(arg for arg in get_args(annotation) if arg is not type(None)))
    return annotation


def element(annotation: Any) -> Any:
    """Return the bare type of a value, or of a list's elements."""
    kind = bare(annotation)
    return bare(get_args(kind)[0]) if get_origin(kind) is tuple else kind


def choices(annotation: Any) -> tuple[str | int, ...]:
    """Return the values that are allowed where they can be listed; enums by lower-case name."""
    kind = element(annotation)
    if get_origin(kind) is Literal:
        return get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(member.name.lower() for member in kind)
    return ()


def span(annotation: Any, metadata: list[Any]) -> str | None:
    """Return the bounds of a number in words, e.g. `6 to 40`, from annotation and metadata together."""
    bounds: dict[str, float] = {}
    for mark in (*_marks(annotation), *metadata):
        for one in mark if isinstance(mark, GroupedMetadata) else (mark,):
            bounds |= {
                s: getattr(one, s) for s in ("ge", "gt", "le", "lt") if getattr(one, s, None) is not None
            }
    low = _edge(bounds, "ge", "") or _edge(bounds, "gt", "above ")
    high = _edge(bounds, "le", "") or _edge(bounds, "lt", "below ")
    if low and high:
        return f"{low} to {high}"
    if low:
        return low if "gt" in bounds else f"at least {low}"
    return f"at most {high}" if high else None


def plain(number: float) -> str:
    """Return a number as people write it, without a needless `.0`."""
    return str(number) if isinstance(number, int) else f"{number:.10g}"


def _edge(bounds: dict[str, float], sign: str, word: str) -> str | None:
    return f"{word}{plain(bounds[sign])}" if sign in bounds else None


def _marks(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        yield from _marks(inner)
        yield from marks
    elif get_origin(annotation) in {Union, UnionType}:
        for arg in get_args(annotation):
            yield from _marks(arg)
