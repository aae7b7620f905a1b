"""Whether GREEN works at a charger: the law, and the trial before chargers that obey the sun or not."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from living import START, Powers, dark, sunny

from optimizer.clock import Clock, LoopClock, ScaledClock
from optimizer.control.commissioning import Proof, Sample, Verdict, judged, sample
from optimizer.domain import ChargerSpec, ChargerStatus, Mode, SiteReading
from optimizer.errors import AuthError, Unavailable
from optimizer.plant.battery import BatteryLimits
from optimizer.plant.car import CarLimits
from optimizer.runtime.commissioning import Commissioning, Seen
from optimizer.simulation.cloud import VirtualCloud
from optimizer.simulation.faults import Fault, FaultKind
from optimizer.simulation.home import VirtualHome
from optimizer.simulation.series import house_series
from optimizer.simulation.server import running_server
from optimizer.simulation.settings import GreenMeter, VirtualSettings
from optimizer.simulation.transport import VirtualTransport
from optimizer.simulation.virtual_time import run_virtual
from optimizer.simulation.world import build_cloud
from optimizer.solax.client import SolaxClient
from optimizer.solax.transport import open_http
from optimizer.store.log import Store
from optimizer.store.logfile import FileOptions

SPEC = ChargerSpec("garage", "SQ1")
CHARGING, PAUSED, FULL = ChargerStatus.CHARGING, ChargerStatus.CHARGE_PAUSE, ChargerStatus.SUSPENDED_EV
WORKS, NO, OPEN = Verdict.WORKS, Verdict.DOES_NOT_WORK, Verdict.NOT_SHOWN


# The law.


def seen(surplus_w: float, ev_w: float, status: ChargerStatus = CHARGING, battery_w: float = 0.0) -> Sample:
    """A sample; `battery_w` is what of the surplus goes into the home battery."""
    return Sample(ev_w, surplus_w - battery_w, surplus_w, status)


@pytest.mark.parametrize(
    ("samples", "proof"),
    [
        # with surplus
        ([seen(3000, 2900), seen(3200, 3100)], Proof(follows=True)),
        ([seen(3000, 2900)], Proof()),
        ([seen(9000, 7360), seen(8000, 7360)], Proof(follows=True)),
        ([seen(3000, 0, PAUSED)] * 3, Proof(follows=False)),
        ([seen(3000, 0, PAUSED)] * 2, Proof()),
        ([seen(4000, 1380)] * 3, Proof(follows=False)),
        ([seen(1750, 1380)] * 3, Proof()),
        ([seen(2500, 7360)] * 3, Proof(follows=False)),
        ([seen(3000, 0, FULL)] * 5, Proof()),
        ([seen(3000, 0, ChargerStatus.PREPARING)] * 5, Proof()),
        # a car that takes less than there is shows it by moving
        ([seen(6000, 3600)] * 3, Proof()),
        ([seen(6000, 3600), seen(2500, 2400)], Proof(follows=True)),
        # without surplus
        ([seen(300, 0, PAUSED), seen(200, 0, PAUSED)], Proof(pauses=True)),
        ([seen(300, 0, FULL)] * 5, Proof()),
        ([seen(300, 1380)] * 3, Proof(pauses=False)),
        ([seen(300, 1380)] * 2, Proof()),
        ([seen(300, 1380), seen(300, 0, PAUSED), seen(300, 0, PAUSED)], Proof(pauses=True)),
        # near the gear, and where the home battery has the surplus
        ([seen(1400, 1380)] * 5, Proof()),
        ([seen(1300, 0, PAUSED)] * 5, Proof()),
        ([seen(3000, 0, PAUSED, battery_w=3000)] * 5, Proof()),
        # both
        ([seen(3000, 2900)] * 2 + [seen(0, 0, PAUSED)] * 2, Proof(follows=True, pauses=True)),
        ([], Proof()),
    ],
)  # fmt: skip
def test_samples_show(samples: list[Sample], proof: Proof) -> None:
    assert judged(samples, SPEC) == proof


def test_a_car_on_one_of_three_phases_is_not_taken_for_a_charger_that_is_stuck() -> None:
    three = replace(SPEC, phases=3, max_current_a=16.0)
    assert judged([seen(6000, 2000)] * 5, three) == Proof()
    assert judged([seen(6000, 2000), seen(9000, 3000)], three) == Proof(follows=True)
    assert judged([seen(9000, 1380)] * 3, three) == Proof(follows=False)


@pytest.mark.parametrize(
    ("earlier", "later", "verdict"),
    [
        (Proof(), Proof(), OPEN),
        (Proof(follows=True), Proof(), OPEN),
        (Proof(follows=True), Proof(pauses=True), WORKS),
        (Proof(follows=True, pauses=True), Proof(pauses=False), NO),
        (Proof(pauses=False), Proof(follows=True), NO),
        (Proof(follows=True, pauses=False), Proof(pauses=True), WORKS),
    ],
)
def test_both_halves_must_be_shown_and_the_later_trial_has_the_last_word(
    earlier: Proof, later: Proof, verdict: Verdict
) -> None:
    assert earlier.then(later).verdict is verdict


def house(grid_w: float | None, battery_w: float | None = 0.0) -> SiteReading:
    return SiteReading(START, "x", 3000.0, grid_w, battery_w)


def test_a_samples_surplus_is_what_the_car_could_have_with_and_without_the_home_battery() -> None:
    assert sample(house(-500.0), [1000.0, 1100.0], CHARGING) == Sample(1050.0, 1550.0, 1550.0, CHARGING)
    assert sample(house(0.0, -800.0), [1000.0], CHARGING) == Sample(1000.0, 1000.0, 1800.0, CHARGING)
    assert sample(house(0.0, 900.0), [1000.0], CHARGING) == Sample(1000.0, 100.0, 100.0, CHARGING)


@pytest.mark.parametrize(
    ("reading", "powers_w"),
    [(house(None), [0.0]), (house(0.0, None), [0.0]), (house(0.0), []), (house(0.0), [0.0, 1400.0])],
)
def test_a_sample_without_all_powers_or_with_a_power_that_changed_is_none(
    reading: SiteReading, powers_w: list[float]
) -> None:
    assert sample(reading, powers_w, CHARGING) is None


# The trial.


@dataclass
class Trial:
    """One trial before a virtual cloud."""

    folder: Path
    token: str
    sky: Powers = sunny
    known: Proof = field(default_factory=Proof)
    plugged_kwh: float | None = 30.0
    world: dict[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    meanwhile: Callable[[VirtualHome], Coroutine[Any, Any, None]] | None = None
    told: list[str] = field(default_factory=list)
    home: VirtualHome = field(init=False)
    cloud: VirtualCloud = field(init=False)

    def run(self) -> Seen:
        """Run it in virtual time."""
        return run_virtual(self._on(LoopClock(START)))

    async def _on(self, clock: Clock) -> Seen:
        cloud = self.opened(clock)
        http = open_http("http://127.0.0.1:9", lambda: self.token, inner=VirtualTransport(cloud))
        return await self.before(clock, http)

    def opened(self, clock: Clock) -> VirtualCloud:
        virtual = VirtualSettings(
            token=self.token, start=START, inverter="SW1", chargers=(SPEC,), **self.world
        )
        powers = np.array([self.sky(minute / 60.0) for minute in range(600)], dtype=np.float32)
        self.home = VirtualHome(virtual, house_series(START, 60.0, powers[:, 0], powers[:, 1]))
        if self.plugged_kwh is not None:
            self.home.plug(SPEC.serial, self.plugged_kwh)
        self.cloud = build_cloud(self.home, clock, self.faults)
        self.cloud.elapsed_s()
        return self.cloud

    async def before(self, clock: Clock, http: Any) -> Seen:
        """Try the charger through `http`."""
        await clock.sleep(60.0)  # the car has arrived
        options = FileOptions(durable=False, busy_ms=500, ballast_bytes=0)
        store = Store.open(self.folder / "log.db", clock, inline=True, options=options)
        client = SolaxClient(http, store.ledger, clock, inverter="SW1")
        trial = Commissioning(client, store, clock, SPEC, self.told.append, self.known)
        other = None if self.meanwhile is None else asyncio.create_task(self.meanwhile(self.home))
        try:
            return await trial.run()
        finally:
            if other is not None:
                other.cancel()
            await client.aclose()
            store.close()
            self.cloud.advance()

    def modes(self) -> list[Mode | None]:
        return [call.mode for call in self.cloud.calls if call.endpoint == "pileCmd"]

    @property
    def mode(self) -> Mode:
        return self.home.charger(SPEC.serial).mode


def little(hours: float) -> tuple[float, float]:
    """Some sun, but too little to charge with."""
    return 900.0, 300.0


def evening(hours: float) -> tuple[float, float]:
    """A sun that sets within the first half hour."""
    return max(0.0, 4000.0 - 12_000.0 * hours), 300.0


def test_a_charger_that_follows_the_sun_has_shown_half_of_it(tmp_path: Path, token: str) -> None:
    trial = Trial(tmp_path, token)
    assert trial.run().proof == Proof(follows=True)
    assert trial.modes() == [Mode.GREEN, Mode.STOP]
    assert trial.mode is Mode.STOP, "half a proof is none"


@pytest.mark.parametrize("sky", [dark, little])
def test_a_charger_that_pauses_without_surplus_has_shown_the_other_half(
    tmp_path: Path, token: str, sky: Powers
) -> None:
    trial = Trial(tmp_path, token, sky=sky, known=Proof(follows=True))
    assert trial.run().proof == Proof(pauses=True)
    assert trial.mode is Mode.GREEN, "now it is known to work"
    assert trial.modes() == [Mode.GREEN]


@pytest.mark.parametrize(
    ("meter", "sky", "proof"),
    [
        (GreenMeter.MISSING, dark, Proof(pauses=False)),
        (GreenMeter.MISSING, sunny, Proof(follows=False)),
        (GreenMeter.NO_SURPLUS, sunny, Proof(follows=False)),
        (GreenMeter.NO_SURPLUS, dark, Proof(pauses=True)),
    ],
)
def test_a_charger_that_is_blind_to_the_sun_is_found_out(
    tmp_path: Path, token: str, meter: GreenMeter, sky: Powers, proof: Proof
) -> None:
    trial = Trial(tmp_path, token, sky=sky, world={"green_meter": meter}, known=Proof(follows=True))
    assert trial.run().proof == proof
    assert trial.mode is (Mode.GREEN if proof.pauses else Mode.STOP)


def test_a_car_that_takes_less_than_there_is_shows_it_when_the_sun_goes(tmp_path: Path, token: str) -> None:
    world = {"cars": (CarLimits(max_w=1840.0),)}
    seen = Trial(tmp_path, token, sky=evening, world=world).run()
    assert seen.proof.verdict is OPEN
    assert seen.proof in {Proof(pauses=True), Proof(follows=True)}


def test_a_full_car_proves_nothing(tmp_path: Path, token: str) -> None:
    trial = Trial(tmp_path, token, plugged_kwh=0.0)
    seen = trial.run()
    assert seen.proof == Proof()
    assert "the car takes nothing" in seen.why
    assert trial.mode is Mode.STOP


def test_without_a_car_nothing_is_sent(tmp_path: Path, token: str) -> None:
    trial = Trial(tmp_path, token, plugged_kwh=None)
    assert trial.run() == Seen(Proof(), "no car is plugged in")
    assert trial.modes() == []


def test_a_surplus_that_a_home_battery_takes_proves_nothing_against_the_charger(
    tmp_path: Path, token: str
) -> None:
    battery = BatteryLimits(10.0, 5000.0, 5000.0)
    trial = Trial(
        tmp_path, token, world={"battery": battery, "battery_soc": 0.2, "green_meter": GreenMeter.NO_SURPLUS}
    )
    assert trial.run().proof == Proof()


def test_a_charger_that_does_not_obey_is_told(tmp_path: Path, token: str) -> None:
    trial = Trial(tmp_path, token, world={"fault_rates": {FaultKind.LOST_COMMAND: 1.0}})
    seen = trial.run()
    assert seen == Seen(Proof(), "it does not obey: GREEN was sent twice and never read back")


def test_a_car_that_leaves_ends_the_trial(tmp_path: Path, token: str) -> None:
    async def leaves(home: VirtualHome) -> None:
        await asyncio.sleep(400)
        home.unplug(SPEC.serial)

    seen = Trial(tmp_path, token, meanwhile=leaves).run()
    assert seen == Seen(Proof(), "the car was unplugged")


def test_an_owners_hand_ends_the_trial(tmp_path: Path, token: str) -> None:
    async def takes_over(home: VirtualHome) -> None:
        await asyncio.sleep(400)
        home.set_mode(SPEC.serial, Mode.FAST, "owner")

    trial = Trial(tmp_path, token, meanwhile=takes_over)
    assert trial.run() == Seen(Proof(), "somebody set it to FAST meanwhile")


def test_lost_readings_only_take_longer(tmp_path: Path, token: str) -> None:
    trial = Trial(tmp_path, token, world={"fault_rates": {FaultKind.SERVER_ERROR: 0.2}, "seed": 3})
    assert trial.run().proof == Proof(follows=True)
    assert any(line.startswith("not read: ") for line in trial.told)


def test_a_charger_that_cannot_be_read_is_sent_nothing(tmp_path: Path, token: str) -> None:
    trial = Trial(tmp_path, token, world={"fault_rates": {FaultKind.SERVER_ERROR: 1.0}})
    with pytest.raises(Unavailable):
        trial.run()
    assert trial.modes() == []


def test_a_refused_token_ends_it(tmp_path: Path, token: str) -> None:
    async def play() -> None:
        trial, clock = Trial(tmp_path, token), LoopClock(START)
        http = open_http("http://127.0.0.1:9", lambda: "WRONG", inner=VirtualTransport(trial.opened(clock)))
        await trial.before(clock, http)

    with pytest.raises(AuthError):
        run_virtual(play())


def test_a_trial_that_is_broken_off_leaves_the_charger_in_stop(tmp_path: Path, token: str) -> None:
    trial = Trial(tmp_path, token)

    async def play() -> None:
        running = asyncio.create_task(trial._on(LoopClock(START)))
        await asyncio.sleep(300)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    run_virtual(play())
    assert trial.mode is Mode.STOP


def test_the_trial_stays_within_the_call_budget_and_in_the_log(tmp_path: Path, token: str) -> None:
    trial = Trial(tmp_path, token, plugged_kwh=0.0)
    trial.run()
    times = sorted(call.t_s for call in trial.cloud.calls)
    assert max(sum(0 <= t - begin < 60 for t in times) for begin in times) <= 6
    with closing(sqlite3.connect(tmp_path / "log.db")) as conn:
        (calls,) = conn.execute("SELECT count(*) FROM call WHERE outcome = 'ok'").fetchone()
        commands = conn.execute("SELECT mode, state FROM command ORDER BY id").fetchall()
    assert calls == len(trial.cloud.calls)
    assert commands == [(int(Mode.GREEN), "confirmed"), (int(Mode.STOP), "confirmed")]


def test_the_same_over_real_http(tmp_path: Path, token: str) -> None:
    async def play() -> Seen:
        trial, clock = Trial(tmp_path, token), ScaledClock(START, speed=200.0)
        async with running_server(trial.opened(clock)) as url:
            return await trial.before(clock, open_http(url, lambda: token))

    assert asyncio.run(play()).proof == Proof(follows=True)
