"""A verdict as a section to paste, and as plain values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from optimizer.tune.space import Value
from optimizer.tune.verdict import Judged, Side, Verdict


@dataclass(frozen=True, slots=True)
class About:
    """What the run was about."""

    table: str
    house: str
    goals: str
    trials: int
    seed: int
    limit: float
    notes: tuple[str, ...] = ()


def section(found: Verdict, about: About) -> str:
    """Return the changed keys as TOML, with what the held-out weeks said of them."""
    held = found.held_out
    lines = [*(f"# {line}" for line in _said(held, about)), f"[strategy.{_key(about.table)}]"]
    lines += [f"{_key(name)} = {_toml(value)}" for name, value in held.tuned_values.items()]
    return "\n".join(lines) + "\n"


def document(found: Verdict, about: About) -> dict[str, Any]:
    """Return all of it as plain values, as `sunmode tune --json` tells it."""
    return {
        "strategy": about.table,
        "house": about.house,
        "goals": about.goals,
        "trials": about.trials,
        "seed": about.seed,
        "max_changes_per_day": about.limit,
        "is_better": found.is_better,
        "against": list(found.against),
        "held_out": _judged(found.held_out),
        "forward": [_judged(fold) for fold in found.judged[1:]],
        "toml": section(found, about) if found.is_better else None,
        "notes": list(about.notes),
    }


def line(side: Side) -> str:
    """Return the figures of some parameters in one line."""
    skill = "" if side.skill is None else f", skill {side.skill:.3f}"
    return (
        f"{side.cost_eur_per_year:.2f} EUR a year, {side.solar_share:.1%} sun, "
        f"{side.figures.unmet_kwh:.1f} kWh unmet, {side.changes_per_day:.1f} changes a day{skill}"
    )


def _said(held: Judged, about: About) -> Iterator[str]:
    yield f"sunmode tune on the odd weeks of {about.house}"
    yield f"{about.trials} trials, seed {about.seed}, goals {about.goals}"
    yield f"{held.weeks} held-out (even) weeks:"
    yield f"  before: {line(held.current)}"
    yield f"  these:  {line(held.tuned)}"
    yield (
        f"better in {held.better}, worse in {held.worse} of them; "
        f"gain {held.gain_eur_per_year:.2f} EUR a year, "
        f"more than {held.low_eur_per_year:.2f} in 95 of 100 draws"
    )


def _judged(one: Judged) -> dict[str, Any]:
    return {
        "tuned_weeks": [str(week) for week in one.split.tuned],
        "judged_weeks": [str(week) for week in one.split.judged],
        "params": dict(one.tuned_values),
        "current": _side(one.current),
        "tuned": _side(one.tuned),
        "weeks": one.weeks,
        "better": one.better,
        "worse": one.worse,
        "gain_eur_per_year": one.gain_eur_per_year,
        "low_eur_per_year": one.low_eur_per_year,
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        **asdict(side.figures),
        "cost_eur_per_year": side.cost_eur_per_year,
        "solar_share": side.solar_share,
        "changes_per_day": side.changes_per_day,
        "skill": side.skill,
    }


def _key(name: str) -> str:
    return name if name.replace("-", "_").isidentifier() and name.isascii() else json.dumps(name)


def _toml(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, str) else repr(value)
