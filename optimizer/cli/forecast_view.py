"""What `sunmode check` says of forecasts: who is asked, and how old its newest word is.  It asks nobody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from optimizer.config import Settings
from optimizer.runtime.looking_ahead import wants_forecasts
from optimizer.store.forecasts import ForecastLog

_S_PER_MIN = 60.0


def forecast_lines(settings: Settings, log: ForecastLog, now: datetime) -> Iterator[str]:
    """Yield a line for each provider that the service would ask, the best first.

    Raises:
        ConfigError: the strategy cannot be loaded.
        StoreUnavailable: the log cannot be read.

    """
    wanted = wants_forecasts((settings.build_strategy(), settings.build_shadow()))
    names = settings.forecast.chain(
        is_virtual=settings.is_virtual, is_wanted=wanted, has_roof=bool(settings.roof)
    )
    for number, name in enumerate(names):
        newest = log.newest(name)
        told = "has said nothing yet"
        if newest is not None:
            told = f"spoke last {(now - newest.issued_at).total_seconds() / _S_PER_MIN:.0f} min ago"
        yield f"{name} {'is asked first' if number == 0 else 'stands in'}; it {told}"
