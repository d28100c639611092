"""Rows of a trajectory, made by hand."""

from typing import Any

from mtl_core.config import RunConfig
from mtl_core.training.schedule import ends_epoch
from mtl_core.trajectory import Row

__all__ = ["row_of"]


def row_of(config: RunConfig, seed: int, task: str, step: int, **values: Any) -> Row:
    """A task's row at one step of a run, with what was measured there."""
    return Row(
        setting=config.setting,
        auxiliaries=config.auxiliaries_label,
        optimizer=config.optimizer,
        seed=seed,
        task=task,
        role="target" if task == config.target else "auxiliary",
        step=step,
        epoch=step / config.steps_per_epoch,
        whole_epoch=ends_epoch(config, step),
        **{"seconds": 1.0, **values},  # type: ignore[typeddict-item]
    )
