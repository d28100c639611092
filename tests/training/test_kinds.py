"""Runs with BatchNorm, dense heads, shared inputs and regression, against plain PyTorch modules."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score, matthews_corrcoef
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mtl_core import RunConfig, settings, train
from mtl_core.networks.batch_norm import BatchNorm, has_batch_norm
from mtl_core.settings import Setting
from mtl_core.training import gradients
from mtl_core.training.batches import BatchStream
from mtl_core.training.network import Network
from mtl_core.training.replicas import Replicas, advance
from mtl_core.trajectory import FACTORS, METRICS
from tests.training import tiny

CPU = torch.device("cpu")
EVERYTHING = float("inf")
KINDS: dict[str, Callable[[], Setting]] = {
    "images": tiny.images,
    "scenes": tiny.scenes,
    "vectors": tiny.vectors,
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    tiny.register(monkeypatch, KINDS[request.param]())
    return str(request.param)


def config(*, single: bool = False, **changes: Any) -> RunConfig:
    names = [task.name for task in settings.get("tiny").tasks]
    small = {
        "auxiliaries": () if single else tuple(names[1:]),
        "batch_size": 8,
        "epochs": 2,
        "width": 2,
        "lr": 0.005,
        "base_optimizer": "sgd",  # Adam magnifies rounding where a gradient is next to nothing
        "seeds": (0,),
        "early_checkpoints": 1,
        "factors": (),
    }
    return RunConfig("tiny", names[0], **(small | changes))


class Plain:
    """One replica as separate modules with PyTorch's own BatchNorm, and no code of ours."""

    def __init__(self, config: RunConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        setting = settings.get(config.setting)
        start = Network(config, (seed,), CPU).parameters
        self.encoder = _plain(setting.encoder(config.width), start, "encoder.")
        self.heads = {}
        for name in config.tasks:
            task, features = setting.task(name), setting.encoder(config.width).features
            head = (
                setting.head(features, task)  # type: ignore[arg-type]
                if setting.head
                else nn.Linear(features, task.classes)  # type: ignore[arg-type]
            )
            self.heads[name] = _plain(head, start, f"heads.{name}.")
        parts = [self.encoder, *self.heads.values()]
        self.optimizer = torch.optim.SGD([p for m in parts for p in m.parameters()], lr=config.lr)
        self.data = setting.load(config.tasks)
        self.one_input = setting.one_input

    def step(self, number: int) -> None:
        for part in (self.encoder, *self.heads.values()):
            part.train()
        total = torch.zeros(())
        for name in self.config.tasks:
            split = self.data[name].train
            stream = BatchStream(
                self.seed,
                self.config.setting if self.one_input else name,
                len(split.inputs),
                self.config.batch_size,
            )
            index = stream.batch(number)
            outputs = self.heads[name](self.encoder(torch.from_numpy(split.inputs[index])))
            total = total + _loss(name, outputs, torch.from_numpy(split.targets[index]))
        self.optimizer.zero_grad()
        total.backward()
        self.optimizer.step()

    @torch.no_grad()
    def measured(self, name: str) -> tuple[float, float, float]:
        encoder, head = copy.deepcopy(self.encoder), copy.deepcopy(self.heads[name])
        split, size = self.data[name].train, self.config.batch_size
        for part in (encoder, head):
            part.train()
            for module in part.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.reset_running_stats()
        for start in range(0, len(split.inputs) - size + 1, size):
            head(encoder(torch.from_numpy(split.inputs[start : start + size])))
        for part in (encoder, head):
            part.eval()
        losses, metrics = [], []
        for some in self.data[name]:
            outputs = head(encoder(torch.from_numpy(some.inputs)))
            targets = torch.from_numpy(some.targets)
            one_by_one = [
                _loss(name, outputs[i : i + 1], targets[i : i + 1]) for i in range(len(targets))
            ]
            losses.append(float(torch.stack(one_by_one).mean()))
            metrics.append(_metric(name, outputs, targets))
        return losses[0], metrics[1], metrics[2]


def _plain(module: nn.Module, start: dict[str, Tensor], prefix: str) -> nn.Module:
    """With ``nn.BatchNorm2d`` that averages over all batches since it was made."""
    for name, child in list(module.named_modules()):
        if isinstance(child, BatchNorm):
            parent = module.get_submodule(name.rpartition(".")[0])
            setattr(
                parent, name.rpartition(".")[2], nn.BatchNorm2d(len(child.weight), momentum=None)
            )
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(start[prefix + name][0])
    return module


def _loss(name: str, outputs: Tensor, targets: Tensor) -> Tensor:
    task = settings.get("tiny").task(name)
    if task.loss == "squared_error":
        return (outputs[:, 0] - targets).square().mean()
    each = []
    for one, true in zip(outputs, targets, strict=True):
        if task.loss == "absolute_error":
            each.append((one[0] - true)[~true.isnan()].abs().mean())
        else:
            each.append(cross_entropy(one.unsqueeze(0), true.unsqueeze(0), ignore_index=-1))
    return torch.stack(each).mean()


def _metric(name: str, outputs: Tensor, targets: Tensor) -> float:
    metric = settings.get("tiny").task(name).metric
    chosen = outputs.argmax(dim=1)
    if metric == "accuracy":
        return float((chosen == targets).double().mean())
    if metric == "matthews":
        return float(matthews_corrcoef(targets, chosen))
    if metric == "pearson":
        return float(np.corrcoef(outputs[:, 0], targets)[0, 1])
    if metric == "absolute_error":
        return float((outputs[:, 0].double() - targets).abs().nanmean())
    known = targets >= 0
    return float(jaccard_score(targets[known], chosen[known], average="macro"))


@pytest.mark.parametrize("single", [True, False], ids=["stl", "mtl"])
def test_a_run_is_that_of_a_plain_loop(kind: str, single: bool) -> None:
    asked = config(single=single)
    rows = [row for point in train(asked, device="cpu") for row in point.rows]
    plain = Plain(asked, 0)
    at = 0
    for row in rows:
        while at < row["step"]:
            plain.step(at)
            at += 1
        found = (row["train_loss"], row["val_metric"], row["test_metric"])
        # A metric may move by one example whose outputs are equal but for rounding.
        assert found[0] == pytest.approx(plain.measured(row["task"])[0], rel=2e-4, abs=2e-5)
        assert found[1:] == pytest.approx(plain.measured(row["task"])[1:], abs=2e-3)
    assert at == asked.steps == 10


def test_stacked_replicas_are_what_single_ones_are(kind: str) -> None:
    asked = config(seeds=(0, 3), factors=FACTORS, factor_points=2, factor_examples=40, apgd_steps=2)
    together = advance(asked, (0, 3), None, slice_seconds=EVERYTHING)
    for seed in asked.seeds:
        alone = advance(asked, (seed,), None, slice_seconds=EVERYTHING)
        ours = [row for point in together for row in point.rows if row["seed"] == seed]
        theirs = [row for point in alone for row in point.rows]
        assert [row["step"] for row in ours] == [row["step"] for row in theirs]
        for one, other in zip(ours, theirs, strict=True):
            for name in METRICS:
                a, b = one[name], other[name]
                assert (a is None) == (b is None)
                if a is not None:
                    assert a == pytest.approx(b, rel=5e-3, abs=5e-3), (name, one["step"])


def test_slices_change_nothing(kind: str) -> None:
    asked = config()
    whole = [row for p in advance(asked, (0,), None, slice_seconds=EVERYTHING) for row in p.rows]
    parts, state = [], None
    while not parts or parts[-1]["step"] < asked.steps:
        points = advance(asked, (0,), state, slice_seconds=1e-9)
        state = points[-1].state
        parts += [row for point in points for row in point.rows]
    for one, other in zip(whole, parts, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


@pytest.mark.parametrize("seeds", [(0,), (0, 3)])
def test_every_way_to_form_gradients_agrees(kind: str, seeds: tuple[int, ...]) -> None:
    """The sum of task gradients, from one weighted pass, one pass each, or all at once."""
    asked = config(seeds=seeds)
    replicas = Replicas(asked, seeds, CPU)
    network, tasks = replicas._network, asked.tasks
    inputs, targets = replicas.batches()
    assert isinstance(inputs, Tensor) is settings.get("tiny").one_input
    method = replicas._stepper.method()
    summed = gradients.combine(network, method, tasks, inputs, targets)
    compared = gradients.combine(
        network, replicas._stepper.method(), tasks, inputs, targets, compare=True
    )
    pairs = [(compared, summed)]
    if not isinstance(inputs, Tensor):
        jacobian, losses, heads = gradients._on_own_inputs_at_once(network, tasks, inputs, targets)
        flat = torch.cat([part.flatten(1) for part in summed.shared], dim=1)
        torch.testing.assert_close(jacobian.sum(dim=1), flat, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(losses, summed.losses)
        for one, other in zip(heads, summed.heads, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours.losses, theirs.losses)
        for one, other in zip(
            [*ours.shared, *ours.heads], [*theirs.shared, *theirs.heads], strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_a_gpu_encodes_all_tasks_at_once_and_each_by_its_own_statistics(
    kind: str,
) -> None:
    if kind == "scenes":
        pytest.skip("its tasks are on one input")
    asked = config(seeds=(0, 3))
    replicas = Replicas(asked, (0, 3), CPU)
    inputs, _ = replicas.batches()
    one_by_one = replicas._network.features_of_tasks(inputs)  # type: ignore[arg-type]
    at_once = replicas._network._all_tasks_at_once(list(inputs))
    torch.testing.assert_close(at_once, one_by_one, rtol=1e-4, atol=1e-5)


def test_measuring_is_of_each_example_alone(kind: str) -> None:
    """An example's outputs do not depend on those that are measured with it; in a step they do."""
    asked = config()
    replicas = Replicas(asked, (0,), CPU)
    network, task = replicas._network, asked.target
    inputs = replicas._training[task][0]
    network.settle({task: inputs}, asked.batch_size)
    outputs = [
        network.logits(
            task, network.features(some, per_replica=False, measured=task), measured=True
        )[:, :3]
        for some in (inputs[:3], inputs[:20])
    ]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-5)
    stepping = [network.features(some, per_replica=False)[:, :3] for some in (inputs[:3], inputs)]
    assert torch.allclose(*stepping, atol=1e-5) is not has_batch_norm(network.encoder)


def test_regression_says_that_its_fisher_is_the_empirical_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny.register(monkeypatch, tiny.vectors())
    asked = config(factors=("fisher_trace",), factor_examples=32)
    (note,) = {note for point in train(asked, device="cpu") for note in point.notes}
    assert note.startswith("fisher_trace of number: the empirical Fisher")
    plain = Plain(asked, 0)
    for number in range(asked.steps):
        plain.step(number)
    replicas = Replicas(asked, (0,), CPU)
    for _ in range(asked.steps):
        replicas.train_step()
    found = replicas._meter.measure(asked.steps)
    order = replicas._meter.site(asked.steps).partition("fisher", "number")
    split, squares = plain.data["number"].train, []
    for part in order:
        plain.encoder.zero_grad()
        outputs = plain.heads["number"](plain.encoder(torch.from_numpy(split.inputs[part])))
        _loss("number", outputs, torch.from_numpy(split.targets[part])).backward()
        squares.append(sum(float(p.grad.square().sum()) for p in plain.encoder.parameters()))  # type: ignore[union-attr]
    assert found.values["number"]["fisher_trace"] == pytest.approx([np.mean(squares)], rel=1e-3)


def test_pixels_draw_a_label_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fisher of a dense task: every pixel's own draw, the mean over an image's pixels."""
    tiny.register(monkeypatch, tiny.scenes())
    asked = config(single=True, factors=("fisher_trace",), factor_examples=32, fisher_draws=2)
    replicas = Replicas(asked, (0,), CPU)
    network, meter = replicas._network, replicas._meter
    inputs = replicas._training["regions"][0]
    network.settle({"regions": inputs}, asked.batch_size)
    (found,) = meter.measure(0).values["regions"]["fisher_trace"]
    site = meter.site(0)
    order = site.partition("fisher", "regions")
    uniform = torch.rand((len(order), 2, 16, 256), generator=site.labels_generator("regions"))
    squares = []
    for part, numbers in zip(order, uniform, strict=True):
        for draw in numbers:
            features = network.features(inputs[part], per_replica=False, measured="regions")
            outputs = network.logits("regions", features, measured=True)[0].flatten(2)
            reached = outputs.double().softmax(dim=1).cumsum(dim=1)
            labels = (reached <= draw.unsqueeze(1)).sum(dim=1).clamp(max=2)
            loss = cross_entropy(outputs, labels)
            parts = torch.autograd.grad(loss, list(network.shared.values()))
            squares.append(sum(float(part.square().sum()) for part in parts))
    assert found == pytest.approx(np.mean(squares), rel=1e-3)
