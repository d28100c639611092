"""Gradient similarity against factors and generalization over auxiliary sets (M24 §5, Fig. 5)."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mtl_core.analysis.aggregates import aggregate_each
from mtl_core.analysis.replicas import numbers, replicas, shared_epoch
from mtl_core.direction import Direction

__all__ = ["Correlation", "correlate", "similarity_points"]

Array = npt.NDArray[np.float64]

EXACT = 7
"""Up to this many points, all of their permutations (5,040) are counted."""
PERMUTATIONS = 9_999
RESAMPLES = 2_000
ROUNDING = 1e-12
"""Differences below this, relative to the values, count as 0."""


@dataclass(frozen=True)
class Correlation:
    """The correlation of two quantities over n points.

    Attributes:
        n: how many points.
        pearson_r: Pearson's correlation coefficient.
        pearson_p: its two-sided p for normally distributed quantities, which the paper gives.
        spearman_rho: the correlation of ranks.
        permutation_p: two-sided p of Pearson's r among the pairings of x with a shuffled y.
        ci_low: lower end of a 95 % percentile bootstrap interval of Pearson's r.
        ci_high: its upper end.
    """

    n: int
    pearson_r: float
    pearson_p: float
    spearman_rho: float
    permutation_p: float
    ci_low: float
    ci_high: float

    @property
    def few(self) -> bool:
        """Whether there are fewer than 8 points, so that one can make or undo a correlation."""
        return self.n < 8


def similarity_points(
    trajectories: pd.DataFrame,
    task: str,
    column: str,
    early_epochs: float | None = None,
    *,
    direction: Direction = "higher",
) -> pd.DataFrame:
    """A point for each curve with auxiliaries: early gradient similarity and a factor or metric.

    Similarity is the mean over seeds of each seed's mean over its early checkpoints, without that
    of the untrained network; for a seed that was not measured so early, its first measured
    similarity is taken. Single-task training has no point: its similarity is 1 by definition.

    Args:
        trajectories: tidy rows with a ``curve`` column.
        task: the task whose rows are read.
        column: ``test_metric`` or a factor, as aggregated by footnote 7.
        early_epochs: the last epoch that is early; by default a tenth of the curve's epochs, at
            least one. The paper says "early stages" and no more.
        direction: which validation metrics are best.

    Returns:
        In order of appearance ``curve, auxiliaries``; ``similarity`` and ``value``, means over
        seeds, with ``_low`` and ``_high``: ± 2 sample standard deviations, no width with one seed;
        ``seeds``; and ``early_checkpoints``, of the seed with the fewest (0 where a later
        checkpoint was taken).
        Curves are left out until every seed has both quantities; of a live run, only what every
        seed of the curve has reached counts.
    """
    points = []
    for curve, seeds in replicas(trajectories, task).items():
        auxiliaries = seeds[0]["auxiliaries"].iloc[0]
        if auxiliaries == "stl":
            continue
        values = aggregate_each(seeds, column, direction=direction)
        point = {**_similarity(seeds, early_epochs), **_band("value", values)}
        if np.isfinite([point["similarity"], *values]).all():
            points.append({"curve": curve, "auxiliaries": auxiliaries, **point})
    columns = ["curve", "auxiliaries", *_band("similarity", [0]), *_band("value", [0])]
    return pd.DataFrame(points, columns=[*columns, "seeds", "early_checkpoints"])


def correlate(x: npt.ArrayLike, y: npt.ArrayLike, seed: int = 0) -> Correlation | None:
    """Pearson's r, which the paper gives, with measures that hold for few points too.

    The p by permutation is exact over all pairings with up to 7 points, else from 9,999 random
    ones and (1 + count) / (1 + 9,999). The interval is the percentile bootstrap's over 2,000
    resamples of points; those in which a quantity is constant have no r and are left out.

    Args:
        x: (n,); points with a value that is not finite are left out.
        y: (n,).
        seed: of the permutations and resamples.

    Returns:
        None with fewer than 3 points or where either quantity is constant.

    Raises:
        ValueError: shapes that differ, or are not one-dimensional.
    """
    from scipy import stats  # type: ignore[import-untyped, unused-ignore]  # not while importing

    xs, ys = map(_rescaled, _finite_pairs(x, y))
    if xs.size < 3 or _constant(xs) or _constant(ys):
        return None
    shuffling, resampling = np.random.default_rng(seed).spawn(2)
    pearson = stats.pearsonr(xs, ys)
    ci_low, ci_high = _bootstrap(xs, ys, resampling)
    return Correlation(
        n=int(xs.size),
        pearson_r=round(float(pearson.statistic), 15),  # 1 for points on a line, not 1 - 1e-16
        pearson_p=float(pearson.pvalue),
        spearman_rho=float(stats.spearmanr(xs, ys).statistic),
        permutation_p=_permutation_p(xs, ys, shuffling),
        ci_low=ci_low,
        ci_high=ci_high,
    )


def _similarity(seeds: Sequence[pd.DataFrame], early_epochs: float | None) -> dict[str, float]:
    """A curve's early similarity with its band, over how many seeds and early checkpoints."""
    horizon = shared_epoch(seeds)
    early = max(1.0, 0.1 * horizon) if early_epochs is None else early_epochs
    means, counts = zip(*(_early_similarity(seed, early, horizon) for seed in seeds), strict=True)
    return {**_band("similarity", means), "seeds": len(seeds), "early_checkpoints": min(counts)}


def _early_similarity(replica: pd.DataFrame, early: float, horizon: float) -> tuple[float, int]:
    """A seed's similarity, NaN where none is measured yet, and over how many early checkpoints."""
    seen = replica[(replica["step"] > 0) & (replica["epoch"] <= horizon)]
    similarity = numbers(seen, "gradient_similarity")
    measured = np.isfinite(similarity)
    chosen = similarity[measured & (numbers(seen, "epoch") <= early)]
    if chosen.size:
        return float(chosen.mean()), chosen.size
    return (float(similarity[measured][0]), 0) if measured.any() else (float("nan"), 0)


def _finite_pairs(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Array, Array]:
    """Both without the points that are not finite, sorted.

    Sorted, so that the random draws do not depend on the order of the points.
    """
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if xs.shape != ys.shape or xs.ndim != 1:
        raise ValueError(f"x and y must be of one length, not of shapes {xs.shape} and {ys.shape}")
    finite = np.isfinite(xs) & np.isfinite(ys)
    xs, ys = xs[finite], ys[finite]
    order = np.lexsort((ys, xs))
    return xs[order], ys[order]


def _band(name: str, values: Sequence[float]) -> dict[str, float]:
    mean = float(np.mean(values))
    spread = 2 * float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {name: mean, f"{name}_low": mean - spread, f"{name}_high": mean + spread}


def _permutation_p(x: Array, y: Array, generator: np.random.Generator) -> float:
    """The share of pairings whose r is at least as far from 0 as that of x and y, each (n,)."""
    x, y = _standardized(x), _standardized(y)
    exact = x.size <= EXACT
    if exact:
        shuffled = y[list(itertools.permutations(range(y.size)))]
    else:
        shuffled = np.tile(y, (PERMUTATIONS, 1))
        generator.permuted(shuffled, axis=1, out=shuffled)
    # Not @: its threads wait longer for busy cores than the sums take.
    count = int(np.sum(np.abs(np.einsum("pn,n->p", shuffled, x)) >= abs(x @ y) - ROUNDING))
    return count / len(shuffled) if exact else (1 + count) / (1 + PERMUTATIONS)


def _bootstrap(x: Array, y: Array, generator: np.random.Generator) -> tuple[float, float]:
    x, y = _standardized(x), _standardized(y)
    drawn = generator.integers(x.size, size=(RESAMPLES, x.size))
    xs, ys = x[drawn], y[drawn]  # (resamples, n)
    xs -= xs.mean(axis=1, keepdims=True)
    ys -= ys.mean(axis=1, keepdims=True)
    squares = np.stack([np.sum(xs * xs, axis=1), np.sum(ys * ys, axis=1)])
    varied = (squares > ROUNDING**2).all(axis=0)
    r = np.sum(xs * ys, axis=1)[varied] / np.sqrt(squares[:, varied].prod(axis=0))
    low, high = np.quantile(np.clip(r, -1, 1), [0.025, 0.975])
    return float(low), float(high)


def _rescaled(values: Array) -> Array:
    """To a largest absolute value of 1, of which r knows nothing: squares of tiny or huge values
    would be 0 or infinite."""
    largest = np.abs(values).max(initial=0)
    return values / largest if largest else values


def _standardized(values: Array) -> Array:
    """Mean 0 and norm 1, so that r is a dot product."""
    centred = values - values.mean()
    standardized: Array = centred / np.linalg.norm(centred)
    return standardized


def _constant(values: Array) -> bool:
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max())
