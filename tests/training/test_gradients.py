"""Task gradients, and what a step makes of them, against one backward pass per task and seed."""

from collections.abc import Callable, Sequence
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from mtl_core import RunConfig, optimizers, settings
from mtl_core.training import gradients
from mtl_core.training.gradients import combine
from mtl_core.training.network import Network

Digits = Callable[..., RunConfig]
BATCH = 6
CPU = torch.device("cpu")
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]


def batches(
    network: Network, tasks: Sequence[str], replicas: int, *, one_input: bool, device: str = "cpu"
) -> tuple[list[Tensor] | Tensor, list[Tensor]]:
    source = torch.Generator().manual_seed(3)
    inputs = [torch.randn(replicas, BATCH, 1, 8, 8, generator=source).to(device) for _ in tasks]
    targets = [torch.randint(10, (replicas, BATCH), generator=source).to(device) for _ in tasks]
    return (inputs[0] if one_input else inputs), targets


def plain(
    network: Network, replica: int, task: str, images: Tensor, labels: Tensor
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """(P,) shared gradient, the head's gradients and the loss, by ``backward``."""
    names = list(network.shared)
    copies = {
        name: value[replica].detach().clone().requires_grad_()
        for name, value in network.parameters.items()
        if name in names or name.startswith(f"heads.{task}.")
    }
    inner = {name.removeprefix("encoder."): copies[name] for name in names}
    features = torch.func.functional_call(network.encoder, inner, (images,))
    logits = nn.functional.linear(
        features, copies[f"heads.{task}.weight"], copies[f"heads.{task}.bias"]
    )
    loss = nn.functional.cross_entropy(logits, labels)
    loss.backward()
    found = {name: copies[name].grad for name in copies}
    flat = torch.cat([found.pop(name).flatten() for name in names])  # type: ignore[union-attr]
    return flat, found, loss.detach()  # type: ignore[return-value]


def close(ours: Tensor, theirs: Tensor) -> None:
    """float32 sums in another order: relative to the longest row."""
    scale = float(theirs.abs().max())
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6 * max(scale, 1e-3))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("one_input", [False, True])
@pytest.mark.parametrize("seeds", [(0,), (0, 1, 5)])
def test_task_gradients_are_those_of_a_backward_pass_each(
    digits: Digits, seeds: tuple[int, ...], one_input: bool, device: str
) -> None:
    config = digits("digits2", "noisy_digits", seeds=seeds)
    network = Network(config, seeds, torch.device(device))
    inputs, targets = batches(network, config.tasks, len(seeds), one_input=one_input, device=device)
    jacobian, losses, heads = gradients.task_gradients(network, config.tasks, inputs, targets)
    by_name = dict(zip(network.heads, heads, strict=True))
    for replica in range(len(seeds)):
        for k, task in enumerate(config.tasks):
            own = inputs if isinstance(inputs, Tensor) else inputs[k]
            row, head, loss = plain(network, replica, task, own[replica], targets[k][replica])
            close(jacobian[replica, k], row)
            close(losses[replica, k], loss)
            for name, value in head.items():
                close(by_name[name][replica], value)


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 5)])
def test_the_stacked_way_of_a_gpu_gives_the_same(digits: Digits, seeds: tuple[int, ...]) -> None:
    config = digits("digits2", "noisy_digits", seeds=seeds)
    network = Network(config, seeds, CPU)
    inputs, targets = batches(network, config.tasks, len(seeds), one_input=False)
    assert isinstance(inputs, list)
    one = gradients.task_gradients(network, config.tasks, inputs, targets)
    other = gradients._on_own_inputs_at_once(network, config.tasks, inputs, targets)
    close(other[0], one[0])
    close(other[1], one[1])
    for ours, theirs in zip(other[2], one[2], strict=True):
        close(ours, theirs)


def forty_heads(seeds: tuple[int, ...]) -> tuple[Network, list[str]]:
    """A digits encoder with forty heads, as CelebA's attributes have."""
    tasks = [f"t{k}" for k in range(40)]
    encoder = partial(settings.get("digits").encoder, 3)
    return Network.built(encoder, dict.fromkeys(tasks, 10), seeds, CPU), tasks


def test_forty_tasks_on_one_input() -> None:
    network, tasks = forty_heads((0, 1))
    inputs, targets = batches(network, tasks, 2, one_input=True)
    assert isinstance(inputs, Tensor)
    jacobian, losses, _ = gradients.task_gradients(network, tasks, inputs, targets)
    for replica, k in ((0, 0), (1, 17), (0, 39)):
        row, _, loss = plain(network, replica, tasks[k], inputs[replica], targets[k][replica])
        close(jacobian[replica, k], row)
        close(losses[replica, k], loss)
    # Without task gradients, the same sum in one pass.
    method = optimizers.create("umtg", num_tasks=40)
    once = combine(network, method, tasks, inputs, targets)
    flat = torch.cat([part.flatten(1) for part in once.shared], dim=1)
    close(flat, jacobian.sum(dim=1))


@pytest.mark.parametrize("one_input", [False, True])
@pytest.mark.parametrize("name", ["umtg", "mean", "dwa", "gradnorm"])
def test_both_ways_of_a_step_give_the_same(digits: Digits, name: str, one_input: bool) -> None:
    """Weighting what the heads pass down is weighting the task gradients."""
    config = digits("digits2", "noisy_digits")
    network = Network(config, (0, 1), CPU)
    inputs, targets = batches(network, config.tasks, 2, one_input=one_input)
    found = [
        combine(
            network,
            optimizers.create(name, num_tasks=3),
            config.tasks,
            inputs,
            targets,
            compare=compare,
        )
        for compare in (False, True)
    ]
    close(found[0].weights, found[1].weights)
    one, other = found
    for ours, theirs in zip([*one.shared, *one.heads], [*other.shared, *other.heads], strict=True):
        assert ours.shape == theirs.shape
        close(ours, theirs)
    assert found[0].cosine_to_sum is None
    assert found[1].cosine_to_sum is not None


@pytest.mark.parametrize("one_input", [False, True])
def test_the_last_layers_gramian_is_of_its_parameters_alone(
    digits: Digits, one_input: bool
) -> None:
    config = digits("digits2")
    network = Network(config, (0, 1), CPU)
    inputs, targets = batches(network, config.tasks, 2, one_input=one_input)
    jacobian, _, _ = gradients.task_gradients(network, config.tasks, inputs, targets)
    last = [name for name in network.shared if name.startswith(list(network.shared)[-1][:-5])]
    assert [name.rpartition(".")[2] for name in last] == ["weight", "bias"]
    size = sum(network.shared[name][0].numel() for name in last)
    own = jacobian[..., -size:]

    seen: list[Tensor] = []

    def spy(gramian: Tensor, losses: Tensor, generator: object, *, last_layer: Tensor) -> Tensor:
        seen.append(last_layer)
        return losses.new_ones(losses.shape)

    for compare in (False, True):
        method = optimizers.create("gradnorm", num_tasks=2)
        method.weights = spy  # type: ignore[method-assign,assignment]
        combine(network, method, config.tasks, inputs, targets, compare=compare)
    for gramian in seen:
        close(gramian, own @ own.mT)


def test_the_update_is_compared_with_the_sum(digits: Digits) -> None:
    config = digits("digits2", "noisy_digits")
    network = Network(config, (0, 1), CPU)
    inputs, targets = batches(network, config.tasks, 2, one_input=False)
    jacobian, _, _ = gradients.task_gradients(network, config.tasks, inputs, targets)
    found = combine(network, optimizers.create("mgda", num_tasks=3), config.tasks, inputs, targets)
    update = (found.weights.unsqueeze(1) @ jacobian).squeeze(1)
    total = jacobian.sum(dim=1)
    assert found.cosine_to_sum is not None
    assert found.norm_ratio is not None
    close(found.cosine_to_sum, torch.cosine_similarity(update, total, dim=1))
    close(found.norm_ratio, update.norm(dim=1) / total.norm(dim=1))
    same = combine(
        network, optimizers.create("umtg", num_tasks=3), config.tasks, inputs, targets, compare=True
    )
    assert same.cosine_to_sum is not None
    assert same.norm_ratio is not None
    close(same.cosine_to_sum, torch.ones(2))
    close(same.norm_ratio, torch.ones(2))


def test_a_method_that_is_no_weighting_moves_along_its_update(digits: Digits) -> None:
    config = digits("digits2")
    network = Network(config, (0, 1), CPU)
    inputs, targets = batches(network, config.tasks, 2, one_input=False)
    jacobian, losses, _ = gradients.task_gradients(network, config.tasks, inputs, targets)
    sources = [[torch.Generator().manual_seed(s) for s in (4, 5)] for _ in range(2)]
    found = combine(
        network,
        optimizers.create("graddrop", num_tasks=2),
        config.tasks,
        inputs,
        targets,
        sources[0],
    )
    expected = optimizers.create("graddrop", num_tasks=2).update(jacobian, losses, sources[1])
    close(torch.cat([part.flatten(1) for part in found.shared], dim=1), expected)
    assert ((found.weights > 0) & (found.weights <= 1)).all()
    # What is kept of a task lies where it agrees with the update, and nowhere else.
    agrees = (jacobian.sign() == expected.sign().unsqueeze(1)) * jacobian
    close(found.weights, agrees.square().sum(2) / jacobian.square().sum(2))
