"""Look-ahead: how a small step for one task changes the loss of another, along one joint run.

Inter-task affinity (Fifty et al. 2021, "Efficiently Identifying Task Groupings for Multi-Task
Learning", §4) of task i onto task j at a step t of joint training is

    Z_{i→j} = 1 − L_j(X, θ_i, φ_j) / L_j(X, θ, φ_j),    θ_i = θ − η ∇_θ L_i(X, θ, φ_i),

where θ are the shared parameters, φ_j is j's own head, which does not move, X is the batch of the
step, and η the learning rate. It is positive where what i asks of the shared parameters lowers j's
loss at once, and is averaged over steps. To first order it is η ⟨g_i, g_j⟩ / L_j: unlike a cosine
it grows with how large i's gradient is. On ``digits`` the shuffled labels of ``noisy_digits``,
which harm, have a higher affinity than more digits, which help: their gradients never die out.

Two choices are ours, where the paper leaves them open or has other data. A look-ahead is a plain
gradient step whatever base optimizer trains the run. And where tasks have examples of their own, X
is each task's own batch of that step: i's gradient is of i's, and j's loss, before and after, of
j's. Tasks on one input have one batch, as in the paper.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from mtl_core.config import RunConfig
from mtl_core.errors import InputError, TrainingDiverged
from mtl_core.training import precision
from mtl_core.training.gradients import task_gradients
from mtl_core.training.looks import LookAhead, looks, looks_every
from mtl_core.training.network import Network
from mtl_core.training.replicas import Replicas, single_thread

__all__ = ["affinities", "look_ahead"]


def affinities(
    loss: Callable[[dict[str, Tensor]], Tensor],
    params: Mapping[str, Tensor],
    gradients: Sequence[Mapping[str, Tensor]],
    lr: float,
) -> Tensor:
    """Z of a step along each of some gradients, onto one loss.

    Args:
        loss: of the task that is looked at, a scalar function of the shared parameters.
        params: the shared parameters, by name.
        gradients: of each task, by the same names.
        lr: η, the length of a step.

    Returns:
        (K,) in double precision; NaN or infinite where the loss is 0.

    >>> half_square = lambda params: params["w"].square().sum() / 2
    >>> w = torch.tensor([2.0], dtype=torch.float64)
    >>> affinities(half_square, {"w": w}, [{"w": w}, {"w": -w}], 0.5).tolist()  # 1 − (1 ∓ .5)²
    [0.75, -1.25]
    """
    with torch.no_grad():
        before = loss(dict(params)).double()
        after = [
            loss({name: value - lr * gradient[name] for name, value in params.items()}).double()
            for gradient in gradients
        ]
        return 1 - torch.stack(after) / before


def look_ahead(
    config: RunConfig,
    *,
    device: str = "cpu",
    tell: Callable[[float], None] | None = None,
) -> LookAhead:
    """Carry out a joint run and look, before some of its steps, what each task does to the target.

    The run itself is the one that ``train`` carries out, with nothing measured on the way.

    Args:
        config: the joint run: its first seed, its target and at least one auxiliary.
        tell: is called with the share that is done.

    Returns:
        Affinities onto the target of every task, the target itself among them.

    Raises:
        InputError: without auxiliaries.
        DataMissing: when the setting's data is not on this machine.
        TrainingDiverged: when the target's loss is not finite.
    """
    if not config.auxiliaries:
        raise InputError("a look-ahead takes a joint run; give at least one auxiliary")
    every, counts = looks_every(config), looks(config)
    sums = {task: [0.0] * config.epochs for task in config.tasks}
    with single_thread(device), precision.products("fp32", torch.device(device)):
        replicas = Replicas(config, config.seeds[:1], torch.device(device))
        while replicas.step < config.steps:
            if replicas.step % every == 0:
                epoch = replicas.step // config.steps_per_epoch
                for task, affinity in _look(config, replicas).items():
                    sums[task][epoch] += affinity
                if tell is not None:
                    tell(replicas.step / config.steps)
            replicas.train_step()
    return LookAhead(
        {
            task: tuple(s / n if n else 0.0 for s, n in zip(own, counts, strict=True))
            for task, own in sums.items()
        },
        counts,
    )


def _look(config: RunConfig, replicas: Replicas) -> dict[str, float]:
    """Affinity of each task onto the target, before the next step and on its batches."""
    network, (inputs, targets) = replicas.network, replicas.batches()
    jacobian, _, _ = task_gradients(network, config.tasks, inputs, targets)
    params = {name: p.detach() for name, p in network.shared.items()}
    gradients = [_by_name(row, params) for row in jacobian[0]]
    own = inputs if isinstance(inputs, Tensor) else inputs[0]
    found = affinities(_loss(network, config.target, own, targets[0]), params, gradients, config.lr)
    if not found.isfinite().all():
        raise TrainingDiverged(
            f"a look-ahead at step {replicas.step} is not finite: the loss of {config.target!r} "
            f"is 0 or has left the numbers at lr {config.lr:g}; choose another budget"
        )
    return dict(zip(config.tasks, found.tolist(), strict=True))


def _loss(
    network: Network, task: str, inputs: Tensor, targets: Tensor
) -> Callable[[dict[str, Tensor]], Tensor]:
    """A task's loss on a step's batch, as a function of the shared parameters."""

    def loss(params: dict[str, Tensor]) -> Tensor:
        features = network.encode(params, inputs, per_replica=True)
        # A look-ahead is a small difference of losses: their mean must not be rounded to floats.
        outputs = network.logits(task, features).double()
        return network.losses(task, outputs, targets).mean()

    return loss


def _by_name(row: Tensor, params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """(P,) -> each parameter's part, in its shape."""
    parts = torch.split(row, [p.numel() for p in params.values()])
    return {name: part.view_as(p) for part, (name, p) in zip(parts, params.items(), strict=True)}
