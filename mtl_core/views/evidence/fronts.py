"""Bai et al.: whether transfers among subproblems find fronts sooner, and fronts that are good.

The paper's transfer matrix is not at hand. What is judged is *Adaptive*, which is made after what
is known of the authors' earlier MTES, and was chosen for that beforehand.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean

import numpy as np
import pandas as pd

from mtl_core import analysis
from mtl_core.analysis import Comparison, Finding
from mtl_core.analysis import intervals as t_intervals
from mtl_core.pareto import curves, problems
from mtl_core.runs.library.answers import Answers
from mtl_core.views import pareto_panel, toy
from mtl_core.views import pareto_speedup as speedup
from mtl_core.views.evidence.base import Claim, Judgement, Row
from mtl_core.views.evidence.known import Known
from mtl_core.views.evidence.numbers import percent, snapped, written
from mtl_core.views.pareto_front import METHOD_TITLES, FrontQuestion
from mtl_core.views.pareto_panel import FrontPanel, ShownFront
from mtl_core.views.pareto_speedup import Lead
from mtl_core.views.phrases import family, listed

__all__ = ["CLAIMS", "nearly_twice", "spread", "volume"]

JUDGED = "adaptive"
TWICE = 1.5
"""Nearly twice as fast is at least so many times as fast."""
DOMAINS = {
    "toy": "synthetic",
    "convex": "synthetic",
    "three": "synthetic",
    "linnerud": "multi-target regression",
    "multimnist": "image classification",
    "multifashion": "image classification",
    "fashion_and_mnist": "image classification",
    "nyuv2": "scene understanding",
}
"""Problems of the paper's domains."""
_FOUND: dict[str, Finding] = {"sooner": "agree", "later": "disagree"}


@dataclass(frozen=True)
class Solved:
    """The fronts of a problem at its largest budget that they were solved for with."""

    question: FrontQuestion
    panel: FrontPanel

    @cached_property
    def fronts(self) -> dict[str, ShownFront]:
        """Method to its front, of those that are done."""
        done = [one for one in self.panel.asked if one.answer.state == "done"]
        return {one.config.method: one for one in done}

    def last(self, method: str, column: str) -> dict[int, float]:
        """Seed to a measure of its last front."""
        quality = self.fronts[method].quality.sort_values("step").groupby("seed").tail(1)
        pairs = zip(quality["seed"], quality[column].astype(float), strict=True)
        return {int(seed): value for seed, value in pairs}

    @property
    def on(self) -> str:
        config = self.fronts[JUDGED].config
        most = problems.get(config.problem).preset("paper").iterations
        of = f" of {most:,}" if config.iterations < most else ""
        return (
            f"{config.iterations:,}{of} iterations, {len(config.weights)} solutions, "
            f"{len(config.seeds)} seeds"
        )


def solved(problem: str, answers: Answers) -> Solved | None:
    """The largest budget at which the judged transfer and Independent are done; None without."""
    usual = FrontQuestion.default(problem)
    for preset in reversed(list(problems.get(problem).presets)):
        question = replace(usual, preset=preset)
        there = [answers.find_id(question.config(method).id) for method in (JUDGED, "independent")]
        if any(one is None or not one.done for one in there):
            continue
        shared = set.intersection(*(set(one.done) for one in there if one is not None))
        if not shared:
            continue
        seeds = tuple(sorted(shared))
        question = replace(question, seeds=seeds, seed=seeds[0])
        return Solved(question, pareto_panel.build(question, answers))
    return None


def _solved(problem: str, known: Known) -> Solved | None:
    return known.once(("front", problem), lambda: solved(problem, known.answers))


# How soon.


def _speed(claim: Claim, known: Known) -> list[Row]:
    rows = []
    for name in DOMAINS:
        one = _solved(name, known)
        if one is None:
            rows.append(_absent(claim, name))
            continue
        words, leads = _leads(one.panel)
        rows += [
            _row(claim, name, one, _sooner(lead, words), _start(lead, one))
            for lead in leads
            if lead.pace.method == JUDGED
        ]
    return rows


def _leads(panel: FrontPanel) -> tuple[str, Sequence[Lead]]:
    """As on the page: to the true front where one gets near it, else to the best of all."""
    if panel.front_known and panel.problem.own_starts:
        found = speedup.speed_up(panel, toy.true_hypervolume(panel.focus.config))
        if found is not None and any(pace.reached for pace in found.paces):
            return " ".join(found.words), found.leads
    return "", speedup.leads_to_best(panel)


def _start(lead: Lead, one: Solved) -> str:
    if not one.panel.problem.own_starts:
        return ""
    return ", one shared start" if lead.pace.start == "shared" else ", random starts"


def _sooner(lead: Lead, words: str) -> Judgement:
    control = METHOD_TITLES[lead.control.method]
    own = METHOD_TITLES[lead.pace.method]
    if lead.verdict == "not reached":
        number = f"reached on {lead.pace.reached} of {len(lead.pace.counts)} seeds"
    else:
        number = (
            f"×{snapped(lead.ratio):.2f} of {control}: {_signed(lead.difference)} evaluations"
            f"{_ends(lead)}"
        )
    why = words or (
        f"To {curves.SHARE:.0%} of the best final hypervolume {own} takes "
        f"{_count(lead.pace.mean)} gradient evaluations and {control} {_count(lead.control.mean)}."
    )
    size = analysis.smallest(lead.error, len(lead.pace.counts) - 1, lead.comparisons)
    power = (
        f"80 % power for {_count(snapped(size))} evaluations"
        if math.isfinite(size)
        else "takes more saved frames: the difference is the same on every seed"
    )
    return Judgement(_FOUND.get(lead.verdict, "cannot tell"), number, why, power)


def _ends(lead: Lead) -> str:
    if lead.low == lead.high:
        return " on every seed"
    return f" [{_signed(lead.low)}, {_signed(lead.high)}]"


def nearly_twice(one: Solved) -> Judgement:
    """Whether the judged transfer is nearly twice as fast as the next best without transfer."""
    counts = curves.converged({name: shown.quality for name, shown in one.fronts.items()})
    others = [name for name in ("independent", "mgda", "pareto_mtl") if name in counts]
    best = min(others, key=lambda name: (bool(counts[name].isna().any()), counts[name].mean()))
    pairs = pd.DataFrame({"ours": counts[JUDGED], "best": counts[best]}).dropna()
    logs = np.log((pairs["best"] / pairs["ours"]).to_numpy(dtype=float))
    found = t_intervals.paired(logs.tolist())
    low, high = math.exp(found.low), math.exp(found.high) if found.high < 700 else math.inf
    outcome: Finding = "cannot tell"
    if low >= TWICE:
        outcome = "agree"
    elif high < TWICE:
        outcome = "disagree"
    ratio = math.exp(float(logs.mean())) if logs.size else math.nan
    title = METHOD_TITLES[best]
    number = f"{snapped(ratio):.2f} times as fast as {title}"
    if math.isfinite(high):
        number += f" [{snapped(low):.2f}, {snapped(high):.2f}]"
    why = (
        f"{METHOD_TITLES[JUDGED]} takes {_count(counts[JUDGED].mean())} evaluations, {title}, the "
        f"next best, {_count(counts[best].mean())}."
    )
    error = found.spread / math.sqrt(len(logs)) if len(logs) > 1 else math.nan
    size = analysis.smallest(error, len(logs) - 1)
    power = f"80 % power for {snapped(math.exp(size)):.2f} times" if math.isfinite(size) else ""
    return Judgement(outcome, number, why, power)


# How good.


def spread(one: Solved) -> Judgement:
    """Whether the front is at least 90 % as wide as that of subproblems solved each on its own."""
    alone = one.last("independent", "coverage")

    def ratios(method: str) -> list[float]:
        own = one.last(method, "coverage")
        return [own[seed] / alone[seed] for seed in own if alone.get(seed, 0) > 0]

    shares = ratios(JUDGED)
    found = t_intervals.paired([share - curves.SHARE for share in shares])
    outcome: Finding = "cannot tell"
    if found.low > 0:
        outcome = "agree"
    elif found.high < 0:
        outcome = "disagree"
    number = f"{percent(fmean(shares), 1)} of Independent's"
    if math.isfinite(found.low) and math.isfinite(found.high):
        ends = [f"{snapped(100 * (curves.SHARE + end)):.1f}" for end in (found.low, found.high)]
        number += f" [{ends[0]}, {ends[1]}]"
    beside = [
        f"{METHOD_TITLES[name]} {percent(fmean(ratios(name)))}"
        for name in one.fronts
        if name not in (JUDGED, "independent")
    ]
    why = f"The front's spread beside that of Independent; others: {listed(beside)}."
    error = found.spread / math.sqrt(len(shares)) if len(shares) > 1 else math.nan
    size = analysis.smallest(error, len(shares) - 1)
    power = f"80 % power for {snapped(100 * size):.1f} % of it" if math.isfinite(size) else ""
    return Judgement(outcome, number, why, power)


def volume(one: Solved) -> Judgement:
    """Whether the last front has more hypervolume than that of every method without transfers."""
    own = one.last(JUDGED, "hypervolume")
    others = [name for name in ("independent", "mgda", "pareto_mtl") if name in one.fronts]
    found = analysis.judged([_compared(own, one.last(name, "hypervolume")) for name in others])
    told = [
        f"{METHOD_TITLES[name]} {_hypervolume(change)}"
        for name, change in zip(others, found, strict=True)
    ]
    sizes = [analysis.detectable(change) for change in found if not change.significant]
    known = sorted(size for size in sizes if math.isfinite(size))
    power = f"80 % power for {snapped(known[-1]):.2g} of hypervolume" if known else ""
    mean = snapped(fmean(own.values()))
    return Judgement(
        analysis.all_of(found, "better"),
        f"over {listed(told)}",
        f"{METHOD_TITLES[JUDGED]} ends at a hypervolume of {mean:.3f}; the differences are judged "
        f"together{family(max(change.family for change in found))}.",
        power,
    )


def _compared(own: dict[int, float], other: dict[int, float]) -> Comparison:
    return analysis.compare(
        own.values(), other.values(), seeds=list(own), baseline_seeds=list(other)
    )


def _hypervolume(found: Comparison) -> str:
    ends = (
        f" [{written(found.low, '+.4f')}, {written(found.high, '+.4f')}]"
        if math.isfinite(found.low)
        else ""
    )
    return f"{written(found.delta, '+.4f')}{ends}"


def _each(judge: Callable[[Solved], Judgement], names: Sequence[str] = tuple(DOMAINS)) -> "Rows":
    def rows(claim: Claim, known: Known) -> list[Row]:
        made = []
        for name in names:
            one = _solved(name, known)
            made.append(_absent(claim, name) if one is None else _row(claim, name, one, judge(one)))
        return made

    return rows


Rows = Callable[[Claim, Known], list[Row]]


def _row(claim: Claim, name: str, one: Solved, found: Judgement, more: str = "") -> Row:
    title = f"{problems.get(name).title} ({DOMAINS[name]}){more}"
    return Row(claim, name, title, found, one.on, one.question.to_query())


def _absent(claim: Claim, name: str) -> Row:
    title = f"{problems.get(name).title} ({DOMAINS[name]})"
    data = "NYUv2's images, which only you can get, and fronts" if name == "nyuv2" else "fronts"
    why = f"There are no fronts here: it takes {data} of every method."
    power = f"takes {data}: `mtl_core front --problem {name} --preset paper`"
    return Row(claim, name, title, Judgement("cannot tell", "–", why, power))


def _signed(value: float) -> str:
    return written(value, "+,.0f")


def _count(value: float) -> str:
    return f"{snapped(value):,.0f}" if math.isfinite(value) else "no known number of"


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "speed",
        "MT2O",
        "Abstract, theory",
        "Transferring parameters among the subproblems speeds convergence.",
        "Gradient evaluations to 90 % of the true front's hypervolume, or of the best final one, "
        "paired over seeds, intervals that hold together (Bonferroni). From random starts "
        "transfers are held against averaging the starts once, from one start against none.",
        "pareto_front",
        _speed,
    ),
    Claim(
        "twice",
        "MT2O",
        "Experiments, NYUv2",
        "On NYUv2, hypervolume converges nearly two times as fast as with the next best method.",
        "The same evaluations beside those of the quickest method without transfers, as a ratio. "
        f"Agree where its whole interval is above {TWICE:g}, disagree where it is below.",
        "pareto_front",
        _each(nearly_twice, ("nyuv2",)),
    ),
    Claim(
        "spread",
        "MT2O",
        "Abstract",
        "The Pareto models that are found are well distributed.",
        "The spread of the last front beside that of Independent, which solves each subproblem on "
        "its own. Agree where the whole interval is above 90 %, disagree where it is below.",
        "pareto_front",
        _each(spread),
    ),
    Claim(
        "domains",
        "MT2O",
        "Abstract, experiments",
        "The method is effective on synthetic problems, image classification, multi-target "
        "regression and scene understanding.",
        "The hypervolume of the last front, paired over seeds, against Independent, MGDA and "
        "Pareto MTL, judged together. Agree where it is certainly above all of them, disagree "
        "where it is below one.",
        "pareto_front",
        _each(volume),
    ),
)
