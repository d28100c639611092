"""When a run is measured."""

from mtl_core.config import RunConfig

__all__ = ["checkpoint_steps"]


def checkpoint_steps(config: RunConfig) -> tuple[int, ...]:
    """Steps after which everything is measured, ascending.

    Step 0, ``early_checkpoints`` log-spaced steps inside the first epoch, where the generalization
    gap shows first, and the end of every epoch.
    """
    per_epoch, early = config.steps_per_epoch, config.early_checkpoints
    inside = {round(per_epoch ** (i / early)) for i in range(early)}
    return tuple(sorted({0, *inside, *range(per_epoch, config.steps + 1, per_epoch)}))
