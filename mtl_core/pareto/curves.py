"""How good fronts become as they are solved, and how soon: numbers over steps, seeds and runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mtl_core.errors import InputError
from mtl_core.pareto import measures
from mtl_core.pareto.problems.base import Problem

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SHARE", "band", "converged", "convergence", "evaluations", "quality"]

SHARE = 0.9
"""Of the best final hypervolume: what a run must reach to count as converged."""

QUALITY_COLUMNS = (
    "seed",
    "step",
    "evaluations",
    "seconds",
    "hypervolume",
    "coverage",
    "spacing",
    "distance",
)
BAND_COLUMNS = ("step", "evaluations", "seconds", "seeds", "mean", "low", "high")
CONVERGENCE_COLUMNS = ("name", "seeds", "reached", "evaluations", "ratio", "final", "target")

FRONT_POINTS = 200
"""Of the true front, against which the distance is measured."""


def quality(table: "pd.DataFrame", problem: Problem) -> "pd.DataFrame":
    """The ``measures`` of each seed's front at each step: a row per (seed, step), in that order.

    Judged by test losses, in a problem without data by the objectives themselves.

    Args:
        table: ``FRONT_COLUMNS``, rows in any order; may be empty.
        problem: the one that was solved, with the objectives that its options define
            (``config.definition``).

    Returns:
        ``seed, step, evaluations, seconds, hypervolume, coverage, spacing, distance``. Where a
        solution has a loss that is not finite, only the hypervolume counts the others; the rest is
        NaN. So is the spacing of a single solution, and the distance where no front is known.

    Raises:
        InputError: where a frame lacks an objective of a solution, or has another than the
            problem's.
    """
    import pandas as pd

    if table.empty:
        return pd.DataFrame(columns=list(QUALITY_COLUMNS))
    frames, losses = _frames(table, problem)
    scale = (problem.reference, problem.ideal)
    spacing = distance = np.full(len(losses), np.nan)
    # Frame by frame: pairs of points, of all frames at once, may be gigabytes.
    if losses.shape[1] > 1:
        spacing = np.array([measures.spacing(one, *scale) for one in losses])
    if problem.front is not None:
        known = problem.front(FRONT_POINTS)
        distance = np.array([measures.distance(one, known, *scale) for one in losses])
    return frames.assign(
        hypervolume=measures.hypervolume(losses, *scale),
        coverage=measures.coverage(losses, *scale),
        spacing=spacing,
        distance=distance,
    )


def band(quality: "pd.DataFrame", column: str = "hypervolume") -> "pd.DataFrame":
    """Mean over seeds and mean ± 2 sample standard deviations (ddof 1) of a column, at each step.

    Only steps that every seed in the table has reached count: a mean over the seeds that came first
    would jump as the others arrive.

    Args:
        quality: as ``quality`` returns it; may be empty.
        column: what is averaged; NaN of any seed makes the mean NaN.

    Returns:
        ``step, evaluations, seconds, seeds, mean, low, high`` by step; evaluations and seconds are
        means over seeds, ``seeds`` is how many there are. With one seed low and high are NaN.
    """
    import pandas as pd

    if quality.empty:
        return pd.DataFrame(columns=list(BAND_COLUMNS))
    count = quality["seed"].nunique()
    steps = np.unique(quality["step"], return_counts=True)
    reached = steps[0][steps[1] == count]
    rows = quality[quality["step"].isin(reached)].sort_values(["step", "seed"])

    def by_step(name: str) -> NDArray[np.float64]:
        return rows[name].to_numpy(dtype=float).reshape(len(reached), count)

    values = by_step(column)
    mean = values.mean(axis=1)
    spread = 2 * values.std(axis=1, ddof=1) if count > 1 else np.full(len(reached), np.nan)
    return pd.DataFrame(
        {
            "step": reached,
            "evaluations": by_step("evaluations").mean(axis=1),
            "seconds": by_step("seconds").mean(axis=1),
            "seeds": count,
            "mean": mean,
            "low": mean - spread,
            "high": mean + spread,
        }
    )


def convergence(
    qualities: Mapping[str, "pd.DataFrame"],
    share: float = SHARE,
    *,
    reference: str | None = None,
) -> "pd.DataFrame":
    """Gradient evaluations until ``share`` of the best final hypervolume, and their ratio.

    On each seed s that all runs have, with HV_r(s, t) the hypervolume of run r after t evaluations
    and T_r(s) its last frame: target(s) = share · max_r HV_r(s, T_r(s)), and evaluations_r(s) is
    the first frame's t with HV_r(s, t) ≥ target(s). The convergence ratio is
    mean_s evaluations_r(s) / mean_s evaluations_reference(s): ½ for a method that is twice as fast,
    as MT2O (arXiv:2403.16162) claims to be. Evaluations are counted, not steps or seconds, since
    methods differ in what a step costs.

    Args:
        qualities: run's name to its ``quality``, of one problem. The last frame so far of a running
            run counts as its final one.
        share: of the best final hypervolume, in (0, 1].
        reference: name of the run that others are compared with, such as the one without transfer.

    Returns:
        A row per run, in order: ``name``; ``seeds`` that all runs have; ``reached``, on how many of
        these it reached the target; ``evaluations``, their mean, NaN unless reached on all;
        ``ratio``, NaN where either is unknown or the reference needs none; ``final``, its mean
        final hypervolume; ``target``, the mean of the targets.

    Raises:
        InputError: for a share outside (0, 1].
    """
    import pandas as pd

    if not 0 < share <= 1:
        raise InputError(f"share {share!r} must be above 0 and at most 1")
    runs, seeds = _on_shared_seeds(qualities)
    finals = _finals(runs, seeds)
    targets = share * finals.max(axis=0, initial=0.0)
    counts = _counts(runs, seeds, targets)
    means = dict(zip(runs, _means(counts), strict=True))
    base = means.get(reference, np.nan) if reference is not None else np.nan
    return pd.DataFrame(
        {
            "name": list(runs),
            "seeds": len(seeds),
            "reached": np.isfinite(counts).sum(axis=1),
            "evaluations": list(means.values()),
            "ratio": [count / base if base > 0 else np.nan for count in means.values()],
            "final": _means(finals),
            "target": targets.mean() if seeds else np.nan,
        },
        columns=list(CONVERGENCE_COLUMNS),
    )


def converged(qualities: Mapping[str, "pd.DataFrame"], share: float = SHARE) -> "pd.DataFrame":
    """The gradient evaluations whose means ``convergence`` gives, seed by seed.

    Returns:
        A column per run, in order, and a row per seed that all runs have, ascending; NaN where a
        run does not reach its seed's target.
    """
    import pandas as pd

    runs, seeds = _on_shared_seeds(qualities)
    counts = _counts(runs, seeds, share * _finals(runs, seeds).max(axis=0, initial=0.0))
    return pd.DataFrame(counts.T, index=pd.Index(seeds, name="seed"), columns=list(runs))


def evaluations(qualities: Mapping[str, "pd.DataFrame"], level: float) -> "pd.DataFrame":
    """Gradient evaluations at the first frame with a hypervolume of at least ``level``.

    Args:
        qualities: run's name to its ``quality``, of one problem.
        level: fixed beforehand, such as ``SHARE`` of the true front's hypervolume; above 0.

    Returns:
        A column per run, in order, and a row per seed that all runs have, ascending; NaN where a
        run does not get there.
    """
    import pandas as pd

    runs, seeds = _on_shared_seeds(qualities)
    counts = _counts(runs, seeds, np.full(len(seeds), level))
    return pd.DataFrame(counts.T, index=pd.Index(seeds, name="seed"), columns=list(runs))


def _frames(table: "pd.DataFrame", problem: Problem) -> "tuple[pd.DataFrame, NDArray[np.float64]]":
    """``seed, step, evaluations, seconds`` of each frame, and its losses (F, N, K)."""
    names = [objective.name for objective in problem.objectives]
    place = table["objective"].map({name: i for i, name in enumerate(names)})
    if place.isna().any():
        other = table["objective"][place.isna()].iloc[0]
        raise InputError(f"objective {other!r} is none of {problem.name}: {', '.join(names)}")
    keys = (place, table["solution"], table["step"], table["seed"])
    rows = table.iloc[np.lexsort([key.to_numpy() for key in keys])]
    size = table["solution"].nunique() * len(names)
    first = rows.iloc[::size]
    complete = len(table) == size * len(table[["seed", "step"]].drop_duplicates())
    if not complete or table.duplicated(["seed", "step", "solution", "objective"]).any():
        raise InputError("a front's table must have every solution and objective once in a frame")
    judged = "train_loss" if table["test_loss"].isna().all() else "test_loss"
    losses = rows[judged].to_numpy(dtype=float).reshape(len(first), -1, len(names))
    frames = first[["seed", "step", "evaluations", "seconds"]].reset_index(drop=True)
    return frames, np.where(np.isfinite(losses), losses, np.nan)


def _evaluations(rows: "pd.DataFrame", target: float) -> float:
    """NaN if never, and where no run has found anything that dominates the reference point."""
    if target <= 0:
        return np.nan
    found = measures.evaluations_to(
        target, rows["evaluations"].tolist(), rows["hypervolume"].tolist()
    )
    return np.nan if found is None else found


def _counts(
    runs: "Mapping[str, Mapping[int, pd.DataFrame]]", seeds: list[int], targets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(runs, seeds): evaluations of each run until each seed's target."""
    goals = list(zip(seeds, targets.tolist(), strict=True))
    counts = [[_evaluations(run[seed], goal) for seed, goal in goals] for run in runs.values()]
    return np.array(counts, dtype=float).reshape(len(runs), len(seeds))


def _finals(
    runs: "Mapping[str, Mapping[int, pd.DataFrame]]", seeds: list[int]
) -> NDArray[np.float64]:
    """(runs, seeds): the hypervolume of each last frame."""
    found = [[run[seed]["hypervolume"].iloc[-1] for seed in seeds] for run in runs.values()]
    return np.array(found, dtype=float).reshape(len(runs), len(seeds))


def _on_shared_seeds(
    qualities: Mapping[str, "pd.DataFrame"],
) -> "tuple[dict[str, dict[int, pd.DataFrame]], list[int]]":
    """Each run's rows by seed, and the seeds that all runs have."""
    runs = {name: _by_seed(table) for name, table in qualities.items()}
    return runs, sorted(set.intersection(*(set(run) for run in runs.values()))) if runs else []


def _by_seed(quality: "pd.DataFrame") -> dict[int, "pd.DataFrame"]:
    """Each seed's rows, by step."""
    seeds = quality["seed"].unique().tolist()
    return {seed: quality[quality["seed"] == seed].sort_values("step") for seed in seeds}


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of rows; NaN of no seeds, without NumPy's warning."""
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    means: NDArray[np.float64] = values.mean(axis=1)
    return means
