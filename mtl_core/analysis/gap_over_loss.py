"""The generalization gap all along the way down: a difference and its interval at each loss."""

import pandas as pd

from mtl_core.analysis.loss_matching import common_reach, loss_levels, read_at
from mtl_core.analysis.replicas import Rows, seed_numbers
from mtl_core.analysis.significance import compare
from mtl_core.analysis.versus import Versus

__all__ = ["GAP_COLUMNS", "gap_over_loss"]

GAP_COLUMNS = ("curve", "train_loss", "gap", "low", "high", "largest", "seeds")
LEVELS_PER_DECADE = 10


def gap_over_loss(trajectories: Rows, versus: Versus) -> pd.DataFrame:
    """The gap (M24 §2) at each training loss that every seed of both curves passed through.

    Levels are those of ``loss_matched``, ten a decade, so that what is there stays in place while a
    run goes on. At each level the curves are compared seed by seed, as ``gap`` does at the lowest.
    The intervals hold level by level: somewhere along the way more than one in twenty of them
    leaves out 0 by chance, so that no verdict follows from one of them (see ``onset``).

    Returns:
        Rows with falling loss: ``curve, train_loss``; ``gap``, the curve's metric less the
        baseline's, in the metric's unit; ``low, high``, its 95 % interval, NaN with one seed;
        ``largest``, the largest gap of a single seed without its sign; ``seeds``, how many were
        compared. No rows while there is no such loss.
    """
    ours, theirs = versus.sides(trajectories)
    reach = common_reach(ours + theirs)
    if not ours or not theirs or reach is None:
        return pd.DataFrame(columns=list(GAP_COLUMNS))
    levels = loss_levels(*reach, LEVELS_PER_DECADE)
    metrics = [read_at(seed, levels) for seed in ours]
    others = [read_at(seed, levels) for seed in theirs]
    numbers, other_numbers = seed_numbers(ours), seed_numbers(theirs)
    paired = [
        abs(metrics[numbers.index(seed)] - others[other_numbers.index(seed)])
        for seed in numbers
        if seed in other_numbers
    ]
    rows = []
    for place, level in enumerate(levels):
        found = compare(
            [values[place] for values in metrics],
            [values[place] for values in others],
            direction=versus.direction,
            seeds=numbers,
            baseline_seeds=other_numbers,
        )
        largest = max([abs(found.delta), *(each[place] for each in paired)])
        seeds = found.pairs or min(found.seeds, found.baseline_seeds)
        rows.append((versus.curve, level, found.delta, found.low, found.high, largest, seeds))
    return pd.DataFrame(rows, columns=list(GAP_COLUMNS))
