"""The toy problem, solved for while a reader looks, and the true fronts that are known."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mtl_core.pareto import ParetoConfig, measures, problems
from mtl_core.views.aside import aside

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TOY", "at_ends", "hypervolume", "solve_toy", "true_front", "true_hypervolume"]

TOY = ParetoConfig.from_preset("toy", "standard")
END = 0.05
"""A loss below which a solution lies at an end of the toy problem's front."""
_DENSE = {2: 50_000, 3: 10_011}
"""Points of a true front of so many objectives, for its hypervolume: of three a whole lattice, as
leaving points out of one evenly takes seconds."""


def solve_toy(
    method: str,
    scalarization: str,
    solutions: int,
    lr: float,
    iterations: int,
    seed: int,
    options: tuple[tuple[str, float], ...] = (),
) -> "pd.DataFrame":
    """A front of the toy problem, with the columns ``step``, ``solution`` (from 1), ``x``, ``y``.

    It is solved for aside, in another process.
    """
    config = ParetoConfig(
        "toy",
        method=method,
        method_options=options,
        scalarization=scalarization,
        solutions=solutions,
        lr=lr,
        iterations=iterations,
        frames=min(iterations, 40),
        seeds=(seed,),
    )
    return aside(_solve, config)


def hypervolume(front: "pd.DataFrame") -> float:
    """Of the last step of ``solve_toy``'s table."""
    return float(measures.hypervolume(_last(front), (1.0, 1.0)))


def at_ends(front: "pd.DataFrame") -> int:
    """How many solutions of the last step lie at an end of the true front."""
    return int((_last(front).min(axis=1) < END).sum())


def true_front(config: ParetoConfig, points: int = 200) -> NDArray[np.float64]:
    """(points, K) of a problem's true front, in losses, where that is known."""
    return _true_front(config.problem, config.problem_options, points)


def true_hypervolume(config: ParetoConfig) -> float:
    """Of a dense true front."""
    problem = config.definition
    dense = _true_front(config.problem, config.problem_options, _DENSE[len(problem.objectives)])
    return float(measures.hypervolume(dense, problem.reference, problem.ideal))


@lru_cache(maxsize=20)
def _true_front(
    problem: str, options: tuple[tuple[str, Any], ...], points: int
) -> NDArray[np.float64]:
    front = problems.get(problem).given(dict(options)).front
    assert front is not None
    return np.asarray(front(points), dtype=np.float64)


def _last(front: "pd.DataFrame") -> NDArray[np.float64]:
    last = front.loc[front["step"] == front["step"].max(), ["x", "y"]]
    return np.asarray(last, dtype=np.float64)


def _solve(config: ParetoConfig) -> "pd.DataFrame":
    import pandas as pd

    from mtl_core.pareto import solve

    parts = [
        pd.DataFrame(
            {
                "step": front.step,
                "solution": np.arange(1, len(front.train) + 1),
                "x": front.train[:, 0],
                "y": front.train[:, 1],
            }
        )
        for front in solve(config, device="cpu", processes=1)
    ]
    return pd.concat(parts, ignore_index=True)
