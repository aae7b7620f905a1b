from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.goals import goal_at_risk, slack_s


@pytest.mark.parametrize(
    ("need_kwh", "power_w", "left_s", "expected_s"),
    [
        (7.0, 7000.0, 7200.0, 3600.0),
        (7.0, 3500.0, 3600.0, -3600.0),
        (0.0, 7000.0, 1.0, math.inf),
        (1.0, 0.0, 1.0, -math.inf),
    ],
)
def test_slack_is_the_time_that_may_pass_before_full_power(
    need_kwh: float, power_w: float, left_s: float, expected_s: float
) -> None:
    assert slack_s(need_kwh, power_w, left_s) == expected_s


@pytest.mark.parametrize(
    ("left_s", "at_risk"),
    [(5401.0, False), (5400.0, True), (100.0, True), (0.0, False), (-5.0, False)],
)
def test_a_goal_is_at_risk_from_its_latest_start_until_its_deadline(left_s: float, at_risk: bool) -> None:
    assert goal_at_risk(7.0, 7000.0, left_s, margin_s=1800.0) is at_risk


@given(need_kwh=st.floats(0.1, 50.0), power_w=st.floats(1000.0, 22_000.0), margin_s=st.floats(0.0, 7200.0))
def test_full_power_from_the_latest_start_on_meets_the_goal(
    need_kwh: float, power_w: float, margin_s: float
) -> None:
    full_s = need_kwh * 3.6e6 / power_w
    assert goal_at_risk(need_kwh, power_w, full_s + margin_s - 0.01, margin_s)
    assert not goal_at_risk(need_kwh, power_w, full_s + margin_s + 0.01, margin_s)
