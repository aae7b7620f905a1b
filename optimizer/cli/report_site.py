"""What of a configuration a score and a report need: the first charger's home, and who is scored."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from optimizer.backtest.lineup import FIXED, MODES, Entry, lineup
from optimizer.cli.backtest_settings import from_settings
from optimizer.config import Settings
from optimizer.config.loading import find_config, load_settings
from optimizer.domain import Strategy
from optimizer.errors import InputError
from optimizer.plugins import known_strategies
from optimizer.report.replay import Contender, Site


def site_of(config_path: Path | None) -> Site:
    """Read the configuration; raises `ConfigError` as every command does."""
    path = find_config(config_path, os.environ)
    return site_from(load_settings(path, os.environ), path.name)


def site_from(settings: Settings, file: str) -> Site:
    """Return what a score needs of settings out of a file of that name."""
    found = from_settings(settings, file, as_learnt=True)
    notes: list[str] = list(found.notes)
    standard = tuple(_standard(found.tables, notes))
    return Site(
        path=settings.store.path,
        zone=settings.zone,
        home=found.home,
        control=found.control,
        tariff=found.tariff,
        weekly=found.weekly,
        contenders=(*_configured(settings), *standard),
        notes=tuple(notes),
    )


def _configured(settings: Settings) -> Iterator[Contender]:
    """Yield the strategy in use as `active` and the one that is tried as `shadow`."""
    yield _contender("active", settings.build_strategy())
    shadow = settings.build_shadow()
    if shadow is not None:
        yield _contender("shadow", shadow)


def _contender(kind: str, strategy: Strategy) -> Contender:
    return Contender(kind, strategy.name, Entry(kind, strategy, _params(strategy)))


def _params(strategy: Strategy) -> Mapping[str, Any]:
    """Return the parameters as plain values, as far as the strategy shows them."""
    params = getattr(strategy, "params", None)
    if not dataclasses.is_dataclass(params) or isinstance(params, type):
        return {}
    values = {field.name: getattr(params, field.name) for field in dataclasses.fields(params)}
    return {name: value.name.lower() if isinstance(value, Enum) else value for name, value in values.items()}


def _standard(tables: Mapping[str, Any], notes: list[str]) -> Iterator[Contender]:
    """Yield each mode and each installed strategy, with the parameters of its own table."""
    for name in (*MODES, *(one for one in known_strategies() if one != FIXED)):
        try:
            (entry,) = lineup([name], (), tables)
        except InputError as error:
            notes.append(str(error))
            continue
        yield Contender("strategy", name, entry)
