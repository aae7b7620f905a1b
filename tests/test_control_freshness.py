from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.control.freshness import Band, Freshness, band, lease_until_s, observe


def _seen(*stamps: tuple[str | None, float]) -> Freshness | None:
    freshness = None
    for stamp, now_s in stamps:
        freshness = observe(freshness, stamp, now_s)
    return freshness


def test_the_first_stamp_proves_nothing() -> None:
    seen = _seen(("10:00", 0.0), ("10:00", 60.0))
    assert seen == Freshness("10:00", 0.0, proven=False)


def test_a_stamp_that_changes_proves_that_data_flows() -> None:
    seen = _seen(("10:00", 0.0), ("10:05", 60.0))
    assert seen is not None
    assert seen.proven
    assert seen.age_s(100.0) == 40.0


def test_age_counts_from_the_change_not_from_the_read() -> None:
    seen = _seen(("10:00", 0.0), ("10:05", 60.0), ("10:05", 400.0))
    assert seen is not None
    assert seen.age_s(400.0) == 340.0


def test_a_record_without_a_stamp_refreshes_nothing() -> None:
    assert _seen((None, 0.0)) is None
    seen = _seen(("10:00", 0.0), ("10:05", 60.0), (None, 400.0))
    assert seen == Freshness("10:05", 60.0, proven=True, seen=("10:00",))


def test_a_stamp_that_goes_back_an_hour_is_a_change_as_well() -> None:
    seen = _seen(("02:55", 0.0), ("02:00", 300.0))
    assert seen is not None
    assert seen.age_s(300.0) == 0.0


def _metered(grid_w: float | None, pv_w: float | None, stamps: int, sun_moves_w: float = 1.0) -> Freshness:
    freshness = None
    for i in range(stamps):
        sun_w = None if pv_w is None else pv_w + i * sun_moves_w
        freshness = observe(freshness, f"stamp {i}", 300.0 * i, grid_w=grid_w, pv_w=sun_w)
    assert freshness is not None
    return freshness


@pytest.mark.parametrize(
    ("grid_w", "pv_w", "frozen"),
    [
        (-1234.0, 3000.0, True),
        (-1234.0, 100.0, False),  # nothing flows at night that could vary much
        (0.0, 3000.0, False),  # what a home battery regulates to
        (None, 3000.0, False),
        (-1234.0, None, False),
    ],
)
def test_a_meter_that_stands_still_under_the_sun_is_not_believed(
    grid_w: float | None, pv_w: float | None, frozen: bool
) -> None:
    assert _metered(grid_w, pv_w, 3).changed_at_s == 600.0
    seen = _metered(grid_w, pv_w, 6)
    assert seen.age_s(1500.0) == (900.0 if frozen else 0.0)


def test_a_meter_that_stands_still_with_the_sun_is_believed() -> None:
    assert _metered(-1234.0, 3000.0, 6, sun_moves_w=0.0).age_s(1500.0) == 0.0


def test_a_meter_that_moves_again_is_believed_at_once() -> None:
    seen = observe(_metered(-1234.0, 3000.0, 6), "next", 1800.0, grid_w=-1235.0, pv_w=3000.0)
    assert seen is not None
    assert (seen.stamp, seen.age_s(1800.0), seen.repeats) == ("next", 0.0, 0)


def test_an_old_record_that_is_served_again_refreshes_nothing() -> None:
    seen = None
    for i, stamp in enumerate(["a", "b"] * 20):
        seen = observe(seen, stamp, 60.0 * i)
    assert seen is not None
    assert seen.changed_at_s == 60.0
    assert observe(seen, "c", 3000.0) != seen


def test_a_stamp_that_comes_again_after_an_hour_is_new() -> None:
    seen = None
    for i in range(13):
        seen = observe(seen, f"0{2 + i // 12}:{5 * (i % 12):02d}", 300.0 * i)
    again = observe(seen, "02:05", 3900.0)
    assert again is not None
    assert again.age_s(3900.0) == 0.0


@pytest.mark.parametrize(
    ("age_s", "proven", "expected"),
    [
        (None, True, Band.STALE),
        (0.0, True, Band.FRESH),
        (420.0, True, Band.FRESH),
        (420.1, True, Band.HOLD),
        (900.0, True, Band.HOLD),
        (900.1, True, Band.STALE),
        (0.0, False, Band.HOLD),
        (900.0, False, Band.HOLD),
        (900.1, False, Band.STALE),
    ],
)
def test_what_an_age_permits(age_s: float | None, proven: bool, expected: Band) -> None:
    assert band(age_s, proven=proven, fresh_s=420.0, stale_s=900.0) is expected


def test_only_proven_data_gives_a_lease() -> None:
    assert lease_until_s(None, 900.0, 900.0) is None
    assert lease_until_s(Freshness("a", 10.0, proven=False), 900.0, 900.0) is None
    assert lease_until_s(Freshness("a", 10.0, proven=True), 900.0, 900.0) == 910.0


def test_no_lease_outlives_the_data() -> None:
    assert lease_until_s(Freshness("a", 0.0, proven=True), 900.0, 600.0) == 600.0
    assert lease_until_s(Freshness("a", 0.0, proven=True), 300.0, 600.0) == 300.0


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.floats(0, 1000)), max_size=30))
def test_age_is_never_less_than_the_time_since_the_stamp_last_changed(
    reads: list[tuple[str | None, float]],
) -> None:
    now_s, seen, last, changed_s = 0.0, None, None, 0.0
    for stamp, wait_s in reads:
        now_s += wait_s
        seen = observe(seen, stamp, now_s)
        if stamp is not None and stamp != last:
            last, changed_s = stamp, now_s
        assert seen is None or seen.age_s(now_s) >= now_s - changed_s
