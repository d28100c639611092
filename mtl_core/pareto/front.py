"""What solving yields on the way: the N solutions of a seed at one step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FRONT_COLUMNS", "TRANSFER_COLUMNS", "Front", "Slice", "State"]

FRONT_COLUMNS = (
    "seed",
    "step",
    "evaluations",
    "seconds",
    "solution",
    "objective",
    "train_loss",
    "test_loss",
    "metric",
)
"""Of the tidy table of a front over time: a row per seed, step, solution (0-based, in the order of
the config's ``weights``) and objective (its name). ``test_loss`` is NaN in a problem without data,
``metric`` where there is none."""

TRANSFER_COLUMNS = ("seed", "step", "solution", "other", "share")
"""Of the tidy table of transfer matrices: ``share`` is m_ij of the step that led there, for
i = ``solution`` and j = ``other``."""

State = Mapping[str, NDArray[Any]]
"""Everything that the solutions of a seed need to go on exactly where they stopped: ``step``,
``seconds``, ``solutions`` (N, P), an optimizer's moments (N, P) as ``mean`` and ``square``, and
what the transfer remembers as ``transfer/NAME``."""


@dataclass(frozen=True)
class Front:
    """N solutions of one seed at one step, in the order of the config's ``weights``.

    Args:
        evaluations: gradients taken so far by all N together: backward passes of one solution on
            one batch. A subproblem of a scalarization takes one in a step, for every K, because
            only the scalar is differentiated; MGDA and Pareto MTL need every objective's own
            gradient and take K. Forward passes alone (a front's measurement) do not count.
        seconds: spent on the steps so far, measuring excluded; seeds that are computed together
            share it equally.
        train: (N, K) losses of the problem, on as many training examples as ``test`` has; in a
            problem without data, the objectives themselves.
        test: (N, K) losses on held-out examples; None without data.
        metrics: (N, K) metrics on the same; None where the problem has none.
        matrix: (N, N), M of the step that led here; the identity at step 0 and for a method
            without transfer.
        solutions: (N, n), the solutions themselves, of a problem without data in at most 64
            dimensions.
        state: what ``solve`` can be resumed from.
    """

    seed: int
    step: int
    evaluations: int
    seconds: float
    train: NDArray[np.float64]
    test: NDArray[np.float64] | None
    metrics: NDArray[np.float64] | None
    matrix: NDArray[np.float64]
    solutions: NDArray[np.float64] | None
    state: State

    @property
    def losses(self) -> NDArray[np.float64]:
        """(N, K), what the front is judged by: held-out losses, or the objectives themselves."""
        return self.train if self.test is None else self.test


@dataclass(frozen=True)
class Slice:
    """A short stretch of solving.

    Args:
        seeds: those that are solved for together.
        step: where they stand.
        fronts: one for each of ``seeds`` in order where a front was due, else none.
        states: what each of them can be resumed from here, by seed.
    """

    seeds: tuple[int, ...]
    step: int
    fronts: tuple[Front, ...]
    states: Callable[[], dict[int, State]]
