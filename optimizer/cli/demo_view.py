"""What the demo shows while it runs: the moment in numbers, the day as it grows, and why."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from optimizer.domain import Mode
from optimizer.runtime.world import ChargerView
from optimizer.service import Service

ROWS = 7
GUTTER = 7
CAR_SUN, CAR_GRID, HOUSE, SUN = "green", "red", "grey50", "yellow"
COLOURS = {Mode.STOP: "grey50", Mode.GREEN: "green", Mode.ECO: "yellow", Mode.FAST: "red"}
_BLOCKS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = len(_BLOCKS) - 1
_FULL_W = 8000.0
_COLUMNS_PER_HOUR = (6, 4, 3, 2, 1)
_NEWS_KEPT = 4


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known at one time, in W with the signs of `optimizer.domain`."""

    pv_w: float
    base_load_w: float
    ev_w: float
    battery_w: float
    surplus_w: float
    mode: Mode

    @property
    def grid_w(self) -> float:
        """What comes from the grid (or goes there, negative)."""
        return self.base_load_w + self.ev_w - self.pv_w - self.battery_w

    def segments(self) -> tuple[tuple[float, str], ...]:
        """Return the column from below: up to which power it has which colour."""
        used_w = self.base_load_w + self.ev_w
        top = CAR_GRID if used_w > self.pv_w else SUN
        sunny_w = max(self.base_load_w, min(used_w, self.pv_w))
        return (self.base_load_w, HOUSE), (sunny_w, CAR_SUN), (max(used_w, self.pv_w), top)


@dataclass(frozen=True, slots=True)
class News:
    """Something that has just changed."""

    at: datetime
    text: str


class DayView:
    """Looks at the service now and then, and remembers one moment per column of the picture."""

    def __init__(self, service: Service, start: datetime, end: datetime, columns: int) -> None:
        self.service = service
        self.start = start
        self.now = start
        hours = (end - start) / timedelta(hours=1)
        self.per_hour = next((n for n in _COLUMNS_PER_HOUR if n * hours <= columns), 1)
        self.width = max(1, round(hours * self.per_hour))
        self.moments: dict[int, Moment] = {}
        self.news: deque[News] = deque(maxlen=_NEWS_KEPT)
        self._mode: Mode | None = None
        self._connected: bool | None = None

    def look(self, now: datetime) -> list[News]:
        """Take in what the service knows at `now`; return what is new."""
        self.now = now
        column = int((now - self.start) / timedelta(hours=1) * self.per_hour)
        self.moments[column] = self.moment
        fresh = [News(now, text) for text in self._noticed()]
        self.news.extend(fresh)
        return fresh

    @property
    def charger(self) -> ChargerView:
        """The first charger."""
        return next(iter(self.service.world.chargers.values()))

    @property
    def moment(self) -> Moment:
        """The powers of the last sample that made sense, and the mode that the charger was last read in."""
        world = self.service.world
        site, estimate = world.site.reading, world.site.estimate
        surplus_w = 0.0 if estimate is None else estimate.surplus_w
        base_load_w = 0.0 if estimate is None else max(0.0, estimate.base_load_w or 0.0)
        return Moment(
            pv_w=max(0.0, surplus_w + base_load_w),
            base_load_w=base_load_w,
            ev_w=world.ev_w,
            battery_w=0.0 if site is None else site.battery_w or 0.0,
            surplus_w=surplus_w,
            mode=self.charger.mode or Mode.STOP,
        )

    @property
    def why(self) -> str:
        """The reason of the decision that holds."""
        decision = self.charger.decision
        return "" if decision is None else str(decision.reason)

    def clock(self, at: datetime) -> str:
        """Return the time of day at the home."""
        return f"{at.astimezone(self.service.settings.zone):%H:%M}"

    def _noticed(self) -> Iterator[str]:
        view = self.charger
        if view.reading is not None and view.connected is not self._connected:
            self._connected = view.connected
            yield "a car is plugged in" if view.connected else "no car is plugged in"
        if view.decision is not None and view.decision.mode is not self._mode:
            self._mode = view.decision.mode
            yield self.why if self.why.startswith(self._mode.name) else f"{self._mode.name}: {self.why}"


def frame(view: DayView) -> RenderableType:
    """Return the picture of the moment."""
    lines = (_title(view), _numbers(view.moment), Text(), *_chart(view), _modes(view), _hours(view), Text())
    why, _, following = view.why.partition(" Next: ")
    told = (("why", why), ("next", following or "-"), ("goal", goal_line(view)), ("budget", _budget(view)))
    facts = (_fact(name, text) for name, text in told)
    news = (_fact(view.clock(news.at), news.text, "dim") for news in view.news)
    return Group(*lines, *facts, Text(), *news)


def line(view: DayView) -> str:
    """Return the moment as one line."""
    return f"{view.clock(view.now)}  {view.moment.mode.name:<5}  {_numbers(view.moment).plain}"


def goal_line(view: DayView) -> str:
    """Return the goal that comes next and what the session has of it."""
    goal = view.service.settings.goal_for(view.charger.spec.name, view.now)
    if goal is None:
        return "none"
    so_far = view.charger.session_kwh or 0.0
    by = f"{goal.deadline.astimezone(view.service.settings.zone):%A %H:%M}"
    return f"{goal.energy_kwh:g} kWh by {by}; this session has taken {so_far:.1f} kWh"


def _title(view: DayView) -> Text:
    local = view.now.astimezone(view.service.settings.zone)
    mode = view.moment.mode
    status = view.charger.status
    return Text.assemble(
        ("sunmode", "bold"),
        f"   {local:%A, %d %B %Y   %H:%M}   ",
        (f" {mode.name} ", f"bold reverse {COLOURS[mode]}"),
        ("   " + ("" if status is None else status.name.lower().replace("_", " ")), "dim"),
    )


def _numbers(moment: Moment) -> Text:
    powers = (
        ("sun", moment.pv_w, SUN),
        ("house", moment.base_load_w, HOUSE),
        ("surplus", moment.surplus_w, "default"),
        ("car", moment.ev_w, CAR_SUN),
        ("grid", moment.grid_w, CAR_GRID if moment.grid_w > 0 else "default"),
    )
    # Adding 0.0 makes of -0.0, a small power that was rounded, a plain zero.
    rounded = ((name, round(power_w / 1000, 2) + 0.0, colour) for name, power_w, colour in powers)
    parts = ((f"{name} {power_kw:5.2f} kW   ", colour) for name, power_kw, colour in rounded)
    text = Text.assemble(*parts)
    text.rstrip()
    return text


def _chart(view: DayView) -> Iterator[Text]:
    """Yield the rows from the top: what the car took of the sun and of the grid, upon the house."""
    for row in reversed(range(ROWS)):
        label = f"{_FULL_W * (row + 1) / ROWS / 1000:.0f} kW" if row == ROWS - 1 else ""
        text = Text.assemble((f"{label:>{GUTTER - 2}}  ", "dim"))
        for column in range(view.width):
            text.append_text(_cell(view.moments.get(column), row))
        yield text


def _cell(moment: Moment | None, row: int) -> Text:
    """Return one character: an eighth of its height is the finest step."""
    if moment is None:
        return Text(" ")
    step_w = _FULL_W / ROWS / _EIGHTHS
    edges_w = [(row * _EIGHTHS + eighth + 0.5) * step_w for eighth in range(_EIGHTHS)]
    colours = [_colour(moment, edge_w) for edge_w in edges_w]
    below, above = colours[0], colours[-1]
    if below is None:
        return Text(" ")
    style = below if above in (None, below) else f"{below} on {above}"
    return Text(_BLOCKS[colours.count(below)], style)


def _colour(moment: Moment, power_w: float) -> str | None:
    return next((colour for upto_w, colour in moment.segments() if power_w < upto_w), None)


def _modes(view: DayView) -> Text:
    text = Text.assemble((f"{'mode':>{GUTTER - 2}}  ", "dim"))
    known = ((moment.mode if moment else None) for moment in map(view.moments.get, range(view.width)))
    for mode, group in groupby(known):
        length = len(list(group))
        name = "" if mode is None else mode.name
        style = "" if mode is None else f"black on {COLOURS[mode]}"
        text.append(f"{name if len(name) < length else name[:1]:<{length}}", style)
    return text


def _hours(view: DayView) -> Text:
    """Return the axis: the hours of the home's clock, as many as there is room for."""
    every = 1 if view.per_hour >= len("00 ") + 1 else 2 if view.per_hour > 1 else 4
    marks = range(0, view.width, view.per_hour * every)
    local = (view.start + timedelta(hours=column / view.per_hour) for column in marks)
    labels = (view.clock(at)[:2] for at in local)
    return Text(" " * GUTTER + "".join(f"{label:<{view.per_hour * every}}" for label in labels), "dim")


def _budget(view: DayView) -> str:
    held, limit = view.service.store.ledger.slots_held, view.service.settings.budget.calls_per_minute
    return f"{'●' * held}{'○' * (limit - held)}  {held} of {limit} calls in a minute (the cloud refuses 10)"


def _fact(name: str, text: str, style: str = "") -> Text:
    fact = Text.assemble((f"{name:<{GUTTER}}", "dim"), (text, style))
    fact.no_wrap = True
    fact.overflow = "ellipsis"
    return fact
