"""Forecasts and truth as a picture: a panel each for the sun and for the load."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np

from optimizer.domain import Forecast
from optimizer.forecast.roof import SLOT, W_PER_KW
from optimizer.forecast.vintages import Floats
from optimizer.report.forecasts import LOAD, ForecastReport, Judged
from optimizer.report.picture import BEST, HOUSE, INK, STYLE, SUN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = timedelta(days=3)
"""How much of the past is drawn."""

_DAY = timedelta(days=1)


def draw_forecasts(report: ForecastReport, zone: tzinfo) -> Figure:
    """Draw the last days: what was true, and what each day's first forecast had said of it."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels = _panels(report.providers)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 3.2 * len(panels)), layout="constrained")
        axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for ax, one in zip(axes, panels, strict=True):
            _draw(ax, report, one, zone)
    return figure


def _panels(providers: Sequence[Judged]) -> list[Judged]:
    """Return what is drawn: of the sun the one who spoke last, and the load."""
    sun = [one for one in providers if one.provider != LOAD]
    newest = sorted(sun, key=lambda one: (one.told[-1].issued_at, one.provider.startswith("own-")))
    return [*newest[-1:], *(one for one in providers if one.provider == LOAD)]


def _draw(ax: Axes, report: ForecastReport, one: Judged, zone: tzinfo) -> None:
    since = report.until - SHOWN
    colour = HOUSE if one.provider == LOAD else SUN
    for number, forecast in enumerate(_first_of_each_day(one.told, since, zone)):
        _band(ax, forecast, colour, named=number == 0)
    truth_w = report.truth.of(one.provider)
    ax.plot(
        _places(report.truth.start + SLOT * n for n in range(len(truth_w))),
        truth_w / W_PER_KW,
        color=INK,
        linewidth=1.2,
        label="measured",
    )
    last = one.told[-1].slots[-1].start_including
    ax.set_xlim(*_places((since, max(last, report.until))).tolist())
    ax.xaxis_date(tz=zone)
    ax.set_ylim(bottom=0.0)
    ax.set_ylabel("kW")
    ax.set_title(f"{one.provider}: each day as it was said when it began", loc="left")
    ax.legend(loc="upper right", frameon=False)


def _first_of_each_day(told: Sequence[Forecast], since: datetime, zone: tzinfo) -> list[Forecast]:
    """Return the first forecast of each day, cut where the next one's begins."""
    first: dict[object, Forecast] = {}
    for forecast in told:
        if forecast.issued_at >= since - _DAY:
            first.setdefault(forecast.issued_at.astimezone(zone).date(), forecast)
    days = list(first.values())
    ends = [following.issued_at for following in days[1:]]
    cut = [
        tuple(slot for slot in forecast.slots if slot.start_including < end)
        for forecast, end in zip(days, ends, strict=False)
    ]
    shortened = [Forecast(one.issued_at, one.provider, kept) for one, kept in zip(days, cut, strict=False)]
    return [one for one in (*shortened, *days[-1:]) if one.slots]


def _band(ax: Axes, forecast: Forecast, colour: str, *, named: bool) -> None:
    places = _places(slot.start_including for slot in forecast.slots)
    p10, p50, p90 = (
        np.array([getattr(slot, name) for slot in forecast.slots]) / W_PER_KW
        for name in ("p10_w", "p50_w", "p90_w")
    )
    ax.fill_between(
        places,
        p10,
        p90,
        color=colour,
        alpha=0.35,
        linewidth=0,
        label="p10 to p90" if named else None,
    )
    ax.plot(places, p50, color=BEST, linewidth=1.0, label="p50" if named else None)


def _places(times: Iterable[datetime]) -> Floats:
    """Return where instants stand on a picture's axis."""
    from matplotlib import dates

    to_number: Any = dates.date2num
    return np.array([to_number(at) for at in times])
