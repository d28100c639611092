"""Pareto: many trade-offs at once (MT2O). One file per scalarization, transfer and problem.

Importing it is cheap: PyTorch loads when something is solved.
"""

from mtl_core.pareto import measures, preferences, problems, scalarizations, transfer
from mtl_core.pareto.config import ParetoConfig
from mtl_core.pareto.front import Front, Slice, State
from mtl_core.pareto.solve import advance, slices, solve

__all__ = [
    "Front",
    "ParetoConfig",
    "Slice",
    "State",
    "advance",
    "measures",
    "preferences",
    "problems",
    "scalarizations",
    "slices",
    "solve",
    "transfer",
]
