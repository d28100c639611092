"""§4.2 of Mueller et al.: what multi-task optimizers change, and what explains it."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from mtl_core import analysis, settings
from mtl_core.analysis import DEEP, LEVEL, LITTLE, Comparison, Correlation
from mtl_core.views import smtos
from mtl_core.views.evidence.base import (
    OURS,
    Claim,
    Judgement,
    Row,
    absent,
    scale,
    seeds_in_words,
)
from mtl_core.views.evidence.known import Changes, Known
from mtl_core.views.evidence.numbers import correlation, power_of, snapped
from mtl_core.views.evidence.trade_offs import factor_power, outcomes
from mtl_core.views.measures import measure
from mtl_core.views.phrases import counted, family
from mtl_core.views.smtos import REFERENCE, Change

__all__ = ["CLAIMS"]

Judge = Callable[[Changes], Judgement]
SMALL = 0.01
"""A change by less than a point: the smallest transfer in points that Table 1 prints is 1.2."""
SETTINGS = ("fashion", "cifar100", "cityscapes", *OURS)
"""Those of Fig. 4, and ours."""


def _rows(judge: Judge) -> Callable[[Claim, Known], list[Row]]:
    def rows(claim: Claim, known: Known) -> list[Row]:
        made = []
        for name in SETTINGS:
            found = [known.changes(selection) for selection in known.optimized(name)]
            if not found:
                takes = "runs of several optimizers on the same tasks"
                made += [] if name in OURS else [absent(claim, name, takes)]
                continue
            first, *others = map(judge, found)
            best = found[0]
            query = best.selection.to_query()
            outcomes = [one.outcome for one in others]
            title = settings.get(name).title
            made.append(Row(claim, name, title, first, _on(best), query, outcomes))
        return made

    return rows


def _on(found: Changes) -> str:
    pairs = [
        min(len(group.runs[REFERENCE].config.seeds), len(group.runs[entry].config.seeds))
        for group in found.groups
        for entry in group.compared
    ]
    optimizers = {entry for group in found.groups for entry in group.compared}
    budget = next(group.budget for group in found.groups)
    return (
        f"{scale(budget, seeds_in_words(pairs))}, {counted(len(optimizers), 'optimizer')}, "
        f"{counted(len(found.found), 'change')}"
    )


def _moved(found: Changes) -> list[Comparison]:
    return [one.smto.case.transfer for one in found.found]


def _power(found: Changes) -> str:
    setting = found.selection.setting
    pairs = [(one.smto.case.transfer, measure(setting, one.smto.task)) for one in found.found]
    if len({shown.share for _, shown in pairs}) > 1:
        pairs = [(one, shown) for one, shown in pairs if shown.share]
    said = power_of(pairs)
    return f"{said} of a change" if said else ""


def _explains(found: Changes) -> Judgement:
    significant = [one for one in _moved(found) if one.significant]
    gains = sum(one.verdict == "better" for one in significant)
    number = (
        f"{gains} better and {len(significant) - gains} worse of {len(found.found)}; "
        f"{outcomes(found.verdicts)}"
    )
    return Judgement(
        analysis.factor_support(found.verdicts),
        number,
        smtos.reason(found.found, found.verdicts),
        _power(found),
    )


def _few(found: Changes) -> Judgement:
    moved = _moved(found)
    significant = sum(one.significant for one in moved)
    small = sum(one.low > -SMALL and one.high < SMALL for one in moved)
    paper = sum(one.paper in ("better", "worse") for one in moved)
    judged = family(max((one.family for one in moved), default=0))
    return Judgement(
        analysis.mostly_small(moved, SMALL),
        f"{small} certainly small, {significant} significant, of {len(moved)}",
        f"{significant} of {len(moved)} changes of generalization are significant{judged}, and the "
        f"intervals of {small} lie within ±{SMALL:g}; by the paper's ±2 SD, {paper} are "
        "significant.",
        _power(found),
    )


def _losses(found: Changes) -> list[Comparison]:
    changes = (one.smto.case.factors.get("min_train_loss") for one in found.found)
    return [one for one in changes if one is not None]


def _higher_loss(found: Changes) -> Judgement:
    losses = [one for one in _losses(found) if min(one.mean, one.baseline_mean) < DEEP]
    if not losses:
        return _shallow(found)
    higher = sum(one.verdict == "worse" for one in losses)
    lower = sum(one.verdict == "better" for one in losses)
    judged = family(max((one.family for one in losses), default=0))
    return Judgement(
        analysis.most_of(losses, "worse"),
        f"{higher} higher and {lower} lower of {len(losses)}",
        f"Of {len(losses)} minimum training losses {higher} are significantly higher and {lower} "
        f"lower than the plain sum's{judged}.",
        factor_power(losses).replace("a factor's change", "a change of the loss"),
    )


def _shallow(found: Changes) -> Judgement:
    least = [min(one.mean, one.baseline_mean) for one in _losses(found)]
    lowest = snapped(min(least, default=math.nan))
    return Judgement(
        "cannot tell",
        f"lowest mean loss {lowest:.2g}",
        f"No run comes down to L = {DEEP:g}, so that none has converged.",
        f"takes losses below {DEEP:g}",
    )


def _loss_explains(found: Changes) -> Judgement:
    (verdict,) = (one for one in found.verdicts if one.factor == "min_train_loss")
    outcome = {"moves the other way": "agree", "can explain": "disagree"}.get(verdict.outcome)
    told = verdict.reasons or verdict.missing
    more = f" and {len(told) - 2} more" if len(told) > 2 else ""
    why = f"Minimum training loss: {verdict.outcome}"
    why += f" ({'; '.join(told[:2])}{more})." if told else "."
    return Judgement(
        "agree" if outcome == "agree" else "disagree" if outcome == "disagree" else "cannot tell",
        verdict.outcome,
        why,
        _power(found),
    )


def _early_stopping(found: Changes) -> Judgement:
    """The correlation of minimum loss and generalization over the optimizers of one set and task.

    Within a task and a set all optimizers are held against one run of the plain sum, which is a
    point itself, so that its noise adds nothing to the correlation.
    """
    series: dict[tuple[tuple[str, ...], str], list[Change]] = {}
    for one in found.found:
        loss = one.smto.case.factors.get("min_train_loss")
        if loss is not None and loss.baseline_mean < DEEP:
            series.setdefault((one.auxiliaries, one.smto.task), []).append(one)
    if not series:
        return _shallow(found)
    measured = [(task, _correlation(changes)) for (_, task), changes in series.items()]
    known = [(task, one) for task, one in measured if one is not None and not one.few]
    if not known:
        return Judgement(
            "cannot tell",
            "–",
            "No task was trained with 8 optimizers or more, on the same tasks.",
            "takes 8 optimizers on the same tasks",
        )
    corrected = analysis.holm([one.pearson_p for _, one in known])
    sure = [one for (_, one), p in zip(known, corrected, strict=True) if p < LEVEL]
    near = [one for _, one in known if one.ci_low > -LITTLE and one.ci_high < LITTLE]
    task, strongest = max(known, key=lambda pair: abs(pair[1].pearson_r))
    outcome: analysis.Finding = "cannot tell"
    if sure:
        outcome = "disagree"
    elif len(near) == len(known):
        outcome = "agree"
    number = f"{correlation(strongest)}, {task}, the strongest of {len(known)}"
    why = (
        f"{len(sure)} of {counted(len(known), 'correlation')} of log minimum loss and "
        f"generalization over optimizers are significant{family(len(known))}."
    )
    r = snapped(analysis.detectable_r(strongest, len(known)))
    power = (
        f"80 % power for |r| = {r:.2f}; {analysis.sets_for_little(0)} optimizers for ±{LITTLE:g}"
    )
    return Judgement(outcome, number, why, power)


def _correlation(changes: Sequence[Change]) -> Correlation | None:
    cases = [one.smto.case for one in changes]
    points = [
        (loss.mean, case.transfer.mean)
        for case in cases
        if (loss := case.factors.get("min_train_loss")) is not None
    ]
    reference = cases[0].factors.get("min_train_loss")
    if reference is not None:
        points.append((reference.baseline_mean, cases[0].transfer.baseline_mean))
    losses, metrics = np.array(points, dtype=float).reshape(-1, 2).T
    if not (losses > 0).all():
        return None
    better = 1 if changes[0].smto.direction == "higher" else -1
    return analysis.correlate(np.log10(losses), better * metrics)


_PAGE = "Each optimizer against the plain sum on the same tasks"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "smtos",
        "M24",
        "§4.2, Fig. 4",
        "When a multi-task optimizer helps or harms a task's generalization, no factor of its "
        "optimization improves or worsens with it.",
        f"{_PAGE}. Agree where every factor certainly moves the other way somewhere, disagree "
        "where one explains every change. It takes significant changes of both signs.",
        "smtos",
        _rows(_explains),
    ),
    Claim(
        "few_changes",
        "M24",
        "§4.2, footnote 9",
        "Most tasks do not generalize significantly differently with a multi-task optimizer than "
        "with the plain sum.",
        f"{_PAGE}. Agree where the intervals of more than half lie within ±{SMALL:g} (a point), "
        "disagree where more than half are significant.",
        "smtos",
        _rows(_few),
    ),
    Claim(
        "higher_minimum",
        "M24",
        "§4.2, Fig. 4",
        "Multi-task optimizers often lead to a higher minimum training loss than the plain sum.",
        f"{_PAGE}. Of the losses that come down to 0.01, agree where more than half are certainly "
        "higher, disagree where more than half are lower.",
        "smtos",
        _rows(_higher_loss),
    ),
    Claim(
        "minimum_explains",
        "M24",
        "§4.2, Fig. 4",
        "Tasks whose minimum training loss an optimizer improves do not necessarily generalize "
        "better.",
        f"{_PAGE}. Agree where the minimum loss certainly moves the other way in some change, "
        "disagree where it explains every one.",
        "smtos",
        _rows(_loss_explains),
    ),
    Claim(
        "early_stopping",
        "M24",
        "§4.2",
        "That optimizers stop early has little correlation with whether a task improves.",
        "The correlation of log minimum training loss and E over 8 optimizers or more on the same "
        "tasks, where the plain sum comes down to 0.01; Holm over tasks and sets. Agree where all "
        f"intervals lie within ±{LITTLE:g}, disagree where one is significant.",
        "smtos",
        _rows(_early_stopping),
    ),
)
