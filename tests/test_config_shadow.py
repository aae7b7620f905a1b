"""`[strategy.shadow]`: a strategy to try, with parameters of its own that are checked like any."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from optimizer.config import Settings, load_settings
from optimizer.domain import Mode, Proposal, Reason, Situation
from optimizer.errors import ConfigError
from strategies.fixed import Fixed
from strategies.threshold import Threshold, ThresholdParams


def load(folder: Path, text: str, **env: str) -> Settings:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, env)


def refusal(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def tried(settings: Settings) -> ThresholdParams:
    shadow = settings.build_shadow()
    assert isinstance(shadow, Threshold)
    return shadow.params


def test_without_the_table_nothing_is_tried(tmp_path: Path) -> None:
    assert load(tmp_path, "").build_shadow() is None
    assert Settings().build_shadow() is None


def test_the_strategy_in_use_is_tried_with_other_parameters(tmp_path: Path) -> None:
    table = "[strategy.threshold]\nstop_delay_s = 42\nidle_mode = 'green'\n"
    settings = load(tmp_path, f"{table}[strategy.shadow]\nname = 'threshold'\nstart_delay_s = 60\n")
    assert tried(settings) == ThresholdParams(start_delay_s=60, stop_delay_s=42, idle_mode=Mode.GREEN)
    assert settings.strategy.tables["threshold"].start_delay_s == 120
    assert settings.warnings() == ()


def test_another_strategy_is_tried_with_its_own_table(tmp_path: Path) -> None:
    settings = load(tmp_path, "[strategy.fixed]\nmode = 'eco'\n[strategy.shadow]\nname = 'fixed'\n")
    shadow = settings.build_shadow()
    assert isinstance(shadow, Fixed)
    assert shadow.params.mode is Mode.ECO
    assert settings.build_strategy().name == "planner"


def test_a_variable_sets_a_parameter_of_the_shadow_alone(tmp_path: Path) -> None:
    shadow = {
        "SUNMODE_STRATEGY__SHADOW__NAME": "threshold",
        "SUNMODE_STRATEGY__SHADOW__START_DELAY_S": "7",
    }
    assert tried(load(tmp_path, "", **shadow)).start_delay_s == 7


def test_a_shadow_that_tries_nothing_is_doubted(tmp_path: Path) -> None:
    (doubt,) = load(tmp_path, "[strategy.shadow]\nname = 'planner'\n").warnings()
    assert doubt.startswith("strategy.shadow: ")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("start_delay_s = 1", "config.toml:1: strategy.shadow.name: missing: it needs text in quotes"),
        ("name = ''", "config.toml:2: strategy.shadow.name: is empty"),
        ("name = 3", "config.toml:2: strategy.shadow.name: needs text in quotes, not 3"),
        (
            "name = 'treshold'",
            "config.toml:2: strategy.shadow.name: 'treshold' is no strategy; did you mean 'threshold'?",
        ),
        ("name = 'a b:C'", 'config.toml:2: strategy.shadow.name: needs "module:Class"'),
        (
            "name = 'threshold'\nstart_delay_s = -1",
            "config.toml:3: strategy.shadow.start_delay_s: -1 is less than allowed (0 to 3600)",
        ),
        (
            "name = 'threshold'\nstop_dellay_s = 1",
            "config.toml:3: strategy.shadow: unknown key 'stop_dellay_s'; did you mean 'stop_delay_s'?",
        ),
        (
            "name = 'fixed'\nmode = 'gren'",
            'config.toml:3: strategy.shadow.mode: \'gren\' is not one of "stop", "fast", "eco", "green"; did',
        ),
        (
            "name = 'threshold'\neco_stop_factor = 0.9",
            "config.toml:1: strategy.shadow: eco_start_factor 0.8 is below eco_stop_factor 0.9",
        ),
    ],
)
def test_what_the_table_may_not_say_is_told_with_its_place(tmp_path: Path, table: str, sentence: str) -> None:
    (line,) = refusal(tmp_path, f"[strategy.shadow]\n{table}\n")
    assert line.startswith(sentence)


def test_a_fault_of_the_strategys_own_table_is_told_once(tmp_path: Path) -> None:
    text = "[strategy.threshold]\nstop_delay_s = -1\n[strategy.shadow]\nname = 'threshold'\n"
    assert refusal(tmp_path, text) == [
        "config.toml:2: strategy.threshold.stop_delay_s: -1 is less than allowed (0 to 3600)"
    ]


def test_the_shadow_is_a_table_not_a_word(tmp_path: Path) -> None:
    assert refusal(tmp_path, "[strategy]\nshadow = 'fixed'\n") == [
        "config.toml:2: strategy.shadow: needs a table, not text"
    ]


@dataclass(frozen=True)
class NamedParams:
    """Parameters among which is a name."""

    name: str = "x"


class Named:
    """A stranger's strategy with a parameter that the table needs for itself."""

    name = "named"
    serves_goals = True
    Params = NamedParams

    def __init__(self, params: NamedParams) -> None:
        self.params = params

    def propose(self, situation: Situation) -> Proposal:  # noqa: ARG002 - the signature of a strategy
        return Proposal(Mode.STOP, Reason("named", "named"))


class Umbra(Named):
    """A stranger's strategy that is called as the table is."""

    name = "shadow"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[strategy.shadow]\nname = 'm:Named'", "config.toml:2: strategy.shadow.name: a strategy with a"),
        ("[strategy.shadow]\nname = 'm:Umbra'", "config.toml:2: strategy.shadow.name: no strategy can be"),
        ("[strategy]\nname = 'm:Umbra'", "config.toml:2: strategy.name: no strategy can be called 'shadow'"),
    ],
)
def test_names_that_cannot_be_told_apart_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
) -> None:
    monkeypatch.setitem(sys.modules, "m", sys.modules[__name__])
    (line,) = refusal(tmp_path, text)
    assert line.startswith(sentence)
