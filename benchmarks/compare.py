"""Run the usual strategies on all cases for docs/compared.md: `python benchmarks/compare.py [NAME ...]`.

Cases that are not named, and measured ones whose files are not there, keep what the page says of them.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from compared_cases import MEASURED, SAMPLE, Told, measured_cases, sample_case
from compared_figures import figures_of, gap_head, gap_row, glance_head, glance_row, section
from places import ROOT

_GLANCE, _GAP = "glance", "gap"


def main(arguments: Sequence[str]) -> None:
    """Write the page anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a case as the page's markers call it")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "compared.md", help="another page")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        cases = {told.name: told for told in (sample_case(), *measured_cases(Path(folder)))}
        if len(cases) == 1:
            print(f"no measured data at {MEASURED}: there is only '{SAMPLE}'", file=sys.stderr)
        if unknown := set(asked.names) - set(cases):
            parser.error(f"no case is called {', '.join(sorted(unknown))}; there are: {', '.join(cases)}")
        page = asked.page.read_text(encoding="utf-8")
        page = told_anew(page, [cases[name] for name in asked.names or cases])
    asked.page.write_text(page, encoding="utf-8")


def told_anew(page: str, cases: Iterable[Told]) -> str:
    """Return the page with the sections and the lines of these cases made anew."""
    for told in cases:
        print(f"running {told.title} ...", file=sys.stderr, flush=True)
        figures = figures_of(told)
        page = _with_block(page, told.name, section(told, figures))
        glance = _with_row(block(page, _GLANCE), glance_head(), glance_row(told, figures))
        gaps = _with_row(block(page, _GAP), gap_head(), gap_row(told, figures))
        page = _with_block(_with_block(page, _GLANCE, glance), _GAP, gaps)
    return page


def block(page: str, name: str) -> str:
    """Return what stands between the markers of a block."""
    found = re.search(rf"<!-- {name} -->\n(.*?)\n?<!-- /{name} -->", page, re.DOTALL)
    if found is None:
        raise LookupError(f"the page has no block <!-- {name} --> ... <!-- /{name} -->")
    return found[1]


def _with_block(page: str, name: str, text: str) -> str:
    block(page, name)
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = page.partition(begin)
    return f"{before}{begin}{text}\n{end}{rest.partition(end)[2]}"


def _with_row(table: str, head: Sequence[str], row: str) -> str:
    """Return the table with this row in place of the one of the same case, or at its end."""
    rows = {line.partition(" | ")[0]: line for line in (*table.splitlines()[len(head) :], row)}
    return "\n".join([*head, *rows.values()])


if __name__ == "__main__":
    main(sys.argv[1:])
