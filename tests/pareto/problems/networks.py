"""What the tests of problems with networks hold them to."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import grad, vmap

from mtl_core.pareto.problems import Instance

CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def doubled(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same in float64."""
    return {name: value.double() for name, value in parameters.items()}


def assert_vmap_is_each(instance: Instance, batch: tuple[Tensor, ...], weights: Tensor) -> None:
    """Losses, metrics and gradients of stacked solutions are those of each on its own.

    Args:
        weights: (N, K), a preference for each of N solutions; they start from seeds of their own.
    """
    solutions = [doubled(instance.start(generator(seed))) for seed in range(len(weights))]
    stacked = {name: torch.stack([s[name] for s in solutions]) for name in solutions[0]}

    def scalar(parameters: dict[str, Tensor], weight: Tensor, *batch: Tensor) -> Tensor:
        return (instance.losses(parameters, batch) * weight).sum()

    every = (0, 0) + (None,) * len(batch)
    gradients = vmap(grad(scalar), in_dims=every)(stacked, weights.double(), *batch)
    losses = vmap(lambda p: instance.losses(p, batch))(stacked)
    for index, (solution, weight) in enumerate(zip(solutions, weights.double(), strict=True)):
        leaves = {name: value.clone().requires_grad_() for name, value in solution.items()}
        own = instance.losses(leaves, batch)
        torch.testing.assert_close(losses[index], own.detach(), rtol=1e-10, atol=1e-12)
        found = torch.autograd.grad((own * weight).sum(), list(leaves.values()))
        for name, gradient in zip(leaves, found, strict=True):
            torch.testing.assert_close(gradients[name][index], gradient, rtol=1e-8, atol=1e-11)
    if instance.metrics is not None:
        metrics = vmap(lambda p: instance.metrics(p, batch))(stacked)
        each = torch.stack([instance.metrics(solution, batch) for solution in solutions])
        torch.testing.assert_close(metrics, each)


def descended(
    instance: Instance,
    weight: Tensor,
    *,
    steps: int,
    lr: float,
    batch_size: int | None = None,
    seed: int = 0,
) -> dict[str, Tensor]:
    """One solution after plain gradient descent on a weighted sum of losses."""
    draws = generator(seed)
    parameters = instance.start(draws)
    slope = grad(lambda p, batch: (instance.losses(p, batch) * weight).sum())
    for _ in range(steps):
        batch = instance.train
        if batch_size is not None:
            picked = torch.randint(len(batch[0]), (batch_size,), generator=draws)
            batch = tuple(part[picked] for part in batch)
        slopes = slope(parameters, batch)
        parameters = {name: value - lr * slopes[name] for name, value in parameters.items()}
    return parameters
