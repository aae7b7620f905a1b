"""A tariff as a decision's context keeps it: short, for a year of quarter hours must fit into the log."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from math import gcd
from typing import Any
from zoneinfo import ZoneInfo

from optimizer.domain import PriceStep, Tariff
from optimizer.tariffs.slots import midnight

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


def tariff_to_json(tariff: Tariff) -> dict[str, object]:
    """Return the tariff in plain values, exact to the last digit; what is not there is left out."""
    until = {"known": tariff.known_until, "feed_in_known": tariff.feed_in_known_until}
    steps = {"steps": tariff.steps, "feed_in_steps": tariff.feed_in_steps}
    return {
        "import": tariff.import_eur_per_kwh,
        "feed_in": tariff.feed_in_eur_per_kwh,
        "zone": tariff.zone,
        **{name: at.isoformat() for name, at in until.items() if at is not None},
        **{name: _runs(one) for name, one in steps.items() if one},
    }


def from_today_on(tariff: Tariff, now: datetime) -> Tariff:
    """Return the tariff without what no decision of today can see: neither now, nor as what stands in.

    It begins with the last known day but one, or today where that is earlier: the same at midnight as before.
    """
    zone = ZoneInfo(tariff.zone)
    return replace(
        tariff,
        steps=_later(tariff.steps, _first(now, tariff.known_until, zone)),
        feed_in_steps=_later(tariff.feed_in_steps, _first(now, tariff.feed_in_known_until, zone)),
    )


def _first(now: datetime, known_until: datetime | None, zone: ZoneInfo) -> datetime:
    today = now.astimezone(zone).date()
    newest = today if known_until is None else (known_until - _SECOND).astimezone(zone).date()
    return midnight(min(today, newest - _DAY), zone)


def _later(steps: tuple[PriceStep, ...], first: datetime) -> tuple[PriceStep, ...]:
    begun = bisect_right(steps, first, key=lambda step: step.start_including)
    if begun == 0:
        return steps
    return (PriceStep(first, steps[begun - 1].eur_per_kwh), *steps[begun:])


def tariff_from_json(written: Any) -> Tariff:
    """Return the tariff as it was; an earlier sunmode wrote a list of the two prices and the steps."""
    if isinstance(written, list):
        old = tuple(PriceStep(datetime.fromisoformat(at), price) for at, price in written[2])
        return Tariff(written[0], written[1], old)
    return Tariff(
        import_eur_per_kwh=written["import"],
        feed_in_eur_per_kwh=written["feed_in"],
        steps=_steps(written.get("steps")),
        feed_in_steps=_steps(written.get("feed_in_steps")),
        known_until=_instant(written.get("known")),
        feed_in_known_until=_instant(written.get("feed_in_known")),
        zone=written["zone"],
    )


def _runs(steps: tuple[PriceStep, ...]) -> dict[str, object]:
    """Return the steps as `[price, how long, price, how long, ..., price]`, lengths in units of `every_s`."""
    starts = [step.start_including for step in steps]
    lengths_s = [(later - start) // _SECOND for start, later in pairwise(starts)]
    every_s = gcd(*lengths_s) or 1
    runs: list[float] = []
    for step, length_s in zip(steps, lengths_s, strict=False):
        runs += (step.eur_per_kwh, length_s // every_s)
    return {"from": starts[0].isoformat(), "every_s": every_s, "runs": [*runs, steps[-1].eur_per_kwh]}


def _steps(written: Mapping[str, Any] | None) -> tuple[PriceStep, ...]:
    if written is None:
        return ()
    at, every, runs = datetime.fromisoformat(written["from"]), written["every_s"] * _SECOND, written["runs"]
    steps = [PriceStep(at, runs[0])]
    for length, price in zip(runs[1::2], runs[2::2], strict=True):
        at += length * every
        steps.append(PriceStep(at, price))
    return tuple(steps)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
