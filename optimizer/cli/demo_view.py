"""What the demo shows: the day as it grows, and its account out of the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from optimizer.config import Settings
from optimizer.domain import Mode
from optimizer.runtime.world import ChargerView
from optimizer.service import Service
from optimizer.store.queries import day_energy, reading

COLUMN = timedelta(minutes=15)
_BLOCKS = " ▁▂▃▄▅▆▇█"
_COLOURS = {Mode.STOP: "grey50", Mode.GREEN: "green", Mode.ECO: "yellow", Mode.FAST: "red"}
_FULL_W = 9000.0


class DayView:
    """One column per quarter hour: the last PV and car power, and the decided mode."""

    def __init__(self, service: Service, start: datetime, end: datetime) -> None:
        self.service = service
        self.start = start
        self.now = start
        self.width = int((end - start) / COLUMN) + 1
        self.columns: dict[int, tuple[float, float, Mode]] = {}

    def look(self, now: datetime) -> None:
        """Take in what the service knows at `now`."""
        self.now = now
        view = self.charger
        mode = view.mode if view.mode is not None else Mode.STOP
        self.columns[int((now - self.start) / COLUMN)] = (self.pv_w, self.service.world.ev_w, mode)

    @property
    def charger(self) -> ChargerView:
        """The first charger."""
        return next(iter(self.service.world.chargers.values()))

    @property
    def pv_w(self) -> float:
        """Last known PV power."""
        site = self.service.world.site.reading
        return 0.0 if site is None else site.pv_w or 0.0

    @property
    def surplus_w(self) -> float:
        """Last known surplus."""
        estimate = self.service.world.site.estimate
        return 0.0 if estimate is None else estimate.surplus_w

    @property
    def why(self) -> str:
        """The reason of the decision that holds."""
        decision = self.charger.decision
        return "" if decision is None else str(decision.reason)


def frame(view: DayView) -> RenderableType:
    """Return the picture of the moment."""
    zone = view.service.settings.zone
    local = view.now.astimezone(zone)
    mode = view.charger.mode or Mode.STOP
    title = Text.assemble(
        ("sunmode", "bold"),
        f"  {local:%a %d %b %Y  %H:%M}   ",
        (f" {mode.name} ", f"reverse {_COLOURS[mode]}"),
    )
    return Group(title, _now_line(view), *_bars(view), Text(f"why   {view.why}"), _budget_line(view))


def line(view: DayView) -> str:
    """Return the moment as one line."""
    local = view.now.astimezone(view.service.settings.zone)
    mode = view.charger.mode or Mode.STOP
    return f"{local:%H:%M}  {mode.name:<5}  {_now_line(view).plain}  {view.why}"


def _now_line(view: DayView) -> Text:
    kilowatts = (("PV", view.pv_w), ("surplus", view.surplus_w), ("car", view.service.world.ev_w))
    return Text("   ".join(f"{name} {power_w / 1000:5.2f} kW" for name, power_w in kilowatts))


def _budget_line(view: DayView) -> Text:
    held = view.service.store.ledger.slots_held
    limit = view.service.settings.budget.calls_per_minute
    return Text(f"calls {held} of {limit} in the last minute", style="dim")


def _bars(view: DayView) -> Iterator[Text]:
    columns = [view.columns.get(index) for index in range(view.width)]
    yield Text("PV    " + "".join(_block(column[0]) if column else " " for column in columns), style="yellow")
    yield Text("car   " + "".join(_block(column[1]) if column else " " for column in columns), style="cyan")
    modes = Text("mode  ")
    for column in columns:
        modes.append(column[2].name[0] if column else "·", _COLOURS[column[2]] if column else "grey30")
    yield modes


def _block(power_w: float) -> str:
    return _BLOCKS[min(len(_BLOCKS) - 1, round(power_w / _FULL_W * (len(_BLOCKS) - 1)))]


def summary(settings: Settings, path: Path, start: datetime, end: datetime, worst_minute: int) -> Table:
    """Return the day's account; every figure but the cloud's own count comes out of the log."""
    energy = day_energy(path, start, end)
    table = Table(title=f"The day of {start:%d %B %Y}, from its log", show_header=False, title_justify="left")
    for name, value in (
        ("sun on the roof", f"{energy.pv_kwh:.1f} kWh"),
        ("house without the car", f"{energy.base_load_kwh:.1f} kWh"),
        ("into the car", f"{energy.ev_kwh:.1f} kWh"),
        ("  of it sun", f"{energy.ev_solar_kwh:.1f} kWh ({_share(energy.ev_solar_kwh, energy.ev_kwh)})"),
        ("  of it from the grid", f"{energy.ev_grid_kwh:.1f} kWh for {energy.cost_eur:.2f} EUR"),
        ("feed-in given up for the car", f"{energy.feed_in_lost_eur:.2f} EUR"),
        ("the car's energy all from the grid", f"{_grid_only(settings, energy.ev_kwh):.2f} EUR"),
        *_counts(path),
        ("most calls in a minute, cloud's count", f"{worst_minute} (10 would be refused)"),
        ("log", str(path)),
    ):
        table.add_row(name, value)
    return table


def _counts(path: Path) -> Iterator[tuple[str, str]]:
    counts = {
        "decisions written": "SELECT count(*) FROM decision",
        "commands sent, confirmed by reading back": (
            "SELECT count(*) || ', ' || coalesce(sum(state = 'confirmed'), 0) FROM command"
        ),
        "calls to the cloud": "SELECT count(*) FROM call",
    }
    with reading(path) as conn:
        for name, query in counts.items():
            yield name, str(conn.execute(query).fetchone()[0])


def _grid_only(settings: Settings, ev_kwh: float) -> float:
    return ev_kwh * settings.tariff.import_eur_per_kwh


def _share(part: float, whole: float) -> str:
    return "-" if whole <= 0 else f"{part / whole:.0%}"
