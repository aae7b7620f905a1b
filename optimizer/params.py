"""How a strategy's parameters are told to the owner."""

from __future__ import annotations


def doc(text: str) -> dict[str, str]:
    """Return the metadata of a parameter: its line in the configuration's documentation."""
    return {"doc": text}
