"""The tables of the configuration: every key with its meaning, unit, default and bounds.

The descriptions are the documentation: `docs/configuration.md` is made from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from optimizer.config.kinds import (
    VIRTUAL,
    CallbackUrl,
    CloudUrl,
    Complaint,
    DayText,
    FilePath,
    Flag,
    Line,
    Real,
    Secret,
    Section,
    SourceUrl,
    TimeOfDay,
    Whole,
    WholeChoice,
    Word,
    Zone,
    refuse,
)
from optimizer.domain import ChargerSpec, Mode

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun", "weekdays", "weekend", "daily"]


class Site(Section):
    """Where the house stands."""

    name: Line = Field("home", description="What the house is called in logs and on pages.")
    timezone: Zone = Field(
        "Europe/Berlin",
        description="The zone of goals, schedules and display, by its IANA name; it knows daylight saving.",
    )
    latitude: Real = Field(52.0, ge=-90, le=90, description="Degrees, north positive.")
    longitude: Real = Field(9.4, ge=-180, le=180, description="Degrees, east positive.")


class RoofFace(Section):
    """One face of the roof with modules; several faces are several `[[roof]]` tables."""

    kwp: Real = Field(gt=0, le=1000, description="Peak power of the modules on this face, kW.")
    tilt_deg: Real = Field(35, ge=0, le=90, description="Angle to the ground, degrees: 0 flat, 90 a wall.")
    azimuth_deg: Real = Field(
        180, ge=0, le=360, description="Where the face looks, degrees: 90 east, 180 south, 270 west."
    )


class Battery(Section):
    """The home battery; leave the table out where there is none."""

    capacity_kwh: Real = Field(gt=0, le=1000, description="Usable capacity, kWh.")
    max_charge_w: Real = Field(5000, ge=0, le=100_000, description="Highest charging power, W.")
    max_discharge_w: Real = Field(5000, ge=0, le=100_000, description="Highest discharging power, W.")
    first_until_soc: Real = Field(
        0,
        ge=0,
        le=1,
        description="Up to this state of charge (0 to 1) the battery gets surplus before the car.",
    )


class Solax(Section):
    """The way to the SolaX cloud, or to the built-in virtual home."""

    base_url: CloudUrl = Field(
        VIRTUAL,
        description='"virtual" for the built-in home, or where the cloud is: "https://www.solaxcloud.com". '
        "Plain http is accepted for this machine only.",
    )
    inverter: Word | None = Field(
        None,
        description="Registration number of the inverter's dongle (about ten characters, printed on it "
        "and shown in the SolaX app); not the inverter's serial number.",
    )
    token: Secret | None = Field(
        None,
        description="The API token of your SolaX account. Never in this file: environment, credential file "
        "or `token_file`.",
    )
    token_file: FilePath | None = Field(
        None,
        description="File that holds the token alone; relative to the configuration file. It is read again "
        "for each call, so a new token needs no restart.",
    )
    telemetry_interval_s: Real = Field(
        300, ge=1, le=3600, description="How often the cloud has new values of the house, seconds."
    )
    call_timeout_s: Real = Field(
        15,
        ge=0.1,
        le=15,
        description="How long one call may take in all before it counts as failed, seconds.",
    )
    status_map: Literal["canonical", "legacy"] = Field(
        "canonical",
        description="How to read the charger's status numbers: as the charger reports them, or as some older "
        "accounts do (0 not connected, 1 charging, 2 fault, 3 ready).",
    )


class Callback(Section):
    """Where the cloud may report how a command ended; off as shipped."""

    url: CallbackUrl = Field(
        "",
        description="Public address that forwards to the listener below; a secret path is added to it. "
        "Empty: off.",
    )
    listen_host: Word = Field("127.0.0.1", description="Address that the listener binds to.")
    listen_port: Whole = Field(8410, ge=1, le=65535, description="Port that the listener binds to.")


class WeeklyGoal(Section):
    """Energy the car should have by a time of day; soft: what cannot be met is met as far as possible."""

    days: tuple[Day, ...] = Field(
        ("daily",),
        min_length=1,
        max_length=10,
        description='Days on which the goal stands, e.g. ["weekdays", "sat"].',
    )
    on: DayText | None = Field(
        None, description='In place of days: one day alone, "YYYY-MM-DD"; no weekly goal stands on it then.'
    )
    by: TimeOfDay = Field(description='Time of day at the site, "HH:MM".')
    energy_kwh: Real = Field(
        gt=0,
        le=200,
        description="Energy to charge in the session by then, kWh; beside soc what counts while the car's "
        "state of charge is not known.",
    )
    soc: Real | None = Field(
        None, gt=0, le=1, description="State of charge to have by then, 0 to 1; needs [charger.car]."
    )

    @model_validator(mode="after")
    def _day_is_clear(self) -> Self:
        both = self.on is not None and "days" in self.model_fields_set
        refuse("goal", [Complaint(("on",), "days and on exclude each other")] if both else [])
        return self


class Car(Section):
    """The car that charges here, for goals in state of charge; its service or a home automation tells it."""

    capacity_kwh: Real = Field(gt=0, le=500, description="What its battery holds, kWh.")
    efficiency: Real = Field(
        0.9, ge=0.5, le=1, description="How much of what the charger gives arrives in the battery, 0.5 to 1."
    )
    soc_url: SourceUrl = Field(
        description="Where JSON with its state of charge is, over HTTP. It is never written to the log."
    )
    soc: Line = Field("soc", description='Where in the answer it stands, names joined by dots: "data.soc".')
    soc_unit: Literal["ratio", "percent"] = Field("percent", description="Whether 1 or 100 is full.")
    token_file: FilePath | None = Field(
        None,
        description="File with a token that is sent along (Authorization: Bearer); relative to the "
        "configuration file.",
    )
    refresh_s: Real = Field(
        900, ge=300, le=86_400, description="How often it is asked while the car is plugged in, seconds."
    )
    stale_s: Real = Field(
        21_600, ge=300, le=86_400, description="An older answer than this is not believed any more, seconds."
    )


class Charger(Section):
    """One charger; several chargers are several `[[charger]]` tables."""

    name: Word = Field("garage", description="Your word for it; unique.")
    serial: Word | None = Field(
        None,
        description="The charger's registration number, as the SolaX app's device page shows it, not the "
        "long serial number on the housing; needed for a real charger.",
    )
    phases: Annotated[Literal[1, 3], WholeChoice] = Field(1, description="Phases it charges on: X1 1, X3 3.")
    max_current_a: Real = Field(32, ge=6, le=40, description="Highest current per phase, A: what FAST draws.")
    eco_gear_a: Annotated[Literal[6, 10, 16, 20, 25], WholeChoice] = Field(
        6, description="ECO gear set in the SolaX app, A: ECO never charges with less."
    )
    green_gear_a: Annotated[Literal[3, 6], WholeChoice] = Field(
        6, description="GREEN gear set in the SolaX app, A: GREEN pauses below it."
    )
    car_max_w: Real | None = Field(
        None,
        ge=1000,
        le=50_000,
        description="What the car takes at most, W, where that is less than the charger gives; goals are "
        "reckoned with it.",
    )
    priority: Whole = Field(
        1, ge=1, le=100, description="Who gets surplus first where it does not suffice: 1 first."
    )
    goal: tuple[WeeklyGoal, ...] = Field((), max_length=50, description="Goals, see below.")
    car: Car | None = Field(None, description="The car, see below.")

    @model_validator(mode="after")
    def _gears_fit(self) -> Self:
        refuse("charger", self._misfits())
        return self

    def _misfits(self) -> Iterator[Complaint]:
        for key, gear_a in (("eco_gear_a", self.eco_gear_a), ("green_gear_a", self.green_gear_a)):
            if gear_a > self.max_current_a:
                yield Complaint((key,), f"{gear_a} is more than this charger's max_current_a")
        for index, goal in enumerate(self.goal):
            if goal.soc is not None and self.car is None:
                yield Complaint(("goal", index, "soc"), "needs a table [charger.car] that tells it")

    def spec(self, serial: str) -> ChargerSpec:
        """Return the charger as the rest of sunmode knows it, under this serial."""
        return ChargerSpec(
            name=self.name,
            serial=serial,
            phases=self.phases,
            max_current_a=self.max_current_a,
            eco_gear_a=float(self.eco_gear_a),
            green_gear_a=float(self.green_gear_a),
            priority=self.priority,
            car_max_w=self.car_max_w,
        )


class Dwell(Section):
    """How long a mode stands at least before a move that draws more may follow."""

    stop: Real = Field(300, ge=0, le=7200, description="Seconds in STOP.")
    fast: Real = Field(300, ge=0, le=7200, description="Seconds in FAST.")
    eco: Real = Field(300, ge=0, le=7200, description="Seconds in ECO.")
    green: Real = Field(300, ge=0, le=7200, description="Seconds in GREEN.")

    def by_mode(self) -> dict[Mode, float]:
        """Return the seconds of each mode."""
        return {Mode.STOP: self.stop, Mode.FAST: self.fast, Mode.ECO: self.eco, Mode.GREEN: self.green}


class Poll(Section):
    """How often the charger is asked; the call budget may stretch it."""

    charger_active_s: Real = Field(
        120, ge=1, le=3600, description="While it charges or is about to, seconds."
    )
    charger_idle_s: Real = Field(
        120, ge=1, le=3600, description="While nothing happens, seconds: so late a car that comes is seen."
    )
    night_factor: Real = Field(
        1,
        ge=1,
        le=12,
        description="How much rarer house and charger are asked while the roof is dark and no car is there.",
    )


class Control(Section):
    """The cycle and its guards."""

    cycle_s: Real = Field(60, ge=1, le=300, description="Time from one decision to the next, seconds.")
    fresh_s: Real = Field(420, ge=1, le=3600, description="Data up to this age give full control, seconds.")
    stale_s: Real = Field(
        900, ge=1, le=3600, description="Older data than this put the charger in its resting mode, seconds."
    )
    lease_s: Real = Field(
        900,
        ge=1,
        le=900,
        description="How long FAST or ECO may stand without fresh data, seconds; at most stale_s.",
    )
    green_commissioned: Flag | None = Field(
        None,
        description="You have seen GREEN follow the sun here. The resting mode then is GREEN, else STOP; "
        "without it `sunmode check --commission` decides.",
    )
    stop_mode: Literal["resting", "keep"] = Field(
        "resting",
        description="What to leave behind when sunmode stops: the resting mode, or the mode as it is.",
    )
    override_hold_s: Real = Field(
        10_800, ge=0, le=604_800, description="How long a mode that you set by hand stands, seconds."
    )
    max_changes_per_day: Whole = Field(
        24,
        ge=1,
        le=1440,
        description="Mode changes in 24 hours; moves toward safety are not held back by it.",
    )
    switch_cost_eur: Real = Field(
        0.01,
        ge=0,
        le=10,
        description="What a mode change must be worth at least, EUR, where the strategy knows.",
    )
    dwell_s: Dwell = Field(default_factory=Dwell, description="Least time in each mode, see below.")
    poll: Poll = Field(default_factory=Poll, description="Polling, see below.")

    @model_validator(mode="after")
    def _ages_fit(self) -> Self:
        refuse("control", self._misfits())
        return self

    def _misfits(self) -> Iterator[Complaint]:
        if self.fresh_s >= self.stale_s:
            yield Complaint(("fresh_s",), f"{self.fresh_s:g} is not less than stale_s ({self.stale_s:g})")
        if self.lease_s > self.stale_s:
            yield Complaint(("lease_s",), f"{self.lease_s:g} is more than stale_s ({self.stale_s:g})")


class Budget(Section):
    """Calls of the token; the vendor shuts out who makes 10 in a minute or 10,000 in a day."""

    calls_per_minute: Whole = Field(6, ge=1, le=9, description="Calls in any 60 seconds.")
    calls_per_day: Whole = Field(8000, ge=1, le=9999, description="Calls in any 24 hours.")
    reserved_per_minute: Whole = Field(
        2, ge=0, le=8, description="How many of calls_per_minute are kept for moves toward safety."
    )

    @model_validator(mode="after")
    def _reserve_fits(self) -> Self:
        refuse("budget", self._misfits())
        return self

    def _misfits(self) -> Iterator[Complaint]:
        if self.reserved_per_minute >= self.calls_per_minute:
            text = f"{self.reserved_per_minute} is not less than calls_per_minute ({self.calls_per_minute})"
            yield Complaint(("reserved_per_minute",), text)


class Storage(Section):
    """The database."""

    path: FilePath = Field(
        Path("data/sunmode.db"), description="The file; relative to the configuration file."
    )
    keep_days: Whole = Field(
        1095,
        ge=1,
        le=36_500,
        description="Readings older than this are removed; energy and scores stay. Days.",
    )
    backup: FilePath | None = Field(
        None, description="Where a copy is written each day; relative to the configuration file."
    )


class Web(Section):
    """What other programs on this machine may ask for over HTTP; off as shipped."""

    listen_port: Whole | None = Field(
        None, ge=1, le=65535, description="Port on 127.0.0.1 that POST /api/goal is served on; none: off."
    )


class Log(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least weight told.")
    format: Literal["auto", "json", "text"] = Field(
        "auto", description="JSON lines or text; auto is text in a terminal, else JSON."
    )


class Virtual(Section):
    """The built-in home; used while solax.base_url is "virtual"."""

    house: FilePath | None = Field(
        None,
        description="Parquet file with time, pv_w, load_w; relative to the configuration file. Without one "
        "the sun is computed for the roof.",
    )
    sessions: FilePath | None = Field(
        None,
        description="CSV file with arrival, departure, energy_kwh; relative to the configuration file.",
    )
    pv_scale: Real = Field(1, gt=0, le=100, description="Factor on the file's PV power.")
    seed: Whole = Field(1, ge=0, le=2**63 - 1, description="Equal seeds give equal lives.")
    battery_soc: Real = Field(0.5, ge=0, le=1, description="State of charge the home battery begins with.")
    charger_telemetry_s: Real = Field(
        60, ge=1, le=3600, description="How often the virtual cloud has new values of the charger, seconds."
    )
    fault_rate: Real = Field(
        0,
        ge=0,
        le=0.5,
        description="Chance that an answer, command or callback of the virtual cloud goes wrong.",
    )
