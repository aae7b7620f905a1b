"""Forecasts in the service's life: asked for in time, kept in the log, handed to the world.

- stale: the providers' terms say; a forecast that stands no more is taken out of the world
- safe state: none is needed, for nothing waits for a forecast and no guard looks at one
- who retries: the calendar, every minute, as far as each provider's record lets it
- giving up: never
- what the human sees: events when a provider is lost or back, and whose forecast is gone by
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from optimizer.config import Settings
from optimizer.config.forecast import ProviderName, key_of
from optimizer.domain import Forecast
from optimizer.errors import Unavailable
from optimizer.forecast import own_past
from optimizer.forecast.chain import Chain, ClearSky, NoSky
from optimizer.forecast.desk import Desk, Rules
from optimizer.forecast.forecast_solar import ForecastSolar
from optimizer.forecast.offline import Offline
from optimizer.forecast.open_meteo import OpenMeteo
from optimizer.forecast.own_past import OwnPast, Past
from optimizer.forecast.provider import Asked, Provider, forecast_of
from optimizer.forecast.reckoner import Site
from optimizer.forecast.roof import SLOT, W_PER_KW, Face, Powers, Roof, slot_of
from optimizer.forecast.solcast import Solcast
from optimizer.forecast.web import Web
from optimizer.runtime.looking_ahead import Ground
from optimizer.store.forecasts import HouseEnergy
from optimizer.store.log import Store
from optimizer.store.sqlite import StoreUnavailable

LEARNT_FROM = timedelta(days=90)
CORRECTED = "own-"
"""Stands before the provider's name where its forecast was set right."""

_SLOT_S = SLOT.total_seconds()
_LEAST_KNOWN_S = 450.0

_log = structlog.stdlib.get_logger("sunmode.forecast")


@dataclass(slots=True)
class Forecaster:
    """Keeps the forecasts of sun and load in the world new; with a `site` those of the sun are set right."""

    ground: Ground
    sun: Chain
    load: Desk
    count: int
    site: Site | None
    _right: tuple[Forecast, Forecast] | None = None
    _written: set[tuple[str, datetime]] = field(default_factory=set)

    def resume(self) -> None:
        """Hand on what was said in an earlier run and still stands."""
        now, world = self.ground.clock.now(), self.ground.world
        world.forecast, world.load_forecast = self.sun.standing(now), self.load.fresh(now)

    async def refresh(self) -> None:
        """Ask whoever is due and hand on what stands."""
        now, world = self.ground.clock.now(), self.ground.world
        world.forecast = await self._set_right(self._kept(await self.sun.latest(now)), now)
        nothing = Powers(slot_of(now), ())
        world.load_forecast = self._kept(
            await self.load.latest(Asked(now, slot_of(now), self.count, nothing))
        )

    async def _set_right(self, raw: Forecast | None, now: datetime) -> Forecast | None:
        """Return the forecast as the own roof would have it, or as it came where that cannot be said now."""
        if raw is None or self.site is None or raw.provider == own_past.SUN:
            return raw
        if self._right is None or self._right[0] is not raw:
            self._right = raw, await self._corrected(raw, self.site, now)
        return self._right[1]

    async def _corrected(self, raw: Forecast, site: Site, now: datetime) -> Forecast:
        ground = self.ground
        try:
            earlier = await ground.read(partial(ground.store.forecasts.told, raw.provider, now - LEARNT_FROM))
            past = await measured(ground, "pv_kwh", now, LEARNT_FROM)
            before = [one for one in earlier if past.start <= one.issued_at < raw.issued_at]
            if not before:
                return raw
            found = await ground.sums.set_right([*before, raw], past, site)
        except (Unavailable, StoreUnavailable) as error:
            _log.warning("a forecast is taken as it came", provider=raw.provider, why=str(error))
            return raw
        count, nothing = len(raw.slots), Powers(found.start, ())
        asked = Asked(raw.issued_at, found.start, count, nothing)
        columns = (list(found.p10_w), list(found.p50_w), list(found.p90_w))
        corrected = self._kept(forecast_of(f"{CORRECTED}{raw.provider}", asked, *columns))
        return corrected or raw

    def _kept(self, forecast: Forecast | None) -> Forecast | None:
        """Log a vintage that is new."""
        if forecast is not None and (forecast.provider, forecast.issued_at) not in self._written:
            others = {written for written in self._written if written[0] != forecast.provider}
            self._written = {*others, (forecast.provider, forecast.issued_at)}
            self.ground.store.forecasts.add(forecast)
        return forecast


def forecaster_from(
    settings: Settings, ground: Ground, names: Sequence[ProviderName], rng: random.Random
) -> Forecaster:
    """Return who keeps the forecasts of these providers, with what they said in an earlier run."""
    roof, ahead = roof_of(settings), timedelta(hours=settings.forecast.hours)
    peak_w = None if roof is None else roof.peak_w
    rules = Rules(ground.store.forecasts, partial(_announce, ground.store), rng, peak_w)
    make = _Makers(settings, ground, roof)
    sky = NoSky() if roof is None else ClearSky(roof, ground.sums, ahead)
    desks = [_desk(make.provider(name), rules, ground.store) for name in names]
    load = _desk(make.load(), replace(rules, peak_w=None), ground.store)
    place = (settings.site.latitude, settings.site.longitude) if settings.forecast.calibrate else None
    chain = Chain(desks, sky, ahead // SLOT, rules.announce)
    forecaster = Forecaster(ground, chain, load, ahead // SLOT, place)
    forecaster.resume()
    return forecaster


def roof_of(settings: Settings) -> Roof | None:
    """Return the roof as the physics sees it, None where nobody has described it."""
    if not settings.roof:
        return None
    site, choice = settings.site, settings.forecast
    return Roof(
        site.latitude,
        site.longitude,
        tuple(Face(face.kwp, face.tilt_deg, face.azimuth_deg) for face in settings.roof),
        choice.inverter_max_w,
        choice.loss_ratio,
        choice.skyline_deg,
    )


def _desk(provider: Provider, rules: Rules, store: Store) -> Desk:
    """Return the provider's desk with what it said in an earlier run."""
    return Desk(provider, rules, _newest(store, provider.name))


def _newest(store: Store, name: str) -> Forecast | None:
    try:
        return store.forecasts.newest(name)
    except StoreUnavailable:
        return None


def _announce(store: Store, kind: str, level: str, sentence: str) -> None:
    (_log.warning if level == "warning" else _log.info)(sentence)
    store.event(kind, sentence, level=level)


class _Makers:
    """Makes providers out of the settings."""

    def __init__(self, settings: Settings, ground: Ground, roof: Roof | None) -> None:
        self._choice = settings.forecast
        self._ground = ground
        self._roof = roof
        self._zone = settings.site.timezone
        self._age = {"refresh_s": settings.forecast.refresh_s, "stale_s": settings.forecast.stale_s}

    def provider(self, name: ProviderName) -> Provider:
        """Return the provider of that name; what needs a roof has one, the settings saw to it."""
        own = name in {own_past.SUN, "offline"}
        if self._roof is None:
            return self._own_sun() if own else self._misplaced(name)
        made: dict[ProviderName, Callable[[Roof], Provider]] = {
            "open-meteo": self._open_meteo,
            "forecast-solar": self._forecast_solar,
            "solcast": self._solcast,
            "own-past": lambda _: self._own_sun(),
            "offline": lambda _: Offline(self._past("pv_kwh"), **self._age),
        }
        return made[name](self._roof)

    def load(self) -> Provider:
        """Return who knows the house's load."""
        reckon = partial(self._ground.sums.own_load, zone=self._zone)
        return OwnPast(own_past.LOAD, self._past("base_load_kwh"), reckon, **self._age)

    def _misplaced(self, name: str) -> Provider:
        raise Unavailable(f"{name} needs to know the roof")

    def _own_sun(self) -> Provider:
        return OwnPast(own_past.SUN, self._past("pv_kwh"), self._ground.sums.own_sun, **self._age)

    def _past(self, column: str) -> Past:
        return partial(measured, self._ground, column)

    def _open_meteo(self, roof: Roof) -> Provider:
        choice = self._choice.open_meteo
        ensemble = Web(choice.ensemble_url, inner=self._ground.network) if choice.ensemble else None
        forecast = Web(choice.url, inner=self._ground.network)
        return OpenMeteo(roof, self._ground.sums, forecast, ensemble, **self._age)

    def _forecast_solar(self, roof: Roof) -> Provider:
        choice = self._choice.forecast_solar
        keyed = choice.api_key is not None or choice.key_file is not None
        key = partial(key_of, choice, "forecast_solar") if keyed else None
        web = Web(choice.url, key=key, inner=self._ground.network)
        return ForecastSolar(roof, web, keyed=keyed, **self._age)

    def _solcast(self, roof: Roof) -> Provider:
        choice = self._choice.solcast
        web = Web(choice.url, key=partial(key_of, choice, "solcast"), inner=self._ground.network)
        return Solcast(
            roof, web, choice.sites, calls_per_day=choice.calls_per_day, stale_s=self._choice.stale_s
        )


async def measured(ground: Ground, column: str, now: datetime, length: timedelta) -> Powers:
    """Return what the house did in each quarter hour until the present one, as far as it is known, W.

    Raises:
        Unavailable: the log cannot be read now.

    """
    try:
        rows = await ground.read(partial(ground.store.forecasts.past, now - length))
    except StoreUnavailable as error:
        raise Unavailable(f"the log cannot be read: {error}") from error
    return series_of(rows, column, slot_of(now))


def series_of(rows: Sequence[HouseEnergy], column: str, end: datetime) -> Powers:
    """Return a column of the accounts as mean powers from the first row to `end`; too little is unknown."""
    known = {row.start: row for row in rows if row.start < end}
    start = min(known, default=end)
    count = (end - start) // SLOT
    return Powers(start, tuple(_mean_w(known.get(start + SLOT * n), column) for n in range(count)))


def _mean_w(row: HouseEnergy | None, column: str) -> float | None:
    known_s = 0.0 if row is None else _SLOT_S - row.missing_s
    if row is None or known_s < _LEAST_KNOWN_S:
        return None
    return max(0.0, float(getattr(row, column))) * W_PER_KW * 3600.0 / known_s
