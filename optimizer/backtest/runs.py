"""Run a strategy on a case and say what it came to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizer.backtest import loop
from optimizer.backtest.adapter import Asked
from optimizer.backtest.case import Case, Home
from optimizer.backtest.control import Control, rules_of
from optimizer.backtest.minute import Equipment
from optimizer.backtest.tape import tape_of
from optimizer.clock import Clock, SystemClock
from optimizer.compiling import compiled, plain, with_arrays
from optimizer.domain import Mode, Strategy
from optimizer.plant.battery import BatteryLimits
from optimizer.plant.charger import ChargerLimits
from optimizer.sensed import Compilable, Kernel


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run came to; `cost_eur` includes what the sessions missed, at its price."""

    cost_eur: float
    ev_kwh: float
    ev_solar_kwh: float
    ev_grid_kwh: float
    unmet_kwh: float
    import_kwh: float
    export_kwh: float
    mode_changes: int
    api_calls: int


@dataclass(frozen=True, slots=True)
class RunTrace:
    """One value a minute; see `loop.Trace`, whose `session_kwh` is `ev_kwh` here."""

    ev_w: NDArray[np.float64]
    battery_w: NDArray[np.float64]
    grid_w: NDArray[np.float64]
    mode: NDArray[np.int8]
    status: NDArray[np.int16]
    visit: NDArray[np.int32]
    ev_kwh: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Run:
    """A strategy's totals, the time they took (without compiling), and the trace if one was asked for."""

    totals: Totals
    wall_s: float
    trace: RunTrace | None


def run_strategy(
    case: Case,
    strategy: Strategy,
    control: Control | None = None,
    *,
    compiled: bool = True,
    trace: bool = False,
    clock: Clock | None = None,
) -> Run:
    """Run `strategy` over `case`; a stranger's that has no kernel runs in plain Python in any case.

    Equal arguments give equal runs, to the bit, whether compiled or not.

    Raises:
        StrategyFailed: the strategy raised or returned what is no proposal.

    """
    clock = clock or SystemClock()
    control = control or Control()
    fast = compiled and isinstance(strategy, Compilable)
    rules = rules_of(control, case.home.charger, strategy)
    kernel, setting, memory = _policy(strategy, case, fast=fast)
    looks_ahead = getattr(strategy, "wants_forecast", False)
    simulate, tape = _simulate(kernel, fast=fast), tape_of(case, as_arrays=fast, looks_ahead=looks_ahead)
    columns = _columns(case.minutes if trace else 0)
    changed = np.zeros(loop.DAY_MIN, np.int64) if fast else [0] * loop.DAY_MIN
    rest = (equipment(case.home), rules, setting, memory, case.home.battery_soc, changed, columns)
    if fast and kernel not in _READY:
        simulate(tape._replace(pv_w=tape.pv_w[:0]), *rest)  # no minute: it only compiles
        _READY.add(kernel)
    began_s = clock.monotonic_s()
    sums = simulate(tape, *rest)
    wall_s = clock.monotonic_s() - began_s
    return Run(_totals(sums, case), wall_s, RunTrace(*columns) if trace else None)


def equipment(home: Home) -> Equipment:
    """Return what stands at the house as the kernels take it."""
    spec = home.charger
    return Equipment(
        ChargerLimits(spec.phases, spec.max_current_a, spec.eco_gear_a, spec.green_gear_a),
        home.times,
        home.car,
        home.battery is not None,
        home.battery or BatteryLimits(),
    )


def _policy(strategy: Strategy, case: Case, *, fast: bool) -> tuple[Kernel, Any, tuple[float, ...]]:
    if isinstance(strategy, Compilable):
        setting = strategy.setting(case.home.charger)
        setting = with_arrays(setting) if fast else setting
        return strategy.kernel, setting, strategy.first_memory(Mode.STOP)
    return Asked(strategy, case), None, ()


_READY: set[Kernel] = set()
"""Kernels that were compiled in this process: that takes seconds, which are not the run's."""

_APART = frozenset(
    {"charger_moved", "_follows", "task_of", "step_back", "value_modes", "mode_eur", "outcome", "fill_row"}
)
"""Seldom called: not compiled into the loop, which saves time; for the others a call is dear."""


def _simulate(kernel: Kernel, *, fast: bool) -> Callable[..., loop.Sums]:
    """Return the loop around a kernel."""
    stand_ins = {loop.kernel: kernel}
    return compiled(loop.simulate, stand_ins, apart=_APART) if fast else plain(loop.simulate, stand_ins)


def _columns(length: int) -> loop.Trace:
    return loop.Trace(
        ev_w=np.zeros(length),
        battery_w=np.zeros(length),
        grid_w=np.zeros(length),
        mode=np.zeros(length, np.int8),
        status=np.zeros(length, np.int16),
        visit=np.full(length, -1, np.int32),
        session_kwh=np.zeros(length),
    )


def _totals(sums: loop.Sums, case: Case) -> Totals:
    return Totals(
        cost_eur=float(sums.cost_eur + sums.unmet_kwh * case.unmet_eur_per_kwh),
        ev_kwh=float(sums.ev_kwh),
        ev_solar_kwh=float(sums.ev_solar_kwh),
        ev_grid_kwh=float(sums.ev_kwh - sums.ev_solar_kwh),
        unmet_kwh=float(sums.unmet_kwh),
        import_kwh=float(sums.import_kwh),
        export_kwh=float(sums.export_kwh),
        mode_changes=int(sums.mode_changes),
        api_calls=int(sums.api_calls),
    )
