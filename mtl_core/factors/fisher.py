"""Fisher information: how far the model's own labels would move it."""

from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor

from mtl_core.errors import InputError
from mtl_core.factors.covariance import batch_gradients
from mtl_core.factors.vectors import Batch, Loss, Point, finite, groups

__all__ = ["drawn_labels", "empirical_fisher_trace", "fisher_trace"]

Logits = Callable[[dict[str, Tensor], Tensor], Tensor]
"""logits(params, inputs) -> (*L, N, C) of parameters (*L, ...) and inputs (N, ...)."""


def fisher_trace(
    logits: Logits,
    params: Mapping[str, Tensor],
    inputs: Tensor,
    *,
    batch_size: int = 16,
    samples: int = 1,
    generator: Generator | None = None,
    pixels: bool = False,
) -> Tensor:
    """Trace of the Fisher information matrix, on mini-batches (M24 Eq. 5 and 8, App. C.2).

    The mean, over mini-batches and draws, of ``||mean_x ∇_θ ℓ(f(x), ŷ)||²`` with ŷ ~ f(x).
    ``batch_size=1`` estimates Eq. 5 itself; larger ones have an expectation of 1/batch_size of it,
    since the score has mean zero. All replicas are given the same random numbers, so that they
    differ by what they are and not by what they drew.

    Args:
        logits: logits(params, inputs) -> (*L, N, C) of a categorical distribution.
        params: what is differentiated by, name -> (*L, ...).
        inputs: (N, ...); taken in order, and a last batch that is not full is left out.
        batch_size: examples whose gradients are averaged before the norm is taken; the paper's 16.
        samples: draws of labels for each example.
        generator: of the uniform numbers that become labels, on the CPU.
        pixels: whether the logits are those of an image's pixels, (*L, N, C, H, W). Every pixel
            draws a label, and an image's loss is the mean over them.

    Returns:
        (*L,), in squared units of the gradient.

    Raises:
        InputError: for fewer examples than a batch, or batch_size or samples below 1.
        FactorUndefined: where a gradient is not finite.
    """
    if samples < 1:
        raise InputError(f"samples {samples} must be at least 1")
    batches: list[Batch] = [(part,) for part in _batches(inputs, batch_size)]

    def function(params: dict[str, Tensor], batch: Batch, /) -> Tensor:
        scores = logits(params, batch[0])
        return scores.flatten(-2).movedim(-2, -1) if pixels else scores  # classes come last

    point = Point(function, params, batches[0], own=3 if pixels else 2)
    drawn = [batch_size]
    if pixels:
        with torch.no_grad():
            drawn.append(function(dict(params), batches[0]).shape[-2])
    numbers = torch.rand((len(batches), samples, *drawn), generator=generator)
    total = torch.zeros(point.lead, dtype=torch.float64, device=point.vector.device)
    done = 0
    for group in groups(batches, point.vector):
        uniform = numbers[done : done + len(group)].to(point.vector.device)
        done += len(group)
        leaf = point.vector.expand(len(group), *point.vector.shape).detach().requires_grad_()
        log_p = torch.log_softmax(point.values(leaf, group), dim=-1)  # (m, *L, B, C)
        for draw in range(samples):
            everyone = uniform[:, draw].view(len(group), *[1] * len(point.lead), *drawn)
            labels = drawn_labels(log_p.detach(), everyone)
            each = -log_p.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
            loss = each.mean(dim=(-2, -1) if pixels else -1).sum()
            (gradient,) = torch.autograd.grad(loss, leaf, retain_graph=draw < samples - 1)
            total += gradient.square().sum(dim=-1, dtype=torch.float64).sum(dim=0)
    mean = total / (len(batches) * samples)
    return finite("Fisher trace", mean.to(point.vector.dtype))


def empirical_fisher_trace(
    loss: Loss,
    params: Mapping[str, Tensor],
    inputs: Tensor,
    targets: Tensor,
    *,
    batch_size: int = 16,
) -> Tensor:
    """The same with the true labels, for outputs that are no distribution (M24 App. C.2).

    Args:
        loss: loss(params, batch) -> (*L,) mean losses.
        params: what is differentiated by, name -> (*L, ...).
        inputs: (N, ...), in order; a last batch that is not full is left out.
        targets: (N, ...).
        batch_size: examples whose gradients are averaged before the norm is taken.

    Returns:
        (*L,), in squared units of the gradient.

    Raises:
        InputError: for fewer examples than a batch.
        FactorUndefined: where a gradient is not finite.
    """
    batches = list(zip(_batches(inputs, batch_size), _batches(targets, batch_size), strict=True))
    squares, total = batch_gradients(loss, params, batches)
    return finite("empirical Fisher trace", squares.mean(dim=0).to(total.dtype))


def _batches(examples: Tensor, batch_size: int) -> list[Tensor]:
    if batch_size < 1:
        raise InputError(f"batch_size {batch_size} must be at least 1")
    count = len(examples) // batch_size
    if count == 0:
        raise InputError(
            f"{len(examples)} examples are fewer than a batch of {batch_size}; give more, or a "
            "smaller batch"
        )
    return list(torch.split(examples[: count * batch_size], batch_size))


def drawn_labels(log_p: Tensor, uniform: Tensor) -> Tensor:
    """Labels by inverting the distribution: log_p (..., C) and uniform (...) numbers -> (...)."""
    reached = log_p.double().exp().cumsum(dim=-1)
    # Of the sum as it was rounded, so that no number lies beyond the last label that can be drawn.
    passed = reached <= uniform.unsqueeze(-1).double() * reached[..., -1:]
    return passed.sum(dim=-1).clamp(max=log_p.shape[-1] - 1)
