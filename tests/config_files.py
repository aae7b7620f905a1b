"""Configurations that are written for a test, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizer.config import Settings, load_settings
from optimizer.errors import ConfigError

REAL = """\
[solax]
base_url = "https://www.solaxcloud.com"
inverter = "SABCDEFGHI"
[[charger]]
serial = "C31100000001"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, text: str, **env: str) -> Settings:
    return load_settings(write(folder, text), env)


def refusal(folder: Path, text: str, **env: str) -> list[str]:
    """Return the lines of the refusal, without the folder's name."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **env)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value).replace(f"{folder}/", "").splitlines()
