"""Task gradients of one step, for all replicas at once, and what a method makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from mtl_core.optimizers import Beside, Method, Numbers
from mtl_core.training.network import Network

__all__ = ["Combined", "batch_losses", "combine", "task_gradients"]


@dataclass(frozen=True)
class Combined:
    """The gradients that a step moves along.

    Attributes:
        shared: the combined gradient of each shared parameter, (R, ...).
        heads: the unweighted gradient of each parameter of a head, (R, ...).
        losses: (R, K), of the step's batches.
        weights: (R, K); of a method that is not a weighting, how much of ‖g_k‖² lies in coordinates
            where the combined gradient has the sign of g_k, from 0 to 1.
        cosine_to_sum, norm_ratio: (R,), of the combined gradient and the sum of task gradients;
            None where the task gradients were not formed. NaN where one of them is zero.
    """

    shared: list[Tensor]
    heads: list[Tensor]
    losses: Tensor
    weights: Tensor
    cosine_to_sum: Tensor | None = None
    norm_ratio: Tensor | None = None

    def of(self, rows: slice) -> "Combined":
        """Of some of the replicas."""
        cosine, ratio = self.cosine_to_sum, self.norm_ratio
        return Combined(
            [own[rows] for own in self.shared],
            [own[rows] for own in self.heads],
            self.losses[rows],
            self.weights[rows],
            cosine_to_sum=None if cosine is None else cosine[rows],
            norm_ratio=None if ratio is None else ratio[rows],
        )


def combine(
    network: Network,
    method: Method | Beside,
    tasks: Sequence[str],
    inputs: Sequence[Tensor] | Tensor,
    targets: Sequence[Tensor],
    generators: Sequence[Generator] | Numbers | None = None,
    *,
    compare: bool = False,
) -> Combined:
    """One step's gradients of every replica.

    A method that reads losses alone costs one backward pass through the encoder: what the heads
    pass down is weighted before it goes there. One that reads gradients costs one pass for each
    task over that task's own examples, which is the same arithmetic; only tasks on one input need
    as many full passes as there are tasks, after a single one forward.

    Args:
        inputs: (R, B, ...) for each task; a single tensor where all tasks are on one input.
        targets: (R, B, ...) for each task.
        generators: the method's source of random numbers, one for each replica, or the numbers.
        compare: form the task gradients even if the method does without.
    """
    if not (compare or method.needs_gramian or method.needs_jacobian):
        return _weighted(network, method, tasks, inputs, targets, generators)
    shared = list(network.shared.values())
    jacobian, losses, heads = task_gradients(network, tasks, inputs, targets)
    if method.needs_jacobian:
        update = method.update(jacobian, losses, generators)
        weights = _followed(jacobian, update)
        total = jacobian.sum(dim=1)
        inner, theirs = (update * total).sum(dim=1), total.norm(dim=1)
    else:
        gramian = jacobian @ jacobian.mT
        last = _last_layers_gramian(network, jacobian) if method.needs_last_layer else None
        weights = method.weights(gramian, losses, generators, last_layer=last)
        update = (weights.unsqueeze(1) @ jacobian).squeeze(1)
        # The Gramian knows the sum too, which spares large encoders two walks over the Jacobian.
        with_sum = gramian.double().sum(dim=2)
        inner = (weights.double() * with_sum).sum(dim=1)
        theirs = with_sum.sum(dim=1).clamp_min(0).sqrt()
    ours = update.norm(dim=1)
    return Combined(
        [p.view_as(s) for p, s in zip(_split(update, shared), shared, strict=True)],
        heads,
        losses,
        weights,
        cosine_to_sum=(inner / (ours * theirs)).clamp(-1, 1).to(losses.dtype),
        norm_ratio=(ours / theirs).to(losses.dtype),
    )


def task_gradients(
    network: Network,
    tasks: Sequence[str],
    inputs: Sequence[Tensor] | Tensor,
    targets: Sequence[Tensor],
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Every task's own gradient of every replica.

    Args:
        inputs: (R, B, ...) for each task; a single tensor where all tasks are on one input.
        targets: (R, B, ...) for each task.

    Returns:
        The Jacobian (R, K, P) with respect to the shared parameters side by side in their order,
        the losses (R, K), and the gradient of each parameter of a head, (R, ...).
    """
    if isinstance(inputs, Tensor):
        return _on_one_input(network, tasks, inputs, targets)
    if inputs[0].device.type != "cpu":
        return _on_own_inputs_at_once(network, tasks, inputs, targets)
    parameters = list(network.shared.values())
    features = [network.features(own, per_replica=True) for own in inputs]
    cut = torch.stack([part.detach() for part in features], dim=1).requires_grad_()
    losses, passed_down, heads = _through_heads(network, tasks, cut, cut.unbind(dim=1), targets)
    jacobian = _empty(parameters, len(tasks))
    for k, part in enumerate(features):
        gradients = torch.autograd.grad(part, parameters, passed_down[:, k])
        _fill(jacobian, k, gradients)
    return jacobian, losses, heads


@torch.no_grad()
def batch_losses(
    network: Network,
    tasks: Sequence[str],
    inputs: Sequence[Tensor] | Tensor,
    targets: Sequence[Tensor],
) -> Tensor:
    """(R, K) losses of a step's batches where the network stands now."""
    if isinstance(inputs, Tensor):
        features = [network.features(inputs, per_replica=True)] * len(tasks)
    else:
        features = list(network.features_of_tasks(inputs).chunk(len(tasks), dim=1))
    return _losses(network, tasks, features, targets)


def _weighted(
    network: Network,
    method: Method | Beside,
    tasks: Sequence[str],
    inputs: Sequence[Tensor] | Tensor,
    targets: Sequence[Tensor],
    generators: Sequence[Generator] | Numbers | None,
) -> Combined:
    """Without task gradients, but for those of the last layer where the method reads them."""
    one_input = isinstance(inputs, Tensor)
    if isinstance(inputs, Tensor):
        features = network.features(inputs, per_replica=True)
        features_cut = _for_each_task(features, len(tasks))
        cuts = list(features_cut.unbind(dim=1))
    else:
        features = network.features_of_tasks(inputs)
        features_cut = features.detach().requires_grad_()
        cuts = list(features_cut.chunk(len(tasks), dim=1))
    losses, passed_down, heads = _through_heads(network, tasks, features_cut, cuts, targets)
    last_gramian = None
    if method.needs_last_layer:
        if one_input:
            alone = list(passed_down.unbind(dim=1))
        else:
            alone = _each_alone(passed_down, len(tasks))
        last_gramian = _last_gramian(network, features, alone)
    weights = method.weights(None, losses, generators, last_layer=last_gramian)
    if one_input:
        passed_down = (passed_down * _along(weights, passed_down)).sum(dim=1)
    else:
        batch = passed_down.shape[1] // len(tasks)
        each = weights.repeat_interleave(batch, dim=1)
        passed_down = passed_down * _along(each, passed_down)
    shared = torch.autograd.grad(features, list(network.shared.values()), passed_down)
    return Combined(list(shared), heads, losses, weights)


def _losses(
    network: Network, tasks: Sequence[str], features: Sequence[Tensor], targets: Sequence[Tensor]
) -> Tensor:
    """(R, K) mean losses of each task's batch, from its features (R, B, F, ...)."""
    return torch.stack(
        [
            network.losses(task, network.logits(task, part), target).mean(dim=1)
            for task, part, target in zip(tasks, features, targets, strict=True)
        ],
        dim=1,
    )


def _for_each_task(features: Tensor, tasks: int) -> Tensor:
    """(R, B, F, ...) -> (R, K, B, F, ...), a leaf of its own."""
    kept = [-1] * (features.ndim - 1)
    copies = features.detach().unsqueeze(1).expand(-1, tasks, *kept)
    return copies.contiguous().requires_grad_()


def _along(weights: Tensor, values: Tensor) -> Tensor:
    """``weights`` with as many dimensions as ``values``, in front."""
    return weights.view(*weights.shape, *[1] * (values.ndim - weights.ndim))


def _through_heads(
    network: Network,
    tasks: Sequence[str],
    cut: Tensor,
    parts: Sequence[Tensor],
    targets: Sequence[Tensor],
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Losses (R, K), what they pass down to ``cut``, and the heads' own gradients."""
    losses = _losses(network, tasks, parts, targets)
    heads = list(network.heads.values())
    passed_down, *gradients = torch.autograd.grad(losses.sum(), [cut, *heads])
    return losses.detach(), passed_down, gradients


def _on_own_inputs_at_once(
    network: Network, tasks: Sequence[str], inputs: Sequence[Tensor], targets: Sequence[Tensor]
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """As if each task of each replica had an encoder of its own: a single pass on a GPU."""
    count = len(tasks)
    copies = {
        name: parameter.detach().repeat_interleave(count, dim=0).requires_grad_()
        for name, parameter in network.shared.items()
    }
    stacked = torch.stack(list(inputs), dim=1)  # (R, K, B, ...)
    replicas = len(stacked)
    features = network.encode(copies, stacked.flatten(0, 1), per_replica=True)
    cut = features.detach().view(replicas, count, *features.shape[1:]).requires_grad_()
    losses, passed_down, heads = _through_heads(network, tasks, cut, cut.unbind(dim=1), targets)
    gradients = torch.autograd.grad(features, list(copies.values()), passed_down.flatten(0, 1))
    return _flat(gradients).view(replicas, count, -1), losses, heads


def _on_one_input(
    network: Network, tasks: Sequence[str], inputs: Tensor, targets: Sequence[Tensor]
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """The encoder goes forward once; each task's part comes back through it by itself."""
    features = network.features(inputs, per_replica=True)
    cut = _for_each_task(features, len(tasks))
    losses, passed_down, heads = _through_heads(network, tasks, cut, cut.unbind(dim=1), targets)
    parameters = list(network.shared.values())
    if inputs.device.type != "cpu":
        stacked = torch.autograd.grad(
            features, parameters, passed_down.transpose(0, 1), is_grads_batched=True
        )
        return _flat([part.transpose(0, 1) for part in stacked], 2), losses, heads
    jacobian = _empty(parameters, len(tasks))
    for k in range(len(tasks)):
        gradients = torch.autograd.grad(
            features, parameters, passed_down[:, k], retain_graph=k + 1 < len(tasks)
        )
        _fill(jacobian, k, gradients)
    return jacobian, losses, heads


def _each_alone(passed_down: Tensor, tasks: int) -> list[Tensor]:
    """What each task passes down to the features of all tasks' examples: zero to the others'."""
    parts = []
    for k, own in enumerate(passed_down.chunk(tasks, dim=1)):
        alone = torch.zeros_like(passed_down)
        alone[:, k * own.shape[1] : (k + 1) * own.shape[1]] = own
        parts.append(alone)
    return parts


def _last_layers_gramian(network: Network, jacobian: Tensor) -> Tensor:
    """(R, K, K) of the last shared layer's parameters, from the whole Jacobian."""
    parts = _split(jacobian, list(network.shared.values()))
    own = torch.cat(
        [part for part, keep in zip(parts, _last_layer(network), strict=True) if keep], dim=2
    )
    return own @ own.mT


def _last_gramian(network: Network, features: Tensor, passed_down: Sequence[Tensor]) -> Tensor:
    """(R, K, K) of the last shared layer's parameters; only that layer is gone back through."""
    last = _last_layer(network)
    layer = [p for p, keep in zip(network.shared.values(), last, strict=True) if keep]
    rows = [
        _flat(torch.autograd.grad(features, layer, part, retain_graph=True)) for part in passed_down
    ]
    jacobian = torch.stack(rows, dim=1)
    return jacobian @ jacobian.mT


def _followed(jacobian: Tensor, update: Tensor) -> Tensor:
    """(R, K, P), (R, P) -> (R, K)"""
    squares = jacobian.square()
    agreeing = squares * (jacobian.sign() == update.sign().unsqueeze(1))
    length = squares.sum(dim=2)
    return (agreeing.sum(dim=2) / length).where(length > 0, 0.0)


def _last_layer(network: Network) -> list[bool]:
    """Which of the shared parameters belong to the module that comes last."""
    modules = [name.rpartition(".")[0] for name in network.shared]
    # A normalisation behind a layer is not a layer.
    last = [m for m, p in zip(modules, network.shared.values(), strict=True) if p.ndim > 2][-1]
    return [module == last for module in modules]


def _empty(parameters: Sequence[Tensor], tasks: int) -> Tensor:
    """Room for a Jacobian, (R, K, P)."""
    size = sum(parameter[0].numel() for parameter in parameters)
    return parameters[0].new_empty(len(parameters[0]), tasks, size)


def _fill(jacobian: Tensor, k: int, gradients: Sequence[Tensor]) -> None:
    """Put task k's gradients into their row, each number being copied once."""
    start = 0
    for gradient in gradients:
        part = gradient.flatten(1)
        jacobian[:, k, start : start + part.shape[1]] = part
        start += part.shape[1]


def _flat(gradients: Sequence[Tensor], leading: int = 1) -> Tensor:
    """Parameters side by side: (..., P)."""
    return torch.cat([gradient.flatten(leading) for gradient in gradients], dim=leading)


def _split(vectors: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """Inverse of ``_flat`` up to the parameters' own shapes."""
    return list(torch.split(vectors, [p[0].numel() for p in parameters], dim=-1))
