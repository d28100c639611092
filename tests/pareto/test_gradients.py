"""Stacked solutions against each on its own, on the CPU and on CUDA."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mtl_core.pareto import ParetoConfig, problems, solve, weighing
from mtl_core.pareto.gradients import Each, Stacked
from mtl_core.pareto.solver import Solver

CPU = torch.device("cpu")


def images(method: str) -> ParetoConfig:
    return ParetoConfig(
        "multimnist",
        method=method,
        solutions=7,
        iterations=5,
        frames=5,
        batch_size=13,
        samples=64,
        held_out=20,
        seeds=(0, 1),
    )


@pytest.mark.parametrize("method", ["independent", "mgda", "pareto_mtl"])
def test_stacked_directions_are_each_ones(noise: Path, method: str) -> None:
    config = images(method)
    instance = problems.get("multimnist").load(CPU, 64, 20, {})
    solver = Solver(config, (0, 1), CPU)
    vectors = solver._vectors
    spread = torch.Generator().manual_seed(0)
    solutions = solver.solutions + 0.01 * torch.randn(solver.solutions.shape, generator=spread)
    weigh = weighing.create(config, solutions)
    batches = [tuple(tensor[first : first + 13] for tensor in instance.train) for first in (0, 20)]
    stacked = Stacked(instance, vectors).directions(solutions, batches, weigh)
    rows = [(seed, index) for seed in range(2) for index in range(7)]
    each = Each(instance, vectors).directions(rows, solutions.flatten(0, 1), batches, weigh)
    torch.testing.assert_close(stacked.flatten(0, 1), each, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("method", ["independent", "adaptive", "mgda", "pareto_mtl"])
def test_cuda_has_the_cpus_losses(noise: Path, method: str) -> None:
    config = images(method)
    for one, other in zip(solve(config, device="cuda"), solve(config, device="cpu"), strict=True):
        assert (one.seed, one.step) == (other.seed, other.step)
        np.testing.assert_allclose(one.train, other.train, rtol=0, atol=1e-4)
        np.testing.assert_allclose(one.losses, other.losses, rtol=0, atol=1e-4)
        np.testing.assert_allclose(one.metrics, other.metrics, rtol=0, atol=0.051)
