"""Lines of keys, against documents whose lines are known and against `tomllib` itself."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.config.locate import Where, line_numbers, line_of

ROOT = Path(__file__).parents[1]

DOCUMENT = '''\
top = 1
a.b."c d" = 2

[table]   # [not.this]
text = """
[fake]
x = 1
"""
numbers = [
  1,  # [[fake]]
  2,
]
inline = { x = 1, y = { z = 2 } }
[table.inner]
[[list]]
name = "one"
  [list.sub]
  deep = true
[[list]]
name = 'two'
  [[list.more]]
  x = 1
  [[list.more]]
  x = 2
'''


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (("top",), 1),
        (("a",), 2),
        (("a", "b", "c d"), 2),
        (("table",), 4),
        (("table", "text"), 5),
        (("table", "numbers"), 9),
        (("table", "numbers", 1), 9),
        (("table", "inline", "y", "z"), 13),
        (("table", "inner"), 14),
        (("list", 0), 15),
        (("list", 0, "name"), 16),
        (("list", 0, "sub", "deep"), 18),
        (("list", 1), 19),
        (("list", 1, "name"), 20),
        (("list", 1, "more", 0, "x"), 22),
        (("list", 1, "more", 1), 23),
        (("list", 1, "more", 1, "x"), 24),
    ],
)
def test_every_form_of_key_is_found_on_its_line(where: Where, line: int) -> None:
    assert line_numbers(DOCUMENT)[where] == line


@pytest.mark.parametrize(
    ("where", "line"),
    [(("table", "absent"), 4), (("list", 1, "absent", "deeper"), 19), (("absent",), None), ((), None)],
)
def test_an_absent_key_has_the_line_of_the_table_around_it(where: Where, line: int | None) -> None:
    assert line_of(line_numbers(DOCUMENT), where) == line


def paths(value: Any, above: Where = ()) -> Iterator[Where]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*above, key)
        yield from paths(inner, (*above, key))


@pytest.mark.parametrize("text", [DOCUMENT, (ROOT / "config.toml").read_text(encoding="utf-8")])
def test_every_key_that_tomllib_reads_has_a_line(text: str) -> None:
    assert set(paths(tomllib.loads(text))) == set(line_numbers(text))


WORDS = st.sampled_from(["a", "b", "c", "long_key", '"quoted key"', "'x.y'"])
VALUES = st.sampled_from(["1", '"# no comment"', "[1,\n 2]", '"""\n[x]\n"""', "{ z = 1 }", "true  # [why]"])
FILLERS = st.sampled_from(["", "# comment", "   "])


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[Where, int]]:
    """A document of arrays of tables with filler lines between, and where each key must be found."""
    lines: list[str] = []
    expected: dict[Where, int] = {}
    for index in range(draw(st.integers(1, 4))):
        lines += draw(st.lists(FILLERS, max_size=2))
        lines.append("[[item]]")
        expected[("item", index)] = "\n".join(lines).count("\n") + 1
        for name in draw(st.lists(WORDS, unique=True, max_size=4)):
            lines += draw(st.lists(FILLERS, max_size=2))
            number = "\n".join([*lines, ""]).count("\n") + 1
            expected[("item", index, name.strip("\"'"))] = number
            lines.append(f"{name} = {draw(VALUES)}")
    return "\n".join(lines), expected


@settings(derandomize=True)
@given(documents())
def test_lines_are_right_whatever_stands_between(drawn: tuple[str, dict[Where, int]]) -> None:
    text, expected = drawn
    found = line_numbers(text)
    assert {where: found[where] for where in expected} == expected


def test_a_list_of_thousands_of_lines_is_read_at_once() -> None:
    text = "x = [\n" + "1, 2, 3, 4, 5, 6, 7, 8,\n" * 10_000 + "]\ny = 1\n"
    assert line_numbers(text)[("y",)] == 10_003
