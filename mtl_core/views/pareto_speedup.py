"""What of a transfer's speed-up is left beside its control, the averaged start."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mtl_core.analysis import intervals
from mtl_core.pareto import curves
from mtl_core.pareto.config import METHODS, WITHOUT_TRANSFER
from mtl_core.views.pareto_front import METHOD_TITLES
from mtl_core.views.pareto_panel import FrontPanel, ShownFront

__all__ = ["Lead", "Pace", "SpeedUp", "leads_to_best", "speed_up"]

ERROR = 0.05
"""The chance that any interval of a page leaves out what it is for, with normal differences."""

Verdict = Literal["sooner", "later", "cannot tell", "not reached"]
_VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Pace:
    """How soon a front gets to the level.

    Args:
        start: its config's.
        counts: (S,) gradient evaluations, one of each seed; NaN where it does not get there.
    """

    method: str
    start: str
    counts: NDArray[np.float64]

    @property
    def title(self) -> str:
        return METHOD_TITLES[self.method]

    @property
    def reached(self) -> int:
        """On how many seeds it gets there."""
        return int(np.isfinite(self.counts).sum())

    @property
    def mean(self) -> float:
        """Over seeds; NaN unless it gets there on all."""
        return float(self.counts.mean()) if len(self.counts) else math.nan


@dataclass(frozen=True)
class Lead:
    """A transfer's evaluations beside its control's, on the same seeds.

    Args:
        ratio: of their means.
        difference: mean over seeds of the transfer's less the control's; below 0 it is sooner.
        low: the lower end of the difference's t interval.
        high: its upper end. Both are NaN with a single seed.
        comparisons: how many intervals hold together.
    """

    pace: Pace
    control: Pace
    ratio: float
    difference: float
    low: float
    high: float
    comparisons: int = 1

    @property
    def error(self) -> float:
        """The standard error of the difference; NaN with a single seed."""
        apart = self.pace.counts - self.control.counts
        return float(apart.std(ddof=1)) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan

    @property
    def verdict(self) -> Verdict:
        if not math.isfinite(self.difference):
            return "not reached"
        if self.high < 0:
            return "sooner"
        return "later" if self.low > 0 else "cannot tell"


@dataclass(frozen=True)
class SpeedUp:
    """How soon the fronts of a page get to ``curves.SHARE`` of the true front's hypervolume.

    Args:
        level: that hypervolume.
        paces: of what is asked for and done, then the same from a shared start.
        every: gradient evaluations between two saved frames of Independent, or of the first.
        waiting: whether the averaged start is asked for and not done.
    """

    level: float
    paces: tuple[Pace, ...]
    every: int
    waiting: bool = False

    def find(self, method: str, start: str) -> Pace | None:
        return next((p for p in self.paces if (p.method, p.start) == (method, start)), None)

    def ratio(self, pace: Pace, method: str) -> float:
        """Of its mean to another method's from the same start; NaN where either is unknown."""
        other = self.find(method, pace.start)
        return pace.mean / other.mean if other is not None and other.mean > 0 else math.nan

    @cached_property
    def leads(self) -> tuple[Lead, ...]:
        """Of every transfer: from starts of their own over the averaged start, from a shared start,
        where there is nothing to average, over Independent.

        Their intervals hold together (Bonferroni): each is a paired t interval at 1 − 5 % / m.
        """
        return _leads(self.paces, self.find)

    @property
    def words(self) -> tuple[str, ...]:
        """What of the speed-up is left, in sentences with Markdown's bold numbers."""
        if not any(pace.reached for pace in self.paces):
            return (f"No front here gets to {curves.SHARE:.0%} of the true front's hypervolume.",)
        seeds = len(self.paces[0].counts)
        means = f", means of {seeds} seeds" if seeds > 1 else ""
        level = f"To {curves.SHARE:.0%} of the true front's hypervolume{means}:"
        return (level, *self._controls(), *self._left("own"), *self._left("shared"))

    def _controls(self) -> list[str]:
        """What it takes without transfer, from starts of their own."""
        alone, averaged = self.find("independent", "own"), self.find("averaged", "own")
        said = [f"{_takes(alone)} from random starts."] if alone is not None else []
        if averaged is not None:
            words = f"Averaging the starts once and never transferring again {_verb(averaged)}"
            share = self.ratio(averaged, "independent")
            said.append(f"{words}, {share:.2f} of that." if math.isfinite(share) else f"{words}.")
        elif self.waiting:
            said.append("What of a speed-up is left is known when Averaged start is done.")
        elif any(pace.start == "own" and pace.method in _TRANSFERS for pace in self.paces):
            said.append("Add the method Averaged start to see what of a speed-up is left.")
        return said

    def _left(self, start: str) -> list[str]:
        """A sentence for each verdict over the transfers from such starts."""
        leads = [lead for lead in self.leads if lead.pace.start == start]
        by_verdict = {
            verdict: [lead for lead in leads if lead.verdict == verdict] for verdict in _VERDICTS
        }
        said = [
            self._sentence(verdict, some, start) for verdict, some in by_verdict.items() if some
        ]
        if start == "shared" and said:
            said[0] = (
                "From one start for all solutions of a seed, where there is nothing to average, "
                f"{_takes(leads[0].control)}. {said[0]}"
            )
        return said

    def _sentence(self, verdict: Verdict, leads: Sequence[Lead], start: str) -> str:
        """What several transfers with one verdict have in common."""
        names, many = _listed([lead.pace.title for lead in leads]), len(leads) > 1
        control = "the averaged start" if start == "own" else "Independent"
        if verdict == "not reached":
            return (
                f"{names} cannot be held against {control}: not both get there on all seeds."
                if not many
                else f"{names} cannot be held against {control}: not all get there on all seeds."
            )
        takes = _listed([f"**{lead.pace.mean:,.0f}**" for lead in leads])
        times = _listed([f"{lead.ratio:.2f}" for lead in leads])
        first = f"{names} {'take' if many else 'takes'} {takes}, {times} times as many as {control}"
        apart = _listed([_difference(lead) for lead in leads])
        apart = f"the differences are {apart}" if many else f"the difference is {apart}"
        if len(leads[0].pace.counts) < 2:
            return f"{first}; one seed cannot tell whether that is a difference."
        if verdict == "cannot tell":
            return f"{first}; the runs here cannot tell whether that is a difference: {apart}."
        if verdict == "sooner":
            return f"{first}, a lead that is transfer's own: {apart}."
        quicker = start == "own" and all(self.ratio(one.pace, "independent") < 1 for one in leads)
        if quicker:
            their = "their" if many else "its"
            return (
                f"{first}, so none of {their} speed-up over Independent is left beside that "
                f"control: {apart}."
            )
        return f"{first}, so no quicker: {apart}."


def speed_up(panel: FrontPanel, hypervolume: float) -> SpeedUp | None:
    """Of a panel whose true front has this ``hypervolume``; None before any front is done.

    All have the seeds that are asked for.
    """
    ended = [one for one in panel.asked if one.answer.state == "done"]
    if not ended:
        return None
    ended += panel.shared
    level = curves.SHARE * hypervolume
    places = {str(place): one.quality for place, one in enumerate(ended)}
    counts = curves.evaluations(places, level)
    paces = tuple(
        Pace(one.config.method, one.config.start, counts[str(place)].to_numpy(dtype=float))
        for place, one in enumerate(ended)
    )
    waiting = any(
        one.config.method == "averaged" and one.config.start == "own" for one in panel.asked
    ) and not any(pace.method == "averaged" for pace in paces)
    return SpeedUp(level, paces, _every(ended), waiting)


def leads_to_best(panel: FrontPanel) -> tuple[Lead, ...]:
    """Of every transfer that is done, to the share of the best final hypervolume of its seed.

    For problems without a true front, or where none gets near it: what ``panel.convergence`` means
    over seeds. A transfer from a random start for each solution is held against the averaged
    start, one from a start that all solutions share against Independent.
    """
    ended = {
        one.config.method: one
        for one in panel.asked
        if one.answer.state == "done" and one.config.seeds == panel.question.seeds
    }
    counts = curves.converged({name: one.quality for name, one in ended.items()})
    own = panel.problem.own_starts
    paces = tuple(
        Pace(name, one.config.start if own else "shared", counts[name].to_numpy(dtype=float))
        for name, one in ended.items()
    )
    by_name = {(pace.method, pace.start): pace for pace in paces}
    return _leads(paces, lambda method, start: by_name.get((method, start)))


_TRANSFERS = [name for name in METHODS if name not in WITHOUT_TRANSFER]
_CONTROL = {"own": "averaged", "shared": "independent"}
"""What a transfer is held against, by its start."""


def _every(fronts: Sequence[ShownFront]) -> int:
    config = next((o for o in fronts if o.config.method == "independent"), fronts[0]).config
    return round(config.iterations / config.frames) * len(config.weights) * config.passes


def _leads(paces: Sequence[Pace], find: Callable[[str, str], Pace | None]) -> tuple[Lead, ...]:
    pairs = [
        (pace, control)
        for pace in paces
        if pace.method in _TRANSFERS
        if (control := find(_CONTROL[pace.start], pace.start)) is not None
    ]
    return tuple(_lead(pace, control, len(pairs)) for pace, control in pairs)


def _lead(pace: Pace, control: Pace, comparisons: int) -> Lead:
    apart = pace.counts - control.counts
    room = intervals.paired(apart.tolist(), ERROR / comparisons)
    ratio = pace.mean / control.mean if control.mean > 0 else math.nan
    mean = float(apart.mean())
    return Lead(pace, control, ratio, mean, room.low, room.high, comparisons)


def _difference(lead: Lead) -> str:
    if lead.low == lead.high:
        return f"{lead.difference:+,.0f} on every seed"
    if math.isinf(lead.high):  # equal differences have no spread to judge by
        return f"{lead.difference:+,.0f} on every seed, which are too few"
    return f"{lead.difference:+,.0f} ({lead.low:+,.0f} to {lead.high:+,.0f})"


def _takes(pace: Pace) -> str:
    return f"{pace.title} {_verb(pace)}"


def _verb(pace: Pace) -> str:
    if math.isfinite(pace.mean):
        return f"takes **{pace.mean:,.0f}** gradient evaluations"
    return f"gets there on {pace.reached} of {len(pace.counts)} seeds"


def _listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
