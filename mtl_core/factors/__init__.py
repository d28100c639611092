"""Factors: what is measured along a trajectory. One file per factor, listed here.

All are pure functions of parameters. Parameters and losses may carry leading replica dimensions
``*L``: a loss of shape (*L,) of parameters (*L, ...) gives factors of shape (*L,), each replica's
own. Without leading dimensions, everything is a scalar.
"""

from mtl_core.factors.covariance import covariance_trace, gradient_covariance_trace
from mtl_core.factors.fisher import drawn_labels, empirical_fisher_trace, fisher_trace
from mtl_core.factors.sharpness import sharpness
from mtl_core.factors.similarity import gradient_similarity, gramian, pairwise_cosines
from mtl_core.trajectory import FACTORS

__all__ = [
    "covariance_trace",
    "drawn_labels",
    "empirical_fisher_trace",
    "fisher_trace",
    "gradient_covariance_trace",
    "gradient_similarity",
    "gramian",
    "names",
    "pairwise_cosines",
    "sharpness",
]


def names() -> list[str]:
    """The factors that a run can measure."""
    return list(FACTORS)
