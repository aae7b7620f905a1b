"""What experience tells of the chargers, for `sunmode check` and `sunmode status`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from optimizer.config import Settings
from optimizer.domain import ChargerSpec
from optimizer.forecast.charger import countable_w, doubts, words
from optimizer.store.experience import NOTHING, Known, known_at


def experience_lines(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what is known, each with the word it is filed under; nothing of what is not known."""
    known = known_at(settings.store.path)
    for spec in settings.charger_specs():
        yield from _of_charger(spec, known.get(spec.serial, NOTHING))


def experience_document(settings: Settings) -> Mapping[str, Any]:
    """Return the same for programs, by charger."""
    found = known_at(settings.store.path)
    return {
        spec.name: _document(spec, found[spec.serial])
        for spec in settings.charger_specs()
        if spec.serial in found
    }


def _of_charger(spec: ChargerSpec, known: Known) -> Iterator[tuple[str, str]]:
    text = words(known.experience)
    if text:
        yield "learnt", f"{spec.name}: {text}"
    counted_w = countable_w(spec, known.experience)
    if counted_w is not None:
        yield "learnt", f"{spec.name}: plans count on {counted_w / 1000.0:.1f} kW"
    for doubt in doubts(spec, known.experience):
        yield "learnt", f"but {doubt.sentence}"
    if known.proof.is_new:
        yield "green", f"{spec.name}: {known.proof.verdict.value}: {known.proof}"


def _document(spec: ChargerSpec, known: Known) -> Mapping[str, Any]:
    return {
        **asdict(known.experience),
        "counted_on_w": countable_w(spec, known.experience),
        "doubts": [doubt.sentence for doubt in doubts(spec, known.experience)],
        "green": {"verdict": known.proof.verdict, **asdict(known.proof)},
    }
