"""Kinds of experiments, listed here: the only place that knows how many there are."""

from collections.abc import Mapping
from typing import Any

from mtl_core.errors import InputError, unknown
from mtl_core.runs.kinds.base import (
    Columns,
    Command,
    Derived,
    Experiment,
    Kind,
    Part,
    Piece,
    Plan,
    State,
    States,
    Table,
    Together,
)
from mtl_core.runs.kinds.front import FRONT
from mtl_core.runs.kinds.training import TRAINING

__all__ = [
    "KINDS",
    "Columns",
    "Command",
    "Derived",
    "Experiment",
    "Kind",
    "Part",
    "Piece",
    "Plan",
    "State",
    "States",
    "Table",
    "Together",
    "experiment",
    "get",
    "of",
]

KINDS: dict[str, Kind] = {kind.name: kind for kind in (TRAINING, FRONT)}


def get(name: object) -> Kind:
    """The kind called ``name``; raises InputError with the ones there are."""
    try:
        return KINDS[name]  # type: ignore[index]
    except (KeyError, TypeError):
        raise unknown("kind of experiment", name, KINDS) from None


def of(config: Experiment) -> Kind:
    """An experiment's kind."""
    return get(config.kind)


def experiment(kind: object, values: Mapping[str, Any], *, seeds: Any) -> Experiment:
    """An experiment as ``to_dict`` wrote it. Raises InputError for anything else."""
    if not isinstance(values, Mapping):
        raise InputError("a config must be an object")
    found: Experiment = get(kind).config.from_dict(values, seeds=seeds)
    return found
