"""What the log says the cars took is what they took: across restarts, departures, odd answers, odd clocks."""

from __future__ import annotations

from pathlib import Path

import pytest
from living import MINUTE, Life, live

from optimizer.domain import Mode

FAST_ALWAYS = '[strategy]\nname = "fixed"\n[strategy.fixed]\nmode = "fast"\n'
KEEPS_MODE = '[control]\nstop_mode = "keep"\n'


def told_kwh(life: Life) -> tuple[float, float]:
    """Return the cars' energy as the quarter hours and as the sessions tell it."""
    ((energy_kwh,),) = life.rows("SELECT total(ev_kwh) FROM energy WHERE charger != ''")
    ((session_kwh,),) = life.rows("SELECT total(ev_kwh) FROM session")
    return energy_kwh, session_kwh


@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize("down_s", [1.0, 10 * MINUTE])
def test_eight_restarts_count_every_kwh_once(
    tmp_path: Path, token: str, *, killed: bool, down_s: float
) -> None:
    async def script(life: Life) -> None:
        await life.begin()
        await life.until(lambda: life.mode() is Mode.FAST, 15 * MINUTE)
        for _ in range(8):
            await life.passes(7 * MINUTE)
            await (life.dies() if killed else life.ends())
            await life.passes(down_s)
            await life.begin()
        await life.passes(30 * MINUTE)
        await life.ends()
        truth_kwh = life.home.truth().ev_kwh
        assert truth_kwh > 9.0
        assert told_kwh(life) == pytest.approx((truth_kwh, truth_kwh), rel=0.02)
        ((solar_kwh, grid_kwh),) = life.rows("SELECT sum(ev_solar_kwh), sum(ev_grid_kwh) FROM energy")
        assert solar_kwh + grid_kwh == pytest.approx(truth_kwh, rel=0.02)
        assert life.rows("SELECT count(*) FROM session") == [(1,)]

    live(tmp_path, token, script, config=FAST_ALWAYS + KEEPS_MODE)
