"""Gradients of many overlapping batches from one pass over their examples.

A gradient of a mean loss is the mean of its examples' gradients, and in a network of convolutions
and linear layers an example's gradient follows from what enters each layer and what comes back to
it. Both are computed once for each example, whatever number of batches it is in: the same values
as a backward pass for every batch gives, for a fraction of the work.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import pad

from mtl_core.errors import InputError

__all__ = ["ExampleGradients", "batch_gramians", "example_gradients", "supported"]

CHUNK = {"cpu": 128, "cuda": 4096}
"""Examples that are passed through at once: what stays in a CPU's cache, what fills a GPU."""

_GATHER = 40
"""How much dearer a number that is fetched from memory is than one that is multiplied."""


def supported(encoder: nn.Module) -> bool:
    """Whether all parameters are those of plain convolutions and linear layers, none shared."""
    parts = list(encoder.modules())
    owned = [parameter for part in parts for parameter in part.parameters(recurse=False)]
    return bool(owned) and len(owned) == len(list(encoder.parameters())) and all(map(_plain, parts))


@dataclass(frozen=True)
class ExampleGradients:
    """The gradients of N examples' losses with respect to an encoder's parameters, by layer."""

    layers: Sequence["_Layer"]

    def means(self, index: Tensor) -> Tensor:
        """Gradients of the mean losses of m batches.

        Args:
            index: (m, B), which examples are in which batch.

        Returns:
            (m, P), parameters in the order of ``encoder.named_parameters()``.
        """
        return torch.cat([part for layer in self.layers for part in layer.means(index)], dim=1)

    def squares(self, index: Tensor) -> Tensor:
        """Squared norms of ``means(index)``, (m,) in double precision."""
        return batch_gramians([self], [index])[:, 0, 0]


def batch_gramians(gradients: Sequence[ExampleGradients], indices: Sequence[Tensor]) -> Tensor:
    """Inner products of K gradients for each of m batches.

    The vectors themselves are never put together: what two batches of a linear layer have in
    common follows from the products of their examples, which are far fewer numbers.

    Args:
        gradients: of K losses with respect to the same parameters.
        indices: K of (m, B), which examples are in which batch.

    Returns:
        (m, K, K), in double precision.
    """
    count = len(gradients)
    sums = [[torch.zeros(()) for _ in range(count)] for _ in range(count)]
    for layers in zip(*(of.layers for of in gradients), strict=True):
        batches = [layer.batches(index) for layer, index in zip(layers, indices, strict=True)]
        for i in range(count):
            for j in range(i, count):
                sums[i][j] = sums[i][j] + batches[i].dot(batches[j]).double()
    rows = [torch.stack([sums[min(i, j)][max(i, j)] for j in range(count)]) for i in range(count)]
    return torch.stack(rows).permute(2, 0, 1)


def example_gradients(
    encoder: nn.Module,
    params: Mapping[str, Tensor],
    inputs: Tensor,
    losses: Sequence[Callable[[Tensor, slice], Tensor]],
) -> list[ExampleGradients]:
    """Per-example gradients of several losses of one forward pass.

    Args:
        encoder: ``supported``, each of its layers used once, on one vector or image per example,
            and no example's output depending on another's.
        params: the values of its parameters, name -> (...).
        inputs: (N, ...).
        losses: each maps the features (n, F) of a slice of the examples, and that slice, to the
            sum of their losses.

    Returns:
        One for each loss.

    Raises:
        InputError: for an encoder that is not supported, or uses a layer in another way.
    """
    if not supported(encoder):
        raise InputError(
            f"{type(encoder).__name__} is not made of plain convolutions and linear layers only; "
            "take gradients batch by batch"
        )
    modules = [m for m in encoder.modules() if list(m.parameters(recurse=False))]
    pieces: list[list[list[_Layer]]] = [[] for _ in losses]
    chunk = CHUNK.get(inputs.device.type, 128)
    for start in range(0, len(inputs), chunk):
        part = slice(start, min(start + chunk, len(inputs)))
        with _recording(modules) as (entered, left):
            features = functional_call(encoder, dict(params), (inputs[part],))
        seen = [_windows(m, entered[m]) for m in modules]
        outputs = [left[m] for m in modules]
        for number, loss in enumerate(losses):
            back = torch.autograd.grad(
                loss(features, part), outputs, retain_graph=number < len(losses) - 1
            )
            layers = [_layer(m, x, d) for m, x, d in zip(modules, seen, back, strict=True)]
            pieces[number].append(layers)
    joined = []
    while pieces:  # one loss at a time, so that nothing is there twice but that loss's
        joined.append(
            ExampleGradients([_joined(parts) for parts in zip(*pieces.pop(0), strict=True)])
        )
    return joined


@dataclass(frozen=True)
class _Layer:
    """A linear layer's gradients as factors, or a convolution's as they are.

    Attributes:
        weight: (N, O, k·k'·I) of a convolution; None for a linear layer.
        entered: (N, I) of a linear layer.
        back: (N, O), the loss's derivative by the outputs, summed over positions: the bias's.
    """

    weight: Tensor | None
    entered: Tensor | None
    back: Tensor
    bias: bool
    window: tuple[int, ...] = ()

    def means(self, index: Tensor) -> Iterator[Tensor]:
        """The mean gradients of weight and bias, (m, ...) flattened in their own order."""
        batches = self.batches(index)
        if batches.weight is not None:
            mean = batches.weight.view(len(index), -1, *self.window)
            yield mean.permute(0, 1, 4, 2, 3).flatten(1)
        else:
            assert batches.entered is not None
            yield (batches.back.mT @ batches.entered).flatten(1)
        if self.bias:
            yield batches.back.sum(dim=1)

    def batches(self, index: Tensor) -> "_Batches":
        """The same for batches: index (m, B)."""
        flat = index.reshape(-1)
        back = self.back[flat].view(*index.shape, -1) / index.shape[1]
        if self.weight is None:
            assert self.entered is not None
            entered = self.entered[flat].view(*index.shape, -1)
            return _Batches(None, entered, back, self.bias)
        return _Batches(self._mean_weight(index), None, back, self.bias)

    def _mean_weight(self, index: Tensor) -> Tensor:
        """(m, O·k·k'·I)"""
        assert self.weight is not None
        weight, (batches, size) = self.weight.flatten(1), index.shape
        if _GATHER * size < len(weight):
            return weight[index.reshape(-1)].view(batches, size, -1).mean(dim=1)
        # Many large batches: a product with the batches' weights reads every example once.
        chosen = weight.new_zeros(batches, len(weight))
        chosen.scatter_add_(1, index, chosen.new_full((1, 1), 1 / size).expand_as(index))
        return chosen @ weight


@dataclass(frozen=True)
class _Batches:
    """One layer's mean gradients of m batches, a linear layer's still as factors.

    Attributes:
        weight: (m, O·k·k'·I) of a convolution; None for a linear layer.
        entered: (m, B, I) of a linear layer.
        back: (m, B, O), divided by the batch's size.
    """

    weight: Tensor | None
    entered: Tensor | None
    back: Tensor
    bias: bool

    def dot(self, other: "_Batches") -> Tensor:
        """(m,) inner products with the same layer's gradients of other batches."""
        product: Tensor
        if self.weight is not None and other.weight is not None:
            product = torch.linalg.vecdot(self.weight, other.weight)
        else:
            assert self.entered is not None
            assert other.entered is not None
            # ⟨Σ d xᵀ, Σ d' x'ᵀ⟩ = Σ Σ ⟨d, d'⟩⟨x, x'⟩ over the examples of both batches.
            alike = (self.entered @ other.entered.mT) * (self.back @ other.back.mT)
            product = alike.sum(dim=(1, 2))
        if self.bias:
            product = product + torch.linalg.vecdot(self.back.sum(dim=1), other.back.sum(dim=1))
        return product


def _plain(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        zeros = module.padding_mode == "zeros" and isinstance(module.padding, tuple)
        return zeros and module.groups == 1
    if isinstance(module, nn.Linear):
        return True
    # What a layer gave out must stay as it was, and must be of one example alone.
    mixes = isinstance(module, nn.modules.batchnorm._BatchNorm)
    changes = getattr(module, "inplace", False)
    return not (mixes or changes or list(module.parameters(recurse=False)))


@contextmanager
def _recording(
    modules: Sequence[nn.Module],
) -> Iterator[tuple[dict[nn.Module, Tensor], dict[nn.Module, Tensor]]]:
    """What enters and what leaves each module in a forward pass, which must use each once."""
    entered: dict[nn.Module, Tensor] = {}
    left: dict[nn.Module, Tensor] = {}
    versions: dict[nn.Module, int] = {}

    def refuse(module: nn.Module, why: str) -> InputError:
        return InputError(f"{type(module).__name__} {why}; take gradients batch by batch")

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if module in left:
            raise refuse(module, "is used more than once")
        if inputs[0].ndim != (4 if isinstance(module, nn.Conv2d) else 2):
            shape = tuple(inputs[0].shape)
            raise refuse(module, f"is given {shape}, not one vector or image for each example")
        entered[module] = inputs[0].detach()
        versions[module] = output._version
        # What enters the first layer needs no gradient, so what leaves it is where they begin.
        left[module] = output if output.requires_grad else output.requires_grad_()

    handles = [module.register_forward_hook(record) for module in modules]
    try:
        yield entered, left
        for module in modules:
            if module not in left:
                raise refuse(module, "is not used")
            if left[module]._version != versions[module]:
                raise refuse(module, "has its output changed in place")
    finally:
        for handle in handles:
            handle.remove()


def _windows(module: nn.Module, entered: Tensor) -> Tensor:
    """What each output of a convolution saw, (n, H', W', k, k', I); a linear layer's input.

    A copy in an order that makes it quick: of runs along the channels and columns of a window, or,
    where there are few channels, along the outputs.
    """
    if not isinstance(module, nn.Conv2d):
        return entered
    assert isinstance(module.padding, tuple)
    down, right = module.padding
    spread = pad(entered, (right, right, down, down)) if down or right else entered
    n, channels, height, width = spread.shape
    s0, s1, s2, s3 = spread.stride()
    (k, m), (dk, dm), (sk, sm) = module.kernel_size, module.dilation, module.stride
    rows, columns = (height - dk * (k - 1) - 1) // sk + 1, (width - dm * (m - 1) - 1) // sm + 1
    view = spread.as_strided(
        (n, rows, columns, k, m, channels), (s0, s2 * sk, s3 * sm, s2 * dk, s3 * dm, s1)
    )
    if m * channels >= columns:
        return view.contiguous()
    return view.permute(0, 3, 4, 5, 1, 2).contiguous().permute(0, 4, 5, 1, 2, 3)


def _layer(module: nn.Module, entered: Tensor, back: Tensor) -> _Layer:
    bias = module.bias is not None
    if not isinstance(module, nn.Conv2d):
        return _Layer(None, entered, back, bias)
    positions = back.flatten(2)  # (n, O, H'W')
    seen = entered.flatten(3).flatten(1, 2)  # (n, H'W', k k' I)
    return _Layer(positions @ seen, None, positions.sum(dim=2), bias, entered.shape[3:])


def _joined(parts: Sequence[_Layer]) -> _Layer:
    """One layer's gradients from its chunks'."""

    def cat(values: Sequence[Tensor | None]) -> Tensor | None:
        present = [value for value in values if value is not None]
        return torch.cat(present) if present else None

    back = torch.cat([part.back for part in parts])
    weight = cat([part.weight for part in parts])
    entered = cat([part.entered for part in parts])
    return _Layer(weight, entered, back, parts[0].bias, parts[0].window)
