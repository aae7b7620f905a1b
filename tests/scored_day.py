"""Days to be scored: lived by the real service in virtual time, or written into a log row by row."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from living import START, Life, live

from optimizer.cli.report_site import site_of
from optimizer.report.replay import Site
from optimizer.store.database import open_log
from optimizer.store.instants import to_text

BERLIN = ZoneInfo("Europe/Berlin")
LIVED = date(2026, 6, 3)
DEPARTS_H, STAYS_H = 33.0, 39.0
NAME = '<script>alert("x")</script>&$x_{1}$'
CONFIG = """\
[site]
timezone = "Europe/Berlin"
[store]
path = "sunmode.db"
[[charger]]
name = {name}
{more}
"""


def sky(hours: float) -> tuple[float, float]:
    """Sun from 06:00 to 20:00 in Berlin with a passing cloud at noon, and a house that is never quiet."""
    local = (START + timedelta(hours=hours)).astimezone(BERLIN)
    of_day = local.hour + local.minute / 60.0
    high = max(0.0, math.sin(math.pi * (of_day - 6.0) / 14.0))
    cloud = 0.25 if 12.0 <= of_day < 12.7 else 1.0
    return 5200.0 * high * cloud, 350.0 + 250.0 * (int(of_day) % 3)


async def _two_nights(life: Life) -> None:
    """Midnight to midnight and a little more; the car comes at 08:00 and leaves at 19:00, local time."""
    life.home.unplug("SQ1")
    await life.begin()
    midnight_s = (datetime(2026, 6, 2, 22, tzinfo=UTC) - START).total_seconds()
    await life.passes(midnight_s + 8 * 3600)
    life.home.plug("SQ1", 18.0)
    await life.passes(11 * 3600)
    life.home.unplug("SQ1")
    await life.passes(6 * 3600)
    await life.ends()


def live_a_day(folder: Path, token: str) -> None:
    """Leave the log of a lived day in `folder`, and the configuration to score it with."""
    goal = 'goal = [{ by = "18:30", energy_kwh = 16 }]'
    live(folder, token, _two_nights, sky=sky, config=f"{goal}\n[control]\ngreen_commissioned = true\n")


def site_with(folder: Path, name: str = "garage", more: str = "") -> Site:
    """Return a site in `folder` whose log is empty."""
    config = CONFIG.format(name=f"'{name}'" if "'" not in name else repr(name), more=more)
    (folder / "config.toml").write_text(config, encoding="utf-8")
    open_log(folder / "sunmode.db", durable=False, busy_ms=0).conn.close()
    return site_of(folder / "config.toml")


def write_day(
    site: Site,
    start: datetime,
    hours: float,
    *,
    pv_w: float = 4000.0,
    load_w: float = 500.0,
    ev_w: float = 0.0,
    car: tuple[float, float | None] | None = None,
    holes: tuple[tuple[float, float], ...] = (),
) -> None:
    """Write readings, accounts and the session of steady powers; the car draws `ev_w` while it is there."""
    name = site.home.charger.name
    with closing(sqlite3.connect(site.path)) as conn, conn:
        for minute in range(0, int(hours * 60) + 1, 5):
            if any(begin <= minute / 60 < end for begin, end in holes):
                continue
            drawn_w = ev_w if car and car[0] <= minute / 60 < (car[1] or math.inf) else 0.0
            at = to_text(start + timedelta(minutes=minute))
            grid_w = load_w + drawn_w - pv_w
            conn.execute(
                "INSERT INTO site_reading (received_at, pv_w, grid_w, battery_w) VALUES (?,?,?,0)",
                (at, pv_w, grid_w),
            )
            conn.execute(
                "INSERT INTO charger_reading (received_at, charger, mode, status, ev_w) VALUES (?,?,?,?,?)",
                (at, name, 3 if drawn_w else 0, 2 if drawn_w else 0, drawn_w),
            )
            if minute % 15 == 0 and minute < hours * 60:
                _account(conn, name, at, (pv_w, load_w, grid_w, drawn_w))
        if car is not None:
            began, ended = (None if h is None else to_text(start + timedelta(hours=h)) for h in car)
            kwh = ev_w / 1000.0 * ((car[1] if car[1] is not None else hours) - car[0])
            conn.execute(
                "INSERT INTO session (charger, started_at, ended_at, ev_kwh) VALUES (?,?,?,?)",
                (name, began, ended, kwh),
            )


def _account(conn: sqlite3.Connection, name: str, at: str, powers: tuple[float, float, float, float]) -> None:
    pv, base, grid, car = (power / 4000.0 for power in powers)
    zeros = "0,0,0,0,0,0"
    conn.execute(
        "INSERT INTO energy VALUES (?,'',?,?,?,?,0,0,0,0,0,0,0,0)",
        (at, pv, base, max(grid, 0.0), max(-grid, 0.0)),
    )
    sun = min(car, max(0.0, pv - base))
    conn.execute(
        f"INSERT INTO energy VALUES (?,?,{zeros},?,?,?,0,0,0)",  # noqa: S608 - zeros
        (at, name, car, sun, car - sun),
    )
