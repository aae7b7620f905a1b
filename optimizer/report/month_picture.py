"""A month as a picture: what each day cost beside the best it could have, and the car's energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from optimizer.backtest.case import Floats
from optimizer.report.build import MonthReport
from optimizer.report.picture import BEST, CAR_GRID, CAR_SUN, HOUSE, STYLE
from optimizer.report.score import ACTUAL, BOUND
from optimizer.store.scores import ScoreRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_month(report: MonthReport) -> Figure:
    """Return the month as a figure; a day that is not scored stays empty."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    days = [day.date.day for day in report.scored]
    actual = [day.of_kind(ACTUAL) for day in report.scored]
    best = [day.of_kind(BOUND, "mode_bound") for day in report.scored]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 6), layout="constrained")
        cost, car = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1])
        cost.bar(days, _column(actual, "cost_eur"), width=0.7, color=HOUSE, label="cost")
        bound = _column(best, "cost_eur")
        cost.hlines(
            bound,
            np.array(days) - 0.42,
            np.array(days) + 0.42,
            color=BEST,
            lw=2.2,
            label="best of four modes",
        )
        _dress(cost, "€ a day")
        sun, grid = _column(actual, "ev_solar_kwh"), _column(actual, "ev_grid_kwh")
        car.bar(days, sun, width=0.7, color=CAR_SUN, label="car, from the sun")
        car.bar(days, grid, width=0.7, bottom=sun, color=CAR_GRID, label="car, from the grid")
        _shares(car, days, sun, grid)
        _dress(car, "kWh a day")
        car.set_xlim(0.4, _length(report) + 0.6)
        car.set_xlabel(f"day of {report.month:%B %Y}")
        car.set_xticks(range(1, _length(report) + 1, 2))
        cost.set_title(report.title, loc="left", pad=34, fontsize=13, fontweight="bold")
    return figure


def _shares(axes: Axes, days: list[int], sun: Floats, grid: Floats) -> None:
    """Write above each bar how much of it is sun."""
    for day, sun_kwh, grid_kwh in zip(days, sun, grid, strict=True):
        if sun_kwh + grid_kwh > 0.0:
            share = f"{sun_kwh / (sun_kwh + grid_kwh):.0%}"
            axes.text(day, sun_kwh + grid_kwh, share, ha="center", va="bottom", size=7.5)


def _dress(axes: Axes, unit: str) -> None:
    axes.set_ylabel(unit)
    axes.grid(axis="y", color="#8a94a0", alpha=0.25, lw=0.8)
    axes.set_axisbelow(True)
    axes.axhline(0.0, color="#c3cad1", lw=0.8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.legend(ncols=3, frameon=False, loc="lower left", bbox_to_anchor=(-0.01, 1.0), handlelength=1.3)


def _column(rows: list[ScoreRow | None], name: str) -> Floats:
    return np.array([0.0 if row is None else getattr(row, name) or 0.0 for row in rows])


def _length(report: MonthReport) -> int:
    first = report.month
    after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return (after - first).days
