"""What can be searched follows from a strategy's annotated `Params`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt
from hypothesis import given
from hypothesis import strategies as st
from tuning_cases import threshold_space

from optimizer.domain import Mode
from optimizer.errors import InputError
from optimizer.tune.space import Choice, Number, Space, space_of


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Params:
    share: Annotated[float, Ge(0.0), Le(1.0)] = 0.5
    wait_s: Annotated[float, Gt(0.0), Lt(86_400.0)] = 60.0
    tries: Annotated[int, Ge(1), Le(5)] = 2
    both: Annotated[int, Interval(gt=0, lt=4)] = 2
    open_end: float = 3.0
    nothing: float = 0.0
    on: bool = False
    colour: Colour = Colour.RED
    word: Literal["a", "b"] = "a"
    idle: Mode = Mode.STOP
    text: str = "x"
    maybe: float | None = None
    secret: Annotated[float, Ge(0.0), Le(1.0)] = field(default=0.5, metadata={"tune": False})


class Toy:
    name = "toy"
    serves_goals = True
    Params = Params

    def __init__(self, params: Any) -> None:
        self.params = params

    def propose(self, situation: Any) -> Any:
        raise NotImplementedError


SHIPPED = {
    "share": 0.5, "wait_s": 60.0, "tries": 2, "both": 2, "open_end": 3.0, "nothing": 0.0, "on": False,
    "colour": "red", "word": "a", "idle": "stop", "text": "x", "maybe": None, "secret": 0.5,
}  # fmt: skip


def space(*only: str, **current: Any) -> Space:
    return space_of(Toy, "toy", {**SHIPPED, **current}, only)


def knob(name: str, **current: Any) -> Number | Choice:
    return space(name, **current).knobs[0]


def test_a_number_keeps_to_its_bounds_and_below_ten_times_what_it_is() -> None:
    assert knob("share") == Number("share", 0.0, 1.0, whole=False)
    assert knob("wait_s") == Number("wait_s", pytest.approx(0.6), 600.0, whole=False)
    assert knob("wait_s", wait_s=50_000.0) == Number(
        "wait_s", pytest.approx(86.4), pytest.approx(86_400 - 86.4), whole=False
    )
    assert knob("wait_s", wait_s=1.0) == Number("wait_s", pytest.approx(0.6), 600.0, whole=False), (
        "as shipped"
    )
    assert knob("tries") == Number("tries", 1, 5, whole=True)
    assert knob("both") == Number("both", 1.0, 3.0, whole=True)
    assert knob("open_end") == Number("open_end", 0.0, 30.0, whole=False)


def test_switches_enums_and_words_are_choices() -> None:
    assert knob("on") == Choice("on", (False, True))
    assert knob("colour") == Choice("colour", ("red", "blue"))
    assert knob("word") == Choice("word", ("a", "b"))
    assert knob("idle") == Choice("idle", ("stop", "fast", "eco", "green"))


def test_modes_and_what_a_strategy_keeps_back_are_searched_only_by_name() -> None:
    usual = [one.name for one in space().knobs]
    assert usual == ["share", "wait_s", "tries", "both", "open_end", "on", "colour", "word"]
    assert [one.name for one in space("secret", "idle").knobs] == ["secret", "idle"]
    assert "idle_mode" not in [one.name for one in threshold_space().knobs]


@pytest.mark.parametrize(
    ("only", "says"),
    [
        ("shre", "--param shre: toy has no such parameter; did you mean 'share'?"),
        ("text", "--param text: neither a bounded number nor a choice"),
        ("maybe", "--param maybe: neither"),
        ("nothing", "--param nothing: neither"),
    ],
)
def test_what_cannot_be_searched_is_told(only: str, says: str) -> None:
    with pytest.raises(InputError, match=r"^--param") as told:
        space(only)
    assert says in str(told.value)


@given(st.floats(0.0, 1.0))
def test_any_place_is_an_allowed_number_of_three_digits(place: float) -> None:
    for one in (*space().knobs, *threshold_space().knobs):
        if isinstance(one, Number):
            value = one.value(place)
            assert one.low <= value <= one.high
            if one.low < value < one.high:
                assert value == (int(value) if one.whole else float(f"{value:.3g}"))


@given(st.floats(0.0, 1.0))
def test_a_numbers_place_leads_back_to_it(place: float) -> None:
    one = knob("share")
    assert isinstance(one, Number)
    assert one.value(one.place(one.value(place))) == pytest.approx(one.value(place), rel=5e-3)


def test_what_the_strategy_refuses_is_not_allowed() -> None:
    threshold = threshold_space()
    assert threshold.is_allowed(threshold.current)
    assert not threshold.is_allowed({**threshold.current, "green_start_factor": 0.1})
    assert not threshold.is_allowed({**threshold.current, "idle_mode": "fast"})
    assert not threshold.is_allowed({**threshold.current, "start_delay_s": 4000.0})


def test_only_what_differs_is_changed() -> None:
    threshold = threshold_space()
    assert threshold.changed({**threshold.current, "margin_s": 60.0}) == {"margin_s": 60.0}
    assert threshold.changed(threshold.current) == {}
