"""When a run is measured."""

from mtl_core.config import RunConfig

__all__ = ["checkpoint_steps", "ends_epoch", "factor_steps"]


def checkpoint_steps(config: RunConfig) -> tuple[int, ...]:
    """Steps after which everything is measured, ascending.

    Step 0, ``early_checkpoints`` log-spaced steps inside the first epoch, where the generalization
    gap shows first, and the end of every epoch.
    """
    per_epoch, early = config.steps_per_epoch, config.early_checkpoints
    inside = {round(per_epoch ** (i / early)) for i in range(early)}
    return tuple(sorted({0, *inside, *range(per_epoch, config.steps + 1, per_epoch)}))


def ends_epoch(config: RunConfig, step: int) -> bool:
    """Whether a step is the last of an epoch; step 0, before the first, is none."""
    return step > 0 and step % config.steps_per_epoch == 0


def factor_steps(config: RunConfig) -> tuple[int, ...]:
    """The checkpoints at which factors are measured, ascending.

    ``factor_points`` of those after step 0, evenly chosen among them, the last always: log-spaced
    in the first epoch, then every so many epochs. An untrained network is not measured; it is the
    same with any auxiliaries.
    """
    steps = checkpoint_steps(config)[1:]
    if not config.factors:
        return ()
    count = min(config.factor_points or len(steps), len(steps))
    last = len(steps) - 1
    return tuple(steps[last - round(i * last / max(count - 1, 1))] for i in reversed(range(count)))
