from __future__ import annotations

import random
from bisect import bisect_left, insort
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.control.budget import Breaker, Limits, Outcome, Priority, after, next_slot_s

LIMITS = Limits()
READ, RISE, SAFETY = Priority
SHUT = Breaker(open_until_s=160.0, strikes=1, kind=Outcome.THROTTLED)


@pytest.mark.parametrize(
    ("in_use", "priority", "goes"),
    [
        (0, READ, True),
        (2, READ, True),
        (3, READ, False),
        (3, RISE, True),
        (4, RISE, False),
        (4, SAFETY, True),
        (5, SAFETY, True),
        (6, SAFETY, False),
    ],
)
def test_reading_leaves_a_slot_of_each_minute_for_a_rise_and_both_leave_two_for_safety(
    in_use: int, priority: Priority, goes: bool
) -> None:
    frees_s = [LIMITS.minute_free_s(99.0, 99.5)] * in_use
    slot_s = next_slot_s(100.0, frees_s, [], LIMITS, priority)
    assert slot_s == (100.0 if goes else 160.5)


def test_a_full_minute_names_the_instant_when_enough_slots_are_free() -> None:
    assert next_slot_s(0.0, [50.0, 10.0, 40.0, 20.0, 30.0], [], LIMITS, RISE) == 20.0


def test_a_slot_is_free_at_the_very_instant_of_its_mark() -> None:
    assert next_slot_s(30.0, [30.0] * 6, [30.0] * 8000, LIMITS, READ) == 30.0


@pytest.mark.parametrize(("priority", "expected_s"), [(READ, 110.0), (RISE, 60.0), (SAFETY, 10.0)])
def test_of_each_day_fifty_calls_are_for_safety_and_fifty_more_are_not_for_reading(
    priority: Priority, expected_s: float
) -> None:
    day_frees_s = [float(mark) for mark in range(11, 8000 + 10)]
    assert next_slot_s(10.0, [], day_frees_s, LIMITS, priority) == expected_s


@given(per_minute=st.integers(1, 9), reserved=st.integers(0, 8), per_day=st.integers(1, 9999))
def test_every_priority_has_a_slot_and_a_higher_one_never_fewer(
    per_minute: int, reserved: int, per_day: int
) -> None:
    limits = Limits(per_minute, per_day, reserved_per_minute=min(reserved, per_minute - 1))
    for rules in (limits, limits.unwritten()):
        for capacity in (rules.minute_capacity, rules.day_capacity):
            assert 1 <= capacity(READ) <= capacity(RISE) <= capacity(SAFETY)
        assert rules.minute_capacity(SAFETY) == rules.per_minute


@given(per_minute=st.integers(1, 8), per_day=st.integers(1, 9998))
def test_written_and_unwritten_calls_together_stay_below_the_vendors_limits(
    per_minute: int, per_day: int
) -> None:
    limits = Limits(per_minute, per_day, reserved_per_minute=0)
    unwritten = limits.unwritten()
    assert limits.per_minute + unwritten.per_minute < 10
    assert unwritten.per_minute <= 3
    assert limits.per_day - limits.reserved_per_day + unwritten.per_day < 10_000


def test_reading_as_fast_as_it_may_never_keeps_a_rise_waiting() -> None:
    marks_s = list[float]()
    for now_s in range(0, 3600, 5):
        while next_slot_s(now_s, marks_s, [], LIMITS, READ) == now_s:
            marks_s.append(LIMITS.minute_free_s(now_s, None))
        assert next_slot_s(now_s, marks_s, [], LIMITS, RISE) == now_s


def test_the_later_of_both_windows_decides() -> None:
    day = replace(LIMITS, per_day=1)
    assert next_slot_s(0.0, [5.0] * 6, [9.0], day, SAFETY) == 9.0
    assert next_slot_s(0.0, [9.0] * 6, [5.0], day, SAFETY) == 9.0


def test_an_unfinished_call_holds_its_slots_as_if_it_ended_at_its_time_out() -> None:
    assert LIMITS.minute_free_s(100.0, None) == 100.0 + 15.0 + 61.0
    assert LIMITS.minute_free_s(100.0, 101.0) == 101.0 + 61.0
    assert LIMITS.day_free_s(100.0, None) == 100.0 + 15.0 + 86_401.0
    assert LIMITS.day_free_s(100.0, 101.0) == 101.0 + 86_401.0


@pytest.mark.parametrize(
    "wrong", [{"per_minute": 2}, {"reserved_per_minute": 6}, {"reserved_per_minute": -1}, {"per_day": 0}]
)
def test_limits_that_leave_no_normal_call_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="not"):
        Limits(**wrong)


def _worst(arrivals_s: list[float], window_s: float) -> int:
    """Most arrivals in any window, as a server that logs arrivals would count."""
    ordered = sorted(arrivals_s)
    return max(i + 1 - bisect_left(ordered, at_s - window_s) for i, at_s in enumerate(ordered))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    per_minute=st.integers(3, 9),
    longest_s=st.floats(0.0, 15.0),
    kill_rate=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_a_server_never_counts_more_than_the_limit_in_any_minute(
    seed: int, per_minute: int, longest_s: float, kill_rate: float
) -> None:
    # A killed call never completes; its arrival may still be anywhere up to the time-out.
    rng, limits = random.Random(seed), Limits(per_minute=per_minute, per_day=400)
    now_s, arrivals_s, calls = 0.0, list[float](), list[tuple[float, float | None]]()
    for _ in range(300):
        known = [(r, None if c is None or c > now_s else c) for r, c in calls]
        minute = [limits.minute_free_s(*call) for call in known]
        day = sorted(limits.day_free_s(*call) for call in known)
        now_s = next_slot_s(now_s, minute, day, limits, rng.choice(list(Priority)))
        done_s = now_s + rng.uniform(0.0, longest_s)
        arrivals_s.append(rng.uniform(now_s, done_s))
        calls.append((now_s, None if rng.random() < kill_rate else done_s))
        now_s += rng.choice([0.0, 0.0, 0.01, rng.uniform(0.0, 20.0)])
    assert _worst(arrivals_s, 60.0) <= per_minute


@pytest.mark.parametrize("seed", range(3))
def test_a_server_never_counts_more_than_the_limit_in_any_day(seed: int) -> None:
    rng, limits = random.Random(seed), Limits(per_minute=9, per_day=300)
    now_s, arrivals_s, minute, day = 0.0, list[float](), list[float](), list[float]()
    while now_s < 3 * 86_400.0:
        now_s = next_slot_s(now_s, minute, day, limits, rng.choices(list(Priority), [8, 1, 1])[0])
        done_s = now_s + rng.uniform(0.0, 15.0)
        arrivals_s.append(rng.uniform(now_s, done_s))
        minute = [*minute, limits.minute_free_s(now_s, done_s)][-20:]
        insort(day, limits.day_free_s(now_s, done_s))
        now_s = max(now_s, done_s)
    assert _worst(arrivals_s, 86_400.0) <= 300
    assert len(arrivals_s) > 700


@given(
    marks=st.lists(st.floats(0, 100), max_size=12),
    now_s=st.floats(0, 100),
    priority=st.sampled_from(Priority),
)
def test_the_named_instant_is_the_first_with_a_free_slot(
    marks: list[float], now_s: float, priority: Priority
) -> None:
    slot_s = next_slot_s(now_s, marks, [], LIMITS, priority)
    capacity = LIMITS.minute_capacity(priority)
    assert sum(mark > slot_s for mark in marks) < capacity
    assert slot_s == now_s or sum(mark >= slot_s for mark in marks) >= capacity


def _run(*outcomes: Outcome, jitter: float = 1.0, retry_after_s: float | None = None) -> list[float]:
    """Holds after each outcome, the next call going as soon as it may."""
    breaker, now_s, holds_s = Breaker(), 0.0, []
    for outcome in outcomes:
        breaker = after(breaker, outcome, now_s, retry_after_s, jitter)
        holds_s.append(max(0.0, breaker.open_until_s - now_s))
        now_s = max(now_s, breaker.open_until_s)
    return holds_s


def test_throttling_doubles_from_a_minute_to_an_hour() -> None:
    assert _run(*[Outcome.THROTTLED] * 8) == [60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_a_throttle_is_never_shorter_than_a_minute_nor_than_retry_after() -> None:
    assert _run(*[Outcome.THROTTLED] * 3, jitter=0.0) == [60, 60, 120]
    assert _run(Outcome.THROTTLED, retry_after_s=500.0) == [500.0]
    assert _run(Outcome.THROTTLED, retry_after_s=1e12) == [86_400.0]


def test_a_ban_closes_the_door_for_an_hour() -> None:
    assert _run(Outcome.BANNED) == [3600.0]
    assert _run(Outcome.BANNED, retry_after_s=7200.0) == [7200.0]


def test_a_throttle_after_a_ban_goes_on_counting() -> None:
    assert _run(Outcome.BANNED, Outcome.THROTTLED) == [3600.0, 120.0]


def test_a_wrong_token_is_probed_each_quarter_hour_from_the_second_refusal_on() -> None:
    assert _run(*[Outcome.AUTH] * 3) == [0.0, 900.0, 900.0]


def test_one_refused_token_between_good_answers_closes_nothing() -> None:
    assert _run(Outcome.AUTH, Outcome.OK, Outcome.AUTH) == [0.0, 0.0, 0.0]


def test_five_missing_answers_in_a_row_pause_for_a_minute_each() -> None:
    assert _run(*[Outcome.UNAVAILABLE] * 6) == [0.0, 0.0, 0.0, 0.0, 60.0, 60.0]


def test_a_missing_answer_does_not_wipe_out_the_strikes_of_a_throttle() -> None:
    throttled, missing = Outcome.THROTTLED, Outcome.UNAVAILABLE
    assert _run(throttled, missing, throttled) == [60.0, 0.0, 120.0]


@pytest.mark.parametrize("served", [Outcome.OK, Outcome.REFUSED])
def test_being_served_again_closes_the_breaker(served: Outcome) -> None:
    assert after(SHUT, served, 160.0, None, 0.5) == Breaker()


def test_an_answer_to_a_call_under_way_does_not_close_the_breaker() -> None:
    assert after(SHUT, Outcome.OK, 101.0, None, 0.5) == SHUT


def test_a_second_throttle_of_calls_under_way_is_no_second_strike() -> None:
    assert after(SHUT, Outcome.THROTTLED, 101.0, None, 0.5).strikes == 1


def test_a_bad_answer_says_nothing_about_the_clouds_will() -> None:
    assert after(SHUT, Outcome.BAD_ANSWER, 500.0, None, 0.5) == SHUT
    assert after(SHUT, Outcome.NOT_SENT, 500.0, None, 0.5) == SHUT


@given(st.lists(st.tuples(st.sampled_from(Outcome), st.floats(0, 5000), st.floats(0, 1)), max_size=40))
def test_an_open_breaker_never_closes_early_and_never_holds_longer_than_an_hour(
    history: list[tuple[Outcome, float, float]],
) -> None:
    now_s, states = 0.0, [Breaker()]
    for outcome, wait_s, jitter in history:
        now_s += wait_s
        states.append(after(states[-1], outcome, now_s, None, jitter))
        assert states[-1].open_until_s <= max(now_s + 3600.0, states[-2].open_until_s)
        assert states[-1].is_open(now_s) or not states[-2].is_open(now_s)
    assert all(one.open_until_s <= two.open_until_s or two == Breaker() for one, two in pairwise(states))
