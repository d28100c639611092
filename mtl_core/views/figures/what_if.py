"""What if: a target alone and with others, the metric over training loss."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mtl_core.errors import InputError
from mtl_core.runs.library.answers import Answers
from mtl_core.views import measures, panel
from mtl_core.views.citations import bibtex
from mtl_core.views.figures.base import Figure, Panel
from mtl_core.views.panel import Panel as Shown
from mtl_core.views.what_if import Question, kind

if TYPE_CHECKING:
    from mtl_core.charts import Curve, CurveKey

__all__ = ["curves", "figure", "figure_on", "hero"]


def figure(query: Mapping[str, str], answers: Answers) -> Figure:
    """The curves of a question as far as they are known, pins included."""
    question, told = Question.from_query(query)
    if told:
        raise InputError(told[0])
    pins = [pin for run in question.pins if (pin := answers.find_id(run)) is not None]
    return figure_on(question, panel.build(question.configs, pins, answers))


def figure_on(question: Question, shown: Shown) -> Figure:
    """The same of what was looked up already."""
    return Figure(
        "generalization",
        question.title,
        ((hero(shown, curves(shown), per_seed=question.per_seed, name="wi_hero"),),),
        lambda: shown.table,
        bibtex([config.optimizer for config in question.configs]),
    )


def curves(shown: Shown, others: "Sequence[CurveKey]" = ()) -> "list[Curve]":
    """How each shown run is drawn, the same on every page; ``others`` get what is left."""
    from mtl_core.charts import CurveKey, style_curves

    own = [CurveKey(one.label, kind(one.config), one.pinned) for one in shown.shown]
    return style_curves([*own, *others])


def hero(
    shown: Shown,
    styled: "Sequence[Curve]",
    *,
    names: Mapping[str, str] | None = None,
    made: Callable[..., Any] | None = None,
    **more: Any,
) -> Panel:
    """Generalization against training loss; ``more`` as ``generalization_chart`` takes it.

    Args:
        styled: how the curves are drawn.
        names: curves' labels to what they are called here; default as elsewhere.
        made: what makes the chart; default ``generalization_chart``.
    """
    from mtl_core.charts import generalization_alt, generalization_chart

    config = shown.baseline.config
    measure = measures.measure(config.setting, config.target)
    rows = shown.settled.replace({"curve": dict(names)}) if names else shown.settled
    called = [replace(one, label=names[one.label]) for one in styled] if names else styled
    said: dict[str, Any] = {
        "task": config.target,
        "metric_title": measure.title,
        "metric_format": measure.format,
    }
    return Panel(
        "",
        partial(made or generalization_chart, rows, called, **said, **more),
        partial(generalization_alt, called, trajectories=None if shown.going else rows, **said),
    )
