"""Whole lives of the whole service: a hundred short ones full of mishaps, and a long one."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import campaign
import pytest
from campaign import live, outcome_of, scratch
from campaign_outside import METEO, Spell, Wrong, looking_ahead
from campaign_plan import draw, ordinary_year

from optimizer.control.guards import guard
from optimizer.domain import Mode
from optimizer.runtime.replay import guard_inputs_from, policy_from, situation_from
from optimizer.simulation.sessions import Session
from optimizer.store.forecasts import vintage_at
from optimizer.store.sqlite import connect_reader

CHUNKS, SEEDS, DAYS = 25, 100, 2.0
"""The short form; `make campaign` lives more and longer ones."""

QUARTERS = ((0, 91.0), (91, 91.0), (182, 91.0), (273, 91.0))
"""First day and length in days; `make year` lives all of them in one go."""

MB_A_YEAR = 40.0

MB_OF_CALLS = 3.0
"""The last 35 days of calls, as `make bench` measures them: a year's log holds no more than a quarter's."""


@pytest.mark.campaign
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_hundred_seeds_of_two_days_keep_every_promise(chunk: int, token: str) -> None:
    outcomes = [outcome_of(seed, DAYS, token) for seed in range(chunk, SEEDS, CHUNKS)]
    broken = [(outcome.seed, violation) for outcome in outcomes for violation in outcome.violations]
    assert not broken, "again: python tests/campaign.py --seed N"
    calm = sum(outcome.calm_minutes for outcome in outcomes)
    assert calm > 0.3 * len(outcomes) * DAYS * 1440, "too much trouble to see anything converge"


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("import_eur_per_kwh", "spells", "said"),
    [
        (0.30, (), set()),
        (0.05, (), {"unasked"}),
        (0.30, (Spell(METEO, Wrong.BUSY, 0.0, math.inf),), set()),
    ],
)
def test_it_is_seen_whether_a_planned_life_draws_what_nobody_asked_for(
    import_eur_per_kwh: float, spells: tuple[Spell, ...], said: set[str], token: str
) -> None:
    plan = ordinary_year(token, 120, 0.6)
    arrival = plan.virtual.start
    sessions = dict.fromkeys(plan.sessions, (Session(arrival, arrival + timedelta(days=1), 20.0),))
    site = {**looking_ahead(random.Random(0)), "tariff": {"import_eur_per_kwh": import_eur_per_kwh}}
    site["forecast"]["providers"] = ["open-meteo", "offline"]
    chargers = [{key: value for key, value in one.items() if key != "goal"} for one in plan.values["charger"]]
    plan = replace(
        plan, sessions=sessions, values={**plan.values, **site, "charger": chargers}, spells=spells
    )
    with scratch() as folder:
        outcome = live(plan, folder / "log.db")
        with closing(connect_reader(folder / "log.db")) as conn:
            sources = {name for (name,) in conn.execute("SELECT DISTINCT provider FROM forecast")}
    assert {violation.partition(":")[0] for violation in outcome.violations} == said
    assert ("open-meteo" in sources) is (not spells)


@pytest.mark.campaign
def test_equal_seeds_live_equal_lives_whatever_the_hash_seed(token: str) -> None:
    traces = {outcome_of(7, 0.7, token).trace, outcome_of(7, 0.7, token).trace}
    program = f"import campaign; print(campaign.outcome_of(7, 0.7, {token!r}).trace)"
    for hash_seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(campaign.__file__).parent,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        traces.add(run.stdout.strip())
    assert len(traces) == 1
    assert outcome_of(8, 0.7, token).trace not in traces


@pytest.mark.campaign
@pytest.mark.parametrize("seed", [3, 9, 11])
def test_every_decision_of_a_life_can_be_decided_again(seed: int, token: str) -> None:
    plan = draw(seed, 1.5, token)
    strategy = plan.settings(Path("log.db")).build_strategy()
    with scratch() as folder:
        live(plan, folder / "log.db")
        with closing(connect_reader(folder / "log.db")) as conn:
            rows = conn.execute(
                "SELECT mode, guard, reason_code, reason, inputs, content"
                " FROM decision JOIN context ON context.id = context_id"
            ).fetchall()
        assert len(rows) > 50
        for mode, who, code, sentence, inputs_text, context_text in rows:
            inputs, context = json.loads(inputs_text), json.loads(context_text)
            situation = situation_from(inputs, context, partial(vintage_at, folder / "log.db"))
            proposal = strategy.propose(situation)
            ruling = guard(proposal, guard_inputs_from(inputs), policy_from(context))
            reason = ruling.reason or proposal.reason
            assert (ruling.mode, ruling.guard, reason.code, str(reason)) == (Mode(mode), who, code, sentence)


@pytest.mark.campaign
@pytest.mark.parametrize(("first_day", "days"), QUARTERS)
def test_a_quarter_of_an_ordinary_year_passes_without_an_unhandled_error(
    first_day: int, days: float, token: str
) -> None:
    with scratch() as folder:
        outcome = live(ordinary_year(token, first_day, days), folder / "log.db")
    assert not outcome.violations
    growth_mb = (MB_A_YEAR - MB_OF_CALLS) * days / 365.0
    assert outcome.log_bytes / 1e6 <= MB_OF_CALLS + growth_mb
