"""The factors of three replicas: ours against the plain way that a user would write.

    python benchmarks/factors.py [--device cpu|cuda] [--widths 8 16] [--repeats N]
    python benchmarks/factors.py --cadence

Both sides measure sharpness (16 batches of 128, 20 steps of APGD), Fisher (128 batches of 16, 10
draws of labels), covariance (128 batches of 16) and gradient similarity (200 batches of 128 of two
tasks) of a LeNet on FashionMNIST. The plain way is a Python loop with ``loss.backward()`` for every
batch and step, one replica after the other, with PyTorch's default threads; ours is what a run
does. Prints ratios, where our time goes, and how far it is from the arithmetic's own cost: the
operations of the plain way at the speed of a large matrix product here.

``--cadence`` compares what measuring and what training costs in a run of each preset. What fewer
steps than the paper's 20 lose, ``apgd.py`` says.
"""

import argparse
import time
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from loky import ProcessPoolExecutor
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from mtl_core import RunConfig, settings
from mtl_core.training.pool import cores
from mtl_core.training.replicas import Replicas
from mtl_core.trajectory import FACTORS

SEEDS = (0, 1, 2)
TASKS = ("fashion1", "fashion2")
STEPS = 20  # of training, before anything is measured
DRAWS = 10  # of labels for each example, "many" in the paper and RunConfig's default
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def config(width: int) -> RunConfig:
    """Two tasks with everything measured as the paper does."""
    return RunConfig(
        "fashion", TASKS[0], auxiliaries=TASKS[1:], samples=2_560, held_out=100, width=width,
        seeds=SEEDS, epochs=1, fisher_draws=DRAWS,
    )  # fmt: skip


# Ours: a replica per process on a CPU, all stacked on a GPU.


@cache
def trained(width: int, seeds: tuple[int, ...], device: str) -> Replicas:
    if device == "cpu":
        torch.set_num_threads(1)
    replicas = Replicas(config(width), seeds, torch.device(device))
    for _ in range(STEPS):
        replicas.train_step()
    return replicas


def measure(width: int, seeds: tuple[int, ...], device: str, factors: tuple[str, ...]) -> float:
    """Seconds of one measurement of some replicas."""
    meter = trained(width, seeds, device)._meter
    meter._config = replace(meter._config, factors=factors)
    started = time.perf_counter()
    meter.measure(STEPS)
    return time.perf_counter() - started


def remotely(*arguments: Any) -> float:
    """``measure`` in a process of the pool, which imports this file to keep what it trained."""
    import factors

    return factors.measure(*arguments)


def ours(pool: Any, width: int, device: str, times: int) -> float:
    """Seconds per measurement of all replicas."""
    started = time.perf_counter()
    if device == "cpu":
        jobs = [
            pool.submit(remotely, width, (seed,), device, FACTORS)
            for _ in range(times)
            for seed in SEEDS
        ]
        for job in jobs:
            job.result()
    else:
        for _ in range(times):
            measure(width, SEEDS, device, FACTORS)
    return (time.perf_counter() - started) / times


# The plain way.


class Plain(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder = settings.get("fashion").encoder(width)
        self.heads = nn.ModuleDict({task: nn.Linear(self.encoder.features, 10) for task in TASKS})

    def forward(self, task: str, inputs: torch.Tensor) -> torch.Tensor:
        return self.heads[task](self.encoder(inputs))


def gradient(network: Plain, loss: torch.Tensor) -> torch.Tensor:
    network.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in network.encoder.parameters()])


def plain_sharpness(network: Plain, inputs: torch.Tensor, targets: torch.Tensor) -> float:
    """APGD batch by batch, as its published pseudo-code reads."""
    parameters = list(network.encoder.parameters())
    origin = [p.detach().clone() for p in parameters]
    radius = torch.cat([1e-3 * p.abs().flatten() for p in origin])

    def at(eps: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> tuple[float, torch.Tensor]:
        parts = eps.split([p.numel() for p in origin])
        with torch.no_grad():
            for p, start, part in zip(parameters, origin, parts, strict=True):
                p.copy_(start + part.view_as(start))
        loss = cross_entropy(network(TASKS[0], x), y)
        return loss.item(), gradient(network, loss)

    rises = []
    for x, y in zip(inputs.split(128), targets.split(128), strict=True):
        here = torch.zeros_like(radius)
        now, uphill = at(here, x, y)
        start, best, best_at, best_uphill, previous = now, now, here, uphill, here
        size, risen, checked, halved, best_before = 2.0, 0, 0, False, now
        for step in range(1, 21):
            a = 0.75 if step > 1 else 1.0
            z = torch.clamp(here + size * radius * uphill.sign(), -radius, radius)
            new = torch.clamp(here + a * (z - here) + (1 - a) * (here - previous), -radius, radius)
            previous, here, before = here, new, now
            now, uphill = at(here, x, y)
            risen += now > before
            if now > best:
                best, best_at, best_uphill = now, here, uphill
            if step in (5, 9, 12, 15, 16, 18, 19):
                stuck = risen < 0.75 * (step - checked) or (not halved and best == best_before)
                if stuck:
                    size, now, here, uphill = size / 2, best, best_at, best_uphill
                halved, best_before, checked, risen = stuck, best, step, 0
        rises.append(best - start)
        at(torch.zeros_like(radius), x, y)
    return float(np.mean(rises))


def plain_fisher(network: Plain, inputs: torch.Tensor) -> float:
    parameters, squares = list(network.encoder.parameters()), []
    for x in inputs.split(16):
        logits = network(TASKS[0], x)
        drawn = torch.distributions.Categorical(logits=logits.detach())
        for _ in range(DRAWS):
            network.zero_grad()
            cross_entropy(logits, drawn.sample()).backward(retain_graph=True)
            squares.append(sum(p.grad.square().sum().item() for p in parameters))
    return float(np.mean(squares))


def plain_covariance(network: Plain, inputs: torch.Tensor, targets: torch.Tensor) -> float:
    total, squares = 0.0, []
    for x, y in zip(inputs.split(16), targets.split(16), strict=True):
        g = gradient(network, cross_entropy(network(TASKS[0], x), y))
        squares.append(g.square().sum().item())
        total = total + g
    n = len(squares)
    large = (total / n).square().sum().item()
    return (np.mean(squares) - large) / ((2048 - 16) / 2047 / 16)


def plain_similarity(network: Plain, data: dict) -> float:
    found = []
    for _ in range(200):
        gradients = []
        for task, (inputs, targets) in data.items():
            index = torch.randint(len(targets), (128,), device=targets.device)
            gradients.append(
                gradient(network, cross_entropy(network(task, inputs[index]), targets[index]))
            )
        found.append(torch.cosine_similarity(gradients[0], sum(gradients), dim=0).item())
    return float(np.mean(found))


def plain(networks: list[Plain], data: dict) -> dict[str, float]:
    """Seconds of each factor over all replicas."""
    inputs, targets = (part[:2048] for part in data[TASKS[0]])
    spent = {}
    for name, measured in (
        ("sharpness", lambda network: plain_sharpness(network, inputs, targets)),
        ("fisher_trace", lambda network: plain_fisher(network, inputs)),
        ("gradient_covariance", lambda network: plain_covariance(network, inputs, targets)),
        ("gradient_similarity", lambda network: plain_similarity(network, data)),
    ):
        started = time.perf_counter()
        for network in networks:
            measured(network)
        spent[name] = time.perf_counter() - started
    return spent


def operations(network: Plain, data: dict) -> float:
    """Floating-point operations of the plain way for one replica."""
    inputs, targets = (part[:128] for part in data[TASKS[0]])
    with FlopCounterMode(display=False) as counter:
        gradient(network, cross_entropy(network(TASKS[0], inputs), targets))
    each = counter.get_total_flops() / 128
    # A forward pass is a third of both; each further draw of labels goes backward only.
    passes = 20 + 1 / 3 + (1 / 3 + DRAWS * 2 / 3) + 1
    return each * (2048 * passes + 2 * 200 * 128)


def product_speed(device: str) -> float:
    """Operations per second of a large matrix product, on one core or on the GPU."""
    a = torch.randn(2048, 2048, device=device)
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        (a @ a).sum().item()
        best = min(best, time.perf_counter() - started)
    return 2 * 2048**3 / best


def suite(device: str, widths: list[int], repeats: int) -> None:
    with ProcessPoolExecutor(cores(), env=ONE_THREAD) as pool:
        for width in widths:
            loaded = trained(width, SEEDS[:1], "cpu")._data
            torch.set_num_threads(cores())
            data = {t: tuple(p.to(device) for p in loaded[t].train) for t in TASKS}
            networks = [Plain(width).to(device) for _ in SEEDS]
            ours(pool, width, device, 4)  # lets every process train its replicas first
            plain_similarity(networks[0], data)
            for _ in range(repeats):
                ours_seconds = ours(pool, width, device, 2)
                spent = plain(networks, data)
                total = sum(spent.values())
                print(
                    f"width {width}: ours {ours_seconds:.2f} s, plain {total:.2f} s, "
                    f"{total / ours_seconds:.1f} x faster"
                )
            parts = {
                name: np.median([
                    pool.submit(remotely, width, SEEDS[:1], device, (name,)).result()
                    if device == "cpu" else measure(width, SEEDS, device, (name,))
                    for _ in range(3)
                ])
                for name in FACTORS
            }  # fmt: skip
            whole = sum(parts.values())
            for name, seconds in parts.items():
                print(
                    f"  {name:20} {seconds / whole:4.0%} of ours, {spent[name] / total:4.0%} of "
                    "the plain way"
                )
            if device == "cpu":
                torch.set_num_threads(1)
            ideal = operations(networks[0], data) / product_speed(device)
            ideal *= len(SEEDS) / (cores() if device == "cpu" else 1)
            torch.set_num_threads(cores())
            print(f"  {ours_seconds / ideal:.1f} x the plain way's operations at full speed")


def cadence() -> None:
    """Measuring against training, single-threaded, one seed."""
    torch.set_num_threads(1)
    for setting, preset in (("digits", "quick"), ("fashion", "quick"), ("fashion", "standard")):
        for auxiliaries in ((), (settings.get(setting).tasks[1].name,)):
            run = RunConfig.from_preset(setting, preset, auxiliaries=auxiliaries, seeds=(0,))
            replicas = Replicas(run, (0,), torch.device("cpu"))
            some = min(run.steps, 400)
            for _ in range(some):
                replicas.train_step()
            training = replicas.seconds / some * run.steps
            points = len(replicas._factor_steps)
            spent = []
            for _ in range(3):
                started = time.perf_counter()
                replicas._meter.measure(some)
                spent.append(time.perf_counter() - started)
            measuring = float(np.median(spent)) * points
            print(
                f"{setting:8} {preset:9} {run.auxiliaries_label:12} training {training:6.1f} s, "
                f"{points} measurements {measuring:6.1f} s, ratio {measuring / training:.2f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--widths", type=int, nargs="*", default=[8, 16])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--cadence", action="store_true")
    options = parser.parse_args()
    if options.cadence:
        cadence()
    else:
        suite(options.device, options.widths, options.repeats)


if __name__ == "__main__":
    main()
