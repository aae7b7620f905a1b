"""Does GREEN work here?  Judged by what a charger does with surplus and without; never guessed.

GREEN depends on how the charger's meter is wired, which nobody can look up.  Two things must be seen, at
whatever times: that a charger follows the surplus, and that it pauses where there is too little.

- two samples of the house in a row must show that it does, three that it does not: a charger takes its time;
  each must have been taken while the car's power was steady
- near the gear, where a charger may do either, nothing is judged
- what a home battery takes counts neither for nor against: some chargers leave it its share, some do not
- a car that takes nothing proves nothing: only a charger that says that it pauses has paused
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from optimizer.control.surplus import is_steady
from optimizer.domain import MAINS_V, ChargerSpec, ChargerStatus, SiteReading

PILOT_A = 6.0
"""The least that a charger can offer (IEC 61851-1)."""

_TO_SHOW = 2
_TO_REFUTE = 3
_BELOW_BY_W = 200.0
_ABOVE_BY_W = 300.0
_DRAWS_W = 500.0
_NOTHING_W = 50.0
_IMPORTS_W = 400.0
_USES_SHARE = 0.75
_MORE_THAN_LEAST = 1.15
_LEFT_W = 1000.0
_MOVED_W = 600.0
_MOVES_ALONG = (0.25, 1.5)
_PAUSED = frozenset({ChargerStatus.CHARGE_PAUSE, ChargerStatus.SUSPENDED_EVSE})


class Verdict(StrEnum):
    """What is known of GREEN at a charger."""

    WORKS = "works"
    DOES_NOT_WORK = "does not work"
    NOT_SHOWN = "not shown yet"


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a charger in GREEN was seen to follow the surplus, and to pause without; None: not shown."""

    follows: bool | None = None
    pauses: bool | None = None

    @property
    def verdict(self) -> Verdict:
        """Both must be shown; one that is refuted is enough for a no."""
        if self.follows is False or self.pauses is False:
            return Verdict.DOES_NOT_WORK
        return Verdict.WORKS if self.follows and self.pauses else Verdict.NOT_SHOWN

    def then(self, later: Proof) -> Proof:
        """Return what is known when `later` was seen, too: it has the last word where it says something."""
        return Proof(
            self.follows if later.follows is None else later.follows,
            self.pauses if later.pauses is None else later.pauses,
        )

    def __str__(self) -> str:
        with_sun = {None: "not seen with surplus", True: "follows the surplus", False: "does not follow it"}
        without = {None: "not seen without surplus", True: "pauses without", False: "draws without"}
        return f"{with_sun[self.follows]}, {without[self.pauses]}"

    @property
    def is_new(self) -> bool:
        """Whether anything was shown."""
        return self != Proof()


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of the house while the charger was in GREEN and drew `ev_w`.

    The surplus is between `least_w`, what the home battery leaves, and `most_w`, all of it.
    """

    ev_w: float
    least_w: float
    most_w: float
    status: ChargerStatus


def sample(house: SiteReading, powers_w: Sequence[float], status: ChargerStatus) -> Sample | None:
    """Return what a sample tells; None where it lacks something, or the power was not steady around it.

    `powers_w` is what the charger drew at readings around the sample's time.
    """
    if house.grid_w is None or house.battery_w is None or not powers_w:
        return None
    if not is_steady(min(powers_w), max(powers_w)):
        return None
    ev_w = 0.5 * (min(powers_w) + max(powers_w))
    least_w = ev_w - house.grid_w - max(0.0, house.battery_w)
    return Sample(ev_w, least_w, ev_w - house.grid_w - house.battery_w, status)


def judged(samples: Sequence[Sample], spec: ChargerSpec) -> Proof:
    """Return what samples in a row show of a charger; the latest have the last word."""
    proof = Proof()
    for end in range(1, len(samples) + 1):
        row = samples[max(0, end - _TO_REFUTE) : end]
        proof = proof.then(Proof(_follows(row, spec), _pauses(row, spec)))
    if proof.follows is None and any(_moves_along(a, b) for a, b in combinations(samples, 2)):
        proof = proof.then(Proof(follows=True))
    return proof


def below_w(spec: ChargerSpec) -> float:
    """Return the surplus below which GREEN must pause."""
    return spec.green_floor_w - _BELOW_BY_W


def above_w(spec: ChargerSpec) -> float:
    """Return the surplus with which GREEN must charge."""
    return max(spec.green_floor_w, spec.power_w(PILOT_A)) + _ABOVE_BY_W


def _pauses(row: Sequence[Sample], spec: ChargerSpec) -> bool | None:
    """Return what the newest samples show of a charger without surplus; None: nothing, or there was some."""
    lacking = [one.most_w < below_w(spec) for one in row]
    draws = [one.ev_w >= _DRAWS_W for one in row]
    paused = [_has_paused(one) for one in row]
    return _shown(lacking, paused, draws)


def _follows(row: Sequence[Sample], spec: ChargerSpec) -> bool | None:
    """Return what the newest samples show of a charger with surplus; None: nothing, or there was little."""
    ample = [one.least_w >= above_w(spec) for one in row]
    fails = [_has_paused(one) or _imports(one) or _is_stuck(one, spec) for one in row]
    return _shown(ample, [_uses(one, spec) for one in row], fails)


def _shown(matters: Sequence[bool], good: Sequence[bool], bad: Sequence[bool]) -> bool | None:
    """Return True for two good samples in a row, False for three bad ones, None else."""
    if len(matters) >= _TO_SHOW and all(matters[-_TO_SHOW:]) and all(good[-_TO_SHOW:]):
        return True
    return False if len(matters) >= _TO_REFUTE and all(matters) and all(bad) else None


def _has_paused(one: Sample) -> bool:
    return one.ev_w < _NOTHING_W and one.status in _PAUSED


def _imports(one: Sample) -> bool:
    """Tell whether it draws what is not there."""
    return one.ev_w > one.most_w + _IMPORTS_W


def _is_stuck(one: Sample, spec: ChargerSpec) -> bool:
    """Tell whether it holds its least while there is far more, on however few phases the car charges."""
    usable_w = min(one.least_w, spec.max_power_w)
    most_w = min(_MORE_THAN_LEAST * _least_w(spec), usable_w - _LEFT_W, _USES_SHARE * usable_w / spec.phases)
    return _DRAWS_W <= one.ev_w <= most_w


def _uses(one: Sample, spec: ChargerSpec) -> bool:
    """Tell whether it draws about what there is, and more than a charger would that knows no surplus."""
    usable_w = min(one.least_w, spec.max_power_w)
    return one.ev_w >= max(_USES_SHARE * usable_w, _MORE_THAN_LEAST * _least_w(spec)) and not _imports(one)


def _least_w(spec: ChargerSpec) -> float:
    """Return the least that a charging car draws; one that takes less than that of all phases uses one."""
    least_w = spec.power_w(PILOT_A)
    return least_w if least_w <= spec.max_power_w else PILOT_A * MAINS_V


def _moves_along(a: Sample, b: Sample) -> bool:
    """Tell whether the power changed as the surplus did: so does a car that takes less than there is."""
    moved_w = b.most_w - a.most_w
    if min(a.ev_w, b.ev_w) < _DRAWS_W or abs(moved_w) < _MOVED_W or _imports(a) or _imports(b):
        return False
    low, high = _MOVES_ALONG
    return low <= (b.ev_w - a.ev_w) / moved_w <= high
