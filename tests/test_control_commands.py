from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.control.commands import Kind, Observed, Pursuit, Step, is_foreign, next_step, resumed
from optimizer.domain import Mode

STOP, FAST, ECO, GREEN = Mode


def _life(
    desired: Mode, observed: Mode | None, until_s: int, pursuit: Pursuit | None = None
) -> tuple[list[tuple[Kind, int]], Pursuit | None]:
    """Run each second with a charger that is read all the time and never changes."""
    happened = []
    for now_s in range(until_s):
        seen = None if observed is None else Observed(observed, now_s)
        step = next_step(pursuit, desired, seen, now_s)
        pursuit = step.pursuit
        if step.kind not in (Kind.WAIT, Kind.NOTHING):
            happened.append((step.kind, now_s))
    return happened, pursuit


def test_a_charger_that_is_in_the_mode_is_left_alone() -> None:
    assert next_step(None, GREEN, Observed(GREEN, 0.0), 0.0) == Step(Kind.NOTHING, None)


def test_a_lost_command_is_repeated_then_reported_once_then_repeated_for_ever() -> None:
    happened, _ = _life(GREEN, STOP, 900)
    sends = [at_s for kind, at_s in happened if kind is Kind.SEND]
    assert sends == [0, 90, 180, 360, 510, 660, 810]
    assert [at_s for kind, at_s in happened if kind is Kind.ALARM] == [450]


def test_only_a_reading_made_after_the_sending_confirms() -> None:
    sent = next_step(None, GREEN, Observed(STOP, 0.0), 1.0).pursuit
    assert next_step(sent, GREEN, Observed(GREEN, 1.0), 2.0).kind is Kind.WAIT
    assert next_step(sent, GREEN, Observed(GREEN, 1.5), 2.0) == Step(Kind.CONFIRMED, None)


def test_a_mode_that_came_by_itself_needs_no_command() -> None:
    unsent = next_step(None, FAST, None, 0.0).pursuit
    assert next_step(unsent, FAST, Observed(FAST, 5.0), 5.0) == Step(Kind.NOTHING, None)


def test_a_charger_is_read_before_the_first_command_goes_out() -> None:
    happened, pursuit = _life(FAST, None, 300)
    assert happened == []
    assert next_step(pursuit, FAST, Observed(STOP, 300.0), 300.0).kind is Kind.SEND


@pytest.mark.parametrize(("desired", "sends"), [(STOP, 1), (GREEN, 1), (ECO, 0), (FAST, 0)])
def test_a_charger_that_was_never_readable_is_only_sent_what_is_safe(desired: Mode, sends: int) -> None:
    happened, _ = _life(desired, None, 650)
    assert [kind for kind, _ in happened] == [Kind.SEND] * sends


@pytest.mark.parametrize(
    ("observed", "desired", "kind"),
    [(FAST, STOP, Kind.SEND), (FAST, ECO, Kind.SEND), (STOP, GREEN, Kind.WAIT), (GREEN, FAST, Kind.WAIT)],
)
def test_a_charger_not_read_for_ten_minutes_is_only_sent_moves_toward_safety(
    observed: Mode, desired: Mode, kind: Kind
) -> None:
    assert next_step(None, desired, Observed(observed, 0.0), 600.0).kind is Kind.SEND
    assert next_step(None, desired, Observed(observed, 0.0), 601.0).kind is kind


def test_where_a_round_of_reading_takes_long_a_rise_may_go_by_an_older_reading() -> None:
    seen = Observed(STOP, 0.0)
    assert next_step(None, GREEN, seen, 1500.0, readable_s=1500.0).kind is Kind.SEND
    assert next_step(None, GREEN, seen, 1501.0, readable_s=1500.0).kind is Kind.WAIT


def test_another_wish_starts_anew_at_once() -> None:
    _, pursuit = _life(GREEN, STOP, 100)
    step = next_step(pursuit, FAST, Observed(STOP, 100.0), 100.0)
    assert step.kind is Kind.SEND
    assert step.pursuit is not None
    assert (step.pursuit.attempts, step.pursuit.wanted) == (1, FAST)


def test_a_wish_withdrawn_while_its_command_is_under_way_is_countermanded() -> None:
    sent = next_step(None, FAST, Observed(STOP, 0.0), 1.0).pursuit
    for seen_s in (9.0, 121.0):
        step = next_step(sent, STOP, Observed(STOP, seen_s), seen_s)
        assert step.kind is Kind.SEND
        assert step.pursuit is not None
        assert step.pursuit.toward_safety


def test_a_wish_withdrawn_after_its_command_had_time_to_act_is_just_dropped() -> None:
    sent = next_step(None, FAST, Observed(STOP, 0.0), 1.0).pursuit
    assert next_step(sent, STOP, Observed(STOP, 121.5), 121.5) == Step(Kind.NOTHING, None)


def test_a_command_that_an_earlier_one_may_still_overtake_is_not_confirmed_before_that_has_had_its_time() -> (
    None
):
    first = next_step(None, FAST, Observed(STOP, 0.0), 1.0).pursuit
    second = next_step(first, STOP, Observed(STOP, 4.0), 4.0).pursuit
    assert next_step(second, STOP, Observed(STOP, 60.0), 60.0).kind is Kind.WAIT
    assert next_step(second, STOP, Observed(FAST, 110.0), 110.0).kind is Kind.SEND
    assert next_step(second, STOP, Observed(STOP, 121.5), 121.5).kind is Kind.CONFIRMED


@pytest.mark.parametrize(
    ("observed", "desired", "safer"),
    [(FAST, GREEN, True), (GREEN, STOP, True), (STOP, GREEN, False), (ECO, FAST, False)],
)
def test_a_move_toward_safety_is_one_that_may_draw_less(observed: Mode, desired: Mode, safer: bool) -> None:
    step = next_step(None, desired, Observed(observed, 0.0), 0.0)
    assert step.pursuit is not None
    assert step.pursuit.toward_safety is safer


def test_a_wish_that_flickers_does_not_send_the_same_mode_twice_within_five_seconds() -> None:
    pursuit = next_step(None, FAST, Observed(STOP, 0.0), 0.0).pursuit
    pursuit = Pursuit(GREEN, 1.0, toward_safety=False, sent_mode=FAST, sent_at_s=0.0)
    step = next_step(pursuit, FAST, Observed(STOP, 2.0), 2.0)
    assert step.kind is Kind.WAIT
    assert next_step(step.pursuit, FAST, Observed(STOP, 2.0), 5.0).kind is Kind.SEND


@pytest.mark.parametrize(
    ("observed", "now_s", "kind"),
    [(None, 5.0, Kind.WAIT), (STOP, 5.0, Kind.WAIT), (GREEN, 5.0, Kind.CONFIRMED), (STOP, 90.0, Kind.SEND)],
)
def test_a_restart_neither_repeats_nor_forgets_a_command(
    observed: Mode | None, now_s: float, kind: Kind
) -> None:
    pursuit = resumed(GREEN, first_sent_s=0.0, sent_at_s=0.0, attempts=1)
    seen = None if observed is None else Observed(observed, now_s)
    assert next_step(pursuit, GREEN, seen, now_s).kind is kind


@pytest.mark.parametrize("mode", Mode)
def test_a_resumed_command_is_for_safety_if_its_mode_is_safe_unseen(mode: Mode) -> None:
    assert resumed(mode, 0.0, 0.0, 1).toward_safety is not mode.draws_from_grid


class Charger:
    """Loses commands, obeys late, and is read now and then."""

    def __init__(self, rng: random.Random, loss: float) -> None:
        self.rng, self.loss = rng, loss
        self.mode = rng.choice(list(Mode))
        self.coming: list[tuple[float, Mode]] = []

    def send(self, mode: Mode, now_s: float) -> None:
        if self.rng.random() >= self.loss:
            self.coming.append((now_s + self.rng.uniform(1.0, 30.0), mode))

    def read(self, now_s: float) -> Observed:
        for at_s, mode in sorted(self.coming):
            if at_s <= now_s:
                self.mode = mode
        self.coming = [late for late in self.coming if late[0] > now_s]
        return Observed(self.mode, now_s)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), loss=st.floats(0.0, 1.0))
def test_the_charger_obeys_within_five_minutes_of_the_last_fault(seed: int, loss: float) -> None:
    rng = random.Random(seed)
    charger, pursuit, seen, desired, obeyed_s = Charger(rng, loss), None, None, STOP, 0.0
    for now_s in range(0, 2400, 5):
        if now_s < 1200 and rng.random() < 0.02:
            desired = rng.choice(list(Mode))
        if now_s == 1200:
            charger.loss = 0.0
        if now_s % 45 == 0:
            seen = charger.read(now_s)
        step = next_step(pursuit, desired, seen, now_s)
        pursuit = step.pursuit
        if step.kind is Kind.SEND:
            charger.send(desired, now_s)
        if charger.mode is not desired:
            obeyed_s = float(now_s)
    assert obeyed_s <= 1200 + 300
    assert pursuit is None


@pytest.mark.parametrize(
    ("observed", "previous", "awaited", "commands", "foreign"),
    [
        (FAST, STOP, None, [], True),
        (FAST, None, None, [], False),  # the first reading is no change
        (FAST, FAST, None, [], False),
        (FAST, STOP, None, [(FAST, 9_700.0)], False),  # our command came late, or twice
        (FAST, STOP, None, [(FAST, 9_699.5)], True),  # too long ago for that
        (FAST, STOP, FAST, [(FAST, 100.0)], False),  # it was sent last and nobody has looked since
        (FAST, STOP, GREEN, [(GREEN, 9_900.0)], True),
        (FAST, STOP, GREEN, [(GREEN, 9_900.0), (FAST, 9_800.0)], False),
    ],
)
def test_a_mode_that_changed_without_our_command_is_the_owners_hand(
    observed: Mode,
    previous: Mode | None,
    awaited: Mode | None,
    commands: list[tuple[Mode, float]],
    foreign: bool,
) -> None:
    assert is_foreign(observed, previous, awaited, commands, 10_000.0) is foreign
