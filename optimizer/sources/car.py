"""A car's state of charge, from its maker's service or from a home automation."""

from __future__ import annotations

from datetime import datetime

from optimizer.errors import BadAnswer
from optimizer.sources.http_json import JsonSource
from optimizer.tariffs.answers import number_from, value_at

_FULL = {"ratio": 1.0, "percent": 100.0}


class CarSource:
    """Asks for the charge that stands at `path` in the answer; `unit` is `ratio` or `percent`."""

    def __init__(self, source: JsonSource, path: str, unit: str) -> None:
        self._source = source
        self._path = path
        self._full = _FULL[unit]

    async def soc(self, now: datetime) -> float:
        """Return the state of charge, 0 to 1.

        Raises:
            CloudError: nothing came that can be used.

        """
        answer = await self._source.get(now)
        try:
            soc = number_from(value_at(answer, self._path)) / self._full
        except BadAnswer as error:
            raise BadAnswer(f"{self._source.host}: {error}") from None
        if not 0.0 <= soc <= 1.0:
            raise BadAnswer(f"{self._source.host}: a state of charge of {soc:.0%}")
        return soc
