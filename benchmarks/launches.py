"""What a GPU is asked to do one by one: operations of a step, and of what is measured beside it.

    python benchmarks/launches.py [--setting digits fashion] [--preset quick]

Counts, which are the same on every machine: operations that compute or copy something, of a stack
of three seeds of the target with the helpful auxiliary, as a device is given them. A captured step
is one of them. Evaluation is in a GPU's chunks.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mtl_core import RunConfig, factors, settings
from mtl_core.training import checkpoint_steps, replicas
from mtl_core.training.replicas import Replicas
from mtl_core.training.schedule import factor_steps

_FREE = {
    *("view", "_unsafe_view", "expand", "permute", "transpose", "t", "unsqueeze", "squeeze"),
    *("detach", "alias", "slice", "select", "split", "split_with_sizes", "unbind", "as_strided"),
}
"""Other looks at what is there."""


class _Count(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.found = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.found += func.overloadpacket.__name__ not in _FREE
        return func(*args, **(kwargs or {}))


def counted(do: Callable[[], object]) -> int:
    """Operations of what is done."""
    with _Count() as count:
        do()
    return count.found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--setting", nargs="*", default=["digits", "fashion"])
    parser.add_argument("--preset", default="quick")
    asked = parser.parse_args()
    replicas._CHUNK["cpu"] = replicas._CHUNK["cuda"]
    for setting in asked.setting:
        base = RunConfig.from_preset(setting, asked.preset, seeds=(0, 1, 2))
        helpful = next(t.name for t in settings.get(setting).tasks if t.name != base.target)
        config = RunConfig.from_preset(
            setting, asked.preset, seeds=(0, 1, 2), auxiliaries=(helpful,)
        )
        stack = Replicas(config, config.seeds, torch.device("cpu"), capture=lambda step: step)
        stack.train_step()  # makes what is made once
        site = stack._meter.site(stack.step)
        each = {
            "step": (config.steps, counted(stack._stepper._carry_out)),
            "evaluation": (len(checkpoint_steps(config)), counted(stack._evaluate)),
        }
        for name in config.factors:
            measured = counted(partial(factors.get(name).measure, site, config.target))
            each[name] = (len(factor_steps(config)), measured)
        print(f"{setting}, {asked.preset}, + {helpful}, {config.optimizer}, three seeds:")
        for name, (times, count) in each.items():
            print(f"  {name:20} {times:6,} x {count:6,} = {times * count:9,}")


if __name__ == "__main__":
    main()
