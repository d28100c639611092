"""Networks that share work are, each, what they are on their own."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from mtl_core.pareto import problems
from mtl_core.pareto.problems import Instance
from mtl_core.pareto.vectors import Vectors
from tests.pareto.problems.networks import CPU, generator

WEIGHTS = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.3, 0.7], [1.0, 0.0], [0.2, 0.8]])


@pytest.fixture
def instance(noise: Path) -> Instance:
    return problems.get("multimnist").load(CPU, None, None, {})


def solutions(instance: Instance) -> tuple[Vectors, Tensor]:
    starts = [instance.start(generator(seed)) for seed in range(len(WEIGHTS))]
    vectors = Vectors(starts[0])
    return vectors, torch.stack([vectors.row(start) for start in starts])


def together(
    instance: Instance, chosen: list[int], batch: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """Losses (G, 2) and gradients (G, P) of the weighted losses."""
    assert instance.together is not None
    vectors, rows = solutions(instance)
    leaves = vectors.leaves(rows[chosen])
    losses = instance.together(leaves, batch)
    found = torch.autograd.grad(losses, list(leaves.values()), WEIGHTS[chosen])
    return losses.detach(), torch.cat([each.flatten(1) for each in found], dim=1)


@pytest.mark.parametrize("examples", [1, 7, 16, 31, 32, 33, 50, 64])
def test_a_network_does_not_depend_on_the_others_by_a_bit(
    instance: Instance, examples: int
) -> None:
    batch = tuple(tensor[:examples] for tensor in instance.train)
    alone = [together(instance, [index], batch) for index in range(5)]
    for chosen in ([0, 1], [3, 2], [1, 1], [1, 2, 3], [0, 1, 2, 3], [4, 0, 3, 1, 2]):
        losses, gradients = together(instance, chosen, batch)
        for place, index in enumerate(chosen):
            assert torch.equal(losses[place], alone[index][0][0])
            assert torch.equal(gradients[place], alone[index][1][0])


@pytest.mark.parametrize("examples", [1, 33, 64])
def test_networks_together_have_the_losses_of_each(instance: Instance, examples: int) -> None:
    batch = tuple(tensor[:examples] for tensor in instance.train)
    losses, gradients = together(instance, [0, 1, 2, 3, 4], batch)
    vectors, rows = solutions(instance)
    for index, row in enumerate(rows):
        leaves = vectors.leaves(row)
        own = instance.losses(leaves, batch)
        found = torch.autograd.grad(own, list(leaves.values()), WEIGHTS[index])
        torch.testing.assert_close(losses[index], own.detach(), rtol=1e-6, atol=1e-6)
        flat = torch.cat([each.flatten() for each in found])
        torch.testing.assert_close(gradients[index], flat, rtol=1e-5, atol=1e-6)
