"""What experience tells of each charger; kept by its serial, so that another charger starts anew.

Any process may write it, in one short transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from optimizer.control.commissioning import Proof
from optimizer.domain import ChargerReading, ChargerSpec, ChargerStatus, Mode, SiteReading
from optimizer.errors import InputError
from optimizer.forecast.charger import Drawn, Experience
from optimizer.store.instants import from_text, to_json, to_text
from optimizer.store.queries import reading
from optimizer.store.sqlite import StoreUnavailable, connect_writer

BUSY_MS = 5000
_POWER, _GREEN = "power", "green"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one charger; `told` has the codes of the doubts that the owner has been told."""

    experience: Experience = field(default_factory=Experience)
    told: tuple[str, ...] = ()
    proof: Proof = field(default_factory=Proof)


NOTHING = Known()
"""Of a charger that was never watched."""


def known_at(path: Path) -> Mapping[str, Known]:
    """Return what is known by serial; nothing where there is no log, or none that can be read now."""
    try:
        with reading(path) as conn:
            return _known(conn)
    except InputError:
        return {}


def write_experience(
    path: Path,
    spec: ChargerSpec,
    at: datetime,
    experience: Experience,
    told: tuple[str, ...],
    *,
    busy_ms: int = BUSY_MS,
) -> None:
    """Put what was learnt of a charger in place of what was known; waits `busy_ms` for another writer.

    Raises:
        InputError: no log of ours.
        StoreUnavailable: it is locked, or cannot be written.

    """
    _write(path, spec, at, _POWER, {**asdict(experience), "told": told}, busy_ms)


def write_proof(path: Path, spec: ChargerSpec, at: datetime, proof: Proof) -> None:
    """Put what was seen of GREEN in place of what was known; raises as `write_experience` does."""
    _write(path, spec, at, _GREEN, asdict(proof), BUSY_MS)


def charger_readings(path: Path, charger: str, since: datetime) -> tuple[ChargerReading, ...]:
    """Return the readings of a charger from `since` on, ascending.

    Raises:
        InputError: no readable log.

    """
    with reading(path) as conn:
        rows = conn.execute(
            "SELECT received_at, mode, status, status_code, ev_w, session_kwh FROM charger_reading"
            " WHERE charger = ? AND received_at >= ? ORDER BY id",
            (charger, to_text(since)),
        ).fetchall()
    return tuple(
        ChargerReading(
            from_text(at), None if mode is None else Mode(mode), ChargerStatus(status), code, ev_w, kwh
        )
        for at, mode, status, code, ev_w, kwh in rows
    )


def site_readings(path: Path, since: datetime) -> tuple[SiteReading, ...]:
    """Return the samples of the house from `since` on, ascending; raises as `charger_readings` does."""
    with reading(path) as conn:
        rows = conn.execute(
            "SELECT received_at, stamp, pv_w, grid_w, battery_w, battery_soc FROM site_reading"
            " WHERE received_at >= ? ORDER BY id",
            (to_text(since),),
        ).fetchall()
    return tuple(SiteReading(from_text(at), *rest) for at, *rest in rows)


def _known(conn: sqlite3.Connection) -> dict[str, Known]:
    if not conn.execute("SELECT 1 FROM sqlite_schema WHERE name = 'experience'").fetchone():
        return {}  # no service has brought an older log up to date yet
    found: dict[str, Known] = {}
    for serial, what, value in conn.execute("SELECT serial, what, value FROM experience"):
        found[serial] = _with(found.get(serial, NOTHING), what, json.loads(value))
    return found


def _with(known: Known, what: str, value: dict[str, Any]) -> Known:
    if what == _GREEN:
        return replace(known, proof=Proof(**value))
    told = tuple(value.pop("told"))
    for name in ("fast", "eco_floor"):
        value[name] = None if value[name] is None else Drawn(**value[name])
    return replace(known, experience=Experience(**value), told=told)


def _write(
    path: Path, spec: ChargerSpec, at: datetime, what: str, value: Mapping[str, object], busy_ms: int
) -> None:
    with reading(path):
        pass  # a file that is not ours is left alone
    try:
        with closing(connect_writer(path, durable=True, busy_ms=busy_ms)) as conn:
            conn.execute(
                "INSERT OR REPLACE INTO experience (serial, what, charger, at, value) VALUES (?,?,?,?,?)",
                (spec.serial, what, spec.name, to_text(at), to_json(value)),
            )
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{path}: what was learnt cannot be written: {error}") from error
