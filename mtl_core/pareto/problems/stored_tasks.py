"""Stored tasks: objectives of a user's own data, one for each of its tasks that is named.

Each loss is in units of what it costs to know nothing of the inputs: the variance of a number over
the training rows, and for classes the entropy of their shares there. So predicting the mean, or the
shares, costs 1 whichever the data is, and a problem is defined without it.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mtl_core import settings
from mtl_core.data import stored
from mtl_core.data.base import Stamp
from mtl_core.errors import DataMissing
from mtl_core.pareto.problems.base import Instance
from mtl_core.pareto.problems.examples import Examples

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["examples", "is_name", "load", "widths"]

is_name = stored.is_name


def examples(name: str, targets: Sequence[str]) -> Examples:
    """Inputs, then an array for each target; validation data is not used.

    Raises:
        DataMissing: where the data is not on this machine.
        InputError: for a task that it does not have.
    """
    setting = settings.get(name)
    for target in targets:
        setting.task(target)
    state = setting.data_state()
    if state.state != "found":
        raise DataMissing(state.message)
    return _examples(name, tuple(targets), state.stamp)


@lru_cache(maxsize=4)
def _examples(name: str, targets: tuple[str, ...], _stamp: Stamp) -> Examples:
    data = settings.get(name).load(targets)
    first = data[targets[0]]
    return Examples(
        (_flat(first.train.inputs), *(data[target].train.targets for target in targets)),
        (_flat(first.test.inputs), *(data[target].test.targets for target in targets)),
    )


def _flat(inputs: Any) -> Any:
    return inputs.reshape(len(inputs), -1)


def widths(name: object, targets: Sequence[str]) -> tuple[int, int] | None:
    """How many features stored data has, and outputs these targets; None where nobody knows.

    No array is read.
    """
    described = stored.find(name) if isinstance(name, str) and is_name(name) else None
    if described is None:
        return None
    known = {label.name: label.classes for label in described.labels}
    outputs = sum(known.get(target, 1) for target in targets)  # a wrong target is refused later
    return math.prod(described.shape), outputs


def load(
    name: str,
    targets: Sequence[str],
    build: "type[nn.Module] | Any",
    device: "torch.device",
    samples: int | None,
    held_out: int | None,
) -> Instance:
    """The problem made ready.

    Args:
        build: numbers of features and of outputs to a network.
    """
    import torch
    from torch.nn.functional import cross_entropy

    from mtl_core.pareto.problems.networks import applied, started

    found = examples(name, targets)
    widths = [settings.get(name).task(target).classes for target in targets]
    nothing = [
        _cost_of_nothing(known, classes)
        for known, classes in zip(found.train[1:], widths, strict=True)
    ]
    train, test = found.tensors(device, samples, held_out)
    module = partial(build, train[0].shape[1], sum(widths))
    starts = [sum(widths[:place]) for place in range(len(widths))]
    predicted = applied(module)

    def losses(parameters: "Mapping[str, Tensor]", batch: "tuple[Tensor, ...]") -> "Tensor":
        rows, *known = batch
        some = next(iter(parameters.values()))
        outputs = predicted(parameters, rows.to(some.dtype))
        each = []
        for target, start, classes, cost in zip(known, starts, widths, nothing, strict=True):
            if classes == 1:
                error = (outputs[:, start] - target).square().mean()
            else:
                error = cross_entropy(outputs[:, start : start + classes], target)
            each.append(error / cost)
        return torch.stack(each)

    return Instance(start=started(module, device), losses=losses, train=train, test=test)


def _cost_of_nothing(targets: Any, classes: int) -> float:
    """What the best constant prediction costs on the training rows."""
    if classes == 1:
        return float(np.var(targets.astype(np.float64)))
    shares = np.bincount(targets, minlength=classes) / len(targets)
    return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
