"""`status`, `why`, `check` and `export` tell of the shadow beside the decision."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from command_line import call
from fake_guide_server import guide_server
from guide_home import GuideHome
from sunmode_process import Site, site_of


@pytest.fixture
def site(token: str, tmp_path: Path) -> Iterator[Site]:
    """Return a site whose strategy is FAST, and whose shadow is GREEN."""
    with guide_server(GuideHome(token=token)) as home:
        site = site_of(home, tmp_path)
        with (site.folder / "config.toml").open("a", encoding="utf-8") as file:
            file.write('\n[strategy.shadow]\nname = "fixed"\nmode = "green"\n')
        yield site


def test_status_has_a_line_for_the_shadow(site: Site) -> None:
    assert call(site, "run", "--once").code == 0
    (line,) = [line for line in call(site, "status").out.splitlines() if line.startswith("  shadow")]
    assert line.startswith("  shadow    garage: STOP by fixed, written ")
    assert " s ago: STOP instead of GREEN, " in line


def test_status_in_json_has_the_shadow_as_it_has_the_decision(site: Site) -> None:
    call(site, "run", "--once")
    told = json.loads(call(site, "status", "--json").out)
    shadow = told["shadows"]["garage"]
    assert (shadow.pop("strategy"), shadow["proposed"], shadow["guard"]) == ("fixed", "GREEN", "data_age")
    assert told["decisions"]["garage"]["proposed"] == "FAST"
    assert shadow.keys() == told["decisions"]["garage"].keys()


def test_why_tells_what_the_shadow_would_have_done(site: Site) -> None:
    call(site, "run", "--once")
    lines = call(site, "why").out.splitlines()
    assert lines[0].startswith("garage: STOP, as decided at 20")
    assert lines[-1].startswith("  in the shadow: STOP by fixed, as decided at ")
    assert ": STOP instead of GREEN, " in lines[-1]


def test_check_names_the_shadow_and_export_writes_it(site: Site, tmp_path: Path) -> None:
    assert "strategy   fixed; fixed in its shadow" in call(site, "check").out
    call(site, "run", "--once")
    call(site, "export", "out")
    frame = pd.read_parquet(site.folder / "out" / "shadow_decision.parquet")
    assert list(frame["proposed"]) == [3]
    assert str(frame["at"].dtype).endswith(", UTC]")
