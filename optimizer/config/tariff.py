"""The table `[tariff]`: what energy costs and earns, the same at all times, by windows, or by the market."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import time
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from optimizer.config.goals import days_of
from optimizer.config.kinds import (
    Complaint,
    FilePath,
    Line,
    QuarterOfDay,
    Real,
    Section,
    SourceUrl,
    refuse,
)
from optimizer.config.sections import Day
from optimizer.tariffs.answers import Fields
from optimizer.tariffs.market import Plan, Scale
from optimizer.tariffs.windows import Window, week_of

ADDRESSES = {
    "awattar": "https://api.awattar.de/v1/marketdata",
    "energy_charts": "https://api.energy-charts.info/price?bzn=DE-LU",
}
"""Where the two services are that have a place of their own."""


class PriceWindow(Section):
    """A time of the day with a price of its own; outside of all windows import_eur_per_kwh stands."""

    days: tuple[Day, ...] = Field(
        ("daily",), min_length=1, max_length=10, description="Days on which the window begins."
    )
    start: QuarterOfDay = Field(
        alias="from", description='Time of day at the site at which it begins, "HH:MM", a quarter hour.'
    )
    end: QuarterOfDay = Field(
        alias="to",
        description='Time of day at which it ends; not later than "from": it ends on the next day.',
    )
    import_eur_per_kwh: Real = Field(ge=-1, le=5, description="Energy from the grid in it, EUR per kWh.")

    def window(self) -> Window:
        """Return the window as the tariff reckons with it."""
        return Window(
            days_of(self.days),
            time.fromisoformat(self.start),
            time.fromisoformat(self.end),
            self.import_eur_per_kwh,
        )


class PriceSource(Section):
    """Where the market's prices of each day come from; see tariffs.md."""

    kind: Literal["file", "json", "awattar", "energy_charts"] = Field(
        description="A CSV file (time,eur_per_kwh), any JSON over HTTP, or one of two services."
    )
    file: FilePath | None = Field(
        None, description='For "file": its name, relative to the configuration file.'
    )
    url: SourceUrl | None = Field(
        None,
        description='For "json", where it is; for the services, where another one of their kind is. It is '
        "never written to the log.",
    )
    token_file: FilePath | None = Field(
        None,
        description="File with a token that is sent along (Authorization: Bearer); relative to the "
        "configuration file.",
    )
    rows: Line | None = Field(
        None, description='For "json": where the list is, names joined by dots; without it the answer itself.'
    )
    time: Line = Field("time", description='For "json": the time in each entry; ISO, or seconds or ms.')
    price: Line = Field("price", description='For "json": the price in each entry.')
    unit: Literal["EUR/kWh", "EUR/MWh", "ct/kWh"] = Field("EUR/kWh", description='For "json": its unit.')

    @model_validator(mode="after")
    def _kind_fits(self) -> Self:
        refuse("source", self._misfits())
        return self

    def _misfits(self) -> Iterator[Complaint]:
        if self.kind == "file":
            if self.file is None:
                yield Complaint(("file",), 'missing: kind = "file" needs it')
            if self.url is not None:
                yield Complaint(("url",), 'does not belong to kind = "file"')
        elif self.file is not None:
            yield Complaint(("file",), f'does not belong to kind = "{self.kind}"')
        if self.kind == "json" and self.url is None:
            yield Complaint(("url",), 'missing: kind = "json" needs it')

    @property
    def address(self) -> str:
        """Where the service is."""
        return self.url or ADDRESSES[self.kind]

    def fields(self) -> Fields:
        """Return where the answer of any JSON service has what."""
        return Fields(self.rows or "", self.time, self.price, self.unit)


class FeedIn(Section):
    """Earnings that follow the market; leave the table out where feed_in_eur_per_kwh is paid at all times."""

    factor: Real = Field(1, ge=-10, le=10, description="Factor on the market's price.")
    adder_eur_per_kwh: Real = Field(0, ge=-1, le=1, description="What is added to it, EUR per kWh.")
    source: PriceSource | None = Field(
        None, description="Where its prices come from; without it those of tariff.source count."
    )


class Prices(Section):
    """What a kilowatt hour costs and earns."""

    import_eur_per_kwh: Real = Field(
        0.30,
        ge=-1,
        le=5,
        description="Energy from the grid, EUR per kWh; with a source, what stands while nothing is known.",
    )
    feed_in_eur_per_kwh: Real = Field(0.08, ge=-1, le=5, description="Energy sold to the grid, EUR per kWh.")
    price_factor: Real = Field(
        1, ge=-10, le=10, description="With a source: factor on the market's price, for instance 1.19."
    )
    price_adder_eur_per_kwh: Real = Field(
        0, ge=-1, le=1, description="With a source: what is added then, EUR per kWh: fees, taxes, margin."
    )
    window: tuple[PriceWindow, ...] = Field((), max_length=50, description="Windows, see below.")
    source: PriceSource | None = Field(None, description="The market, see below.")
    feed_in: FeedIn | None = Field(None, description="Earnings that follow the market, see below.")

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        refuse("tariff", self._misfits())
        return self

    def _misfits(self) -> Iterator[Complaint]:
        if self.window and self.source is not None:
            yield Complaint(("window", 0), "windows and tariff.source exclude each other")
        if self.feed_in is not None and self.feed_in.source is None and self.source is None:
            yield Complaint(("feed_in",), "needs a source of its own where there is no tariff.source")
        yield from _overlaps(self.window)

    def plan(self, zone: ZoneInfo) -> Plan:
        """Return all this in the words of the tariff."""
        windows = tuple(window.window() for window in self.window)
        scaled = Scale(self.price_factor, self.price_adder_eur_per_kwh)
        feed_in = self.feed_in
        return Plan(
            import_eur_per_kwh=self.import_eur_per_kwh,
            feed_in_eur_per_kwh=self.feed_in_eur_per_kwh,
            zone=zone,
            week=week_of(windows, self.import_eur_per_kwh) if windows else (),
            market=None if self.source is None else scaled,
            feed_in=None if feed_in is None else Scale(feed_in.factor, feed_in.adder_eur_per_kwh),
        )


def _overlaps(windows: Iterable[PriceWindow]) -> Iterator[Complaint]:
    taken: dict[int, int] = {}
    for index, window in enumerate(windows):
        quarters = set(window.window().quarters())
        others = sorted({taken[quarter] for quarter in quarters & taken.keys()})
        if others:
            yield Complaint(("window", index), f"overlaps with window[{others[0]}]")
        taken |= dict.fromkeys(quarters - taken.keys(), index)
