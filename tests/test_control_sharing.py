from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.control.sharing import NOBODY, Claim, Shares, share

FIRST = Claim("first", 1, 1380.0, 7360.0, wants=True)
SECOND = Claim("second", 2, 1380.0, 7360.0, wants=True)
THREE_PHASE = Claim("big", 1, 4140.0, 11_040.0, wants=True)
ABSENT = Claim("absent", 1, 1380.0, 7360.0, wants=False)


def _split(surplus_w: float, *claims: Claim, before: Shares = NOBODY) -> Shares:
    return share(surplus_w, claims, before, dt_s=60.0, hold_s=300.0)


@pytest.mark.parametrize("surplus_w", [-500.0, 0.0, 500.0, 1380.0, 5000.0])
@pytest.mark.parametrize("claim", [FIRST, ABSENT])
def test_a_single_charger_sees_the_whole_surplus(surplus_w: float, claim: Claim) -> None:
    assert _split(surplus_w, claim).of(claim.name) == surplus_w


def test_a_share_does_not_exceed_what_the_charger_can_take() -> None:
    assert _split(9000.0, FIRST).of("first") == 7360.0


@pytest.mark.parametrize(
    ("surplus_w", "first_w", "second_w", "served"),
    [
        (1000.0, 1000.0, 0.0, set()),
        (1380.0, 1380.0, 0.0, {"first"}),
        (2000.0, 2000.0, 0.0, {"first"}),
        (3000.0, 1620.0, 1380.0, {"first", "second"}),
        (9000.0, 7360.0, 1640.0, {"first", "second"}),
        (20_000.0, 7360.0, 7360.0, {"first", "second"}),
        (-400.0, -400.0, 0.0, set()),
    ],
)
def test_floors_come_first_and_the_rest_goes_by_rank(
    surplus_w: float, first_w: float, second_w: float, served: set[str]
) -> None:
    shares = _split(surplus_w, SECOND, FIRST)
    assert (shares.of("first"), shares.of("second")) == (first_w, second_w)
    assert shares.served == served


@pytest.mark.parametrize(
    ("b_worth", "b_priority", "first"), [(0.31, 1, "b"), (0.304, 1, "a"), (0.29, 1, "a"), (0.60, 2, "a")]
)
def test_among_equals_what_a_kwh_is_worth_counts_before_the_deadline(
    b_worth: float, b_priority: int, first: str
) -> None:
    claims = (
        replace(FIRST, name="a", due_s=900.0, worth_eur_per_kwh=0.30),
        replace(FIRST, name="b", priority=b_priority, worth_eur_per_kwh=b_worth),
    )
    assert _split(2000.0, *claims).served == {first}


@pytest.mark.parametrize(
    ("a_due_s", "b_due_s", "b_priority", "first"),
    [
        (math.inf, math.inf, 1, "a"),
        (math.inf, 900.0, 1, "b"),
        (900.0, 1800.0, 1, "a"),
        (1800.0, 900.0, 1, "b"),
        (math.inf, 900.0, 2, "a"),
    ],
)
def test_among_equals_the_sun_goes_where_a_goal_is_due(
    a_due_s: float, b_due_s: float, b_priority: int, first: str
) -> None:
    claims = (
        replace(FIRST, name="a", due_s=a_due_s),
        replace(FIRST, name="b", due_s=b_due_s, priority=b_priority),
    )
    assert _split(2000.0, *claims).served == {first}


def test_a_charger_without_a_car_leaves_its_share_to_the_next() -> None:
    for surplus_w in (500.0, 2000.0):
        shares = _split(surplus_w, ABSENT, SECOND)
        assert (shares.of("absent"), shares.of("second")) == (0.0, surplus_w)


def test_what_a_big_charger_cannot_start_with_goes_to_a_small_one() -> None:
    shares = _split(2000.0, THREE_PHASE, SECOND)
    assert shares.served == {"second"}
    assert shares.of("second") == 2000.0


def test_a_served_charger_keeps_its_share_until_a_better_claim_has_held_long_enough() -> None:
    shares = _split(2000.0, SECOND)
    served = []
    for _ in range(7):
        shares = _split(2000.0, FIRST, SECOND, before=shares)
        served.append(shares.served)
    assert served == [{"second"}] * 5 + [{"first"}] * 2


def test_a_claim_that_comes_and_goes_starts_to_wait_anew() -> None:
    shares = _split(2000.0, SECOND)
    for surplus_w in (2000.0, 2000.0, 2000.0, 1000.0, 2000.0, 2000.0, 2000.0):
        shares = _split(surplus_w, FIRST, SECOND, before=shares)
    assert "second" in shares.served


def test_a_served_charger_stays_served_in_a_dip() -> None:
    shares = _split(5000.0, THREE_PHASE, SECOND)
    assert shares.served == {"big"}
    shares = _split(2000.0, THREE_PHASE, SECOND, before=shares)
    assert shares.served == {"big"}
    assert shares.of("big") == 2000.0


def test_the_one_that_is_still_served_carries_a_deficit() -> None:
    shares = _split(-300.0, FIRST, SECOND, before=_split(3000.0, FIRST, SECOND))
    assert (shares.of("first"), shares.of("second")) == (-300.0, 0.0)


def test_no_chargers_share_nothing() -> None:
    assert _split(1000.0).watts == ()


CLAIMS = st.lists(
    st.builds(
        Claim,
        name=st.sampled_from(["a", "b", "c", "d"]),
        priority=st.integers(1, 3),
        floor_w=st.sampled_from([690.0, 1380.0, 4140.0]),
        max_w=st.sampled_from([3680.0, 7360.0, 11_040.0]),
        wants=st.booleans(),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda claim: claim.name,
)


@given(claims=CLAIMS, surpluses_w=st.lists(st.floats(-5000, 30_000), min_size=1, max_size=12))
def test_shares_never_exceed_the_surplus_nor_any_maximum(
    claims: list[Claim], surpluses_w: list[float]
) -> None:
    shares = NOBODY
    for surplus_w in surpluses_w:
        shares = _split(surplus_w, *claims, before=shares)
        watts = dict(shares.watts)
        assert watts.keys() == {claim.name for claim in claims}
        assert sum(watts.values()) <= max(0.0, surplus_w) + 1e-6
        assert all(watts[claim.name] <= claim.max_w for claim in claims)
        assert shares.served <= {claim.name for claim in claims if claim.wants}
        assert min(watts.values()) >= min(0.0, surplus_w)


@given(claims=CLAIMS, surplus_w=st.floats(-5000, 30_000))
def test_the_order_of_the_claims_does_not_matter(claims: list[Claim], surplus_w: float) -> None:
    assert dict(_split(surplus_w, *claims).watts) == dict(_split(surplus_w, *reversed(claims)).watts)


@given(claims=CLAIMS, surplus_w=st.floats(0, 30_000))
def test_a_steady_surplus_settles_on_one_split(claims: list[Claim], surplus_w: float) -> None:
    shares = NOBODY
    for _ in range(20):
        shares = _split(surplus_w, *claims, before=shares)
    again = _split(surplus_w, *claims, before=shares)
    assert (again.watts, again.served) == (shares.watts, shares.served)
