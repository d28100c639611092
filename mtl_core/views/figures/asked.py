"""The figure of any page, by the question that stands in the page's address."""

from collections.abc import Callable, Mapping
from typing import Any

from mtl_core.errors import unknown
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.here import answers_here
from mtl_core.views.figures import (
    conflict,
    factors,
    generalization_gap,
    overview,
    pareto_front,
    smtos,
    what_if,
    which_auxiliary,
)
from mtl_core.views.figures.base import Figure

__all__ = ["FIGURES", "figure", "figure_of"]

FIGURES: Mapping[str, Callable[[Mapping[str, str], Answers], Figure]] = {
    "overview": overview.figure,
    "what_if": what_if.figure,
    "which_auxiliary": which_auxiliary.figure,
    "pareto_front": pareto_front.figure,
    "generalization_gap": generalization_gap.figure,
    "factors": factors.figure,
    "smtos": smtos.figure,
    "conflict": conflict.figure,
}
"""Page to what makes its figure of a question and of what is known."""


def figure(page: str, /, **question: Any) -> Figure:
    """The figure of one of the app's pages, of runs that ship, were imported or are in the store.

    Nothing is trained for it: ``compare`` and ``race`` do that.

    Args:
        page: as in its address, such as ``factors``; *Optimizers* is ``smtos``.
        question: what else is in its address.

    Raises:
        InputError: for a page that has none, and for a question that it does not understand.
        StoreError: when the store cannot be used.

    >>> found = figure("what_if", setting="synthetic", aux="cos100")
    >>> found.title
    'What if target is trained together with cos100?'
    >>> found.table[["curve", "verdict"]].values.tolist()
    [['+ cos100', 'better']]
    """
    asked = {name: str(value) for name, value in question.items()}
    return figure_of(page, asked, answers_here())


def figure_of(page: str, question: Mapping[str, str], answers: Answers) -> Figure:
    """The same of what is known somewhere. Raises InputError as ``figure`` does."""
    if page not in FIGURES:
        raise unknown("page with a figure", page, FIGURES)
    return FIGURES[page](question, answers)
