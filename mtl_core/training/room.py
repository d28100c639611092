"""Room: the memory that steps of stacked replicas take, and what they may take of a device's."""

from functools import lru_cache

import torch
from torch import Tensor

from mtl_core import optimizers, settings
from mtl_core.config import RunConfig

__all__ = ["room", "step_bytes"]

_SHARE = 0.5
"""Of a GPU's free memory: as much again is for what is measured, and for other stacks."""

_ON_CPU = 2 * 2**30


def room(device: str) -> int:
    """Bytes that the steps of a stack may take on a device."""
    if device != "cuda":
        return _ON_CPU
    free, _ = torch.cuda.mem_get_info()
    ours = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return int(_SHARE * (free + ours))


def step_bytes(config: RunConfig) -> int:
    """Bytes that a step of one replica takes, about, on a GPU.

    Parameters, gradients and moments; the Jacobian and the copies that it is computed from, where
    there is one; and what the encoder keeps of each example for the way back.
    """
    parameters, example = _sizes(config.setting, config.tasks[0], config.width)
    moments = {"sgd": 0, "momentum": 1, "adam": 2}[config.base_optimizer]
    method = optimizers.create(
        config.optimizer, num_tasks=len(config.tasks), **dict(config.options)
    )
    tasks = len(config.tasks)
    apart = method.needs_gramian or method.needs_jacobian
    copies = 2 + moments + (3 * tasks if apart else 0)
    # Each task has a batch of its own, or its own way back through that of all.
    return copies * parameters + tasks * config.batch_size * example


@lru_cache(maxsize=64)
def _sizes(setting: str, task: str, width: int) -> tuple[int, int]:
    """Bytes of an encoder's parameters, and of what it keeps of an example."""
    found = settings.get(setting)
    examples = 4
    inputs = found.load((task,))[task].train.first(examples).inputs
    with torch.random.fork_rng(devices=[]):
        encoder = found.encoder(width)
    own = {parameter.data_ptr() for parameter in encoder.parameters()}
    kept: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        if value.data_ptr() not in own:
            kept[value.data_ptr()] = value.untyped_storage().nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        outputs = encoder(torch.from_numpy(inputs.copy()))
    parameters = sum(p.numel() * p.element_size() for p in encoder.parameters())
    # What comes out is there too, and its gradient.
    return parameters, sum(kept.values()) // examples + 2 * outputs[0].nbytes
