"""Fisher information: how far the model's own labels would move it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mtl_core.errors import InputError
from mtl_core.factors.base import MINI_BATCH, Factor, Site, Terms, too_few
from mtl_core.factors.covariance import batch_gradients

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from mtl_core.factors.vectors import Batch, Loss, Point

__all__ = ["FACTOR", "drawn_labels", "empirical_fisher_trace", "fisher_trace"]

Logits = Callable[[dict[str, "Tensor"], "Tensor"], "Tensor"]
"""logits(params, inputs) -> (*L, N, C) of parameters (*L, ...) and inputs (N, ...)."""


def fisher_trace(
    logits: Logits,
    params: "Mapping[str, Tensor]",
    inputs: "Tensor",
    *,
    batch_size: int = MINI_BATCH,
    samples: int = 1,
    generator: "Generator | None" = None,
    pixels: bool = False,
) -> "Tensor":
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
    batches = _batches(inputs, batch_size)
    return _sampled(logits, params, batches, samples=samples, generator=generator, pixels=pixels)


def _sampled(
    logits: Logits,
    params: "Mapping[str, Tensor]",
    inputs: "Sequence[Tensor]",
    *,
    samples: int,
    generator: "Generator | None",
    pixels: bool,
) -> "Tensor":
    """``fisher_trace`` of batches of one size."""
    import torch

    from mtl_core.factors.vectors import Point, finite

    batches: list[Batch] = [(part,) for part in inputs]

    def scores(params: "dict[str, Tensor]", batch: "Batch", /) -> "Tensor":
        found = logits(params, batch[0])
        return found.flatten(-2).movedim(-2, -1) if pixels else found  # classes come last

    point = Point(scores, params, batches[0], own=3 if pixels else 2)
    drawn = [len(inputs[0])]
    if pixels:
        with torch.no_grad():
            drawn.append(scores(dict(params), batches[0]).shape[-2])
    numbers = torch.rand((len(batches), samples, *drawn), generator=generator)
    total = torch.zeros(point.lead, dtype=torch.float64, device=point.vector.device)
    for squares in _squares(point, batches, numbers):
        total += squares
    mean = total / (len(batches) * samples)
    return finite("Fisher trace", mean.to(point.vector.dtype))


def _squares(point: "Point", batches: "list[Batch]", numbers: "Tensor") -> "Iterator[Tensor]":
    """Squared gradient norms of labels that are drawn, summed over some batches: (*L,) each.

    Args:
        point: of log-odds (*L, B, ..., C).
        numbers: (batches, samples, B, ...), uniform, that become labels.
    """
    import torch

    from mtl_core.factors.vectors import groups

    samples, drawn = numbers.shape[1], numbers.shape[2:]
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
            loss = each.mean(dim=(-2, -1) if len(drawn) == 2 else -1).sum()
            (gradient,) = torch.autograd.grad(loss, leaf, retain_graph=draw < samples - 1)
            yield gradient.square().sum(dim=-1, dtype=torch.float64).sum(dim=0)


def empirical_fisher_trace(
    loss: "Loss",
    params: "Mapping[str, Tensor]",
    inputs: "Tensor",
    targets: "Tensor",
    *,
    batch_size: int = MINI_BATCH,
) -> "Tensor":
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
    return _empirical(loss, params, batches)


def _empirical(
    loss: "Loss", params: "Mapping[str, Tensor]", batches: "Sequence[tuple[Tensor, Tensor]]"
) -> "Tensor":
    """``empirical_fisher_trace`` of batches of one size."""
    from mtl_core.factors.vectors import finite

    squares, total = batch_gradients(loss, params, batches)
    return finite("empirical Fisher trace", squares.mean(dim=0).to(total.dtype))


def drawn_labels(log_p: "Tensor", uniform: "Tensor") -> "Tensor":
    """Labels by inverting the distribution: log_p (..., C) and uniform (...) numbers -> (...)."""
    reached = log_p.double().exp().cumsum(dim=-1)
    # Of the sum as it was rounded, so that no number lies beyond the last label that can be drawn.
    passed = reached <= uniform.unsqueeze(-1).double() * reached[..., -1:]
    return passed.sum(dim=-1).clamp(max=log_p.shape[-1] - 1)


def _batches(examples: "Tensor", batch_size: int) -> "list[Tensor]":
    import torch

    if batch_size < 1:
        raise InputError(f"batch_size {batch_size} must be at least 1")
    count = len(examples) // batch_size
    if count == 0:
        raise InputError(
            f"{len(examples)} examples are fewer than a batch of {batch_size}; give more, or a "
            "smaller batch"
        )
    return list(torch.split(examples[: count * batch_size], batch_size))


# In a run.


def _measured(site: Site, task: str) -> "Tensor":
    import torch

    from mtl_core.factors.vectors import finite

    index = site.partition("fisher", task)
    _, targets = site.first(task)
    if not len(index):
        raise too_few(len(targets), MINI_BATCH)
    if site.by_example:
        squares = [
            gradients.squares(index).mean()
            for replica in range(site.replicas)
            for gradients in site.drawn_gradients(task, replica)
        ]
        return finite("Fisher trace", torch.stack(squares).view(site.replicas, -1).mean(dim=1))
    batches = list(site.batches(task, list(index)))
    if not site.samples_labels(task):
        return _empirical(site.loss(task), site.params, batches)
    return _sampled(
        site.logits(task),
        site.params,
        [inputs for inputs, _ in batches],
        samples=site.config.fisher_draws,
        generator=site.labels_generator(task),
        pixels=targets.ndim > 1,
    )


def _caveat(site: Site, task: str) -> str | None:
    if site.samples_labels(task):
        return None
    return (
        "the empirical Fisher, with true labels, since its output is no distribution to sample from"
    )


def _protocol(terms: Terms) -> str:
    labels = (
        f"{terms.config.fisher_draws} draw(s) of labels"
        if terms.samples_labels
        else "with the true labels (the empirical Fisher), since the output is no distribution"
    )
    return (
        f"trace of the Fisher information on mini-batches (M24 Eq. 8, App. C.2; in expectation "
        f"1/{MINI_BATCH} of Eq. 5), mean squared norm of the gradients of "
        f"{terms.examples // MINI_BATCH} mini-batches of {MINI_BATCH}, {labels}; {terms.on}, "
        f"shuffled; {terms.theta}"
    )


FACTOR = Factor(
    title="Fisher trace",
    about=r"""The squared gradient norm of labels that the model draws itself,
$\mathbb{E}\,\|\nabla_\theta\, \ell_B(f(x), \hat y)\|^2$ of mini-batches $B$ of 16 (a 16th of the
trace itself): how much its own predictions would still move it. An early peak ("explosion") goes
with worse generalization in single-task learning.""",
    measure=_measured,
    protocol=_protocol,
    least=0,
    explaining=True,
    phase="early",
    summary="largest",
    caveat=_caveat,
)
