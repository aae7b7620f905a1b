"""Draw one day out of a log: `python docs/picture.py data/demo/2019-10-01.db docs/day.png`."""

# ruff: noqa: INP001 - a script beside the documents, no package

from __future__ import annotations

import argparse
from pathlib import Path
from zoneinfo import ZoneInfo

import matplotlib as mpl
import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from optimizer.domain import Mode
from optimizer.store.queries import read_frame

SUN, HOUSE, CAR_SUN, CAR_GRID, INK = "#f2b63c", "#a3adb8", "#2a9d6f", "#d1495b", "#2b3440"
MODE_COLOURS = {Mode.STOP: "#d9dee3", Mode.GREEN: "#2a9d6f", Mode.ECO: "#e9a11a", Mode.FAST: "#d1495b"}
SLOT = pd.Timedelta(minutes=15)
NARROW = pd.Timedelta(minutes=15)

BEGIN = "(SELECT min(received_at) FROM charger_reading)"
"""Before it the demo's log has the house alone."""
READINGS = f"SELECT received_at, pv_w FROM site_reading WHERE received_at >= {BEGIN} ORDER BY id"  # noqa: S608 - ours
MODES = "SELECT received_at, charger, mode FROM charger_reading WHERE mode NOT NULL ORDER BY id"
GOALS = "SELECT DISTINCT goal_deadline, goal_kwh FROM session WHERE goal_deadline NOT NULL"
ENERGY = f"""
    SELECT slot_start, sum(base_load_kwh) AS house, sum(ev_solar_kwh) AS sun, sum(ev_grid_kwh) AS grid
    FROM energy WHERE slot_start >= {BEGIN} GROUP BY slot_start ORDER BY slot_start"""  # noqa: S608 - ours


def draw_powers(axes: Axes, log: Path) -> None:
    """Draw what the roof gave, and upon each other what the house and the car took (kW, quarter hours)."""
    readings, energy = read_frame(log, READINGS), read_frame(log, ENERGY)
    kilowatts = energy[["house", "sun", "grid"]].clip(lower=0.0) * (pd.Timedelta(hours=1) / SLOT)
    # A step needs the end of its last slot.
    ends = pd.concat([energy["slot_start"], energy["slot_start"].tail(1) + SLOT])
    levels = [[*kilowatts[name], kilowatts[name].iloc[-1]] for name in kilowatts]
    axes.fill_between(readings["received_at"], readings["pv_w"] / 1000, color=SUN, alpha=0.35, lw=0)
    axes.plot(readings["received_at"], readings["pv_w"] / 1000, color=SUN, lw=1.6, label="sun on the roof")
    axes.stackplot(
        ends,
        levels,
        labels=["house", "car, from the sun", "car, from the grid"],
        colors=[HOUSE, CAR_SUN, CAR_GRID],
        step="post",
        alpha=0.9,
    )
    axes.set_ylabel("kW")
    axes.set_ylim(0, 1.12 * axes.get_ylim()[1])
    axes.set_xlim(energy["slot_start"].iloc[0], energy["slot_start"].iloc[-1] + SLOT)
    axes.grid(axis="y", color="#e6e9ec", lw=0.8)
    axes.set_axisbelow(True)
    axes.legend(ncols=4, frameon=False, loc="lower left", bbox_to_anchor=(-0.01, 1.0), handlelength=1.2)
    axes.set_title(headline(energy), loc="left", pad=34, fontsize=13, fontweight="bold")


def draw_goals(axes: Axes, log: Path, zone: ZoneInfo) -> None:
    """Mark by when how much was wanted, as far as it falls into the picture."""
    begin, end = (mdates.num2date(edge) for edge in axes.get_xlim())
    for goal in read_frame(log, GOALS).itertuples():
        if begin < goal.goal_deadline < end:
            by = f"{goal.goal_deadline.tz_convert(zone):%H:%M}"
            axes.axvline(goal.goal_deadline, color=INK, lw=1, ls=(0, (4, 3)))
            axes.annotate(
                f"{goal.goal_kwh:g} kWh wanted by {by}",
                (goal.goal_deadline, 1),
                (6, -4),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                va="top",
                size=9,
            )


def headline(energy: pd.DataFrame) -> str:
    """Return the day's result in a sentence."""
    car_kwh, sun_kwh = energy[["sun", "grid"]].to_numpy().sum(), energy["sun"].sum()
    day = energy["slot_start"].iloc[len(energy) // 2]
    return f"{day:%-d %B %Y}: {car_kwh:.1f} kWh into the car, {sun_kwh / car_kwh:.0%} of them sun"


def draw_modes(axes: Axes, log: Path) -> None:
    """Draw the modes that the first charger was read in."""
    readings = read_frame(log, MODES)
    readings = readings[readings["charger"] == readings["charger"].iloc[0]]
    changes = readings[readings["mode"] != readings["mode"].shift()]
    ends = [*changes["received_at"].iloc[1:], readings["received_at"].iloc[-1]]
    for begin, end, number in zip(changes["received_at"], ends, changes["mode"], strict=True):
        mode = Mode(number)
        axes.axvspan(begin, end, color=MODE_COLOURS[mode], lw=0)
        if end - begin > NARROW:
            ink, size = (INK if mode is Mode.STOP else "white"), (7 if end - begin < 3 * NARROW else 9)
            middle = begin + (end - begin) / 2
            axes.text(middle, 0.5, mode.name, ha="center", va="center_baseline", color=ink, size=size)
    axes.set_yticks([])
    axes.set_ylabel("mode", rotation=0, ha="right", va="center")


def picture(log: Path, zone: ZoneInfo) -> plt.Figure:
    """Return the day as a figure, on the home's own clock."""
    style = {
        "font.size": 10,
        "text.color": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with mpl.rc_context({**style, "axes.edgecolor": "#c3cad1", "timezone": zone.key}):
        figure, (powers, modes) = plt.subplots(
            2, sharex=True, figsize=(10, 4.6), height_ratios=[12, 1], layout="constrained"
        )
        draw_powers(powers, log)
        draw_modes(modes, log)
        draw_goals(powers, log, zone)
        modes.xaxis.set_major_locator(mdates.HourLocator(interval=2, tz=zone))
        modes.xaxis.set_major_formatter(mdates.DateFormatter("%H:%M", tz=zone))
        for axes in (powers, modes):
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.tick_params(length=0)
    return figure


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--timezone", type=ZoneInfo, default=ZoneInfo("Europe/Berlin"))
    given = parser.parse_args()
    picture(given.log, given.timezone).savefig(given.picture, dpi=130)


if __name__ == "__main__":
    mpl.use("Agg")
    main()
