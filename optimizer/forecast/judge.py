"""How good quantiles were: pinball loss, coverage, and how much better than saying what was yesterday."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from optimizer.forecast.learnt import QUANTILES
from optimizer.forecast.quarters import DAY_SLOTS
from optimizer.forecast.vintages import Floats, Ints, Vintages

Bools = NDArray[np.bool_]

LEAD_ENDS = (4, 12, 24, 48, 96, 192)
"""Ends of the leads (slots) that are told apart: 1 h, 3 h, 6 h, 12 h, a day, two."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What forecasts with a lead of `[lead_from, lead_until)` slots were worth.

    `pinball_w` is the mean over the three quantiles, `coverage` the share of truths from p10 to p90, and
    `skill` is 1 - pinball / pinball of the same slot on the last day that was over.  NaN where there was
    nothing to judge.
    """

    lead_from: int
    lead_until: int
    cases: int
    pinball_w: float
    coverage: float
    below_p10: float
    skill: float


def pinball_w(quantiles_w: Floats, truth_w: Floats) -> Floats:
    """Return the mean pinball loss (...) over the quantiles (..., 3); NaN where either is unknown."""
    off_w = truth_w[..., None] - quantiles_w
    return np.asarray(np.maximum(QUANTILES * off_w, (QUANTILES - 1.0) * off_w).mean(axis=-1))


def judged(vintages: Vintages, truth_w: Floats, counts: Bools | None = None) -> list[Verdict]:
    """Return a verdict for each range of leads and, last, one for all.

    `truth_w` is by slot, as `vintages` counts them.  Only slots where `counts` (by slot) holds are judged,
    and where truth, quantiles and the day before are known.
    """
    columns = np.arange(vintages.p50_w.shape[1])
    slot = vintages.first[:, None] + columns
    lead = slot - vintages.known_from[:, None]
    truth = _at(truth_w, slot)
    quantiles = np.stack((vintages.p10_w, vintages.p50_w, vintages.p90_w), axis=-1)
    yesterday = _at(truth_w, slot - DAY_SLOTS * (1 + np.maximum(lead, 0) // DAY_SLOTS))
    use = ~np.isnan(truth) & ~np.isnan(quantiles).any(axis=-1) & ~np.isnan(yesterday)
    if counts is not None:
        use &= _at(counts.astype(np.float64), slot) == 1.0
    edges = (0, *(end for end in LEAD_ENDS if end < len(columns)), int(lead.max(initial=0)) + 1)
    ranges = [*pairwise(edges), (0, edges[-1])]
    return [
        _verdict(a, b, quantiles[part], truth[part], yesterday[part])
        for a, b in ranges
        for part in [use & (lead >= a) & (lead < b)]
    ]


def _verdict(
    lead_from: int, lead_until: int, said_w: Floats, truth_w: Floats, yesterday_w: Floats
) -> Verdict:
    cases = len(truth_w)
    if not cases:
        return Verdict(lead_from, lead_until, 0, np.nan, np.nan, np.nan, np.nan)
    loss_w = float(pinball_w(said_w, truth_w).mean())
    rival_w = float(pinball_w(np.repeat(yesterday_w[:, None], len(QUANTILES), axis=1), truth_w).mean())
    below, within = truth_w < said_w[:, 0], (truth_w >= said_w[:, 0]) & (truth_w <= said_w[:, 2])
    skill = 1.0 - loss_w / rival_w if rival_w > 0.0 else np.nan
    return Verdict(lead_from, lead_until, cases, loss_w, float(within.mean()), float(below.mean()), skill)


def _at(values: Floats, slot: Ints) -> Floats:
    """Return values by slot, NaN outside."""
    inside = (slot >= 0) & (slot < len(values))
    return np.where(inside, values[np.clip(slot, 0, len(values) - 1)], np.nan)
