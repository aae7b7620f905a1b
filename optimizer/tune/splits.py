"""Which weeks are tuned on and which judge: odd and even ones, and a walk forward through the year.

The odd weeks give the parameters, the even ones say what these are worth.  The walk forward repeats the
search as the owner would have lived it: on all weeks up to a day, judged on the ones that followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from optimizer.errors import InputError
from optimizer.tune.weeks import Week

ODD = "odd weeks"
MOST_FOLDS = 4
_LEAST_WEEKS = 6
"""With a car, in all; below that no week could be spared to judge."""


@dataclass(frozen=True, slots=True)
class Split:
    """One search: the weeks it sees, and those that judge what it found."""

    name: str
    tuned: tuple[Week, ...]
    judged: tuple[Week, ...]


def splits_of(weeks: Sequence[Week]) -> tuple[Split, ...]:
    """Return the split into odd and even weeks, then the walk forward.

    Raises:
        InputError: there are too few weeks with a car.

    """
    used = [week for week in weeks if week.visits > 0]
    odd = tuple(week for week in weeks if week.is_odd)
    even = tuple(week for week in weeks if not week.is_odd)
    least = min(sum(week.visits > 0 for week in side) for side in (odd, even))
    if len(used) < _LEAST_WEEKS or 2 * least < _LEAST_WEEKS - 1:
        raise InputError(
            f"of {len(weeks)} weeks {len(used)} have sessions: to tune on some and judge on others takes "
            f"{_LEAST_WEEKS} at least, odd and even ones"
        )
    return (Split(ODD, odd, even), *_forward(weeks, used))


def _forward(weeks: Sequence[Week], used: Sequence[Week]) -> Iterator[Split]:
    """Yield folds whose judged weeks follow the tuned ones; each block has about as many weeks with a car."""
    folds = min(MOST_FOLDS, len(used) // 2 - 1)
    borders = [used[len(used) * fold // (folds + 1)].start for fold in range(1, folds + 1)]
    for number, (border, end) in enumerate(zip(borders, [*borders[1:], weeks[-1].end], strict=True), start=1):
        tuned = tuple(week for week in weeks if week.start < border)
        judged = tuple(week for week in weeks if border <= week.start < end)
        yield Split(f"forward {number}", tuned, judged)
