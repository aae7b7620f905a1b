from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.errors import ConfigError
from optimizer.plugins import known_strategies, load_strategy
from strategies.fixed import Fixed
from strategies.threshold import Threshold

STRANGER = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Params:
    x: int = 1

class {name}:
    name = "stranger"
    serves_goals = True
    Params = Params
    def __init__(self, params): self.params = params
    def propose(self, situation): return None

class NoParams(Stranger):
    Params = int

class Nameless(Stranger):
    name = ""
    serves_goals = 1

instance = Stranger(Params())
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    module = f"stranger_{abs(hash(tmp_path))}"
    (tmp_path / f"{module}.py").write_text(STRANGER.format(name="Stranger"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return module


def test_our_own_are_found_by_entry_point() -> None:
    assert {"fixed", "threshold"} <= set(known_strategies())
    assert load_strategy("fixed") is Fixed
    assert load_strategy("threshold") is Threshold


def test_a_strangers_class_is_found_by_module_and_name(stranger: str) -> None:
    found = load_strategy(f"{stranger}:Stranger")
    assert found.name == "stranger"
    assert found(found.Params()).params.x == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("treshold", "no strategy is called 'treshold'. Did you mean 'threshold'? Known: deadline, fixed"),
        ("xyz", "no strategy is called 'xyz'. Known: deadline, fixed"),
        ("no_such_module:Class", "cannot be imported: No module named 'no_such_module'"),
        (
            "strategies.fixed:Nothing",
            "cannot be imported: module 'strategies.fixed' has no attribute 'Nothing'",
        ),
        ("{stranger}:NoParams", "lacks Params"),
        ("{stranger}:Nameless", "lacks name, serves_goals"),
        ("{stranger}:instance", "is not a class"),
        ("not a module:Class", "is not of the form module:Class"),
    ],
)
def test_what_is_no_strategy_is_refused_by_name(name: str, said: str, stranger: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_strategy(name.format(stranger=stranger))
    assert said in str(refused.value)
