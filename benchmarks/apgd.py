"""What fewer steps of APGD lose of sharpness, against the paper's 20, along a run.

    python benchmarks/apgd.py [SETTING/PRESET …] [--steps 3 5 8 …] [--seeds 0 1] [--early]

Trains each preset's target alone, and with its first auxiliaries (one of LeNet's and of the small
CNN's, four of CIFAR-100's), and measures sharpness untrained, after one step, a tenth of all, half
of them and at the end, as a run does, but for the steps of APGD. Prints the share that is lost in
per cent of what 20 steps find, for every seed, and the largest of all. A run of fewer steps is no
beginning of one of 20, and 18 may lose more than 17: APGD reconsiders its step at shares of them.

``--early`` leaves half of the steps and the end out.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from mtl_core import RunConfig, settings
from mtl_core.training.replicas import Replicas

PAPER = 20
STEPS = (3, 5, 8, 10, 12, 15, 16, 17, 18)
RUNS = ("digits/quick", "fashion/quick", "cifar100/quick", "cifar100/standard")
ALONG = (0.0, 1e-9, 0.1, 0.5, 1.0)
"""Shares of a run's steps after which it is measured: not at all, after the first one, …"""


def lost(replicas: Replicas, steps: Sequence[int]) -> dict[int, list[float]]:
    """Steps of APGD -> what they lose, in per cent of what the paper's find, for each replica."""
    found = {}
    for count in (*steps, PAPER):
        replicas._meter._config = replace(replicas.config, apgd_steps=count)
        measured = replicas._meter.measure(replicas.step)
        found[count] = measured.values[replicas.config.target]["sharpness"]
    return {
        count: [
            100 * (1 - few / all_)  # None where it has no value: an error is right
            for few, all_ in zip(found[count], found[PAPER], strict=True)
        ]
        for count in steps
    }


def along(
    name: str, count: int, steps: Sequence[int], seeds: tuple[int, ...], shares: Sequence[float]
) -> dict[int, float]:
    """Prints what is lost along one run; steps of APGD -> the most that they lose."""
    setting, preset = name.split("/")
    others = [task.name for task in settings.get(setting).tasks]
    others.remove(settings.get(setting).default_target)
    run = RunConfig.from_preset(
        setting, preset, auxiliaries=tuple(others[:count]), seeds=seeds, factors=("sharpness",)
    )
    replicas = Replicas(run, seeds, torch.device("cpu"))
    most = dict.fromkeys(steps, 0.0)
    for share in shares:
        while replicas.step < share * run.steps:
            replicas.train_step()
        replicas.checkpoint()  # settles BatchNorm's statistics
        started = time.perf_counter()
        found = lost(replicas, steps)
        seconds = time.perf_counter() - started
        for at, seed in enumerate(seeds):
            print(
                f"{name:18} {count} auxiliaries  step {replicas.step:4} seed {seed}: "
                + "  ".join(f"{n}: {values[at]:6.3f}" for n, values in found.items())
                + (f"  ({seconds:.0f} s)" if not at else ""),
                flush=True,
            )
        most = {n: max(most[n], *values) for n, values in found.items()}
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", default=RUNS, metavar="SETTING/PRESET")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1))
    parser.add_argument("--early", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    shares = [share for share in ALONG if share < 0.5 or not options.early]
    print("sharpness lost by fewer steps of APGD than the paper's 20, in %\n")
    for name in options.runs:
        counts = (0, 4) if name.startswith("cifar100") else (0, 1)
        most = [along(name, n, options.steps, tuple(options.seeds), shares) for n in counts]
        largest = {n: max(one[n] for one in most) for n in options.steps}
        print(
            f"{name:18} at most: " + "  ".join(f"{n}: {value:.3f}" for n, value in largest.items()),
            flush=True,
        )


if __name__ == "__main__":
    main()
