"""The documentation names every key, and no key that there is not."""

from __future__ import annotations

import re
from pathlib import Path

from optimizer.config.document import document
from optimizer.config.schema import Schema, variable

ROOT = Path(__file__).parents[1]
WRITTEN = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \| (?:in )?`(SUNMODE_\w+)` \|$", re.MULTILINE)


def rows() -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return meaning, value, default and variable of each documented key."""
    found = {}
    for section in WRITTEN.split("\n## `")[1:]:
        table = tuple(section.partition("`")[0].strip("[]").split("."))
        found |= {(*table, key): tuple(rest) for key, *rest in ROW.findall(section)}
    return found


def test_the_file_is_what_the_generator_makes() -> None:
    assert document() == WRITTEN, "run: python -m optimizer.config.document > docs/configuration.md"


def test_every_key_is_documented_and_nothing_else() -> None:
    assert set(rows()) == {key.where for key in Schema().all_keys()}


def test_every_key_says_what_it_means_needs_and_defaults_to() -> None:
    for where, told in rows().items():
        assert all(told), where
        assert len(told[0]) > 10, where


def test_ranges_defaults_and_variables_stand_beside_the_keys() -> None:
    found = rows()
    assert found[("budget", "calls_per_minute")][1:] == (
        "a whole number (1 to 9)",
        "`6`",
        "SUNMODE_BUDGET__CALLS_PER_MINUTE",
    )
    assert found[("charger", "goal", "days")][2:] == ('`["daily"]`', "SUNMODE_CHARGER")
    assert found[("strategy", "threshold", "start_delay_s")][1] == "a number (0 to 3600)"
    assert found[("solax", "inverter")][2] == "none"


def test_every_number_has_bounds() -> None:
    for where, (_, value, *_) in rows().items():
        if value.startswith(("a number", "a whole number")):
            assert " to " in value, where


def test_variables_are_unique_but_for_those_of_lists() -> None:
    schema = Schema()
    alone = [variable(key.where) for key in schema.all_keys() if schema.settable(key.where) == key.where]
    assert len(alone) == len(set(alone))
