"""Steps against ordinary PyTorch loops; which batches and starts solutions have."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mtl_core.pareto import Front, ParetoConfig, problems, solve
from mtl_core.pareto.problems.lenet import TwoItemLeNet
from mtl_core.pareto.problems.regression import LINNERUD
from mtl_core.pareto.solver import Solver
from mtl_core.training.batches import BatchStream, derived_seed

CPU = torch.device("cpu")
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


def images(**changes: Any) -> ParetoConfig:
    values = {
        "method": "independent",
        "solutions": 3,
        "iterations": 5,
        "frames": 5,
        "batch_size": 16,
        "samples": 64,
        "held_out": 20,
        "seeds": (0, 1),
    }
    return ParetoConfig("multimnist", **(values | changes))


def fronts(config: ParetoConfig) -> dict[tuple[int, int], Front]:
    """By seed and step."""
    return {(front.seed, front.step): front for front in solve(config, device="cpu")}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("problem", ["convex", "three"])
def test_steps_are_those_of_pytorchs_optimizer(problem: str, optimizer: str) -> None:
    config = ParetoConfig(
        problem,
        method="independent",
        scalarization="weighted_sum",
        solutions=4,
        optimizer=optimizer,
        lr=0.05,
        iterations=20,
        frames=20,
        seeds=(0, 1),
    )
    found = fronts(config)
    losses = config.definition.load(CPU, None, None, {}).losses
    for seed in config.seeds:
        for index, weights in enumerate(torch.from_numpy(config.weights)):
            start = found[seed, 0].solutions
            assert start is not None
            x = torch.tensor(start[index], requires_grad=True)
            stepping = OPTIMIZERS[optimizer]([x], lr=0.05)
            for step in range(1, 21):
                stepping.zero_grad()
                (weights * losses({"x": x}, ())).sum().backward()
                stepping.step()
                expected = found[seed, step].solutions
                assert expected is not None
                np.testing.assert_allclose(x.detach(), expected[index], rtol=0, atol=1e-9)


def started(seed: int) -> nn.Module:
    """The network that all solutions of a seed start from."""
    generator = torch.Generator().manual_seed(derived_seed(f"{seed}/start"))
    torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
    return TwoItemLeNet(0.153, 0.329)


def item_losses(net: nn.Module, canvases: Tensor, labels: Tensor) -> Tensor:
    outputs = net(canvases)
    return torch.stack([cross_entropy(outputs[:, k], labels[:, k]) for k in range(2)])


@pytest.mark.parametrize(
    ("scalarization", "optimizer", "lr", "batch_size"),
    [
        ("weighted_sum", "sgd", 0.01, 16),
        ("tchebycheff", "sgd", 0.01, 13),
        ("tchebycheff", "sgd", 0.01, None),
        ("tchebycheff", "adam", 1e-3, 16),
    ],
)
def test_networks_learn_as_in_a_plain_loop(
    noise: Path,
    scalarization: str,
    optimizer: str,
    lr: float,
    batch_size: int | None,
) -> None:
    # Adam makes of a gradient's sign what it makes of the gradient, however small it is.
    atol = {"sgd": 1e-5, "adam": 1e-4}[optimizer]
    config = images(scalarization=scalarization, optimizer=optimizer, lr=lr, batch_size=batch_size)
    found = fronts(config)
    canvases, labels = config.definition.load(CPU, 64, 20, {}).train
    held_out = config.definition.load(CPU, 64, 20, {}).test
    for seed in config.seeds:
        stream = BatchStream(seed, "multimnist", 64, batch_size or 64)
        for index, weights in enumerate(torch.from_numpy(config.weights).float()):
            net = started(seed)
            stepping = OPTIMIZERS[optimizer](net.parameters(), lr=lr)
            for step in range(6):
                with torch.no_grad():
                    train = item_losses(net, canvases[:20], labels[:20])
                    test = item_losses(net, *held_out)
                front = found[seed, step]
                assert front.test is not None
                np.testing.assert_allclose(front.train[index], train, rtol=0, atol=atol)
                np.testing.assert_allclose(front.test[index], test, rtol=0, atol=atol)
                chosen = stream.batch(step)
                weighted = weights * item_losses(net, canvases[chosen], labels[chosen])
                stepping.zero_grad()
                (weighted.sum() if scalarization == "weighted_sum" else weighted.max()).backward()
                stepping.step()


@pytest.mark.parametrize("method", ["independent", "mgda"])
def test_networks_do_not_depend_on_which_others_there_are(noise: Path, method: str) -> None:
    config = images(method=method, solutions=7, batch_size=13, seeds=(0,), frames=1)
    rows = tuple(map(tuple, config.weights.tolist()))
    whole = fronts(replace(config, preferences=rows))
    some = fronts(replace(config, preferences=rows[4:6]))
    for at, front in some.items():
        np.testing.assert_array_equal(front.train, whole[at].train[4:6])
        np.testing.assert_array_equal(front.state["solutions"], whole[at].state["solutions"][4:6])


def test_all_solutions_of_a_seed_see_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    def load(*asked: Any) -> problems.Instance:
        instance = LINNERUD.load(*asked)

        def losses(parameters: Any, batch: tuple[Tensor, ...]) -> Tensor:
            if torch.is_grad_enabled():
                seen.append(batch[0])
            return instance.losses(parameters, batch)

        return replace(instance, losses=losses)

    monkeypatch.setitem(problems._PROBLEMS, "linnerud", replace(LINNERUD, load=load))
    config = ParetoConfig(
        "linnerud", method="mgda", solutions=4, iterations=6, frames=1, batch_size=8, seeds=(0, 1)
    )
    list(solve(config, device="cpu"))
    batches = torch.stack(seen).view(6, 2, 4, *seen[0].shape)
    assert torch.equal(batches, batches[:, :, :1].expand_as(batches))
    different = batches[:, :, 0].flatten(0, 1)
    for place, one in enumerate(different):
        assert not any(torch.equal(one, other) for other in different[:place])


@pytest.mark.parametrize(
    ("method", "own"),
    [("independent", False), ("adaptive", False), ("pareto_mtl", False), ("mgda", True)],
)
def test_networks_of_a_seed_share_a_start_but_mgdas(noise: Path, method: str, own: bool) -> None:
    solver = Solver(images(method=method), (0, 1), CPU)
    starts = solver.solutions
    assert len(starts[0].unique(dim=0)) == (3 if own else 1)
    assert len(starts.flatten(0, 1).unique(dim=0)) == (6 if own else 2)


def test_points_of_closed_forms_have_a_start_each_whatever_the_method() -> None:
    config = ParetoConfig("toy", solutions=3, seeds=(0, 1))
    starts = Solver(config, (0, 1), CPU).solutions
    assert len(starts.flatten(0, 1).unique(dim=0)) == 6
    for method in ("independent", "mgda", "pareto_mtl"):
        assert torch.equal(Solver(replace(config, method=method), (0, 1), CPU).solutions, starts)
