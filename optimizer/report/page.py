"""A report as one file of HTML: nothing is fetched, no script is needed, light or dark as you like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from optimizer.report.score import ACTUAL
from optimizer.report.told import COLUMNS, Line

_STYLE = """
:root { color-scheme: light dark;
  --ink: #2b3440; --paper: #fff; --line: #e3e7ea; --soft: #66717d; --mark: #2a9d6f22 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dfe5ea; --paper: #14181c; --line: #2c343b; --soft: #98a3ad; --mark: #2a9d6f3a }
}
body { margin: 0 auto; padding: 1rem; max-width: 68rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.35rem; line-height: 1.25; margin: .4rem 0 }
p, footer { color: var(--soft); font-size: .9rem }
.wide { overflow-x: auto; -webkit-overflow-scrolling: touch }
svg { display: block; width: 100%; min-width: 38rem; height: auto; margin: 1rem 0; color: var(--ink) }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; white-space: nowrap }
th, td { padding: .35rem .6rem; text-align: right; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--paper) }
th { color: var(--soft); font-weight: 500 }
tr.actual td { background: var(--mark); font-weight: 600 }
tr.bound td { color: var(--soft) }
""".strip()

LEGEND = (
    "Cost is what the house imported, less what it earned for export; what a car missed counts 0.60 €/kWh. "
    "Regret is the cost beyond the best that switching four modes could have done with perfect foresight. "
    "Skill is 1 for that best and 0 for charging at once."
)


def page(title: str, charger: str, drawing: str, lines: Sequence[Line], notes: Iterable[str]) -> str:
    """Return the page; all texts are escaped, `drawing` is SVG of our own."""
    said = "".join(f"<p>{escape(note)}</p>\n" for note in notes)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n<p>Charger: {escape(charger)}</p>\n"
        f'<div class="wide">{drawing}</div>\n<div class="wide">{_table(lines)}</div>\n'
        f"<p>{escape(LEGEND)}</p>\n{said}<footer>sunmode</footer>\n</body>\n</html>\n"
    )


def _table(lines: Sequence[Line]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in COLUMNS)
    rows = "\n".join(
        f"<tr{_class(line)}>" + "".join(f"<td>{escape(cell)}</td>" for cell in line.cells) + "</tr>"
        for line in lines
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"


def _class(line: Line) -> str:
    return f' class="{line.kind}"' if line.kind in {ACTUAL, "bound"} else ""
