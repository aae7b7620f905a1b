"""A day as a picture: sun, house and car by the quarter hour, the modes, and the best replayed beside them.

Only this room draws; matplotlib is imported when a picture is asked for, and never opens a window.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from optimizer.backtest.case import SLOT_MIN, Floats
from optimizer.backtest.runs import RunTrace
from optimizer.domain import Mode
from optimizer.report.day import DayLog

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUN, HOUSE, CAR_SUN, CAR_GRID, INK = "#f2b63c", "#a3adb8", "#2a9d6f", "#d1495b", "#2b3440"
BEST = "#3d5a98"
MODE_COLOURS = {Mode.STOP: "#d9dee3", Mode.GREEN: "#2a9d6f", Mode.ECO: "#e9a11a", Mode.FAST: "#d1495b"}

_KW_PER_KWH_A_SLOT = 60.0 / SLOT_MIN
_LETTERED, _NAMED = timedelta(minutes=14), timedelta(minutes=45)
"""How long a mode lasts at the least to have its letter, and its name, in the picture."""
_SMALL = timedelta(minutes=75)
_DPI = 150
_LATE = 0.8
_LONGEST = 12
"""How many letters of a strategy's name stand beside its band."""
STYLE: Any = {
    "font.size": 10,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.edgecolor": "#c3cad1",
    "svg.fonttype": "none",
    "svg.hashsalt": "sunmode",
}

Span = tuple[datetime, datetime, Mode]


@dataclass(frozen=True, slots=True)
class Best:
    """What is drawn beside the day: a replayed strategy's car and modes by the minute."""

    name: str
    ev_w: Floats
    mode: Any

    @classmethod
    def of(cls, name: str, trace: RunTrace, minutes: int) -> Best:
        """Return the part of a trace that lies in the day."""
        return cls(name, trace.ev_w[:minutes], trace.mode[:minutes])


@dataclass(frozen=True, slots=True)
class DayPicture:
    """All that the picture of a day shows."""

    title: str
    log: DayLog
    price_eur_per_kwh: Floats
    best: Best | None = None


def draw_day(picture: DayPicture) -> Figure:
    """Return the day as a figure, on the site's own clock."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    varies = bool(np.ptp(picture.price_eur_per_kwh) > 0.0)
    bands = 1 if picture.best is None else 2
    heights = [12.0, *([2.5] if varies else []), *([0.9] * bands)]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 5.2 + 0.9 * varies), layout="constrained")
        rows = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0])
        _draw_powers(rows[0], picture)
        if varies:
            _draw_prices(rows[1], picture)
        _draw_band(rows[-bands], "actual", _spans_of_log(picture.log))
        if picture.best is not None:
            _draw_band(rows[-1], picture.best.name, _spans_of_best(picture.log, picture.best))
        _draw_goals(rows[0], picture.log)
        _dress(rows, picture.log)
    return figure


def png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI, facecolor="white")
    return out.getvalue()


def svg(figure: Figure) -> str:
    """Return a figure as SVG to stand in a page: transparent, its ink that of the page, nothing external."""
    import matplotlib as mpl

    out = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'\s(?:xmlns(?::\w+)?|width|height|version)="[^"]*"(?=[^<]*?>)', "", text, count=5)
    return text.replace(INK, "currentColor").replace("xlink:href", "href")


def _draw_powers(axes: Axes, picture: DayPicture) -> None:
    """Draw what the roof gave, and upon each other what house and car took (kW)."""
    log, accounts = picture.log, picture.log.accounts
    minutes = _times(log, log.day.minutes, 1)
    pv_kw = np.where(log.known, log.pv_w / 1000.0, np.nan)
    axes.fill_between(minutes, pv_kw, color=SUN, alpha=0.35, lw=0)
    axes.plot(minutes, pv_kw, color=SUN, lw=1.5, label="sun on the roof")
    slots = _times(log, log.day.slots + 1, SLOT_MIN)
    house_kwh = np.maximum(accounts.base_load_kwh, 0.0) + accounts.others_kwh
    levels = [_steps(kwh) for kwh in (house_kwh, accounts.ev_solar_kwh, accounts.ev_grid_kwh)]
    labels = ["house", "car, from the sun", "car, from the grid"]
    axes.stackplot(
        slots, levels, labels=labels, colors=[HOUSE, CAR_SUN, CAR_GRID], step="post", alpha=0.9, lw=0
    )
    if picture.best is not None:
        _draw_best(axes, picture, levels[0])
    axes.set_ylabel("kW")
    axes.set_ylim(0, max(1.0, 1.08 * axes.get_ylim()[1]))
    axes.grid(axis="y", color="#8a94a0", alpha=0.25, lw=0.8)
    axes.set_axisbelow(True)
    legend = axes.legend(
        ncols=5, frameon=False, loc="lower left", bbox_to_anchor=(-0.01, 1.0), handlelength=1.3
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    title = axes.set_title(picture.title, loc="left", pad=34, fontsize=13, fontweight="bold")
    title.set_parse_math(False)


def _draw_best(axes: Axes, picture: DayPicture, house_kw: Floats) -> None:
    """Draw house and car together as they would have been under the best replayed strategy."""
    best, log = picture.best, picture.log
    if best is None:
        return
    starts = np.arange(0, log.day.minutes, SLOT_MIN)
    ev_kw = np.add.reduceat(best.ev_w, starts) / SLOT_MIN / 1000.0
    total_kw = house_kw + np.append(ev_kw, ev_kw[-1])
    axes.plot(
        _times(log, log.day.slots + 1, SLOT_MIN),
        np.where(np.append(ev_kw, 0.0) + np.append(0.0, ev_kw) > 0.0, total_kw, np.nan),
        drawstyle="steps-post",
        color=BEST,
        lw=1.6,
        ls=(0, (4, 1.5)),
        label=f"house and car, best replayed: {best.name}",
    )


def _draw_goals(axes: Axes, log: DayLog) -> None:
    """Mark by when how much was wanted."""
    for goal in log.goals:
        at = _number(goal.deadline)
        axes.axvline(at, color=INK, lw=1, ls=(0, (4, 3)))
        said = f"{goal.energy_kwh:g} kWh wanted by {goal.deadline.astimezone(log.day.zone):%H:%M}"
        late = goal.deadline - log.day.start > (log.day.end - log.day.start) * _LATE
        axes.annotate(
            said,
            (at, 1),
            (-6 if late else 6, -4),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right" if late else "left",
            va="top",
            size=9,
        )


def _draw_prices(axes: Axes, picture: DayPicture) -> None:
    price = picture.price_eur_per_kwh
    times = _times(picture.log, len(price) + 1, SLOT_MIN)
    axes.plot(times, 100.0 * np.append(price, price[-1]), drawstyle="steps-post", color=INK, lw=1.3)
    axes.set_ylabel("ct/kWh")
    axes.grid(axis="y", color="#8a94a0", alpha=0.25, lw=0.8)


def _draw_band(axes: Axes, label: str, spans: Sequence[Span]) -> None:
    for begin, end, mode in spans:
        axes.axvspan(_number(begin), _number(end), color=MODE_COLOURS[mode], lw=0)
        if end - begin >= _LETTERED:
            ink = "#2b3441" if mode is Mode.STOP else "white"
            axes.text(
                _number(begin + (end - begin) / 2),
                0.5,
                mode.name if end - begin >= _NAMED else mode.name[0],
                ha="center",
                va="center_baseline",
                color=ink,
                size=6.5 if end - begin < _SMALL else 8.5,
            )
    axes.set_yticks([])
    axes.set_ylim(0, 1)
    name = axes.set_ylabel(
        label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…", rotation=0, ha="right", va="center"
    )
    name.set_parse_math(False)


def _dress(rows: Sequence[Axes], log: DayLog) -> None:
    """Give all rows the same axis of local time and no frames."""
    from matplotlib.dates import DateFormatter, HourLocator

    zone = log.day.zone
    for axes in rows:
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
        axes.set_xlim(_number(log.day.start), _number(log.day.end))
    rows[-1].xaxis.set_major_locator(HourLocator(byhour=range(0, 24, 3), tz=zone))  # type: ignore[no-untyped-call]
    rows[-1].xaxis.set_major_formatter(DateFormatter("%H:%M", tz=zone))  # type: ignore[no-untyped-call]


def _spans_of_log(log: DayLog) -> list[Span]:
    ends = [*(at for at, _ in log.modes[1:]), _last_known(log)]
    return [(at, end, mode) for (at, mode), end in zip(log.modes, ends, strict=False) if end > at]


def _last_known(log: DayLog) -> datetime:
    there = np.flatnonzero(log.known)
    return log.day.start + timedelta(minutes=int(there[-1]) + 1 if there.size else 0)


def _spans_of_best(log: DayLog, best: Best) -> list[Span]:
    changes = [0, *(int(at) + 1 for at in np.flatnonzero(np.diff(best.mode))), len(best.mode)]
    return [
        (log.day.start + timedelta(minutes=a), log.day.start + timedelta(minutes=b), Mode(int(best.mode[a])))
        for a, b in pairwise(changes)
    ]


def _steps(kwh: Floats) -> Floats:
    """Return powers in kW with the last one twice: a step needs the end of its last slot."""
    return np.append(kwh, kwh[-1]) * _KW_PER_KWH_A_SLOT


def _times(log: DayLog, count: int, step_min: int) -> list[float]:
    return list(_every(log.day.start, count, step_min))


def _every(start: datetime, count: int, step_min: int) -> Iterator[float]:
    first = _number(start)
    for number in range(count):
        yield first + number * step_min / 1440.0


def _number(at: datetime) -> float:
    """Return an instant as matplotlib counts time: days since 1970."""
    return at.timestamp() / 86_400.0
