"""How far a certain plan is from the best row of modes, which HiGHS proves.

Run it by `python benchmarks/exact.py [COUNT]`.  Each instance is two days of quarter hours, for which HiGHS takes
seconds to minutes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from plan_cases import best_eur, cost_eur, instance, planned

SLOTS = 192
LEVELS = 2001


def main(count: int) -> None:
    gaps = []
    for seed in range(count):
        one = instance(seed, SLOTS)
        began_s = time.perf_counter()
        least_eur = best_eur(one)
        solved_s = time.perf_counter() - began_s
        gap_eur = cost_eur(one, [step.mode for step in planned(one, LEVELS)]) - least_eur
        gaps.append(gap_eur)
        print(
            f"{seed:4d}  HiGHS {least_eur:8.4f} EUR in {solved_s:6.1f} s, the plan {gap_eur:+.4f} EUR",
            flush=True,
        )
    print(f"{count} instances: mean gap {sum(gaps) / count:.4f} EUR, largest {max(gaps):.4f} EUR")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
