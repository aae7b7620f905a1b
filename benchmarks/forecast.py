"""How good forecasts from the own past are, on weeks that nothing was chosen on, and what they cost to make.

`python benchmarks/forecast.py` prints the tables of docs/forecast.md.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from time import process_time
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from compared_cases import MEASURED, SAMPLES
from result import Result

from optimizer.forecast.calibration import calibrated
from optimizer.forecast.judge import Bools, Verdict, judged, pinball_w
from optimizer.forecast.load import load_vintages
from optimizer.forecast.past import pv_vintages
from optimizer.forecast.quarters import DAY_SLOTS, quarters
from optimizer.forecast.vintages import Floats, Vintages
from optimizer.forecast.week_ago import week_ago_w

COMMAND = "python benchmarks/run.py forecast"
LIMIT_S, LIMIT_MB = 2.0, 60.0
_ROUNDS = 3
_SLOT_S = 900
_LIT_SHARE = 0.02
_FRENCH = MEASURED / "home_fr_2024_30min_with_forecast.parquet"
_OHRBERG = MEASURED / "house_ohrberg_2019_1min.parquet"


@dataclass(frozen=True, slots=True)
class Told:
    """A series of quarter hours, its forecasts, the slots to be judged, and those that count for coverage."""

    name: str
    truth_w: Floats
    vintages: Vintages
    judged: Bools
    covered: Bools
    rival_w: float | None = None

    def verdicts(self) -> list[tuple[Verdict, float]]:
        """Return a verdict by lead and of all, with the coverage of the slots that count."""
        covered = judged(self.vintages, self.truth_w, self.judged & self.covered)
        all_of_them = judged(self.vintages, self.truth_w, self.judged)
        return [(one, other.coverage) for one, other in zip(all_of_them, covered, strict=True)]


def measure() -> list[Result]:
    """Measure what a year costs, and the figures that are promised."""
    return [*_cost(), *(result for told in _all() for result in _figures(told))]


def _figures(told: Told) -> Iterator[Result]:
    whole, coverage = told.verdicts()[-1]
    yield Result(f"{told.name}: pinball", whole.pinball_w, "W", None, COMMAND)
    yield Result(f"{told.name}: p10 to p90", coverage, "share", 0.87, COMMAND, 0.73)
    if told.rival_w is None:
        yield Result(f"{told.name}: skill to yesterday", whole.skill, "", None, COMMAND, 0.4)
    else:
        yield Result(
            f"{told.name}: gain on its rival", 1 - whole.pinball_w / told.rival_w, "", None, COMMAND, 0.15
        )


def _cost() -> Iterator[Result]:
    time, pv_w, load_w = _sample()
    for name, make in (("sun", partial(pv_vintages, pv_w)), ("load", partial(load_vintages, load_w))):
        seconds = min(_seconds(make, time) for _ in range(_ROUNDS))
        yield Result(f"a year of forecasts of the {name}", seconds, "s", LIMIT_S, COMMAND)
        tracemalloc.start()
        make(_first(time))
        yield Result(
            f"its memory ({name})", tracemalloc.get_traced_memory()[1] / 1e6, "MB", LIMIT_MB, COMMAND
        )
        tracemalloc.stop()


def _seconds(make: Callable[[int], Vintages], time: pd.DatetimeIndex) -> float:
    began = process_time()
    make(_first(time))
    return process_time() - began


def _all() -> Iterator[Told]:
    time, pv_w, load_w = _sample()
    yield _sun("Ohrberg, sun", time, pv_w)
    yield _load("Ohrberg b, load", time, load_w, "Europe/Berlin")
    if _OHRBERG.exists():
        yield _load(
            "Ohrberg a, load", time, _quarters(pd.read_parquet(_OHRBERG))["load_a_w"], "Europe/Berlin"
        )
    if _FRENCH.exists():
        home = pd.read_parquet(_FRENCH).set_index("time").resample("15min").ffill()
        time = pd.DatetimeIndex(home.index)
        yield _sun("France, sun", time, home["pv_w"])
        yield _load("France, load", time, home["load_w"], "Europe/Paris")
        yield _set_right(
            "France, a provider set right", time, _floats(home["pv_w"]), _floats(home["pv_forecast_w"])
        )


def _sun(name: str, time: pd.DatetimeIndex, pv: pd.Series) -> Told:
    pv_w = _floats(pv)
    lit = np.nan_to_num(pv_w) > _LIT_SHARE * np.nanmax(pv_w)
    return Told(name, pv_w, pv_vintages(pv_w, _first(time)), _even(time), lit)


def _load(name: str, time: pd.DatetimeIndex, load: pd.Series, zone: str) -> Told:
    load_w = _floats(load)
    vintages = load_vintages(load_w, _first(time), zone=ZoneInfo(zone))
    even, series = _even(time), quarters(load_w, _first(time))
    slot = vintages.first[:, None] + np.arange(vintages.p50_w.shape[1])
    inside = (slot < len(load_w)) & even[np.minimum(slot, len(load_w) - 1)]
    truth_w = np.where(inside, series.at(slot + series.lead_in), np.nan)
    week_w = week_ago_w(series, vintages.first + series.lead_in, slot.shape[1])
    return Told(
        name,
        load_w,
        vintages,
        even,
        np.ones(len(load_w), bool),
        float(np.nanmean(pinball_w(week_w, truth_w))),
    )


def _set_right(name: str, time: pd.DatetimeIndex, truth_w: Floats, said_w: Floats) -> Told:
    """Return a provider's forecast, issued at midnight, set right; the rival has its own past errors."""
    half = len(truth_w) // 2
    errors_w = np.nanquantile((truth_w - said_w)[:half], (0.1, 0.5, 0.9))
    midnight = np.arange(-_first(time) % DAY_SLOTS, len(truth_w) - DAY_SLOTS + 1, DAY_SLOTS)
    slot = midnight[:, None] + np.arange(DAY_SLOTS)
    raw = Vintages(midnight, midnight, *(np.maximum(0.0, said_w + error_w)[slot] for error_w in errors_w))
    second = np.arange(len(truth_w)) >= half
    fixed = calibrated(raw, truth_w, _first(time))
    rival_w = judged(raw, truth_w, second)[-1].pinball_w
    return Told(name, truth_w, fixed, second, np.ones(len(truth_w), bool), rival_w)


def _sample() -> tuple[pd.DatetimeIndex, pd.Series, pd.Series]:
    house = _quarters(pd.read_parquet(SAMPLES / "house_ohrberg_2019.parquet").set_index("time"))
    return pd.DatetimeIndex(house.index), 0.6 * house["pv_w"], house["load_w"]


def _quarters(minutes: pd.DataFrame) -> pd.DataFrame:
    return minutes.resample("15min").mean()


def _first(time: pd.DatetimeIndex) -> int:
    return int(time[0].timestamp()) // _SLOT_S


def _floats(column: pd.Series) -> Floats:
    return np.asarray(column, dtype=np.float64)


def _even(time: pd.DatetimeIndex) -> Bools:
    """Return which slots lie in even ISO weeks: parameters were chosen on the odd ones."""
    return np.asarray(time.isocalendar().week % 2 == 0)


def main() -> None:
    """Print tables by lead, in Markdown."""
    for told in _all():
        print(
            f"\n**{told.name}**\n\n| lead | pinball W | p10 to p90 | skill to yesterday |\n|---|---|---|---|"
        )
        for one, coverage in told.verdicts():
            if not one.cases:
                continue
            lead = f"{one.lead_from / 4:g} to {one.lead_until / 4:g} h"
            print(f"| {lead} | {one.pinball_w:.1f} | {100 * coverage:.0f} % | {one.skill:.2f} |")
        if told.rival_w is not None:
            print(f"\nIts rival: {told.rival_w:.1f} W.")


if __name__ == "__main__":
    main()
