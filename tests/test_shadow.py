"""The shadow in whole lives: it decides, is logged, and changes nothing that is sent."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import campaign
import pytest
from campaign_plan import draw
from living import FOLLOW_THE_SUN, HOUR, MINUTE, Life, dark, live

from optimizer.control.guards import guard
from optimizer.domain import Alternative, ChargerSpec, Mode, Proposal, Reason, Situation
from optimizer.runtime.replay import guard_inputs_from, policy_from, situation_from
from optimizer.simulation.faults import Fault, FaultKind
from optimizer.simulation.virtual_time import run_virtual
from optimizer.store.sqlite import connect_reader

FAST = '[strategy.shadow]\nname = "fixed"\nmode = "fast"\n'
SLOWER = '[strategy.shadow]\nname = "threshold"\nstart_delay_s = 1800\n'
STRANGE = '[strategy.shadow]\nname = "stranger:Strange"\n'
WHAT_WAS_SENT = (
    "SELECT charger, mode, attempt, toward_safety, reason, state, decision_at, intended_at, sent_at"
    " FROM command ORDER BY id"
)


@dataclass(frozen=True)
class NoParams:
    """Nothing to set."""


class Strange:
    """A stranger's strategy on a bad day; `answer` is what it does."""

    name = "strange"
    serves_goals = True
    Params = NoParams
    answer: Callable[[], Any] = staticmethod(lambda: Proposal(Mode.FAST, Reason("strange", "strange")))

    def __init__(self, params: NoParams) -> None:
        self.params = params

    def propose(self, situation: Situation) -> Any:  # noqa: ARG002 - the signature of a strategy
        return type(self).answer()


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> type[Strange]:
    monkeypatch.setitem(sys.modules, "stranger", sys.modules[__name__])
    monkeypatch.setattr(Strange, "answer", Strange.answer)
    return Strange


def exploding() -> None:
    raise SystemExit("a stranger's idea of an end")


def forgetful() -> Proposal:
    """Name a mode that there is not as an alternative, which only the guards would notice."""
    return Proposal(Mode.FAST, Reason("strange", "strange"), (Alternative([], 1.0),))  # type: ignore[arg-type]


async def a_quarter_of_a_day(life: Life) -> tuple[list[Any], ...]:
    await life.begin()
    await life.passes(6 * HOUR)
    await life.ends()
    calls = [(call.t_s, call.endpoint, call.mode, call.subject) for call in life.cloud.calls]
    return calls, life.rows(WHAT_WAS_SENT), life.rows("SELECT at, mode, reason, inputs FROM decision")


def cloudy(hours: float) -> tuple[float, float]:
    """A sun that comes and goes."""
    return 3000.0 + 2500.0 * math.sin(9.0 * hours), 500.0


def test_a_life_makes_the_same_calls_and_decisions_whatever_the_shadow(
    tmp_path: Path, token: str, stranger: type[Strange]
) -> None:
    stranger.answer = staticmethod(exploding)
    mishaps = [
        Fault(FaultKind.INVERTER_FROZEN, start_s=2 * HOUR, duration_s=0.5 * HOUR),
        Fault(FaultKind.MANUAL_CHANGE, start_s=5 * HOUR, mode=Mode.FAST),
        Fault(FaultKind.LOST_COMMAND, start_s=HOUR, duration_s=20 * MINUTE),
    ]
    pair = (ChargerSpec("garage", "SQ1"), ChargerSpec("yard", "SQ2", priority=2))
    lives = []
    for number, config in enumerate(("", FAST, SLOWER, STRANGE)):
        folder = tmp_path / str(number)
        folder.mkdir()
        lives.append(
            live(
                folder,
                token,
                a_quarter_of_a_day,
                sky=cloudy,
                chargers=pair,
                config=FOLLOW_THE_SUN + config,
                faults=mishaps,
            )
        )
    assert all(other == lives[0] for other in lives[1:])
    assert len(lives[0][1]) > 4


SHADOWS: tuple[dict[str, Any], ...] = (
    {},
    {"shadow": {"name": "fixed", "mode": "fast"}},
    {"shadow": {"name": "threshold", "start_delay_s": 1800.0}},
)


def calls_in_life(seed: int, token: str, folder: Path, shadow: dict[str, Any]) -> list[Any]:
    """Return what the cloud saw in a life, with its mishaps, kills and outages of the log."""
    plan = draw(seed, 1.0, token)
    plan = replace(plan, values={**plan.values, "strategy": {**plan.values["strategy"], **shadow}})
    life = campaign.Life(plan, folder / "log.db")
    with campaign._silence():
        outcome = run_virtual(life.live())
    assert not outcome.violations
    with closing(connect_reader(folder / "log.db")) as conn:
        shadows = conn.execute("SELECT count(*) FROM shadow_decision").fetchone()[0]
        assert (shadows > 0) is bool(shadow)
    return [(call.t_s, call.endpoint, call.mode, call.subject) for call in life.cloud.calls]


@pytest.mark.campaign
@pytest.mark.parametrize("seed", [17, 24])
def test_lives_with_equal_seeds_send_the_same_at_the_same_times_whatever_the_shadow(
    seed: int, token: str
) -> None:
    lives = []
    for shadow in SHADOWS:
        with campaign.scratch() as folder:
            lives.append(calls_in_life(seed, token, folder, shadow))
    assert lives[0] == lives[1] == lives[2]
    assert any(endpoint == "pileCmd" for _, endpoint, *_ in lives[0])


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: None, "AttributeError"),
        (lambda: Proposal(Mode.FAST, Reason("odd", "{missing}")), "KeyError"),
        (lambda: Proposal(Mode.FAST, Reason("odd", "odd"), memory=(math.nan,)), "ValueError"),
        (forgetful, "ValueError"),
        (exploding, "SystemExit"),
    ],
)
def test_a_shadow_that_fails_is_told_once_and_changes_nothing(
    tmp_path: Path, token: str, stranger: type[Strange], answer: Callable[[], Any], fault: str
) -> None:
    stranger.answer = staticmethod(answer)

    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.GREEN, 30 * MINUTE)
        await life.passes(2 * HOUR)
        assert life.mode() is Mode.GREEN
        await life.ends()
        told = life.rows("SELECT charger, level, message FROM event WHERE kind LIKE '%failed'")
        assert told == [("garage", "warning", f"the shadow strategy strange failed: {fault}")]
        would = life.rows("SELECT DISTINCT reason_code FROM shadow_decision WHERE mode <> 0")
        assert would == []

    live(tmp_path, token, script, config=FOLLOW_THE_SUN + STRANGE)


def test_a_shadow_goes_its_own_way(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(HOUR)
        await life.ends()
        assert {mode for mode, _ in life.commands()} == set()
        rows = life.rows("SELECT mode, proposed, guard, strategy FROM shadow_decision ORDER BY id")
        assert rows[-1] == (1, 1, None, "fixed")
        assert life.rows("SELECT DISTINCT mode FROM decision") == [(0,)]
        assert life.rows("SELECT json_extract(inputs, '$.current') FROM shadow_decision WHERE mode = 1")[-1]

    live(tmp_path, token, script, sky=dark, config=FAST)


def test_the_shadows_changes_count_on_their_own(tmp_path: Path, token: str, stranger: type[Strange]) -> None:
    modes = [Mode.GREEN, Mode.STOP]
    turns = iter(range(10**6))
    stranger.answer = staticmethod(lambda: Proposal(modes[next(turns) % 2], Reason("odd", "odd")))
    quick = "[control]\nmax_changes_per_day = 5\ndwell_s = { stop = 0, green = 0 }\n"

    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(2 * HOUR)
        await life.ends()
        guards = life.rows("SELECT DISTINCT reason_code FROM shadow_decision")
        assert ("guard.changes",) in guards
        most = life.rows("SELECT max(json_extract(inputs, '$.changes_24h')) FROM shadow_decision")
        assert most == [(6,)]  # five, and the last move toward safety
        assert life.rows("SELECT max(json_extract(inputs, '$.changes_24h')) FROM decision") <= [(1,)]

    live(tmp_path, token, script, config=FOLLOW_THE_SUN + quick + STRANGE)


def test_the_owners_hand_does_not_bind_the_shadow(tmp_path: Path, token: str) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.passes(30 * MINUTE)
        life.home.set_mode("SQ1", Mode.STOP, "owner")
        await life.passes(HOUR)
        await life.ends()
        assert ("override",) in life.rows("SELECT guard FROM decision")
        assert life.rows("SELECT 1 FROM shadow_decision WHERE guard IN ('override', 'budget')") == []
        last = life.rows("SELECT mode, inputs FROM shadow_decision ORDER BY id DESC LIMIT 1")[0]
        assert (last[0], json.loads(last[1])["override"]) == (1, None)

    live(tmp_path, token, script, config=FOLLOW_THE_SUN + FAST)


def test_a_shadow_goes_on_after_a_kill_and_begins_anew_after_a_stop(tmp_path: Path, token: str) -> None:
    newest = "SELECT json_extract(inputs, '$.mode') FROM shadow_decision ORDER BY id DESC LIMIT 1"

    async def restarted(life: Life, *, kill: bool) -> int:
        await life.passes(40 * MINUTE)
        await life.service.store.flush()
        await (life.dies() if kill else life.ends())
        count = len(life.rows("SELECT 1 FROM shadow_decision"))
        await life.begin()
        while len(life.rows("SELECT 1 FROM shadow_decision")) == count:
            await life.passes(5.0)
            await life.service.store.flush()
        return int(life.rows(newest)[0][0])

    async def script(life: Life) -> None:
        await life.begin()
        assert await restarted(life, kill=True) == Mode.FAST
        assert await restarted(life, kill=False) == Mode.STOP

    live(tmp_path, token, script, sky=dark, config=FAST)


@pytest.mark.parametrize("shadow", [FAST, SLOWER], ids=["fast", "slower"])
def test_every_decision_of_a_shadow_can_be_decided_again(tmp_path: Path, token: str, shadow: str) -> None:
    async def script(life: Life) -> list[Any]:
        await life.begin()
        await life.passes(12 * HOUR)
        await life.ends()
        return life.rows(
            "SELECT mode, proposed, guard, reason_code, reason, strategy, inputs, content"
            " FROM shadow_decision JOIN context ON context.id = context_id"
        )

    hand = Fault(FaultKind.MANUAL_CHANGE, start_s=HOUR, mode=Mode.STOP)
    rows = live(tmp_path, token, script, sky=cloudy, config=FOLLOW_THE_SUN + shadow, faults=[hand])
    strategy = _tried(FOLLOW_THE_SUN + shadow, tmp_path)
    assert len(rows) > 12
    for mode, proposed, who, code, sentence, name, inputs_text, context_text in rows:
        inputs, context = json.loads(inputs_text), json.loads(context_text)
        proposal = strategy.propose(situation_from(inputs, context))
        ruling = guard(proposal, guard_inputs_from(inputs), policy_from(context))
        reason = ruling.reason or proposal.reason
        assert (ruling.mode, proposal.mode, ruling.guard) == (Mode(mode), Mode(proposed), who)
        assert (reason.code, str(reason), strategy.name) == (code, sentence, name)
        assert context["strategy"] == name


def _tried(config: str, folder: Path) -> Any:
    from optimizer.config import load_settings

    path = folder / "again.toml"
    path.write_text(config, encoding="utf-8")
    return load_settings(path, {}).build_shadow()
