from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.control.budget import Limits, Priority, next_slot_s
from optimizer.control.polling import Activity, PollPolicy, Subject, Target, due_s, next_reads, phase_s

POLICY = PollPolicy()
FRUGAL = PollPolicy(charger_idle_s=300.0, night_factor=3.0)
"""An owner's who shares the account's calls with others."""
DORMANT, IDLE, CONNECTED, CHARGING = Activity
SITE = Target("site", Subject.SITE, CHARGING, last_read_s=1000.0, phase_s=990.0)
CHARGER = Target("charger", Subject.CHARGER, CHARGING, last_read_s=1000.0)


def test_what_was_never_read_is_read_at_once() -> None:
    assert due_s(Target("site", Subject.SITE), POLICY) == -math.inf


@pytest.mark.parametrize(
    ("activity", "wait_s"), [(CHARGING, 120.0), (CONNECTED, 210.0), (IDLE, 300.0), (DORMANT, 900.0)]
)
def test_a_charger_is_read_the_more_often_the_more_can_change(activity: Activity, wait_s: float) -> None:
    assert due_s(replace(CHARGER, activity=activity), FRUGAL) == 1000.0 + wait_s


@pytest.mark.parametrize(
    ("read_s", "next_s"), [(999.0, 1020.0), (1020.0, 1045.0), (1050.0, 1075.0), (1075.0, 1135.0)]
)
def test_a_command_is_looked_after_at_growing_distances(read_s: float, next_s: float) -> None:
    pending = replace(CHARGER, activity=IDLE, last_read_s=read_s, pending_since_s=1000.0)
    assert due_s(pending, POLICY) == next_s


def test_a_confirming_read_never_delays_a_regular_one() -> None:
    quick = PollPolicy(charger_active_s=2.0)
    assert due_s(replace(CHARGER, pending_since_s=999.0), quick) == 1002.0


@pytest.mark.parametrize(("failures", "wait_s"), [(1, 60.0), (2, 120.0), (3, 240.0), (4, 300.0), (99, 300.0)])
@pytest.mark.parametrize("target", [SITE, CHARGER])
def test_failed_reads_back_off(target: Target, failures: int, wait_s: float) -> None:
    assert due_s(replace(target, failures=failures), POLICY) == 1000.0 + wait_s


@pytest.mark.parametrize(("activity", "samples"), [(CHARGING, 1), (CONNECTED, 1), (IDLE, 1), (DORMANT, 3)])
def test_a_site_is_read_shortly_after_the_sample_that_matters(activity: Activity, samples: int) -> None:
    assert due_s(replace(SITE, activity=activity), FRUGAL) == 990.0 + samples * 300.0 + 7.5


@pytest.mark.parametrize(
    ("activity", "unchanged", "wait_s"),
    [
        (CHARGING, 1, 15.0),
        (CHARGING, 2, 30.0),
        (CHARGING, 3, 60.0),
        (CHARGING, 4, 120.0),
        (CHARGING, 40, 120.0),
        (IDLE, 40, 300.0),
        (DORMANT, 40, 300.0),
    ],
)
def test_a_late_sample_is_asked_for_at_growing_distances(
    activity: Activity, unchanged: int, wait_s: float
) -> None:
    late = replace(SITE, activity=activity, last_read_s=5000.0, unchanged_reads=unchanged)
    assert due_s(late, POLICY) == 5000.0 + wait_s


@pytest.mark.parametrize(("unchanged", "wait_s"), [(0, 30.0), (12, 30.0), (13, 120.0)])
def test_the_first_change_is_hunted_for_a_while(unchanged: int, wait_s: float) -> None:
    assert due_s(replace(SITE, phase_s=None, unchanged_reads=unchanged), POLICY) == 1000.0 + wait_s


@pytest.mark.parametrize(("interval_s", "wait_s"), [(300.0, 30.0), (60.0, 10.0), (5.0, 5.0), (1.0, 1.0)])
def test_samples_that_come_often_are_not_hunted_for(interval_s: float, wait_s: float) -> None:
    hunting = replace(SITE, phase_s=None)
    assert due_s(hunting, PollPolicy(site_interval_s=interval_s)) == 1000.0 + wait_s


@pytest.mark.parametrize(
    ("before_s", "previous_read_s", "now_s", "phase"),
    [
        (None, None, 1000.0, None),
        (1000.0, None, 1310.0, None),
        (1000.0, 1010.0, 1310.0, 1297.0),  # as predicted, a little earlier
        (1000.0, 1010.0, 1910.0, 1900.0),  # three samples later
        (None, 970.0, 1000.0, 985.0),  # between the reads
        (1000.0, 1305.0, 1320.0, 1312.5),  # later than predicted
        (1000.0, 1310.0, 1500.0, 1325.0),  # later than predicted, and then reads failed
        (1000.0, 1010.0, 1200.0, 1105.0),  # much earlier
    ],
)
def test_the_phase_follows_the_samples(
    before_s: float | None, previous_read_s: float | None, now_s: float, phase: float | None
) -> None:
    assert phase_s(before_s, previous_read_s, now_s, 300.0) == phase


def test_reads_are_ordered_by_what_they_are_worth() -> None:
    targets = [
        replace(CHARGER, key="dark", activity=DORMANT, last_read_s=-1000.0),
        replace(CHARGER, key="idle", activity=IDLE),
        replace(CHARGER, key="connected", activity=CONNECTED),
        replace(CHARGER, key="charging"),
        replace(CHARGER, key="pending", pending_since_s=1000.0),
        replace(CHARGER, key="never", last_read_s=None),
        replace(CHARGER, key="hinted", hinted=True),
        replace(SITE, last_read_s=900.0),
    ]
    order = [target.key for target in next_reads(targets, 1310.0, POLICY)]
    assert order == ["site", "hinted", "never", "pending", "charging", "dark", "connected", "idle"]


@pytest.mark.parametrize(
    ("site_s", "charger_s", "order"),
    [
        (None, None, ["site", "a", "b"]),
        (None, 1000.0, ["site", "a", "b"]),
        (1000.0, 1001.0, ["site", "a", "b"]),
        (1001.0, 1000.0, ["a", "site", "b"]),
        (1000.0, None, ["a", "site", "b"]),
    ],
)
def test_a_house_that_is_due_goes_first_unless_it_was_the_last_thing_read(
    site_s: float | None, charger_s: float | None, order: list[str]
) -> None:
    waiting = [replace(CHARGER, key=key, last_read_s=charger_s, pending_since_s=900.0) for key in "ba"]
    found = next_reads([replace(SITE, last_read_s=site_s), *waiting], 1400.0, POLICY)
    assert [target.key for target in found] == order


def test_a_charger_with_the_houses_key_is_another_target() -> None:
    namesake = replace(CHARGER, key=SITE.key)
    assert next_reads([namesake, SITE], 1310.0, POLICY) == (namesake, SITE)


@pytest.mark.parametrize(("failures", "wait_s"), [(1, 60.0), (2, 900.0), (99, 900.0)])
@pytest.mark.parametrize("target", [SITE, CHARGER])
def test_what_is_not_ours_is_asked_for_each_quarter_hour(
    target: Target, failures: int, wait_s: float
) -> None:
    assert due_s(replace(target, failures=failures, refused=True), POLICY) == 1000.0 + wait_s


def test_a_hint_makes_a_charger_due_at_once() -> None:
    assert due_s(replace(CHARGER, hinted=True, failures=3), POLICY) == -math.inf


@pytest.mark.parametrize("chargers", [1, 2, 5])
def test_a_house_that_is_always_due_takes_every_other_call(chargers: int) -> None:
    quick = PollPolicy(site_interval_s=1.0, charger_active_s=1.0)
    plan = {str(i): replace(CHARGER, key=str(i), last_read_s=None) for i in range(chargers)}
    plan["house"] = replace(SITE, key="house", phase_s=None, last_read_s=None)
    reads = []
    for now_s in range(1000, 2000, 20):
        first = next_reads(plan.values(), now_s, quick)[0]
        plan[first.key] = replace(first, last_read_s=now_s)
        reads.append(first.subject)
    assert reads.count(Subject.SITE) == len(reads) / 2
    assert all(one is not two for one, two in pairwise(reads))


def test_what_is_not_due_is_not_read() -> None:
    assert next_reads([SITE, CHARGER], 1001.0, POLICY) == ()


@dataclass
class World:
    """A cloud with one site and its chargers, read by the plan as fast as the budget lets it."""

    activities: list[Activity]
    jitter_s: float = 0.0
    seed: int = 0
    reads: dict[str, list[float]] = field(default_factory=dict)
    sample_ages_s: list[float] = field(default_factory=list)

    def run(self, until_s: float) -> World:
        rng = random.Random(self.seed)
        offset_s = rng.uniform(0.0, 300.0)
        arrivals_s = [
            offset_s + 300.0 * i + rng.uniform(0.0, self.jitter_s) for i in range(-2, int(until_s / 300) + 2)
        ]
        names = [f"charger {i:03}" for i in range(len(self.activities))]
        targets = [
            Target(name, Subject.CHARGER, activity)
            for name, activity in zip(names, self.activities, strict=True)
        ]
        plan = {t.key: t for t in [Target("site", Subject.SITE, max(self.activities)), *targets]}
        stamp, marks_s, now_s = None, [], 0.0
        while now_s < until_s:
            due = next_reads(plan.values(), now_s, POLICY)
            slot_s = next_slot_s(now_s, marks_s, [], Limits(), Priority.READ)
            if not due or slot_s > now_s:
                now_s = max(slot_s, min(due_s(target, POLICY) for target in plan.values()))
                continue
            target = due[0]
            marks_s = [*marks_s, now_s + 61.5][-10:]
            self.reads.setdefault(target.key, []).append(now_s)
            latest = max(at_s for at_s in arrivals_s if at_s <= now_s)
            if target.subject is Subject.SITE and latest != stamp:
                self.sample_ages_s.append(now_s - latest)
                at_s = (
                    phase_s(target.phase_s, target.last_read_s, now_s, 300.0) if stamp is not None else None
                )
                target, stamp = replace(target, phase_s=at_s, unchanged_reads=-1), latest
            plan[target.key] = replace(target, last_read_s=now_s, unchanged_reads=target.unchanged_reads + 1)
        return self

    def per_hour(self, key: str, hours: float) -> float:
        return len(self.reads[key]) / hours

    def p95_age_s(self, keys: list[str], until_s: float) -> float:
        ages = sorted(
            two - one
            for key in keys
            for one, two in zip(self.reads[key], [*self.reads[key][1:], until_s], strict=True)
        )
        return ages[int(0.95 * (len(ages) - 1))]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), jitter_s=st.sampled_from([0.0, 5.0, 20.0]))
def test_a_watched_site_is_read_once_per_sample_and_shortly_after_it(seed: int, jitter_s: float) -> None:
    world = World([CHARGING], jitter_s, seed).run(8 * 3600.0)
    assert world.per_hour("site", 8) <= 16.0
    assert world.per_hour("site", 8) + world.per_hour("charger 000", 8) <= 46.0
    ages_s = sorted(world.sample_ages_s[2:])
    assert ages_s[len(ages_s) // 2] <= 15.0 + jitter_s
    assert ages_s[-1] <= 40.0 + jitter_s


@pytest.mark.parametrize(("activity", "most_per_hour"), [(IDLE, 46.0), (DORMANT, 46.0)])
def test_a_home_without_a_car_takes_a_tenth_of_the_calls(activity: Activity, most_per_hour: float) -> None:
    world = World([activity], 5.0).run(12 * 3600.0)
    assert max(world.sample_ages_s[2:]) <= 60.0
    assert sum(len(times) for times in world.reads.values()) / 12.0 <= most_per_hour


def test_a_hundred_chargers_on_one_account_are_read_by_what_they_are_worth() -> None:
    hours, activities = 6, [CHARGING] * 10 + [CONNECTED] * 20 + [IDLE] * 70
    world = World(activities).run(hours * 3600.0)
    names = [f"charger {i:03}" for i in range(100)]
    assert sum(len(times) for times in world.reads.values()) <= hours * 180 + 6
    assert world.p95_age_s(["site"], hours * 3600.0) <= 360.0
    assert world.p95_age_s(names[:10], hours * 3600.0) <= 900.0
    assert world.p95_age_s(names[10:30], hours * 3600.0) <= 2400.0
    assert world.p95_age_s(names[30:], hours * 3600.0) <= 3600.0
