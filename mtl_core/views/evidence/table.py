"""The table of evidence: as text for a terminal, as Markdown for a file, as a frame for CSV."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mtl_core.views.evidence.base import OUTCOMES, PAPERS, Claim, Row
from mtl_core.views.phrases import counted, listed, plain

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COMMAND", "RULES", "by_claim", "frame", "markdown", "summary", "text"]

COMMAND = "python -m mtl_core evidence --write docs/evidence.md"
WIDTH = 100


def text(rows: Sequence[Row]) -> str:
    """For a terminal: each claim, and below it an aligned line for each setting."""
    lines = []
    titles = max((len(row.title) for row in rows), default=0)
    for claim, own in by_claim(rows):
        head = f"{claim.paper} {claim.place}: {claim.statement}"
        lines += ["", *textwrap.wrap(head, WIDTH)]
        for row in own:
            lines.append(f"  {row.found.outcome:11}  {row.title:{titles}}  {row.found.number}")
            more = filter(None, (row.on, row.elsewhere, plain(row.power)))
            lines += [f"  {'':11}  {'':{titles}}  {part}" for part in more]
    return "\n".join([summary(rows), *lines])


def markdown(rows: Sequence[Row]) -> str:
    """For a file: a table for each paper, and how each claim is judged."""
    parts = [
        "# What the papers claim, and what the runs here say",
        f"This page is written by `{COMMAND}` from the runs in `cache/`, and never by hand.",
        f"{summary(rows)} The page *Evidence* of the app shows the same rows, with links to the "
        "figures that they are read from.",
        RULES,
    ]
    numbered = _numbered(rows)
    for paper, authors in PAPERS.items():
        own = [row for row in rows if row.claim.paper == paper]
        if own:
            parts += [f"## {paper}: {authors}", _table(own, numbered)]
    parts += ["## How each claim is judged", _judged(rows)]
    return "\n\n".join(parts) + "\n"


def frame(rows: Sequence[Row]) -> "pd.DataFrame":
    """A row each, in words and as it is written."""
    import pandas as pd

    return pd.DataFrame(
        {
            "paper": row.claim.paper,
            "place": row.claim.place,
            "claim": row.claim.statement,
            "setting": row.title,
            "runs_say": row.found.outcome,
            "number": row.found.number,
            "why": plain(row.found.why),
            "on": row.on,
            "other_budgets": row.elsewhere,
            "power": plain(row.power),
            "judged": row.claim.judged,
            "page": row.claim.page,
        }
        for row in rows
    )


def summary(rows: Sequence[Row]) -> str:
    """How many claims there are, and what the runs say of them, in a sentence."""
    counts = {outcome: sum(row.found.outcome == outcome for row in rows) for outcome in OUTCOMES}
    claims = len({row.claim.key for row in rows})
    said = listed([f"{outcome} in {count}" for outcome, count in counts.items()])
    return f"{counted(claims, 'claim')} in {counted(len(rows), 'row')}: the runs here {said}."


def by_claim(rows: Sequence[Row]) -> list[tuple[Claim, list[Row]]]:
    """Each claim with its rows, in order."""
    found: dict[str, tuple[Claim, list[Row]]] = {}
    for row in rows:
        found.setdefault(row.claim.key, (row.claim, []))[1].append(row)
    return list(found.values())


def _numbered(rows: Sequence[Row]) -> dict[str, int]:
    """A claim's key to its number."""
    return {claim.key: place for place, (claim, _) in enumerate(by_claim(rows), start=1)}


def _judged(rows: Sequence[Row]) -> str:
    """How each claim is judged, those that are judged alike together."""
    alike: dict[str, list[str]] = {}
    for place, (claim, _) in enumerate(by_claim(rows), start=1):
        alike.setdefault(claim.judged, []).append(str(place))
    return "\n".join(f"- **{listed(places)}**: {how}" for how, places in alike.items())


def _table(rows: Sequence[Row], numbered: Mapping[str, int]) -> str:
    lines = [
        "| | The paper claims | Setting | The runs here | Number (95 % interval) | On | Power, or "
        "what it takes |",
        "|---|---|---|---|---|---|---|",
    ]
    for claim, own in by_claim(rows):
        for place, row in enumerate(own):
            first = place == 0
            number = str(numbered[claim.key]) if first else ""
            said = f"**{claim.place}** {claim.statement}" if first else ""
            on = "; ".join(filter(None, (row.on, row.elsewhere)))
            cells = [number, said, _title(row), f"**{row.found.outcome}**", row.found.number]
            lines.append(f"| {' | '.join(map(_cell, [*cells, on, row.power]))} |")
    return "\n".join(lines)


def _title(row: Row) -> str:
    return f"{row.title} (not the paper's)" if row.ours else row.title


def _cell(words: str) -> str:
    return words.replace("|", "\\|")


RULES = """\
*Agree* and *disagree* take evidence: E of a run is its test metric at its best validation epoch,
differences are paired over seeds, and one counts where its 95 % interval leaves out 0 after Holm's
correction for all that is judged together, as on the app's pages. (Not over the whole table: where
nothing is so, one row in twenty may say that it is.) That nothing was found is no evidence that
there is nothing. *Power* says how small an effect these seeds would have found with
80 % probability, at the spread over seeds that was seen and the level after Holm's correction.

Of several budgets with runs the best evidence counts: those that can tell at all first (as many
seeds or auxiliary sets as an outcome takes), then the one nearest to the paper's size (epochs times
training examples times encoder width), then the one with most seeds. What they say plays no part;
what other budgets say stands beside it."""
