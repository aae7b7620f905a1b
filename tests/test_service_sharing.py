"""Several cars in closed loop: who gets the sun, and how few calls tell them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from living import FAST_ALWAYS, FOLLOW_THE_SUN, HOUR, MINUTE, Life, live

from optimizer.domain import ChargerSpec, Mode, Situation, Strategy

PAIR = (ChargerSpec("garage", "SQ1"), ChargerSpec("yard", "SQ2"))


def thin(hours: float) -> tuple[float, float]:
    """A sun for one car."""
    return 2300.0, 300.0


def test_two_chargers_that_go_to_the_same_mode_share_one_call(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode("SQ1") is Mode.FAST and life.mode("SQ2") is Mode.FAST, 20 * MINUTE)
        await life.ends()
        assert life.commands()[-1] == (Mode.STOP, "SQ1,SQ2")

    live(tmp_path, token, script, chargers=PAIR, config=FAST_ALWAYS)


def test_a_sun_for_one_car_goes_to_the_charger_of_the_first_rank(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(2 * HOUR)
        assert (life.mode("SQ1"), life.mode("SQ2")) == (Mode.STOP, Mode.GREEN)

    pair = (ChargerSpec("garage", "SQ1", priority=2), ChargerSpec("yard", "SQ2", priority=1))
    live(tmp_path, token, script, sky=thin, chargers=pair, config=FOLLOW_THE_SUN)


def test_a_sun_for_one_car_goes_among_equals_to_the_one_that_misses_energy_of_its_goal(
    tmp_path: Path, token: str
) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(HOUR)
        assert (life.mode("SQ1"), life.mode("SQ2")) == (Mode.STOP, Mode.GREEN)
        await life.until(lambda: life.mode("SQ1") is Mode.GREEN, 3 * HOUR)
        assert life.home.charger("SQ2").session_kwh >= 3.0

    goal = 'goal = [{ days = ["daily"], by = "23:30", energy_kwh = 3 }]\n'
    live(tmp_path, token, script, sky=thin, chargers=PAIR, config=goal + FOLLOW_THE_SUN)


class Appraising:
    """The strategy of the service, which besides tells what a kWh is worth in each car."""

    def __init__(self, inner: Strategy, worth: Callable[[str], float]) -> None:
        self.name, self.serves_goals, self.propose = inner.name, inner.serves_goals, inner.propose
        self._worth = worth

    def worth_eur_per_kwh(self, situation: Situation) -> float:
        return self._worth(situation.charger.name)


@pytest.mark.parametrize(
    ("worth", "modes", "told"),
    [
        ({"garage": 0.08, "yard": 0.20}.__getitem__, (Mode.STOP, Mode.GREEN), []),
        ({"garage": 0.081, "yard": 0.084}.__getitem__, (Mode.GREEN, Mode.STOP), []),
        (lambda _: math.nan, (Mode.GREEN, Mode.STOP), []),
        ({}.__getitem__, (Mode.GREEN, Mode.STOP), 2 * ["the strategy failed: KeyError"]),
    ],
)
def test_among_equals_the_sun_goes_where_a_kwh_is_worth_most(
    tmp_path: Path, token: str, worth: Callable[[str], float], modes: tuple[Mode, Mode], told: list[str]
) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        decider = life.service.cycle._parts.decider
        decider._strategy = Appraising(decider._strategy, worth)
        await life.passes(HOUR)
        assert (life.mode("SQ1"), life.mode("SQ2")) == modes
        await life.ends()
        events = life.rows("SELECT message FROM event WHERE kind = 'strategy_failed'")
        assert [message for (message,) in events] == told

    live(tmp_path, token, script, sky=thin, chargers=PAIR, config=FOLLOW_THE_SUN)
