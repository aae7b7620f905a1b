"""What the log tells of a charger and its car, and where configuration and reality disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.domain import ChargerReading, ChargerSpec, ChargerStatus, Mode, SiteReading
from optimizer.forecast.charger import Drawn, Experience, countable_w, doubts, experience

GARAGE = ChargerSpec("garage", "SQ1")
START = datetime(2026, 6, 1, 20, tzinfo=UTC)
CHARGING, AVAILABLE = ChargerStatus.CHARGING, ChargerStatus.AVAILABLE
FULL = ChargerStatus.SUSPENDED_EV


def read(
    minutes: float, mode: Mode, ev_w: float, kwh: float = 1.0, status: ChargerStatus = CHARGING
) -> ChargerReading:
    return ChargerReading(START + timedelta(minutes=minutes), mode, status, int(status), ev_w, kwh)


def evening(
    day: int,
    mode: Mode,
    powers_w: Sequence[float],
    *,
    full: bool = False,
    step_min: float = 5.0,
) -> list[ChargerReading]:
    """A car that came on a day: a reading every few minutes, then it is gone."""
    begin = day * 1440.0
    seen = [read(begin, mode, 0.0, 0.0, ChargerStatus.PREPARING)]
    seen += [
        read(begin + step_min * (step + 1), mode, power_w, 0.1 + step * 0.3)
        for step, power_w in enumerate(powers_w)
    ]
    end = begin + step_min * (len(powers_w) + 1)
    if full:
        seen.append(read(end, mode, 0.0, 0.1 + len(powers_w) * 0.3, FULL))
    return [*seen, read(end + 30, mode, 0.0, 9.0, AVAILABLE)]


def evenings(
    mode: Mode, powers_w: Sequence[float], count: int = 5, *, full: bool = False
) -> list[ChargerReading]:
    return [reading for day in range(count) for reading in evening(day, mode, powers_w, full=full)]


def importing(readings: Sequence[ChargerReading], grid_w: float = 900.0) -> list[SiteReading]:
    """The house while the grid gives what the sun does not."""
    return [SiteReading(one.received_at - timedelta(minutes=1), "x", 800.0, grid_w) for one in readings]


def fast(power_w: float, low_w: float | None = None) -> Experience:
    return Experience(fast=Drawn(power_w, power_w if low_w is None else low_w, 5))


# What FAST draws.


def test_what_fast_draws_is_the_median_of_sessions() -> None:
    seen = evenings(Mode.FAST, [3600.0, 3610.0, 3590.0, 3600.0, 3605.0])
    assert experience(GARAGE, seen, []).fast == Drawn(
        pytest.approx(3600, abs=5), pytest.approx(3600, abs=5), 5
    )


def test_two_sessions_are_too_few_and_so_are_short_ones() -> None:
    assert experience(GARAGE, evenings(Mode.FAST, [3600.0] * 6, count=2), []).fast is None
    assert experience(GARAGE, evenings(Mode.FAST, [3600.0] * 3, count=9), []).fast is None


def test_the_end_in_which_a_car_slows_down_is_left_out() -> None:
    slowing = [7200.0] * 6 + [6300.0, 5400.0, 4500.0, 3600.0, 3550.0, 3500.0, 3450.0, 1500.0, 1450.0]
    known = experience(GARAGE, evenings(Mode.FAST, slowing, full=True), [])
    assert known.fast is not None
    assert known.fast.power_w == 7200.0
    assert known.full_sessions == 5
    assert known.taper_kwh == pytest.approx(10 * 0.3)


def test_ramps_and_minutes_without_power_do_not_count() -> None:
    seen = evenings(Mode.FAST, [0.0, 0.0, 2000.0, 5000.0, 7200.0, 7200.0, 7200.0, 7200.0])
    known = experience(GARAGE, seen, [])
    assert known.fast is not None
    assert known.fast.power_w == 7200.0


def test_readings_far_apart_tell_nothing_of_the_time_between() -> None:
    seen = [one for day in range(5) for one in evening(day, Mode.FAST, [7200.0] * 6, step_min=20.0)]
    assert experience(GARAGE, seen, []).fast is None


def test_a_guests_car_does_not_change_the_median_but_a_plan_counts_on_the_slower_one() -> None:
    seen = [
        one for day in range(8) for one in evening(day, Mode.FAST, [3600.0 if day % 3 == 0 else 7200.0] * 6)
    ]
    known = experience(GARAGE, seen, [])
    assert known.fast is not None
    assert (known.fast.power_w, known.fast.low_w) == (7200.0, 3600.0)


def test_only_the_last_ten_sessions_count() -> None:
    seen = evenings(Mode.FAST, [7200.0] * 6, count=20)
    later = [
        replace(one, received_at=one.received_at + timedelta(days=20))
        for one in evenings(Mode.FAST, [3600.0] * 6, count=10)
    ]
    assert experience(GARAGE, [*seen, *later], []).fast == Drawn(3600.0, 3600.0, 10)


# What ECO holds.


def test_eco_without_surplus_shows_its_floor_and_the_phases() -> None:
    seen = evenings(Mode.ECO, [1380.0] * 6)
    known = experience(GARAGE, seen, importing(seen))
    assert known.eco_floor == Drawn(1380.0, 1380.0, 5)
    assert known.phases == 1
    assert doubts(GARAGE, known) == ()


def test_eco_that_follows_the_sun_says_nothing_of_its_floor() -> None:
    seen = evenings(Mode.ECO, [3000.0] * 6)
    assert experience(GARAGE, seen, importing(seen, grid_w=-50.0)).eco_floor is None


@pytest.mark.parametrize(
    ("spec", "floor_w", "phases", "says"),
    [
        (GARAGE, 4140.0, 3, "1.4 kW, ECO has held 4.1 kW without surplus in the last 5 sessions: set phases"),
        (GARAGE, 2300.0, None, "set eco_gear_a = 10"),
        (replace(GARAGE, phases=3, max_current_a=16.0), 1380.0, 1, "its car charges on 1 of 3 phases"),
        (GARAGE, 1750.0, None, "compare eco_gear_a and phases with the app"),
    ],
)  # fmt: skip
def test_another_floor_than_configured_is_told_with_the_cure(
    spec: ChargerSpec, floor_w: float, phases: int | None, says: str
) -> None:
    seen = evenings(Mode.ECO, [floor_w] * 6)
    known = experience(spec, seen, importing(seen))
    assert known.phases == phases
    (doubt,) = doubts(spec, known)
    assert says in doubt.sentence


def test_a_car_that_takes_less_than_the_floor_leaves_the_gear_alone() -> None:
    sixteen = replace(GARAGE, eco_gear_a=25.0, car_max_w=3600.0)
    known = Experience(fast=Drawn(3600.0, 3600.0, 5), eco_floor=Drawn(3600.0, 3600.0, 5))
    assert doubts(sixteen, known) == ()


# Configuration and reality.


@pytest.mark.parametrize(
    ("spec", "seen_w", "says"),
    [
        (GARAGE, 3604.0, "7.4 kW, FAST has drawn 3.6 kW in the last 5 sessions: set car_max_w = 3600"),
        (GARAGE, 11_000.0, "compare phases and max_current_a with the charger"),
        (replace(GARAGE, car_max_w=7000.0), 3600.0, "car_max_w says 7.0 kW, FAST has drawn 3.6 kW"),
        (replace(GARAGE, car_max_w=3000.0), 7200.0, "set car_max_w = 7200"),
    ],
)  # fmt: skip
def test_another_power_than_configured_is_told_with_the_cure(
    spec: ChargerSpec, seen_w: float, says: str
) -> None:
    (doubt,) = doubts(spec, fast(seen_w))
    assert doubt.sentence.startswith("[[charger]] garage: ")
    assert says in doubt.sentence


@pytest.mark.parametrize("seen_w", [6700.0, 7360.0, 7800.0])
def test_a_mains_that_is_not_quite_at_230_v_is_no_doubt(seen_w: float) -> None:
    assert doubts(GARAGE, fast(seen_w)) == ()


def test_without_experience_nothing_is_doubted_and_nothing_counted_on() -> None:
    assert doubts(GARAGE, Experience()) == ()
    assert countable_w(GARAGE, Experience()) is None


def test_a_plan_counts_on_the_lower_power_only_where_the_owner_has_said_nothing() -> None:
    assert countable_w(GARAGE, fast(3608.0)) == 3600.0
    assert countable_w(GARAGE, fast(7300.0)) is None, "as configured"
    assert countable_w(replace(GARAGE, car_max_w=5000.0), fast(3600.0)) is None


@given(st.floats(500.0, 25_000.0), st.floats(0.0, 1.0), st.sampled_from([None, 3680.0]))
def test_a_plan_never_counts_on_more_than_the_configuration_says_or_was_seen(
    power_w: float, share: float, car_max_w: float | None
) -> None:
    spec = replace(GARAGE, car_max_w=car_max_w)
    counted_w = countable_w(spec, fast(power_w, power_w * share))
    assert counted_w is None or counted_w <= min(spec.max_power_w, power_w * share)


def test_a_charger_that_was_never_read_tells_nothing() -> None:
    assert experience(GARAGE, [], []) == Experience()
