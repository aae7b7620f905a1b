"""Two processes, restarts, kills at any moment and a check beside: the short form of `make kills`."""

from __future__ import annotations

from pathlib import Path

from kills import campaign


def test_kills_and_rivals_neither_break_the_budget_nor_the_log(tmp_path: Path, token: str) -> None:
    witness = campaign(tmp_path, token, seconds=20.0)
    witness.verify()
    assert witness.kills >= 1
    assert witness.home.calls("pileCmd")
