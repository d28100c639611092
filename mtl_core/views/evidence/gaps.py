"""§3 of Mueller et al.: transfer, where it shows, and how far losses are minimised."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

from mtl_core import analysis, settings
from mtl_core.analysis import DEEP, EARLY_LOSS, Comparison, PublishedRow, Verdict
from mtl_core.views import comparisons, generalization_gap
from mtl_core.views.comparisons import Joint, Pool
from mtl_core.views.evidence.base import (
    OURS,
    Claim,
    Judgement,
    Row,
    absent,
    scale,
    seeds_in_words,
)
from mtl_core.views.evidence.known import Gap, Known
from mtl_core.views.evidence.numbers import (
    change,
    percent,
    power_of,
    settle,
    snapped,
    sure,
    written,
)
from mtl_core.views.measures import Measure, measure
from mtl_core.views.phrases import counted, listed

__all__ = ["CLAIMS", "judged_rows", "on"]

Judge = Callable[[Known, Pool], Judgement]
THREE, SIX = 1e3, 1e6
"""Orders of magnitude, as factors."""


def judged_rows(
    claim: Claim,
    known: Known,
    names: Sequence[str],
    pools: Callable[[str], Sequence[Pool]],
    judge: Judge,
    takes: str = "a task alone and with others",
) -> list[Row]:
    """A row for each setting, by its best evidence; those of ours only where there is any.

    Args:
        pools: a setting to its budgets, the best evidence first.
        takes: what it takes where there is none.
    """
    rows = []
    for name in names:
        found = pools(name)
        if not found:
            rows += [] if name in OURS else [absent(claim, name, takes)]
            continue
        first, *others = (judge(known, pool) for pool in found)
        best = found[0]
        query = {"setting": name, "budget": best.name}
        outcomes = [one.outcome for one in others]
        title = settings.get(name).title
        rows.append(Row(claim, name, title, first, on(best), query, outcomes))
    return rows


def on(pool: Pool) -> str:
    """What a pool's usual comparisons were measured on."""
    pairs = [(pool.singles[task], run) for task in pool.tasks for run in pool.cases(task)]
    seeds = [min(len(one.config.seeds), len(other.config.seeds)) for one, other in pairs]
    return f"{scale(pool.budget, seeds_in_words(seeds))}, {counted(len(pairs), 'comparison')}"


# Fig. 1: what helps and harms by construction.


def _expected(auxiliary: str, side: Verdict, known: Known, pool: Pool) -> Judgement:
    """Whether a target's transfer with one auxiliary is what its construction promises."""
    target = pool.setting.default_target
    order = [task.name for task in pool.setting.tasks]
    wanted: Joint = tuple(sorted((target, auxiliary), key=order.index))
    for gap in known.gaps(pool).found:
        moved = gap.case.transfer
        if gap.task == target and comparisons.joint(gap.run.config) == wanted and moved:
            shown = measure(pool.setting.name, target)
            powers = [power_of([(moved, shown)]), settle(moved)]
            return Judgement(
                analysis.all_of([moved], side),
                change(moved, shown),
                f"Transfer to {target} with {auxiliary} is {_called(moved)} {sure(moved)}.",
                "; ".join(filter(None, powers)),
            )
    pair = f"{target} with {auxiliary}"
    why = f"There is no run of {pair} at this budget."
    return Judgement("cannot tell", "–", why, f"takes {pair} at this budget")


def _called(found: Comparison) -> str:
    words = {"better": "positive", "worse": "negative", "not significant": "not significant"}
    return words.get(found.verdict, found.verdict)


# Fig. 1, 2: when it shows.


def _early(known: Known, pool: Pool) -> Judgement:
    found, verdict = known.gaps(pool).found, known.gaps(pool).verdict
    significant = [gap.case for gap in found if gap.case.significant]
    opened = [
        f"{case.name} at L = {snapped(case.onset.train_loss):.2g}, {percent(case.share)} of "
        "the way down"
        for case in significant
        if case.onset is not None
    ]
    number = f"no significant transfer of {len(found)}"
    if verdict.telling:
        number = f"{len(verdict.early)} of {len(verdict.telling)} open above L = {EARLY_LOSS:g}"
    elif significant:
        number = f"none that can tell of {counted(len(significant), 'significant transfer')}"
    if opened and len(opened) <= 3:
        number += f"; {listed(opened)}"
    return Judgement(
        verdict.outcome,
        number,
        generalization_gap.reason(verdict),
        _what_early_takes(found, pool),
    )


def _what_early_takes(found: Sequence[Gap], pool: Pool) -> str:
    significant = [gap.case for gap in found if gap.case.significant]
    if not significant:
        return _transfer_power(found, pool)
    short = [case for case in significant if not case.telling]
    if len(short) == len(significant):
        lowest = min(snapped(case.lowest) for case in short)
        return f"takes losses down to {EARLY_LOSS / 10:g} in both runs; the lowest is {lowest:.2g}"
    return "takes more seeds, for onsets that are certain"


def _transfer_power(found: Sequence[Gap], pool: Pool) -> str:
    """How small a transfer would have been found."""
    pairs = [
        (gap.case.transfer, measure(pool.setting.name, gap.task))
        for gap in found
        if gap.case.transfer is not None
    ]
    if len({shown.share for _, shown in pairs}) > 1:
        pairs = [(one, shown) for one, shown in pairs if shown.share]
    said = power_of(pairs)
    return f"{said} of transfer" if said else ""


def _far(known: Known, pool: Pool) -> Judgement:
    """Three orders of magnitude above the eventual loss."""
    found = known.gaps(pool).found
    cases = [gap.case for gap in found]
    outcome = analysis.far_verdict(cases, known.beginnings(pool, THREE), THREE)
    significant = [case for case in cases if case.significant]
    opened = [
        f"{case.name} at {_times(case.onset.train_loss / case.lowest)} times the lowest loss"
        for case in significant
        if case.onset is not None
    ]
    longest = max((case.highest / case.lowest for case in cases), default=math.nan)
    number = listed(opened) or "no onset"
    why = (
        f"Of {counted(len(cases), 'comparison')} {len(significant)} "
        f"{'has' if len(significant) == 1 else 'have'} a significant transfer; losses fall by a "
        f"factor of {_times(longest)}."
    )
    return Judgement(outcome, number, why, _what_far_takes(found, pool, longest))


def _what_far_takes(found: Sequence[Gap], pool: Pool, longest: float) -> str:
    if not any(gap.case.significant for gap in found):
        return _transfer_power(found, pool)
    if longest <= THREE:
        return f"takes losses that fall by more than {_times(THREE)} times"
    return "takes more seeds, for onsets that are certain"


def _times(factor: float) -> str:
    return f"{float(f'{factor:.2g}'):,.10g}" if math.isfinite(factor) else "–"


def _anywhere(claim: Claim, known: Known) -> list[Row]:
    """Six orders of magnitude in some case, of any setting's best evidence."""
    ways, cases = [], 0
    for name in settings.names():
        for pool in known.compared(name)[:1]:
            for gap in known.gaps(pool).found:
                case = gap.case
                cases += 1
                if (
                    case.significant
                    and case.transfer is not None
                    and case.onset is not None
                    and case.onset.verdict == case.transfer.verdict
                ):
                    ways.append((case.onset.train_loss / case.lowest, f"{name} {case.name}", name))
    best = max(ways, default=None)
    agrees = best is not None and best[0] >= SIX
    number = f"{_times(best[0])} times at most, {best[1]}" if best else "no onset"
    why = (
        f"Of {counted(cases, 'comparison')} in all settings, {len(ways)} "
        f"{'has' if len(ways) == 1 else 'have'} a gap of their significant transfer's sign."
    )
    power = "" if agrees else f"takes a run whose losses fall by more than {_times(SIX)} times"
    found = Judgement("agree" if agrees else "cannot tell", number, why, power)
    query = {"setting": best[2]} if best else None
    return [Row(claim, "any", "any setting", found, "each setting's best evidence", query)]


# Fig. 2: how far losses are minimised.


def _higher_loss(known: Known, pool: Pool) -> Judgement:
    found = [gap.loss for gap in known.gaps(pool).found]
    losses = [one for one in found if one is not None]
    telling = [one for one in losses if min(one.mean, one.baseline_mean) < DEEP]
    if not telling:
        lowest = min(
            (snapped(min(one.mean, one.baseline_mean)) for one in losses), default=math.nan
        )
        return Judgement(
            "cannot tell",
            f"lowest mean loss {lowest:.2g}",
            f"No run comes down to L = {DEEP:g}, so that none has converged.",
            f"takes losses below {DEEP:g}",
        )
    higher = [one for one in telling if one.verdict == "worse"]
    lower = [one for one in telling if one.verdict == "better"]
    ratio = median(one.mean / one.baseline_mean for one in telling)
    return Judgement(
        analysis.most_of(telling, "worse"),
        f"{len(higher)} of {len(telling)} higher, median ×{snapped(ratio):.2g}",
        f"Of {counted(len(telling), 'comparison')} that come down to L = {DEEP:g}, the multi-task "
        f"run ends significantly higher in {len(higher)} and lower in {len(lower)}.",
        _loss_power(telling),
    )


def _loss_power(found: Sequence[Comparison]) -> str:
    """How much higher a multi-task run would have to end, as a multiple of the single task's."""
    missed = [one for one in found if not one.significant]
    sizes = [analysis.detectable(one) / one.baseline_mean for one in missed]
    known = sorted(size for size in sizes if math.isfinite(size))
    return f"80 % power for ×{snapped(1 + median(known)):.2g} in the median" if known else ""


# Fig. 6-10 and Table 1: who gains and who loses.


def _printed(setting: str, sides: Sequence[Verdict], known: Known, pool: Pool) -> Judgement:
    """Whether tasks that the paper prints as gaining or losing do so here."""
    rows = [row for row in known.printed.of(setting) if row.transfer in sides]
    gaps: dict[str, Gap] = {}
    for gap in known.gaps(pool).found:
        gaps.setdefault(gap.task, gap)
    pairs = [(row, gaps[row.task].case.transfer if row.task in gaps else None) for row in rows]
    both = [(row, one) for row, one in pairs if one is not None]
    same = sum(one.delta * row.deltas["transfer"] > 0 for row, one in both)
    sure_ones = [(row, one) for row, one in both if one.significant]
    agreeing = sum(one.verdict == row.transfer for row, one in sure_ones)
    number = f"{agreeing} of {len(rows)} significantly so; {same} of {len(both)} with that sign"
    told = [_beside(row, one, measure(setting, row.task)) for row, one in both]
    missing = [row.title for row, one in pairs if one is None]
    why = f"{listed(told)}." if told else "None of these tasks was trained alone and with others."
    if missing and told:
        why += f" Not measured here: {listed(missing)}."
    return Judgement(
        analysis.all_of([one for _, one in pairs], [row.transfer for row in rows]),
        number,
        why,
        _printed_power(setting, both),
    )


def _beside(row: PublishedRow, found: Comparison, shown: Measure) -> str:
    return f"{row.title} {change(found, shown)} (printed {written(row.deltas['transfer'], '+g')})"


def _printed_power(setting: str, both: Sequence[tuple[PublishedRow, Comparison]]) -> str:
    pairs = [(one, measure(setting, row.task)) for row, one in both]
    if len({shown.share for _, shown in pairs}) > 1:
        pairs = [(one, shown) for one, shown in pairs if shown.share]
    said = power_of(pairs)
    return f"{said} of transfer" if said else ""


def _of_settings(names: Sequence[str], judge: Judge) -> Callable[[Claim, Known], list[Row]]:
    return lambda claim, known: judged_rows(claim, known, names, known.compared, judge)


EVERY = ("fashion", "mnists", "cifar100", "celeba", "cityscapes", "glue", *OURS)
CLAIMS: tuple[Claim, ...] = (
    Claim(
        "help",
        "M24",
        "§3.1, Fig. 1",
        "On FashionMTL, training with more data of the same distribution helps Fashion1.",
        "Agree where this transfer is positive, disagree where it is negative.",
        "generalization_gap",
        _of_settings(("fashion",), partial(_expected, "fashion2", "better")),
    ),
    Claim(
        "harm",
        "M24",
        "§3.1, Fig. 1",
        "On FashionMTL, training with noisy labels harms Fashion1.",
        "Agree where this transfer is negative, disagree where it is positive.",
        "generalization_gap",
        _of_settings(("fashion",), partial(_expected, "noisy_fashion", "worse")),
    ),
    Claim(
        "early",
        "M24",
        "§3.1, Fig. 1, 2",
        "Where multi-task training changes generalization, the change arises early, as a gap at "
        "comparable training loss as high as 1 or 0.1, and stays.",
        "Agree where every significant transfer whose losses fall below 0.01 opens as a gap above "
        "L = 0.1; disagree where less than half of a gap certainly was there at L = 0.1. The way "
        "down is that of log loss.",
        "generalization_gap",
        _of_settings(EVERY, _early),
    ),
    Claim(
        "three_orders",
        "M24",
        "§3.1, Fig. 1",
        "On FashionMTL, the gap shows at a training loss over 3 orders of magnitude above the "
        "eventual one.",
        "Agree where every significant transfer opens at 1,000 times the lowest loss that both "
        "runs reach, or above; disagree where less than half of a gap certainly was there by then. "
        "Losses have to fall that far.",
        "generalization_gap",
        _of_settings(("fashion",), _far),
    ),
    Claim(
        "six_orders",
        "M24",
        "§3.1, Fig. 2",
        "In some cases, the gap shows at a training loss over 6 orders of magnitude above the "
        "eventual one.",
        "Agree where one significant transfer of any setting does; that none does here refutes "
        "nothing.",
        "generalization_gap",
        _anywhere,
    ),
    Claim(
        "higher_loss",
        "M24",
        "§3.1, Fig. 2",
        "In general, multi-task trajectories converge to a higher training loss than single-task "
        "ones.",
        "The lowest training loss of a seed, paired over seeds, all comparisons judged together. "
        "Agree where more than half of those that come down to L = 0.01 end significantly higher, "
        "disagree where more than half end lower.",
        "generalization_gap",
        _of_settings(EVERY, _higher_loss),
    ),
    Claim(
        "cifar_losers",
        "M24",
        "App. E, Fig. 6, Table 1",
        "On CIFAR-100, these tasks lose from multi-task training: Fruits And Vegetables, Large "
        "Carnivores, Outdoor Scenes and Medium Mammals.",
        "Agree where all of these transfers are negative, disagree where one is positive.",
        "generalization_gap",
        _of_settings(("cifar100",), partial(_printed, "cifar100", ("worse",))),
    ),
    Claim(
        "cifar_gainers",
        "M24",
        "App. E, Fig. 7, Table 1",
        "On CIFAR-100, these tasks gain from multi-task training: Fish, Large Herbivores and "
        "Invertebrates.",
        "Agree where all of these transfers are positive, disagree where one is negative.",
        "generalization_gap",
        _of_settings(("cifar100",), partial(_printed, "cifar100", ("better",))),
    ),
    Claim(
        "celeba_transfers",
        "M24",
        "App. E, Fig. 8, 9, Table 1",
        "On CelebA, Blurry and Eyeglasses lose from multi-task training, and Double Chin and Gray "
        "Hair gain.",
        "Agree where all of these transfers are as printed, disagree where one has the other sign.",
        "generalization_gap",
        _of_settings(("celeba",), partial(_printed, "celeba", ("better", "worse"))),
    ),
    Claim(
        "cityscapes_transfers",
        "M24",
        "§3.1, Fig. 2, Table 1",
        "On Cityscapes, segmentation and depth gain from multi-task training.",
        "Agree where both transfers are positive, disagree where one is negative.",
        "generalization_gap",
        _of_settings(("cityscapes",), partial(_printed, "cityscapes", ("better", "worse"))),
    ),
    Claim(
        "glue_transfers",
        "M24",
        "App. E, Fig. 10, Table 1",
        "On GLUE, STS-B loses from multi-task training, and MRPC, RTE and SST-2 gain.",
        "Agree where all of these transfers are as printed, disagree where one has the other sign.",
        "generalization_gap",
        _of_settings(("glue",), partial(_printed, "glue", ("better", "worse"))),
    ),
)
