"""Overview: help and harm at first sight, in the words of somebody who has read no paper."""

from collections.abc import Sequence

from mtl_core import settings
from mtl_core.analysis import LOSS_FLOOR
from mtl_core.charts.over_loss import Bracket
from mtl_core.checks import MOST_SEEDS
from mtl_core.config import RunConfig
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views.comparisons import alike
from mtl_core.views.measures import measure
from mtl_core.views.panel import Panel
from mtl_core.views.what_if import Question

__all__ = ["ALONE", "about", "brackets", "names", "runs", "try_it", "window"]

ALONE, RELATED, UNRELATED = "alone", "with a related task", "with an unrelated task"
MOST_SETS = 4
"""Auxiliary sets whose curves can still be told apart."""


def runs(setting: str, answers: Answers) -> tuple[str, list[Answer]] | None:
    """At the largest budget that ships: the single task, and it with as few others as there are.

    Where one of them is known to help and another to harm, these two alone.
    """
    for preset in ("paper", "standard", "quick"):
        base = RunConfig.from_preset(setting, preset)
        single = answers.find_id(base.id)
        together = [
            answer
            for answer in alike(base, answers)
            if answer.config.auxiliaries
            and (answer.config.optimizer, answer.config.options) == (base.optimizer, ())
        ]
        if single is None or not together:
            continue
        least = min(len(answer.config.auxiliaries) for answer in together)
        few = [answer for answer in together if len(answer.config.auxiliaries) == least]
        order = {task.name: number for number, task in enumerate(settings.get(setting).tasks)}
        few.sort(key=lambda answer: [order[name] for name in answer.config.auxiliaries])
        return preset, [single, *_telling(few)]
    return None


def _telling(few: Sequence[Answer]) -> list[Answer]:
    by_relation: dict[str, Answer] = {}
    for answer in few:
        if relation := _relation(answer.config):
            by_relation.setdefault(relation, answer)
    if len(by_relation) == 2:
        return [by_relation[RELATED], by_relation[UNRELATED]]
    return list(few[:MOST_SETS])


def _relation(config: RunConfig) -> str | None:
    """What is known of a single auxiliary from how it was made."""
    if len(config.auxiliaries) != 1:
        return None
    setting, (name,) = settings.get(config.setting), config.auxiliaries
    if expected := setting.task(name).expected:
        return RELATED if expected == "helpful" else UNRELATED
    if setting.relatedness is not None and name != config.target:
        known = setting.relatedness(name, config.target)
        if (known.cosine, known.label_noise) == (0.0, 0.0):
            return UNRELATED
    return None


def names(panel: Panel) -> dict[str, str]:
    """The curves' labels to plain names; what has none keeps its label."""
    found = {panel.baseline.label: ALONE}
    for one in panel.shown[1:]:
        name = _relation(one.config) or one.label
        found[one.label] = name if name not in found.values() else one.label
    return found


def about(config: RunConfig) -> str:
    """Which tasks a plain name stands for, with their titles."""
    setting = settings.get(config.setting)
    told = [f"{name} ({setting.task(name).title})" for name in config.tasks]
    return f"{told[0]} alone." if len(told) == 1 else f"{told[0]}, with {' and '.join(told[1:])}."


def brackets(panel: Panel) -> list[Bracket]:
    """The gaps that are there, each at the lowest loss that both of its curves have reached."""
    shown = measure(panel.baseline.config.setting, panel.baseline.config.target)
    found = []
    for one in panel.shown[1:]:
        gap = panel.gap(one) if panel.comparable(one) and not panel.so_far(one) else None
        if gap is not None and gap.comparison.significant:
            base, value = (sum(of) / len(of) for of in (gap.baseline_metrics, gap.metrics))
            label = shown.delta(gap.comparison.delta)
            found.append(Bracket(gap.train_loss, base, value, label))
    return found


def window(
    panel: Panel, marked: Sequence[Bracket]
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """The losses and the values of the metric among which the marked gaps are plain to see.

    Returns:
        The least and the largest of each; None without a gap.
    """
    if not marked:
        return None
    values = [value for one in marked for value in (one.value, one.other)]
    least, most = min(values), max(values)
    low, high = least - 2.5 * (most - least), most + 1.2 * (most - least)
    rows = panel.settled[panel.settled["task"] == panel.baseline.config.target]
    seen = rows[rows["test_metric"].between(low, high) & (rows["step"] > 0)]["train_loss"]
    return (max(float(seen.min()), LOSS_FLOOR) / 1.3, float(seen.max())), (low, high)


def try_it(answers: Answers) -> Question:
    """A question that trains anywhere in seconds, about seeds that nobody has trained yet."""
    asked = Question("synthetic", "target", ("cos100",))
    for first in range(10, 10 * MOST_SEEDS, 3):
        seeds = (first, first + 1, first + 2)
        question = Question(asked.setting, asked.target, asked.auxiliaries, seeds=seeds)
        if not answers.find(question.config).done:
            return question
    return asked
