"""A claim of a paper, what the runs here say of it, and the row that they make together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mtl_core import settings
from mtl_core.analysis import Finding
from mtl_core.config import RunConfig
from mtl_core.views.phrases import counted

if TYPE_CHECKING:
    from mtl_core.views.evidence.known import Known

__all__ = [
    "OURS",
    "OUTCOMES",
    "PAPERS",
    "Claim",
    "Judgement",
    "Paper",
    "Row",
    "absent",
    "ours",
    "scale",
]

Paper = Literal["M24", "MT2O"]
PAPERS: Mapping[Paper, str] = {
    "M24": "Mueller, Dredze & Andrews 2024",
    "MT2O": "Bai, Gupta & Ong 2024",
}
OUTCOMES: tuple[Finding, ...] = ("agree", "disagree", "cannot tell")
OURS = ("digits", "synthetic")
"""Settings that no paper has: they may speak to a claim, and nothing is missing without them."""


@dataclass(frozen=True)
class Claim:
    """What a paper says.

    Args:
        key: a short name.
        place: section, figure or table.
        statement: in one sentence.
        judged: how the runs are held against it.
        page: the page that shows what it is judged by, its file in ``pages/`` without the suffix.
        rows: what is known to the rows of the claim, at least one.
    """

    key: str
    paper: Paper
    place: str
    statement: str
    judged: str
    page: str
    rows: "Callable[[Claim, Known], list[Row]]" = field(compare=False, repr=False)


@dataclass(frozen=True)
class Judgement:
    """What runs of one budget say of a claim.

    Args:
        number: the deciding one, with its 95 % interval where it has one.
        why: the same in a sentence, as on the page, with its emphasis.
        power: where they cannot tell, what they would have found, or what it takes.
    """

    outcome: Finding
    number: str
    why: str
    power: str = ""


@dataclass(frozen=True)
class Row:
    """A claim in one setting or on one problem.

    Args:
        name: of the setting or problem.
        title: the same for people.
        found: what the best evidence says.
        on: what it was measured on, and how large that is beside the paper's.
        query: what the page is asked for to show it; None where there is nothing to show.
        others: what other budgets say, the best evidence first.
    """

    claim: Claim
    name: str
    title: str
    found: Judgement
    on: str = ""
    query: Mapping[str, str] | None = None
    others: Sequence[Finding] = ()

    @property
    def ours(self) -> bool:
        """Whether its setting is no paper's."""
        return ours(self.name)

    @property
    def power(self) -> str:
        """Where the runs cannot tell, what they would have found, or what it takes."""
        return self.found.power if self.found.outcome == "cannot tell" else ""

    @property
    def elsewhere(self) -> str:
        """What other budgets say, in words; empty without any."""
        counts = {outcome: self.others.count(outcome) for outcome in OUTCOMES}
        said = [f"{count} {outcome}" for outcome, count in counts.items() if count]
        return f"other budgets: {', '.join(said)}" if said else ""


_DATA = {
    "celeba": ("CelebA's images", "celeba"),
    "cityscapes": ("Cityscapes' images", "cityscapes"),
    "glue": ("GLUE's tables", "glue_minilm"),
}
"""What does not ship since its licence does not allow it, or its size, and the plan for it."""


def absent(claim: Claim, setting: str, takes: str = "") -> Row:
    """A row of a setting that the paper has and that nothing was measured in.

    Args:
        takes: what it takes beside the setting's data.
    """
    known = settings.get(setting)
    if setting in _DATA:
        data, plan = _DATA[setting]
        why = f"There is no data here: it takes {data}, which only you can get."
        power = f"takes {data}, then `precompute plans/{plan}.toml`"
    else:
        why = f"There are no such runs here: it takes {takes}."
        power = f"takes {takes}"
    return Row(claim, setting, known.title, Judgement("cannot tell", "–", why, power))


def ours(setting: str) -> bool:
    """Whether a setting is none of the papers'."""
    return setting in OURS or settings.is_own(setting)


def scale(budget: RunConfig, seeds: str) -> str:
    """How large a budget is: of the paper's size where that is larger.

    Args:
        seeds: how many, in words.
    """
    setting = settings.get(budget.setting)
    paper = None if ours(budget.setting) else setting.presets.get("paper")

    def of(own: int, whole: int) -> str:
        return f"{own:,} of {whole:,}" if own < whole else f"{own:,}"

    if paper is None:
        return f"{budget.train_size:,} examples, {budget.epochs:,} epochs, {seeds}"
    examples = paper.samples or setting.task(budget.target).train_size
    words = [
        f"{of(budget.train_size, examples)} examples",
        f"{of(budget.epochs, paper.epochs)} epochs",
    ]
    if budget.width < paper.width:
        words.append(f"encoder width {of(budget.width, paper.width)}")
    return ", ".join([*words, seeds])


def seeds_in_words(counts: Sequence[int]) -> str:
    """``3 seeds``, or ``2 to 10 seeds``."""
    if not counts:
        return "no seeds"
    least, most = min(counts), max(counts)
    return counted(least, "seed") if least == most else f"{least} to {most} seeds"
