"""Multi-task transfer: train, measure and compare, with or without a browser.

Importing the package is cheap: PyTorch and pandas load when something needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mtl_core import factors, optimizers, settings
from mtl_core.config import RunConfig
from mtl_core.errors import DataMissing, FactorUndefined, InputError, StoreError, TrainingDiverged

if TYPE_CHECKING:
    from mtl_core import analysis, pareto
    from mtl_core.data.adding import add_data
    from mtl_core.runs.race import race
    from mtl_core.training import Checkpoint
    from mtl_core.training.train import train
    from mtl_core.views.compare import compare
    from mtl_core.views.figures.asked import figure
    from mtl_core.views.foretelling import foretell

__all__ = [
    "Checkpoint",
    "DataMissing",
    "FactorUndefined",
    "InputError",
    "RunConfig",
    "StoreError",
    "TrainingDiverged",
    "add_data",
    "analysis",
    "compare",
    "factors",
    "figure",
    "foretell",
    "optimizers",
    "pareto",
    "race",
    "settings",
    "train",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in ("Checkpoint", "train"):
        return getattr(import_module("mtl_core.training"), name)
    if name == "race":
        return import_module("mtl_core.runs.race").race
    if name == "add_data":
        return import_module("mtl_core.data.adding").add_data
    if name == "compare":
        return import_module("mtl_core.views.compare").compare
    if name == "figure":
        return import_module("mtl_core.views.figures.asked").figure
    if name == "foretell":
        return import_module("mtl_core.views.foretelling").foretell
    if name in ("analysis", "pareto"):
        return import_module(f"mtl_core.{name}")
    raise AttributeError(f"module 'mtl_core' has no attribute {name!r}")
