"""How far a certain plan is from the best row of modes, which HiGHS proves.

Run it by `python benchmarks/exact.py [COUNT] [--limit SECONDS] [--first SEED]`.  Each instance is two days of
quarter hours, for which HiGHS takes seconds to many minutes.  Where its time is up the plan is set beside
what HiGHS has proven so far that no row of modes undercuts: the real gap is at most that.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from plan_cases import cost_eur, instance, planned, searched_eur

SLOTS = 192
_PROVEN_EUR = 1e-4


@dataclass(frozen=True, slots=True)
class Judged:
    """One instance: the plan's cost, HiGHS's best row and what it proves to be the least, EUR."""

    seed: int
    plan_eur: float
    found_eur: float
    least_eur: float
    took_s: float

    @property
    def is_proven(self) -> bool:
        """Whether HiGHS came to its end."""
        return self.found_eur - self.least_eur < _PROVEN_EUR

    @property
    def gap_eur(self) -> float:
        """What the plan costs more than the best row: at most, where that is not proven."""
        return self.plan_eur - (self.found_eur if self.is_proven else self.least_eur)

    def __str__(self) -> str:
        how = "" if self.is_proven else f" at most, {self.plan_eur - self.found_eur:+.4f} EUR beside its best"
        return (
            f"{self.seed:4d}  HiGHS {self.found_eur:8.4f} EUR in {self.took_s:6.1f} s, "
            f"the plan {self.gap_eur:+.4f} EUR{how}"
        )


def main(arguments: Sequence[str]) -> None:
    """Judge instance by instance and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=200, help="how many instances")
    parser.add_argument("--limit", type=float, help="seconds that HiGHS may take for each")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    asked = parser.parse_args(arguments)
    judged = []
    for seed in range(asked.first, asked.first + asked.count):
        judged.append(judge(seed, asked.limit))
        print(judged[-1], flush=True)
    proven = [one for one in judged if one.is_proven]
    for which, some in (("proven", proven), ("not proven", [one for one in judged if not one.is_proven])):
        print(_summary(which, [one.gap_eur for one in some]))


def judge(seed: int, limit_s: float | None) -> Judged:
    """Let HiGHS search and the planner plan."""
    one = instance(seed, SLOTS)
    began_s = time.perf_counter()
    found_eur, least_eur = searched_eur(one, limit_s)
    took_s = time.perf_counter() - began_s
    plan_eur = cost_eur(one, [step.mode for step in planned(one)])
    return Judged(seed, plan_eur, found_eur, least_eur, took_s)


def _summary(which: str, gaps: Sequence[float]) -> str:
    if not gaps:
        return f"0 {which}"
    return f"{len(gaps)} {which}: mean gap {sum(gaps) / len(gaps):.4f} EUR, largest {max(gaps):.4f} EUR"


if __name__ == "__main__":
    main(sys.argv[1:])
