"""The sources of prices that a configuration names."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import httpx

from optimizer.config import Settings
from optimizer.config.secret_files import read_secret
from optimizer.config.tariff import PriceSource as Described
from optimizer.runtime.prices import FEED_IN, MARKET, Feed
from optimizer.sources.http_json import JsonSource
from optimizer.sources.prices import FilePrices, PriceSource, any_json, awattar, energy_charts


def feeds_from(settings: Settings, client: httpx.AsyncClient) -> dict[str, Feed]:
    """Return the sources by name, none of them asked yet."""
    tariff = settings.tariff
    described = {MARKET: tariff.source, FEED_IN: None if tariff.feed_in is None else tariff.feed_in.source}
    return {
        name: Feed(_source(one, client), _identity(one)) for name, one in described.items() if one is not None
    }


def _source(described: Described, client: httpx.AsyncClient) -> PriceSource:
    if described.file is not None:
        return FilePrices(described.file)
    source = JsonSource(client, described.address, token_from(described.token_file))
    match described.kind:
        case "awattar":
            return awattar(source)
        case "energy_charts":
            return energy_charts(source)
        case _:
            return any_json(source, described.fields())


def token_from(file: Path | None) -> Callable[[], str] | None:
    """Return what reads a token file anew each time, None where there is none."""
    return None if file is None else lambda: read_secret(file)


def _identity(described: Described) -> str:
    """Return what tells one source from another without repeating its address."""
    return sha256(described.model_dump_json().encode()).hexdigest()[:16]
