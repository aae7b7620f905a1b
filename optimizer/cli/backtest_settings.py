"""What of a configuration matters to a backtest; without one the reference holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from optimizer.backtest.case import Home
from optimizer.backtest.control import Control
from optimizer.config.sections import WeeklyGoal
from optimizer.domain import Tariff
from optimizer.plant.battery import BatteryLimits
from optimizer.plant.car import CarLimits

if TYPE_CHECKING:  # pydantic takes its time, and a backtest may do without a configuration
    from optimizer.config import Settings

_REFERENCE_TARIFF = Tariff(import_eur_per_kwh=0.30, feed_in_eur_per_kwh=0.08)


@dataclass(frozen=True, slots=True)
class FromConfig:
    """The first charger's home, its control, its weekly goals; `tables` are the strategies' parameters."""

    home: Home = field(default_factory=Home)
    control: Control = field(default_factory=Control)
    tariff: Tariff = _REFERENCE_TARIFF
    weekly: tuple[WeeklyGoal, ...] = ()
    zone: ZoneInfo | None = None
    tables: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def from_config(path: Path, env: Mapping[str, str], *, as_learnt: bool = False) -> FromConfig:
    """Read the configuration at `path`; raises `ConfigError` as every command does."""
    from optimizer.config.loading import load_settings

    return from_settings(load_settings(path, env), path.name, as_learnt=as_learnt)


def from_settings(settings: Settings, file: str, *, as_learnt: bool = False) -> FromConfig:
    """Return what matters of settings out of a file of that name.

    `as_learnt` goes by what the log knows of the chargers where the configuration says nothing: as the
    service does.
    """
    from optimizer.control.budget import Priority
    from optimizer.runtime.learning import honoured
    from optimizer.service import limits_from, rules_from
    from optimizer.store.experience import known_at

    known = known_at(settings.store.path) if as_learnt else {}
    rules = honoured(rules_from(settings), known, settings.control.green_commissioned)
    battery, first = settings.battery, settings.charger[0]
    spec = rules.chargers[0]
    control = Control(
        guard=rules.guard,
        poll=rules.poll,
        calls_per_minute=limits_from(settings).minute_capacity(Priority.RISE),
        first_until_soc=0.0 if battery is None else battery.first_until_soc,
    )
    home = Home(
        charger=spec,
        car=CarLimits(max_w=spec.car_max_w or spec.max_power_w, phases=spec.phases),
        battery=None
        if battery is None
        else BatteryLimits(battery.capacity_kwh, battery.max_charge_w, battery.max_discharge_w),
    )
    others = f"{file}: of {len(rules.chargers)} chargers only '{spec.name}' is looked at"
    notes: tuple[str, ...] = (others,) if len(rules.chargers) > 1 else ()
    if settings.tariff.window or settings.tariff.source is not None:
        notes += (f"{file}: of [tariff] the flat prices count; give the days' own with --prices",)
    tariff, tables = settings.flat_tariff(), settings.strategy.tables
    return FromConfig(home, control, tariff, first.goal, settings.zone, tables, notes)
