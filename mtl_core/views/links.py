"""Links: the pages that show some experiments, and what they are to be asked for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mtl_core.runs.library.answers import Answer
from mtl_core.views import smtos, vocabulary
from mtl_core.views.codec import MOST_PINS
from mtl_core.views.pareto_front import FrontQuestion
from mtl_core.views.what_if import Question

__all__ = ["Link", "front_question", "links", "question", "smtos_selection"]


@dataclass(frozen=True)
class Link:
    """A way to another page.

    Args:
        page: its file in ``pages/``, without the suffix.
        query: what it is asked for.
    """

    page: str
    label: str
    query: Mapping[str, str]


def links(found: Sequence[Answer]) -> list[Link]:
    """The pages that show some experiments, kind by kind; each takes what it can show of them."""
    ways: list[Link] = []
    for kind in dict.fromkeys(one.kind.name for one in found):
        to = _LINKS.get(kind)
        ways += to([one for one in found if one.kind.name == kind]) if to else []
    return ways


def question(found: Sequence[Answer]) -> Question:
    """What if's question that shows these: the first is asked for, the others are pinned.

    One that no question asks for is pinned as well.
    """
    config = found[0].config
    group = smtos.Group(config.baseline, config.auxiliaries, {smtos.REFERENCE: found[0]})
    asked = smtos.question(group, [smtos.Entry.of(config)])
    alike = [
        one.config.id
        for one in (found[1:] if asked else found)
        if (one.config.setting, one.config.target) == (config.setting, config.target)
    ]
    if asked is None:
        preset = vocabulary.words(config).preset
        asked = Question(config.setting, config.target, config.auxiliaries, preset)
    pins = [run for run in dict.fromkeys(alike) if run not in {one.id for one in asked.configs}]
    return replace(asked, pins=tuple(pins[:MOST_PINS]))


def smtos_selection(found: Sequence[Answer]) -> smtos.Selection | None:
    """What the page Optimizers shows of these: the optimizers of the first one's tasks and budget.

    None where none with a finished run has auxiliaries.
    """
    able = [one.config for one in found if one.config.auxiliaries and one.done]
    if not able:
        return None
    first = able[0]
    alike = [config for config in able if config.baseline == first.baseline]
    chosen = {smtos.Entry.of(c) for c in alike if c.auxiliaries == first.auxiliaries}
    return smtos.Selection(
        first.setting,
        first.target,
        smtos.budget_name(first.baseline),
        (first.auxiliaries,),
        tuple(sorted(chosen - {smtos.REFERENCE}, key=smtos.rank)),
    )


def front_question(found: Sequence[Answer]) -> FrontQuestion:
    """The Pareto front page's question for the first; others of its problem are pinned."""
    first = found[0].config
    alike = dict.fromkeys(
        one.config.id
        for one in found[1:]
        if (one.config.problem, one.config.problem_options)
        == (first.problem, first.problem_options)
    )
    pins = [run for run in alike if run != first.id]
    return replace(FrontQuestion.of(first), pins=tuple(pins[:MOST_PINS]))


def _training(found: Sequence[Answer]) -> list[Link]:
    ways = [Link("what_if", "Open on What if", question(found).to_query())]
    if selection := smtos_selection(found):
        ways.append(Link("smtos", "Compare on Optimizers", selection.to_query()))
    return ways


def _front(found: Sequence[Answer]) -> list[Link]:
    return [Link("pareto_front", "Open on Pareto front", front_question(found).to_query())]


_LINKS: dict[str, Callable[[Sequence[Answer]], list[Link]]] = {
    "training": _training,
    "front": _front,
}
