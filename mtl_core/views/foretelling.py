"""Whether a race could have been foretold: cheap guesses of one short run of each candidate."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mtl_core import settings
from mtl_core.analysis.foretelling import Foretold, foretold
from mtl_core.checks import with_seeds
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.runs.race import Standing, reached

__all__ = ["EARLY", "Guess", "guesses"]

EARLY = 0.1
"""The share of a run's epochs that is early; at least one epoch."""


@dataclass(frozen=True)
class Guess:
    """A predictor, and how it did.

    Attributes:
        title: what a page calls it.
        found: how it compares with measured transfer.
    """

    title: str
    found: Foretold


def guesses(standing: Standing, answers: Answers) -> list[Guess]:
    """Predictors of what each candidate gains as the only auxiliary, each with how it did.

    Gains are mean differences of E to the reference, over the seeds that both have, with their sign
    turned where lower is better. The gradient's similarity (M24 Eq. 6) is that of seed 0's run.
    """
    contest = standing.contest
    task = settings.get(contest.setting).task(contest.target)
    sign = 1 if task.direction == "higher" else -1
    singles = {
        name: standing.answers[name]
        for name, config in contest.configs.items()
        if len(config.auxiliaries) == len(contest.given) + 1
    }
    base = reached(standing.answers[contest.reference], answers)
    gains = {name: sign * _gain(reached(one, answers), base) for name, one in singles.items()}
    tables: dict[str, Mapping[str, float]] = {
        "Gradient similarity, early": {
            name: _similarity(one, answers, early=True) for name, one in singles.items()
        },
        "Gradient similarity, mean": {
            name: _similarity(one, answers, early=False) for name, one in singles.items()
        },
        "True cosine, its size": _cosines(standing),
    }
    held = {title: foretold(guessed, gains) for title, guessed in tables.items()}
    return [Guess(title, found) for title, found in held.items() if found is not None]


def _gain(own: tuple[float, ...], base: tuple[float, ...]) -> float:
    shared = min(len(own), len(base))
    return float(np.mean(np.subtract(own[:shared], base[:shared]))) if shared else math.nan


def _similarity(answer: Answer, answers: Answers, *, early: bool) -> float:
    """Cosine between the target's gradient and the sum of both, over the first seed's run."""
    if not answer.done:
        return math.nan
    run = answers.find(with_seeds(answer.config, answer.done[:1]))
    rows = answers.main(run)
    rows = rows[(rows["task"] == answer.config.target) & (rows["step"] > 0)]
    if early:
        rows = rows[rows["epoch"] <= max(1.0, EARLY * answer.config.epochs)]
    return float(rows["gradient_similarity"].astype(float).mean())


def _cosines(standing: Standing) -> dict[str, float]:
    """|cosine| of the true functions, which heads cannot undo, where the setting knows it."""
    contest = standing.contest
    known = settings.get(contest.setting).relatedness
    if known is None or contest.given:
        return {}
    return {name: abs(known(name, contest.target).cosine) for name in contest.candidates}
