"""Machine code from plain functions: what belongs to a function, and what only bears its name."""

from __future__ import annotations

from typing import NamedTuple

from optimizer.compiling import compiled


class _Slot(NamedTuple):
    surplus: float
    need: float


def surplus(slot: _Slot) -> float:
    """Return what is left; the field that it reads bears its own name."""
    return slot.surplus - need(slot)


def need(slot: _Slot) -> float:
    """Return the need, by another function whose name is a field."""
    return 2.0 * slot.need


def test_a_function_may_bear_the_name_of_a_field_it_reads() -> None:
    """Otherwise its parts would be looked for in itself, without end."""
    slot = _Slot(surplus=7.0, need=1.5)
    assert compiled(surplus)(slot) == surplus(slot) == 4.0
