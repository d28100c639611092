"""Factors: what is measured along a trajectory. One file per factor, listed here.

All are pure functions of parameters. Parameters and losses may carry leading replica dimensions
``*L``: a loss of shape (*L,) of parameters (*L, ...) gives factors of shape (*L,), each replica's
own. Without leading dimensions, everything is a scalar.
"""

from collections.abc import Mapping

from mtl_core.errors import unknown
from mtl_core.factors import covariance, fisher, similarity
from mtl_core.factors import sharpness as _sharpness  # the name is the function's
from mtl_core.factors.base import Factor, Site, Terms
from mtl_core.factors.covariance import covariance_trace, gradient_covariance_trace
from mtl_core.factors.fisher import drawn_labels, empirical_fisher_trace, fisher_trace
from mtl_core.factors.sharpness import RHO, RHOS, STEPS, sharpness
from mtl_core.factors.similarity import gradient_similarity, gramian, pairwise_cosines

__all__ = [
    "RHO",
    "RHOS",
    "STEPS",
    "Factor",
    "Site",
    "Terms",
    "covariance_trace",
    "drawn_labels",
    "empirical_fisher_trace",
    "explaining",
    "fisher_trace",
    "get",
    "gradient_covariance_trace",
    "gradient_similarity",
    "gramian",
    "names",
    "pairwise_cosines",
    "sharpness",
]

_FACTORS: Mapping[str, Factor] = {
    "sharpness": _sharpness.FACTOR,
    "fisher_trace": fisher.FACTOR,
    "gradient_covariance": covariance.FACTOR,
    "gradient_similarity": similarity.FACTOR,
}
"""By the column that they fill."""


def names() -> list[str]:
    """All factors that a run can measure, in the order of their columns."""
    return list(_FACTORS)


def get(name: str) -> Factor:
    """The factor of a column; raises InputError with the ones there are."""
    try:
        return _FACTORS[name]
    except (KeyError, TypeError):
        raise unknown("factor", name, _FACTORS) from None


def explaining() -> list[str]:
    """The three that M24's Table 1 tries to explain transfer by."""
    return [name for name, factor in _FACTORS.items() if factor.explaining]
