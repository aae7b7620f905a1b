"""acnportal's simulator over a month of one charging point: prints steps per second of processor time.

Runs in an environment of its own that has acnportal, and knows nothing of sunmode.
"""

from __future__ import annotations

import sys
import warnings
from datetime import UTC, datetime
from time import process_time

warnings.simplefilter("ignore")

from acnportal import acnsim  # noqa: E402 - its imports warn
from acnportal.algorithms import UncontrolledCharging  # noqa: E402

DAYS = 30
DAY_MIN = 1440
_ARRIVES, _LEAVES, _NEEDS_KWH, _VOLTAGE = 17 * 60, 31 * 60, 12.0, 230.0
_ROUNDS = 3


def main() -> None:
    """Print the best of some rounds."""
    print(max(_steps_per_s() for _ in range(_ROUNDS)))


def _steps_per_s() -> float:
    simulator = _month()
    began_s = process_time()
    simulator.run()
    steps_per_s = simulator.iteration / (process_time() - began_s)
    if not all(ev.fully_charged for ev in simulator.ev_history.values()):
        sys.exit("a car was not charged: the month is not what it should be")
    return steps_per_s


def _month() -> acnsim.Simulator:
    """Return a car that comes each evening and leaves each morning, at one-minute steps."""
    network = acnsim.ChargingNetwork()
    network.register_evse(acnsim.EVSE("garage", max_rate=32), _VOLTAGE, 0)
    # Without any constraint it fails.
    network.add_constraint(acnsim.Current(["garage"]), 63, name="fuse")
    events = acnsim.EventQueue(
        [acnsim.PluginEvent(day * DAY_MIN + _ARRIVES, _car(day)) for day in range(DAYS)]
    )
    start = datetime(2019, 5, 1, tzinfo=UTC)
    return acnsim.Simulator(network, UncontrolledCharging(), events, start, period=1, verbose=False)


def _car(day: int) -> acnsim.EV:
    battery = acnsim.Battery(capacity=60.0, init_charge=20.0, max_power=7.2)
    arrival, departure = day * DAY_MIN + _ARRIVES, day * DAY_MIN + _LEAVES
    return acnsim.EV(arrival, departure, _NEEDS_KWH, "garage", str(day), battery)


if __name__ == "__main__":
    main()
