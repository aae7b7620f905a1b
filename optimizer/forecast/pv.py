"""From weather to power, by pvlib's ModelChain: the physics of the roof.

PVWatts version 5 (NREL/TP-6A20-62641) for modules, losses and inverter; Perez for the tilted plane; SAPM for
the module's temperature (close mount, glass on glass); Ineichen for the clear sky.  pvlib and pandas are
loaded by the first call: 3 s and 100 MB that the service spends in a process of its own, see `reckoner`.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from optimizer.forecast.roof import SLOT, W_PER_KW, Face, Powers, Roof, Weather

if TYPE_CHECKING:
    import pandas as pd

GAMMA_PER_C = -0.0037
"""Loss of a crystalline module by its temperature, 1/C (PVWatts: "standard" to "premium")."""
INVERTER_EFFICIENCY = 0.96
LINKE_TURBIDITY = 3.0
"""A clear sky in Europe has 2 to 4.5; the owner's own past corrects what is left."""
_CLEAR_AIR_C = 15.0
_CLEAR_WIND_M_S = 2.0
_TEMPERATURES = ("sapm", "close_mount_glass_glass")


def pv_power(roof: Roof, weather: Weather) -> Powers:
    """Return what the roof gives in this weather, W at the inverter's output."""
    import pandas as pd

    columns = {
        "ghi": weather.ghi,
        "dni": weather.dni,
        "dhi": weather.dhi,
        "temp_air": weather.air_c,
        "wind_speed": weather.wind_m_s,
    }
    frame = pd.DataFrame(columns, index=_middles(weather.start, len(weather.ghi)), dtype=float)
    return _powers(roof, weather.start, frame)


def clear_sky_power(roof: Roof, start: datetime, count: int) -> Powers:
    """Return what the roof gives under a cloudless sky in `count` quarter hours from `start` on, W."""
    frame = _place(roof).get_clearsky(
        _middles(start, count), model="ineichen", linke_turbidity=LINKE_TURBIDITY
    )
    frame = frame.assign(temp_air=_CLEAR_AIR_C, wind_speed=_CLEAR_WIND_M_S)
    return _powers(roof, start, frame)


def _middles(start: datetime, count: int) -> pd.DatetimeIndex:
    """Return the middles of quarter hours: where the sun stands for a mean."""
    import pandas as pd

    return pd.date_range(start + SLOT / 2, periods=count, freq="15min")


def _powers(roof: Roof, start: datetime, weather: pd.DataFrame) -> Powers:
    import numpy as np
    from pvlib.modelchain import ModelChain

    chain = ModelChain.with_pvwatts(_system(roof), _place(roof))
    chain.run_model(_behind_skyline(roof, weather))
    watts = np.clip(np.nan_to_num(np.asarray(chain.results.ac, dtype=float)), 0.0, None)
    return Powers(start, tuple(float(power) for power in watts))


def _place(roof: Roof) -> Any:
    from pvlib.location import Location

    return Location(roof.latitude, roof.longitude)


def _system(roof: Roof) -> Any:
    from pvlib.pvsystem import PVSystem

    modules_w = sum(face.kwp for face in roof.faces) * W_PER_KW
    # PVWatts' inverter is given by the DC power at which its AC output reaches the limit.
    limit_w = modules_w if roof.inverter_max_w is None else roof.inverter_max_w / INVERTER_EFFICIENCY
    return PVSystem(
        arrays=[_array(face) for face in roof.faces],
        inverter_parameters={"pdc0": limit_w, "eta_inv_nom": INVERTER_EFFICIENCY},
        # One loss stands for all of PVWatts' kinds: the owner knows one number at most.
        losses_parameters={
            **dict.fromkeys(("soiling", "shading", "snow", "mismatch", "wiring", "connections", "lid"), 0.0),
            **dict.fromkeys(("nameplate_rating", "age"), 0.0),
            "availability": roof.loss_ratio * 100.0,
        },
    )


def _array(face: Face) -> Any:
    from pvlib.pvsystem import Array, FixedMount
    from pvlib.temperature import TEMPERATURE_MODEL_PARAMETERS

    model, mount = _TEMPERATURES
    return Array(
        mount=FixedMount(face.tilt_deg, face.azimuth_deg),
        module_parameters={"pdc0": face.kwp * W_PER_KW, "gamma_pdc": GAMMA_PER_C},
        temperature_model_parameters=TEMPERATURE_MODEL_PARAMETERS[model][mount],
    )


def _behind_skyline(roof: Roof, weather: pd.DataFrame) -> pd.DataFrame:
    """Take the direct sun away where something stands before it; what comes from the sky stays."""
    if not roof.skyline_deg:
        return weather
    import numpy as np

    sun = _place(roof).get_solarposition(weather.index)
    heights = np.array([*roof.skyline_deg, roof.skyline_deg[0]])
    edges = np.linspace(0.0, 360.0, len(heights))
    hidden = sun["apparent_elevation"].to_numpy() < np.interp(sun["azimuth"].to_numpy(), edges, heights)
    return weather.assign(
        dni=weather["dni"].mask(hidden, 0.0), ghi=weather["ghi"].mask(hidden, weather["dhi"])
    )
