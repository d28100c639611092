"""Problems to trade off objectives on. One file per problem, listed here."""

from collections.abc import Mapping

from mtl_core.errors import unknown
from mtl_core.pareto.problems import convex, multimnist, nyuv2, regression, three, toy
from mtl_core.pareto.problems.base import Budget, Instance, Objective, Problem

__all__ = ["Budget", "Instance", "Objective", "Problem", "get", "names"]

_PROBLEMS: Mapping[str, Problem] = {
    problem.name: problem
    for problem in (
        toy.PROBLEM,
        convex.PROBLEM,
        three.PROBLEM,
        regression.LINNERUD,
        multimnist.MULTIMNIST,
        multimnist.MULTIFASHION,
        multimnist.FASHION_AND_MNIST,
        regression.CSV,
        nyuv2.PROBLEM,
    )
}


def names() -> list[str]:
    """All problems, the one that everybody can run first."""
    return list(_PROBLEMS)


def get(name: str) -> Problem:
    """The problem called ``name``.

    Raises:
        InputError: for an unknown name.
    """
    try:
        return _PROBLEMS[name]
    except (KeyError, TypeError):
        raise unknown("problem", name, _PROBLEMS) from None
