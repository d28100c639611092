"""Every method's update of a few task gradients in the plane, as the playground draws them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mtl_core.errors import InputError
from mtl_core.optimizers import create

__all__ = ["Update", "Vector", "updates"]

Vector = tuple[float, float]


@dataclass(frozen=True)
class Update:
    """What a method makes of the gradients in its first step.

    Attributes:
        name: of the method.
        weights: one per task; none where the method is not a weighting.
        vector: the update of the shared parameters, which move against it; NaN where the method
            has no finite answer.
        random: whether another seed may give another update.
        stateful: whether later steps of a run may weight the same gradients differently.
    """

    name: str
    weights: tuple[float, ...] | None
    vector: Vector
    random: bool
    stateful: bool


def updates(
    gradients: Sequence[Vector],
    losses: Sequence[float],
    names: Sequence[str],
    seed: int,
    *,
    scale: str = "raw",
) -> list[Update]:
    """The update of each method, made afresh with its default options.

    A method that reads the last shared layer's Gramian gets that of ``gradients``: the two
    coordinates are all the shared parameters that there are.

    Args:
        gradients: (K, 2), finite.
        losses: (K), finite and above 0.
        names: of methods, in the order of the result.
        seed: of one generator for each method, so that a draw does not depend on the others.
        scale: ``raw`` or ``match_sum``, of all methods.

    Raises:
        InputError: for an unknown method or scale, or gradients and losses that do not fit.
    """
    import torch

    _check(gradients, losses)
    jacobian = torch.tensor([list(row) for row in gradients], dtype=torch.float64)
    gramian, at = jacobian @ jacobian.mT, torch.tensor(losses, dtype=torch.float64)
    found = []
    for name in names:
        method = create(name, num_tasks=len(losses), scale=scale)
        generator = torch.Generator().manual_seed(seed)
        weights = None
        if method.needs_jacobian:
            vector = method.update(jacobian, at, generator)
        else:
            weights = method.weights(gramian, at, generator)
            vector = weights @ jacobian
        across, up = vector.tolist()
        found.append(
            Update(
                name,
                None if weights is None else tuple(weights.tolist()),
                (across, up),
                random=method.random,
                stateful=bool(method.state)
                or method.needs_losses_after
                or method.rule.end_epoch is not None,
            )
        )
    return found


def _check(gradients: Sequence[Vector], losses: Sequence[float]) -> None:
    if not gradients or len(gradients) != len(losses):
        raise InputError(
            f"{len(gradients)} gradients and {len(losses)} losses; give one of each per task"
        )
    for row in gradients:
        if len(row) != 2 or not all(map(math.isfinite, row)):
            raise InputError(f"gradient {tuple(row)} is not a finite vector of the plane")
    for loss in losses:
        if not (math.isfinite(loss) and loss > 0):
            raise InputError(f"loss {loss!r} is not a finite number above 0")
