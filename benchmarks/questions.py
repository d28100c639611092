"""Whole questions on a device: three experiments of three seeds against the loop of a tutorial.

    python benchmarks/questions.py [--device cuda] [--epochs 2] [--samples N]

FashionMTL at the paper's size, alone, with a helpful and with a noisy auxiliary, without factors:
ours trains what has one shape as one computation, all seeds of the single task and all of both
auxiliaries, and for comparison each experiment by itself; the plain loop trains one network after
the other. All of them are on the same device with the same batches and evaluations. Few epochs are
timed, and the time of the paper's 100 is said from them. The same with the weightings of one pair
of tasks. Then the `digits` question at the quick budget, with all factors, from the first step to
the last.
"""

import argparse
import time
from collections.abc import Callable, Hashable
from dataclasses import replace

import torch
from panel import plain_run, tensors

from mtl_core import RunConfig, settings
from mtl_core.training.replicas import Stack, advance_together
from mtl_core.training.stepping import shape


def question(setting: str, preset: str, **fields: object) -> list[RunConfig]:
    """The single task and each other task as the only auxiliary, three seeds each."""
    base = RunConfig.from_preset(setting, preset, seeds=(0, 1, 2), **fields)
    others = [t.name for t in settings.get(setting).tasks if t.name != base.target]
    return [base, *(replace(base, auxiliaries=(other,)) for other in others)]


def methods() -> list[RunConfig]:
    """Weightings by task gradients of one pair of tasks, three seeds each."""
    names = ("mgda", "pcgrad", "cagrad", "nash_mtl", "gradvac", "imtl_g")
    base = RunConfig.from_preset("fashion", "paper", seeds=(0, 1, 2), auxiliaries=("fashion2",))
    return [replace(base, optimizer=name, factors=()) for name in names]


def by_themselves(configs: list[RunConfig], device: str) -> float:
    """Each experiment's seeds as one stack, one experiment after the other."""
    return together(configs, device, of=lambda config: config.id)


def together(
    configs: list[RunConfig], device: str, of: Callable[[RunConfig], Hashable] = shape
) -> float:
    """Experiments of one shape as one computation."""
    started = time.perf_counter()
    groups: dict[Hashable, list[Stack]] = {}
    for config in configs:
        groups.setdefault(of(config), []).append(Stack(config, config.seeds))
    for stacks in groups.values():
        advance_together(stacks, device=device, slice_seconds=float("inf"))
    _wait(device)
    return time.perf_counter() - started


def plain(configs: list[RunConfig], device: str) -> float:
    """One seed of each experiment, three times its seconds: the loop's seeds are alike."""
    spent = 0.0
    for config in configs:
        splits = {
            task: tuple(
                torch.utils.data.TensorDataset(*(one.to(device) for one in split.tensors))
                for split in found
            )
            for task, found in tensors(config).items()
        }
        _wait(device)
        started = time.perf_counter()
        plain_run(config, 0, splits, device)
        _wait(device)
        spent += time.perf_counter() - started
    return spent * len(configs[0].seeds)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--samples", type=int, default=None)
    asked = parser.parse_args()
    fields = {"samples": asked.samples} if asked.samples else {}
    configs = question("fashion", "paper", epochs=asked.epochs, factors=(), **fields)
    for config in configs:
        tensors(config)
    together([replace(configs[0], epochs=1)], asked.device)  # kernels are chosen, memory is taken
    own, loop = together(configs, asked.device), plain(configs, asked.device)
    print(f"fashion, paper's size, 9 networks: {loop / own:.2f} x the plain loop")
    apart = by_themselves(configs, asked.device)
    print(f"fashion, paper's size, 9 networks: {apart / own:.2f} x each experiment by itself")
    hundred = own * 100 / asked.epochs
    print(f"fashion, paper's size, 9 networks, 100 epochs: {hundred:.0f} s from {asked.epochs}")
    weightings = [replace(one, epochs=asked.epochs, **fields) for one in methods()]
    together([replace(weightings[0], epochs=1)], asked.device)
    apart, own = by_themselves(weightings, asked.device), together(weightings, asked.device)
    print(f"fashion, six weightings, 18 networks: {apart / own:.2f} x each method by itself")
    digits = question("digits", "quick")
    together([replace(digits[0], epochs=1)], asked.device)
    print(f"digits, quick, 9 networks with factors: {together(digits, asked.device):.1f} s")


if __name__ == "__main__":
    main()
