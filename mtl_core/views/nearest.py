"""Nearest: which of several budgets is the best evidence on a claim, by one rule everywhere.

1. Budgets that can tell come first: with as many seeds as an outcome takes, or with as many
   auxiliary sets where conflict is asked for. Of those with fewer, the ones with most.
2. Then the one nearest to the paper's size, which is the largest product of epochs, training
   examples and encoder width. Nothing beyond the preset ``paper`` counts.
3. Then the one with most seeds, then with most to show, then the longest; the name decides the
   rest.

What the runs say plays no part, so that no budget is chosen for its verdict.
"""

from mtl_core import settings
from mtl_core.config import RunConfig

__all__ = ["Rank", "rank", "size"]

Rank = tuple[int, int, int, int | tuple[int, ...], int, str]


def rank(
    budget: RunConfig, *, telling: int, seeds: int, shown: int | tuple[int, ...], name: str
) -> Rank:
    """A sorting key; the best evidence has the largest.

    Args:
        budget: a single-task config.
        telling: seeds or auxiliary sets, as many as an outcome takes at most.
        seeds: how many both sides of a comparison have.
        shown: how much there is to compare; of several numbers the first counts most.
        name: of the budget, different for any two.
    """
    return telling, size(budget), seeds, shown, budget.steps, name


def size(budget: RunConfig) -> int:
    """Epochs times training examples times encoder width, none beyond the preset ``paper``."""
    setting = settings.get(budget.setting)
    paper = setting.presets.get("paper")
    if paper is None:
        return budget.epochs * budget.train_size * budget.width
    examples = paper.samples or setting.task(budget.target).train_size
    return (
        min(budget.epochs, paper.epochs)
        * min(budget.train_size, examples)
        * min(budget.width, paper.width)
    )
