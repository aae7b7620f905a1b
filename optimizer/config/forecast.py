"""The table `[forecast]`: who is asked about the sun, how often, and what stands around the roof."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, SecretStr, model_validator

from optimizer.config.kinds import (
    VIRTUAL,
    CloudUrl,
    Complaint,
    FilePath,
    Flag,
    Real,
    Secret,
    Section,
    Whole,
    Word,
    refuse,
)
from optimizer.config.secret_files import read_secret
from optimizer.errors import ConfigError

ProviderName = Literal["open-meteo", "forecast-solar", "solcast", "own-past", "offline"]
LAST = "offline"
"""It needs nobody and always delivers."""

OPEN_METEO, ENSEMBLE = "https://api.open-meteo.com", "https://ensemble-api.open-meteo.com"
FORECAST_SOLAR, SOLCAST = "https://api.forecast.solar", "https://api.solcast.com.au"
FACES_PER_HOUR = 12
"""Forecast.Solar answers so many calls an hour, one for each face of the roof."""

_KEY = (
    "Never in this file: environment, credential file or `key_file`. Without one the free service is asked."
)


def _not_virtual(value: str) -> str:
    if value == VIRTUAL:
        raise ValueError("needs a URL that begins with https://")
    return value


ProviderUrl = Annotated[CloudUrl, AfterValidator(_not_virtual)]
HeightDeg = Annotated[Real, Ge(0), Le(90)]


class OpenMeteoChoice(Section):
    """Open-Meteo: the weather of the national services by quarter hour; free for non-commercial use."""

    url: ProviderUrl = Field(OPEN_METEO, description="Where it is.")
    ensemble: Flag = Field(
        True, description="Whether its ensemble is asked, too: it tells how sure the weather is."
    )
    ensemble_url: ProviderUrl = Field(ENSEMBLE, description="Where its ensemble is.")


class KeyedChoice(Section):
    """A provider with a key."""

    def key(self) -> str | None:
        """Return the key, read anew from its file each time, None where there is none.

        Raises:
            ConfigError: the file cannot be read.

        """
        api_key: SecretStr | None = getattr(self, "api_key", None)
        key_file = getattr(self, "key_file", None)
        if api_key is not None:
            return api_key.get_secret_value()
        return None if key_file is None else read_secret(key_file)


class ForecastSolarChoice(KeyedChoice):
    """Forecast.Solar: the roof's power, one call for each face; free without a key."""

    url: ProviderUrl = Field(FORECAST_SOLAR, description="Where it is.")
    api_key: Secret | None = Field(None, description=f"The key of your account. {_KEY}")
    key_file: FilePath | None = Field(
        None, description="File that holds the key alone; relative to the configuration file."
    )


class SolcastChoice(KeyedChoice):
    """Solcast: the power of the rooftop sites that you have described there, with quantiles."""

    url: ProviderUrl = Field(SOLCAST, description="Where it is.")
    api_key: Secret | None = Field(
        None,
        description="The key of your account. Never in this file: environment, credential file or "
        "`key_file`.",
    )
    key_file: FilePath | None = Field(
        None, description="File that holds the key alone; relative to the configuration file."
    )
    sites: tuple[Word, ...] = Field(
        (), max_length=10, description='Resource ids of your rooftop sites, e.g. ["ab12-cd34-ef56-7890"].'
    )
    calls_per_day: Whole = Field(
        10, ge=1, le=1000, description="Requests a day that your plan has; a hobbyist's has 10."
    )


class ForecastChoice(Section):
    """Where forecasts of the sun come from; see forecast.md."""

    providers: tuple[ProviderName, ...] | None = Field(
        None,
        max_length=5,
        description="Who is asked, the best first; `offline` stands in at the end in any case. Without this "
        'key they are ["offline"] for the virtual home and ["open-meteo", "offline"] for a real one, and '
        "only if the strategy wants forecasts. An empty list: no forecasts",
    )
    hours: Whole = Field(48, ge=24, le=96, description="How far ahead forecasts reach, hours.")
    refresh_s: Real = Field(
        3600, ge=900, le=86_400, description="Time between forecasts, seconds; Solcast has its own plan."
    )
    stale_s: Real = Field(
        21_600,
        ge=3600,
        le=172_800,
        description="A forecast older than this is not believed any more, seconds.",
    )
    calibrate: Flag = Field(
        True, description="Whether forecasts are set right by what your roof made of the earlier ones."
    )
    inverter_max_w: Real | None = Field(
        None, ge=100, le=1_000_000, description="What the inverter gives at most, W, where that is a limit."
    )
    loss_ratio: Real = Field(
        0.14, ge=0, le=0.9, description="What wiring, dirt and mismatch take of the modules' power, 0 to 0.9."
    )
    skyline_deg: tuple[HeightDeg, ...] = Field(
        (),
        max_length=360,
        description="Heights of what stands around the roof, degrees, at equal steps clockwise from north: "
        "[0, 10, 0, 0] is a hill in the east",
    )
    open_meteo: OpenMeteoChoice = Field(default_factory=OpenMeteoChoice, description="Open-Meteo, see below.")
    forecast_solar: ForecastSolarChoice = Field(
        default_factory=ForecastSolarChoice, description="Forecast.Solar, see below."
    )
    solcast: SolcastChoice = Field(default_factory=SolcastChoice, description="Solcast, see below.")

    @model_validator(mode="after")
    def _providers_fit(self) -> Self:
        refuse("forecast", self._misfits())
        return self

    def _misfits(self) -> Iterator[Complaint]:
        named = self.providers or ()
        for number, name in enumerate(named):
            if name in named[:number]:
                yield Complaint(("providers", number), f"{name} stands there twice")
        if LAST in named[:-1]:
            text = f"{LAST} always delivers: who stands behind it would never be asked"
            yield Complaint(("providers", named.index(LAST)), text)
        if "solcast" in named:
            yield from self._missing_for_solcast()

    def _missing_for_solcast(self) -> Iterator[Complaint]:
        solcast = self.solcast
        if not solcast.sites:
            yield Complaint(("solcast", "sites"), "missing: the resource ids of your rooftop sites")
        if len(solcast.sites) > solcast.calls_per_day:
            yield Complaint(("solcast", "sites"), "are more than calls_per_day: each one is a call")
        if solcast.api_key is None and solcast.key_file is None:
            yield Complaint(("solcast", "api_key"), f"missing: give it by {where_keys_go('solcast')}")

    def secrets(self) -> Iterator[str]:
        """Yield the keys of all providers that have one.

        Raises:
            ConfigError: a key's file cannot be read.

        """
        for choice in (self.forecast_solar, self.solcast):
            key = choice.key()
            if key is not None:
                yield key

    def key_files(self) -> Iterator[tuple[str, Path]]:
        """Yield the files that keys are read from, each with the name of its table."""
        for table in ("forecast_solar", "solcast"):
            key_file: Path | None = getattr(self, table).key_file
            if key_file is not None:
                yield table, key_file

    def chain(self, *, is_virtual: bool, is_wanted: bool, has_roof: bool) -> tuple[ProviderName, ...]:
        """Return who is asked, in order, with `offline` at the end; nobody where no forecast is wanted."""
        named = self.providers
        if named is None:
            needs_nobody = is_virtual or not has_roof
            own: tuple[ProviderName, ...] = ("offline",) if needs_nobody else ("open-meteo", "offline")
            return own if is_wanted else ()
        return named if not named or LAST in named else (*named, "offline")


def where_keys_go(table: str) -> str:
    """Return how the key of a provider is given."""
    variable = f"SUNMODE_FORECAST__{table.upper()}__API_KEY"
    return (
        f"{variable} in the environment, forecast.{table}.key_file, or the credential file "
        f"forecast__{table}__api_key"
    )


def key_of(choice: KeyedChoice, table: str) -> str:
    """Return the key of a provider that has one.

    Raises:
        ConfigError: there is none, or its file cannot be read.

    """
    try:
        key = choice.key()
    except ConfigError as error:
        raise ConfigError(f"forecast.{table}.key_file: {error}") from None
    if key is None:
        raise ConfigError(f"no key: give it by {where_keys_go(table)}")
    return key
