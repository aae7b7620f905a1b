"""What each car needs and by when, as the service knows it: settled, given, by the car's own charge."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from optimizer.config import Settings
from optimizer.config.goals import Wanted, wanted
from optimizer.domain import Goal
from optimizer.goals import Charge, Given


class Goals:
    """Asked in each cycle; what is given and told is taken in as it comes."""

    def __init__(self, settings: Settings) -> None:
        self._chargers = {charger.name: charger for charger in settings.charger}
        self._zone = settings.zone
        self._given: dict[str, Given] = {}
        self._charges: dict[str, Charge] = {}

    def take(self, given: Iterable[Given]) -> None:
        """Let these goals stand, and no others that were given before."""
        self._given = {one.charger: one for one in given}

    def charge_of(self, charger: str) -> Charge | None:
        """Return what the car at a charger told last."""
        return self._charges.get(charger)

    def note_charge(self, charger: str, charge: Charge | None) -> None:
        """Take in what the car at a charger tells; None: it is not there any more."""
        if charge is None:
            self._charges.pop(charger, None)
        else:
            self._charges[charger] = charge

    def wanted(self, charger: str, now: datetime) -> Wanted | None:
        """Return what a charger's car needs next, and how that is known."""
        settled = self._chargers[charger]
        return wanted(settled, self._given.get(charger), self._charges.get(charger), self._zone, now)

    def goal_for(self, charger: str, now: datetime) -> Goal | None:
        """Return what a charger's car needs next."""
        found = self.wanted(charger, now)
        return None if found is None else found.goal
