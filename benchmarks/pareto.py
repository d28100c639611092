"""An iteration of N trade-offs of MultiMNIST: ours against N ordinary loops, one after another.

    python benchmarks/pareto.py [--real] [--solutions N] [--batch N] [--optimizer sgd|adam]
                                [--repeats N]

Both sides train the LeNet of Pareto MTL on 36×36 canvases with the Tchebycheff scalarization, on
the CPU and, where there is one, on the GPU: canvases of noise, or MultiMNIST's own with ``--real``.
A loop is an ``nn.Module``, a batch of its own, one ``backward``, PyTorch's optimizer, on as many
threads as PyTorch takes. Ours is a step of ``solve`` without transfer and with the adaptive
one, in a process per core; on a GPU all solutions are one stacked computation. Prints the medians
and our share of the loops' time, taken in turns; then how long the toy problem's front takes.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from mtl_core.pareto import ParetoConfig, solve
from mtl_core.pareto.crew import Crew
from mtl_core.pareto.problems.lenet import TwoItemLeNet
from mtl_core.pareto.solver import Solver
from mtl_core.training.pool import ReplicaPool

EXAMPLES = 4_096
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--solutions", type=int, default=10)
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--optimizer", default="sgd", choices=["sgd", "adam"])
    parser.add_argument("--repeats", type=int, default=15)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        if not asked.real:
            write_noise(Path(folder))
            os.environ["MTL_DATA_DIR"] = folder
        with ReplicaPool() as pool:
            for batch in asked.batch:
                compare(asked.solutions, batch, asked.optimizer, asked.repeats, CPU, pool)
        if torch.cuda.is_available():
            for batch in asked.batch:
                cuda = torch.device("cuda")
                compare(asked.solutions, batch, asked.optimizer, asked.repeats, cuda, None)
    config = ParetoConfig("toy", solutions=10, iterations=500, seeds=(0,))
    list(solve(config))
    started_at = time.perf_counter()
    list(solve(config))
    print(f"toy, 10 solutions, 500 iterations: {time.perf_counter() - started_at:.2f} s")


def compare(
    solutions: int,
    batch: int,
    optimizer: str,
    repeats: int,
    device: torch.device,
    pool: ReplicaPool | None,
) -> None:
    """Times of one iteration of all solutions, in turns."""
    config = ParetoConfig(
        "multimnist",
        method="independent",
        solutions=solutions,
        iterations=1_000_000,
        frames=1,
        batch_size=batch,
        optimizer=optimizer,
        lr=1e-3,
        samples=EXAMPLES,
        held_out=batch,
        seeds=(0,),
    )
    sides = {
        "loops": loops(config, device),
        "independent": ours(config, device, pool),
        "adaptive": ours(replace(config, method="adaptive"), device, pool),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats + 2):
        for name, step in sides.items():
            step()  # not timed: threads of the side before may still be waiting for work
            if device.type == "cuda":
                torch.cuda.synchronize()
            started_at = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if repeat >= 2:
                seconds[name].append(time.perf_counter() - started_at)
    medians = {name: statistics.median(of) for name, of in seconds.items()}
    for name, median in medians.items():
        share = [own / loop for own, loop in zip(seconds[name], seconds["loops"], strict=True)]
        print(
            f"{device.type}: {solutions} x LeNet, batch {batch}, {optimizer}, {name}: "
            f"{1e3 * median:.1f} ms, "
            f"{median / medians['loops']:.2f} of the loops "
            f"(per turn {min(share):.2f} to {max(share):.2f})"
        )


def ours(
    config: ParetoConfig, device: torch.device, pool: ReplicaPool | None
) -> Callable[[], None]:
    """A step of all solutions."""
    solver = Solver(config, (0,), device)
    if pool is not None:
        solver.help = Crew(config, (0,), pool)
        while not solver.help.ready:
            time.sleep(0.1)
    return lambda: solver.advance(solver.step + 1)


def loops(config: ParetoConfig, device: torch.device) -> Callable[[], None]:
    """What a user would write."""
    instance = config.definition.load(device, config.samples, config.held_out, {})
    canvases, labels = instance.train
    optimizers = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    nets = [TwoItemLeNet(0.153, 0.329).to(device) for _ in config.weights]
    steps = [optimizers[config.optimizer](net.parameters(), lr=config.lr) for net in nets]
    weights = torch.from_numpy(config.weights).float().to(device)

    def step() -> None:
        for net, weight, optimizer in zip(nets, weights, steps, strict=True):
            index = torch.randint(len(canvases), (config.batch_size,), device=device)
            outputs, targets = net(canvases[index]), labels[index]
            losses = [cross_entropy(outputs[:, k], targets[:, k]) for k in range(2)]
            loss = (weight * torch.stack(losses)).max()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return step


def write_noise(folder: Path) -> None:
    """Random images and labels, as many as MNIST has, where the problem looks for MNIST."""
    source = np.random.default_rng(0)
    images = source.integers(0, 256, (70_000, 28, 28), dtype=np.uint8)
    labels = (np.arange(len(images)) % 10).astype(np.uint8)
    np.savez(
        folder / "mnist.npz",
        x_train=images[:60_000],
        y_train=labels[:60_000],
        x_test=images[60_000:],
        y_test=labels[60_000:],
    )


if __name__ == "__main__":
    main()
