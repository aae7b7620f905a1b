"""The search: it starts from what is in use, keeps to the limit, and equal seeds ask equal questions."""

from __future__ import annotations

import sys

import pytest
from tuning_cases import threshold_space

from optimizer.errors import InputError
from optimizer.tune.evaluate import Score
from optimizer.tune.search import Search
from optimizer.tune.space import Plain
from optimizer.tune.verdict import lower_sum


def cost_eur(values: Plain) -> float:
    """A bowl whose bottom, 0, lies at 60 s, 900 s, and ECO by surplus."""
    start, stop = float(values["start_delay_s"]), float(values["stop_delay_s"])
    return (
        ((start - 60) / 600) ** 2 + ((stop - 900) / 2000) ** 2 + (0.2 if not values["eco_by_surplus"] else 0)
    )


def searched(seed: int, trials: int, limit: float = 8.0) -> Search:
    space = threshold_space(
        "start_delay_s", "stop_delay_s", "eco_by_surplus", start_delay_s=1000.0, eco_by_surplus=False
    )
    search = Search(space, (seed, 0), limit)
    while len(search.trials) < trials:
        asked = search.ask(8)
        search.tell(
            [Score(cost_eur(values), 10_000.0 / float(values["stop_delay_s"] or 1.0)) for values in asked]
        )
    return search


def test_what_is_in_use_comes_first_and_something_better_is_found() -> None:
    search = searched(1, 64, limit=1e9)
    assert search.trials[0].values == threshold_space(start_delay_s=1000.0, eco_by_surplus=False).current
    assert search.best.score.cost_eur < 0.02 < search.trials[0].score.cost_eur
    assert search.best.values["eco_by_surplus"] is True


def test_what_changes_too_often_is_never_the_best() -> None:
    best = searched(1, 64, limit=5.0).best
    assert best.score.changes_per_day <= 5.0
    cheapest_eur = ((2000 - 900) / 2000) ** 2
    assert cheapest_eur <= best.score.cost_eur < cheapest_eur + 0.2


def test_where_nothing_keeps_to_the_limit_what_is_in_use_stays() -> None:
    search = searched(1, 16, limit=0.5)
    assert search.best == search.trials[0]


def test_equal_seeds_ask_equal_questions() -> None:
    one, two, other = searched(1, 48), searched(1, 48), searched(2, 48)
    assert one.trials == two.trials != other.trials


def test_nothing_is_asked_that_the_strategy_refuses() -> None:
    space = threshold_space()
    search = Search(space, (1, 0), 8.0)
    for _ in range(6):
        asked = search.ask(8)
        assert all(space.is_allowed(values) for values in asked)
        search.tell([Score(float(values["margin_s"]), 1.0) for values in asked])


def test_without_optuna_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'sunmode\[tune\]'"):
        Search(threshold_space(), (1, 0), 8.0)


def test_a_gain_that_one_week_makes_alone_may_be_chance() -> None:
    assert lower_sum([10.0] + [-0.5] * 9, seed=1) < 0.0 < sum([10.0] + [-0.5] * 9)
    assert lower_sum([0.4, 0.6, 0.5, 0.3, 0.7, 0.5], seed=1) > 2.0
    assert lower_sum([1.0, -2.0, 3.0], seed=1) == lower_sum([1.0, -2.0, 3.0], seed=1)
