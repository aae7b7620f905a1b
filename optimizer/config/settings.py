"""All settings together: what fits with what, and their translation into the words of the domain."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from optimizer.config import sections
from optimizer.config.forecast import FACES_PER_HOUR, ForecastChoice
from optimizer.config.goals import next_goal
from optimizer.config.kinds import VIRTUAL, Complaint, refuse
from optimizer.config.secret_files import others_may_read, read_secret
from optimizer.config.strategies import StrategyChoice
from optimizer.config.tariff import Prices
from optimizer.domain import ChargerSpec, Goal, Strategy, Tariff
from optimizer.errors import ConfigError
from optimizer.tariffs.market import Plan

WHERE_TOKENS_GO = (
    "SUNMODE_SOLAX__TOKEN in the environment, solax.token_file, or the credential file solax__token"
)

VIRTUAL_INVERTER = "VIRTUALINV"

_FILES = (
    ("solax", "token_file"),
    ("charger", "car", "token_file"),
    ("tariff", "source", "file"),
    ("tariff", "source", "token_file"),
    ("tariff", "feed_in", "source", "file"),
    ("tariff", "feed_in", "source", "token_file"),
    ("forecast", "forecast_solar", "key_file"),
    ("forecast", "solcast", "key_file"),
    ("store", "path"),
    ("store", "backup"),
    ("virtual", "house"),
    ("virtual", "sessions"),
)


class Settings(BaseSettings):
    """The whole configuration, immutable and checked; built by `load_settings`.

    Built by hand it looks at nothing but its arguments.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, case_sensitive=True
    )

    site: sections.Site = Field(default_factory=sections.Site, description="The house.")
    roof: tuple[sections.RoofFace, ...] = Field((), max_length=20, description="The roof.")
    battery: sections.Battery | None = Field(None, description="The home battery.")
    solax: sections.Solax = Field(default_factory=sections.Solax, description="The cloud.")
    callback: sections.Callback = Field(default_factory=sections.Callback, description="Callbacks.")
    charger: tuple[sections.Charger, ...] = Field(
        default_factory=lambda: (sections.Charger(),),
        min_length=1,
        max_length=100,
        description="The chargers.",
    )
    tariff: Prices = Field(default_factory=Prices, description="Prices.")
    forecast: ForecastChoice = Field(default_factory=ForecastChoice, description="Forecasts.")
    strategy: StrategyChoice = Field(default_factory=StrategyChoice, description="The strategy.")
    control: sections.Control = Field(default_factory=sections.Control, description="The cycle.")
    budget: sections.Budget = Field(default_factory=sections.Budget, description="The call budget.")
    store: sections.Storage = Field(default_factory=sections.Storage, description="The database.")
    web: sections.Web = Field(default_factory=sections.Web, description="HTTP.")
    log: sections.Log = Field(default_factory=sections.Log, description="The log.")
    virtual: sections.Virtual = Field(default_factory=sections.Virtual, description="The virtual home.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the arguments as the only source: `load_settings` hands in the others."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @model_validator(mode="after")
    def _sections_fit(self) -> Self:
        refuse("settings", self._misfits())
        return self

    def _misfits(self) -> Iterator[Complaint]:
        yield from self._repeats("name", [charger.name for charger in self.charger])
        yield from self._repeats("serial", [charger.serial for charger in self.charger])
        if not self.is_virtual:
            yield from self._missing_for_cloud()
        yield from self._missing_for_forecasts()

    def _missing_for_forecasts(self) -> Iterator[Complaint]:
        for index, name in enumerate(self.forecast.providers or ()):
            where = ("forecast", "providers", index)
            if not self.roof and name not in {"own-past", "offline"}:
                yield Complaint(
                    where, f"{name} needs to know the roof: a [[roof]] table for each of its faces"
                )
            if name == "forecast-solar" and len(self.roof) > FACES_PER_HOUR:
                yield Complaint(where, f"{name} answers {FACES_PER_HOUR} calls an hour: one for each face")

    @staticmethod
    def _repeats(key: str, values: list[str | None]) -> Iterator[Complaint]:
        for index, value in enumerate(values):
            if value is not None and value in values[:index]:
                yield Complaint(
                    ("charger", index, key), f"is the same as charger[{values.index(value)}].{key}"
                )

    def _missing_for_cloud(self) -> Iterator[Complaint]:
        if self.solax.inverter is None:
            yield Complaint(
                ("solax", "inverter"),
                "missing: the registration number on the inverter's dongle, also shown in the SolaX app",
            )
        if self.solax.token is None and self.solax.token_file is None:
            yield Complaint(
                ("solax", "token"),
                f"missing: copy it from the API page of the SolaX website, and give it by {WHERE_TOKENS_GO}",
            )
        for index, charger in enumerate(self.charger):
            if charger.serial is None:
                yield Complaint(
                    ("charger", index, "serial"),
                    "missing: the charger's registration number, shown in the SolaX app on its device page",
                )

    @property
    def is_virtual(self) -> bool:
        """Whether the built-in home is served, and no cloud called."""
        return self.solax.base_url == VIRTUAL

    @property
    def inverter(self) -> str:
        """The registration number of the inverter's dongle; the virtual home has one of its own."""
        return self.solax.inverter or VIRTUAL_INVERTER

    @property
    def zone(self) -> ZoneInfo:
        """The site's time zone."""
        return ZoneInfo(self.site.timezone)

    def token(self) -> str:
        """Return the API token; a token file is read anew each time, so that it can be replaced.

        Raises:
            ConfigError: there is none, or its file cannot be read.

        """
        if self.solax.token is not None:
            return self.solax.token.get_secret_value()
        if self.solax.token_file is not None:
            try:
                return read_secret(self.solax.token_file)
            except ConfigError as error:
                raise ConfigError(f"solax.token_file: {error}") from None
        raise ConfigError(f"no token: give it by {WHERE_TOKENS_GO}")

    def charger_specs(self) -> tuple[ChargerSpec, ...]:
        """Return the chargers in the file's order; a virtual one without a serial gets one."""
        return tuple(
            charger.spec(charger.serial or f"VIRTUAL{number:04d}")
            for number, charger in enumerate(self.charger, start=1)
        )

    def flat_tariff(self) -> Tariff:
        """Return the prices that stand where no others are known, the same at all times."""
        return Tariff(self.tariff.import_eur_per_kwh, self.tariff.feed_in_eur_per_kwh)

    def price_plan(self) -> Plan:
        """Return what is settled about prices: flat, by windows, by the market."""
        return self.tariff.plan(self.zone)

    def goal_for(self, charger_name: str, now: datetime) -> Goal | None:
        """Return the charger's weekly goal that falls due first after `now` (aware), or None.

        Raises:
            KeyError: no charger has that name.

        """
        for charger in self.charger:
            if charger.name == charger_name:
                return next_goal(charger.goal, self.zone, now)
        raise KeyError(charger_name)

    def build_strategy(self) -> Strategy:
        """Return the chosen strategy with its parameters."""
        return self.strategy.build()

    def build_shadow(self) -> Strategy | None:
        """Return the strategy that decides beside it and is never sent, if there is one."""
        return self.strategy.build_shadow()

    def warnings(self) -> tuple[str, ...]:
        """Return what is allowed but unwise, one sentence each."""
        return tuple(self._doubts())

    def _doubts(self) -> Iterator[str]:
        file, fresh_s, interval_s = (
            self.solax.token_file,
            self.control.fresh_s,
            self.solax.telemetry_interval_s,
        )
        if file is not None and others_may_read(file):
            yield "solax.token_file: other users of this machine can read the token (chmod 600 cures it)"
        for table, key_file in self.forecast.key_files():
            if others_may_read(key_file):
                yield f"forecast.{table}.key_file: other users can read it (chmod 600 cures that)"
        if self.strategy.is_its_own_shadow:
            yield "strategy.shadow: it is the strategy in use with the same parameters; nothing is tried"
        if fresh_s <= interval_s:
            yield (
                f"control.fresh_s ({fresh_s:g}) is no more than solax.telemetry_interval_s ({interval_s:g}); "
                "no mode that draws more is taken between two readings"
            )

    def anchored(self, directory: Path) -> Self:
        """Return the settings with relative file names taken from `directory`."""
        moved: Self = self
        for where in _FILES:
            moved = _moved(moved, where, directory)
        return moved


_Model = TypeVar("_Model", bound=BaseModel)


def _moved(model: _Model, where: tuple[str, ...], directory: Path) -> _Model:
    """Return the model with the file name at `where` taken from `directory`, if there is one."""
    key, *deeper = where
    value = getattr(model, key)
    if value is None:
        return model
    if isinstance(value, tuple):
        value = tuple(_moved(one, tuple(deeper), directory) for one in value)
    else:
        value = _moved(value, tuple(deeper), directory) if deeper else directory / value
    return model.model_copy(update={key: value})
