"""BatchNorm without running averages: a network stays a function of its parameters and its data.

In training a batch is normalised by its own statistics, that of each task by itself. Where a
network is measured, the statistics are those of the task's training data under the current
parameters, means over batches of the size it is trained on ("PreciseBN", Wu & Johnson 2021,
arXiv:2105.07576, §3). Running averages would lag behind by tens of steps, and the first epoch is
where generalization gaps open; they would be state that stacked replicas have to carry; and they
would mix tasks whose batches were never normalised together.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import batch_norm

__all__ = ["BatchNorm", "converted", "has_batch_norm", "population_statistics"]


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) of (N, C, ...).

    In training mode by the batch's own mean and biased variance; in evaluation mode by the
    buffers ``mean`` and ``variance``, (C,), which ``population_statistics`` finds.

    Args:
        channels: C.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, ...) -> the same."""
        mean, variance = (None, None) if self.training else (self.mean, self.variance)
        return batch_norm(
            maps, mean, variance, self.weight, self.bias, training=self.training, eps=self.eps
        )


def has_batch_norm(module: nn.Module) -> bool:
    """Whether an example's output depends on the other examples of its batch."""
    return any(isinstance(part, BatchNorm) for part in module.modules())


def converted(module: nn.Module) -> nn.Module:
    """``module`` with every ``nn.BatchNorm2d`` in it replaced, parameters kept; in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            ours = BatchNorm(child.num_features, child.eps)
            ours.weight, ours.bias = child.weight, child.bias
            setattr(module, name, ours)
        else:
            converted(child)
    return module


def population_statistics(
    modules: Sequence[nn.Module],
    params: Sequence[Mapping[str, Tensor]],
    batches: Sequence[Tensor],
) -> list[dict[str, Tensor]]:
    """Means over batches of the statistics that a chain of modules normalises them by.

    Args:
        modules: applied one after the other, in training mode; an encoder and a head.
        params: the values of each one's parameters.
        batches: of inputs, (B, ...).

    Returns:
        For each module, its buffers by name: (C,) means and unbiased variances.
    """
    sums: list[dict[str, Tensor]] = [{} for _ in modules]
    handles = []
    for module, found in zip(modules, sums, strict=True):
        for name, part in module.named_modules():
            if isinstance(part, BatchNorm):
                handles.append(part.register_forward_pre_hook(_adding_to(found, name)))
    try:
        with torch.no_grad():
            for batch in batches:
                for module, values in zip(modules, params, strict=True):
                    batch = functional_call(module, dict(values), (batch,))
    finally:
        for handle in handles:
            handle.remove()
    return [{name: total / len(batches) for name, total in found.items()} for found in sums]


def _adding_to(
    found: dict[str, Tensor], name: str
) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    prefix = f"{name}." if name else ""

    def add(_: nn.Module, entered: tuple[Tensor, ...]) -> None:
        maps = entered[0]
        over = [dimension for dimension in range(maps.ndim) if dimension != 1]
        variance, mean = torch.var_mean(maps, dim=over)
        for statistic, value in (("mean", mean), ("variance", variance)):
            key = f"{prefix}{statistic}"
            found[key] = found[key] + value if key in found else value

    return add
