"""Whole lives of the whole service: a hundred short ones full of mishaps, and a long one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import campaign
import pytest
from campaign import live, outcome_of, scratch
from campaign_plan import Plan, draw

from optimizer.control.guards import guard
from optimizer.domain import Mode
from optimizer.runtime.replay import guard_inputs_from, policy_from, situation_from
from optimizer.simulation.faults import FaultKind
from optimizer.simulation.sessions import read_sessions
from optimizer.simulation.settings import VirtualSettings
from optimizer.store.sqlite import connect_reader

CHUNKS, SEEDS, DAYS = 20, 40, 2.0
"""The short form; `make campaign` lives more and longer ones."""

OWNERS_HAND = "I5"
"""Judged by `make campaign` alone so far: in rare lives a mode set by hand does not hold to its end."""

MB_A_YEAR = 40.0


@pytest.mark.campaign
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_forty_seeds_of_two_days_keep_every_promise_about_safety_calls_and_energy(
    chunk: int, token: str
) -> None:
    outcomes = [outcome_of(seed, DAYS, token) for seed in range(chunk, SEEDS, CHUNKS)]
    broken = [
        (outcome.seed, violation)
        for outcome in outcomes
        for violation in outcome.violations
        if not violation.startswith(OWNERS_HAND)
    ]
    assert not broken, "again: python tests/campaign.py --seed N"
    calm = sum(outcome.calm_minutes for outcome in outcomes)
    assert calm > 0.3 * len(outcomes) * DAYS * 1440, "too much trouble to see anything converge"


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
@pytest.mark.parametrize("seed", [3, 11])
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
        proposal = strategy.propose(situation_from(inputs, context))
        ruling = guard(proposal, guard_inputs_from(inputs), policy_from(context))
        reason = ruling.reason or proposal.reason
        assert (ruling.mode, ruling.guard, reason.code, str(reason)) == (Mode(mode), who, code, sentence)


def ordinary_year(token: str, first_day: int = 0, days: float = 365.0) -> Plan:
    """Return days of the sample's year: its commuter, a goal for each working day, a cloud that hiccups."""
    samples = campaign.SAMPLE.parent
    virtual = VirtualSettings(
        token=token,
        start=datetime(2019, 1, 1, tzinfo=UTC) + timedelta(days=first_day),
        fault_rates=dict.fromkeys((FaultKind.SERVER_ERROR, FaultKind.NULL, FaultKind.LOST_COMMAND), 0.003),
    )
    spec = virtual.chargers[0]
    values = {
        "solax": {"inverter": virtual.inverter},
        "charger": [
            {
                "name": spec.name,
                "serial": spec.serial,
                "goal": [{"days": ["weekdays"], "by": "07:00", "energy_kwh": 8}],
            }
        ],
    }
    sessions = {spec.name: read_sessions(samples / "sessions.csv")}
    return Plan(0, days, virtual, sessions, values, look_s=600.0)


@pytest.mark.campaign
@pytest.mark.parametrize("first_day", [0, 150])
def test_three_weeks_of_an_ordinary_year_pass_without_an_unhandled_error(first_day: int, token: str) -> None:
    with scratch() as folder:
        outcome = live(ordinary_year(token, first_day, 21.0), folder / "log.db")
    megabytes = outcome.log_bytes / 1e6
    print(f"{megabytes:.1f} MB of log, {outcome.calls} calls, {outcome.decisions} decisions in three weeks")  # noqa: T201
    assert not outcome.violations
    assert megabytes <= MB_A_YEAR / 10
