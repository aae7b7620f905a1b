"""The demo's last word: what other strategies would have made of its day, and the best there could be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import click

from optimizer.cli.report_site import site_from
from optimizer.config import Settings
from optimizer.errors import InputError
from optimizer.report.replay import Site
from optimizer.report.score import score_day
from optimizer.report.told import in_order, line_of, text_table

_LEFT_OUT = "stop"


def day_score(settings: Settings, file: str, day: date) -> Iterator[str]:
    """Yield the score of the day as lines of text, or why there is none; takes some seconds."""
    site = _with_rivals(site_from(settings, file))
    click.echo("What would others have made of this day? That takes some seconds ...")
    try:
        score = score_day(site, day)
    except InputError as error:
        yield f"No score: {error}"
        return
    if not score.is_scored:
        yield from (f"No score: {note}" for note in score.notes)
        return
    yield from text_table(in_order(line_of(row) for row in score.rows))
    yield "regret: paid beyond the best of four modes in perfect foresight; skill: 1 is that best, 0 is fast."


def _with_rivals(site: Site) -> Site:
    """Return the site with the strategy in use and the others; who never charges is no rival."""
    own = {one.name for one in site.contenders if one.kind == "active"}
    rivals = (
        one for one in site.contenders if one.kind == "active" or one.entry.name not in own | {_LEFT_OUT}
    )
    return replace(site, contenders=tuple(rivals))
