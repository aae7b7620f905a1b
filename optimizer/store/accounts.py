"""Up to where each charger's energy is in the log: written with the rows, so that none counts twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optimizer.control.energy import Account, EnergyRow, Since
from optimizer.store.instants import from_text, to_json, to_text

_NAME = "accounts"
_TOLD = ("ev_kwh", "ev_solar_kwh", "ev_grid_kwh", "cost_eur", "feed_in_lost_eur", "missing_s")


@dataclass(frozen=True, slots=True)
class Accounts:
    """What the energy rows written up to `at` account for.

    `bases_kwh` is what each charger's counter had from before the session that is open.
    """

    at: datetime
    chargers: Mapping[str, Account]
    bases_kwh: Mapping[str, float]


def write_accounts(conn: sqlite3.Connection, accounts: Accounts) -> None:
    """Write to `state`."""
    value = {
        "at": to_text(accounts.at),
        "chargers": {name: _plain(account) for name, account in accounts.chargers.items()},
        "bases_kwh": accounts.bases_kwh,
    }
    conn.execute("INSERT OR REPLACE INTO state (name, value) VALUES (?,?)", (_NAME, to_json(value)))


def read_accounts(conn: sqlite3.Connection) -> Accounts | None:
    """Return what was written last, None where nothing was."""
    row = conn.execute("SELECT value FROM state WHERE name = ?", (_NAME,)).fetchone()
    if row is None:
        return None
    value = json.loads(row[0])
    chargers = {name: _account(name, plain) for name, plain in value["chargers"].items()}
    return Accounts(from_text(value["at"]), chargers, value["bases_kwh"])


def _plain(account: Account) -> dict[str, object]:
    since = [
        [to_text(part.row.slot_start), part.seconds, *(getattr(part.row, name) for name in _TOLD)]
        for part in account.since
    ]
    return {"counter_kwh": account.counter_kwh, "since": since, "stood_kwh": account.stood_kwh}


def _account(charger: str, plain: Mapping[str, Any]) -> Account:
    since = tuple(
        Since(EnergyRow(from_text(slot), charger, **dict(zip(_TOLD, told, strict=True))), seconds)
        for slot, seconds, *told in plain["since"]
    )
    return Account(plain["counter_kwh"], since, plain.get("stood_kwh", 0.0))
