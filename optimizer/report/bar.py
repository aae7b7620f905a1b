"""A day in a terminal: one sign for each quarter hour, or for a few where the screen is narrow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from optimizer.backtest.case import SLOT_MIN, Floats
from optimizer.domain import Mode
from optimizer.report.day import DayLog

_BLOCKS, _PLAIN = " ▁▂▃▄▅▆▇█", " .:-=+*%#"
_SIGNS = {Mode.STOP: ".", Mode.GREEN: "G", Mode.ECO: "E", Mode.FAST: "F"}
_LABEL = 6
_HOUR_SLOTS = 4


def text_picture(log: DayLog, width: int, *, blocks: bool) -> Iterator[str]:
    """Yield sun, car and modes of the day on the site's own clock; `blocks` where they can be shown."""
    group = next((n for n in (1, 2, 4) if log.day.slots / n <= width - _LABEL), 0)
    if group == 0:
        return
    signs = _BLOCKS if blocks else _PLAIN
    most_kw = max(0.1, float(log.pv_w.max()) / 1000.0, 4.0 * float(log.accounts.ev_kwh.max()))
    yield "".ljust(_LABEL) + _hours(log, group)
    yield "sun".ljust(_LABEL) + _bars(4.0 * log.accounts.pv_kwh, most_kw, group, signs)
    yield "car".ljust(_LABEL) + _bars(4.0 * log.accounts.ev_kwh, most_kw, group, signs)
    yield "mode".ljust(_LABEL) + _modes(log, group)
    yield f"{'':{_LABEL}}full height {most_kw:.1f} kW; . STOP, G GREEN, E ECO, F FAST"


def _bars(kw: Floats, most_kw: float, group: int, signs: str) -> str:
    means = np.add.reduceat(kw, np.arange(0, len(kw), group)) / group
    places = np.ceil(np.clip(means / most_kw, 0.0, 1.0) * (len(signs) - 1) - 0.02).astype(int)
    return "".join(signs[place] for place in places).rstrip()


def _modes(log: DayLog, group: int) -> str:
    """Return the mode that the charger was in at the middle of each group, blank where it is not known."""
    text = ""
    for first in range(0, log.day.slots, group):
        minute = min(log.day.minutes - 1, first * SLOT_MIN + group * SLOT_MIN // 2)
        at = log.day.start + timedelta(minutes=minute)
        modes = [mode for since, mode in log.modes if since <= at]
        text += _SIGNS[modes[-1]] if modes and log.known[minute] else " "
    return text.rstrip()


def _hours(log: DayLog, group: int) -> str:
    """Return every third hour of the site's clock above its place."""
    text = ""
    for slot in range(0, log.day.slots, _HOUR_SLOTS):
        local = (log.day.start + timedelta(minutes=slot * SLOT_MIN)).astimezone(log.day.zone)
        if local.hour % 3 == 0 and len(text) <= slot // group:
            text = text.ljust(slot // group) + f"{local:%H}"
    return text
