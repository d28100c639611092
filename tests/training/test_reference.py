"""Training and evaluation against a loop that anyone would write, with no code of ours in it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mtl_core import RunConfig, settings
from mtl_core.training.batches import BatchStream
from mtl_core.training.network import Network
from mtl_core.training.replicas import advance
from mtl_core.training.schedule import checkpoint_steps

Digits = Callable[..., RunConfig]


def plain_encoder(setting: str, width: int) -> nn.Sequential:
    """The encoders' textbook form, ReLU before pooling."""
    if setting == "digits":
        return nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * width, 8 * width),
            nn.ReLU(),
        )
    return nn.Sequential(
        nn.Conv2d(1, width, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * width, 15 * width),
        nn.ReLU(),
        nn.Linear(15 * width, round(10.5 * width)),
        nn.ReLU(),
    )


class Plain:
    """One replica: an encoder, a head per task, the examples, and what they score."""

    def __init__(self, config: RunConfig, seed: int) -> None:
        self.config = config
        self.encoder = plain_encoder(config.setting, config.width)
        start = Network(config, (seed,), torch.device("cpu"))
        with torch.no_grad():
            for parameter, value in zip(
                self.encoder.parameters(), start.shared.values(), strict=True
            ):
                parameter.copy_(value[0])
        self.heads = nn.ModuleDict()
        for task in config.tasks:
            weight = start.parameters[f"heads.{task}.weight"][0]
            head = nn.Linear(weight.shape[1], weight.shape[0])
            with torch.no_grad():
                head.weight.copy_(weight)
                head.bias.copy_(start.parameters[f"heads.{task}.bias"][0])
            self.heads[task] = head
        self.data: dict[str, list[tuple[Tensor, Tensor]]] = {}
        for task, splits in settings.get(config.setting).load(config.tasks).items():
            counts = (config.samples, config.held_out, config.held_out)
            self.data[task] = [
                (torch.tensor(s.inputs[:count]).contiguous(), torch.tensor(s.targets[:count]))
                for s, count in zip(splits, counts, strict=True)
            ]

    def parameters(self) -> list[nn.Parameter]:
        return [*self.encoder.parameters(), *self.heads.parameters()]

    def loss(self, task: str, index: np.ndarray) -> Tensor:
        images, labels = self.data[task][0]
        logits = self.heads[task](self.encoder(images[index]))
        return nn.functional.cross_entropy(logits, labels[index])

    @torch.no_grad()
    def measure(self, task: str) -> tuple[float, float, float]:
        """Training loss, validation accuracy and test accuracy, in double precision."""
        found = []
        for split, (images, labels) in enumerate(self.data[task]):
            logits = torch.cat([self.heads[task](self.encoder(part)) for part in images.split(64)])
            chosen = logits.double().log_softmax(1)[torch.arange(len(labels)), labels]
            right = (logits.argmax(1) == labels).double()
            found.append((-chosen if split == 0 else right).mean().item())
        return found[0], found[1], found[2]


def optimizer(config: RunConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if config.base_optimizer == "adam":
        return torch.optim.Adam(
            parameters, config.lr, betas=(0.9, 0.999), eps=1e-8, foreach=False, fused=False
        )
    momentum = {"sgd": 0.0, "momentum": 0.9}[config.base_optimizer]
    return torch.optim.SGD(parameters, config.lr, momentum=momentum, foreach=False)


def plain_run(config: RunConfig, seed: int) -> dict[tuple[int, str], tuple[float, float, float]]:
    """(step, task) -> measures of a UMTG run: the sum of losses, one backward."""
    replica = Plain(config, seed)
    steps = optimizer(config, replica.parameters())
    streams = {
        task: BatchStream(seed, task, config.train_size, config.batch_size) for task in config.tasks
    }
    due = checkpoint_steps(config)
    found = {}
    for step in range(config.steps + 1):
        if step in due:
            found |= {(step, task): replica.measure(task) for task in config.tasks}
        if step < config.steps:
            steps.zero_grad()
            losses = [replica.loss(task, streams[task].batch(step)) for task in config.tasks]
            torch.stack(losses).sum().backward()
            steps.step()
    return found


def assert_agrees(config: RunConfig, *, loss: float) -> None:
    """Losses within a relative ``loss``; metrics within one example, which may sit on the fence."""
    (seed,) = config.seeds
    expected = plain_run(config, seed)
    checkpoints = advance(config, (seed,), None, slice_seconds=float("inf"))
    rows = {(row["step"], row["task"]): row for c in checkpoints for row in c.rows}
    assert rows.keys() == expected.keys()
    task = settings.get(config.setting).task(config.target)
    for key, (train_loss, val, test) in expected.items():
        assert rows[key]["train_loss"] == pytest.approx(train_loss, rel=loss), key
        one = 1.01 / (config.held_out or task.val_size), 1.01 / (config.held_out or task.test_size)
        assert rows[key]["val_metric"] == pytest.approx(val, abs=one[0]), key
        assert rows[key]["test_metric"] == pytest.approx(test, abs=one[1]), key
    losses = [rows[key]["train_loss"] for key in sorted(rows) if key[1] == config.target]
    assert losses[-1] < 0.9 * losses[0]  # there was something to agree on


@pytest.mark.parametrize(("base", "lr"), [("adam", 1e-2), ("sgd", 0.5), ("momentum", 0.1)])
@pytest.mark.parametrize("auxiliaries", [(), ("digits2",), ("digits2", "noisy_digits")])
def test_digits(digits: Digits, base: str, lr: float, auxiliaries: tuple[str, ...]) -> None:
    config = digits(*auxiliaries, base_optimizer=base, lr=lr, epochs=8, width=4, seeds=(2,))
    assert_agrees(config, loss=1e-5)


def test_fashion(fashion_data: Path) -> None:
    config = RunConfig(
        "fashion",
        "fashion1",
        ("fashion2", "noisy_fashion"),
        lr=5e-3,
        samples=200,
        held_out=120,
        batch_size=30,
        epochs=4,
        width=3,
        seeds=(1,),
    )
    # Adam divides by gradients near zero, which rounding changes most.
    assert_agrees(config, loss=3e-4)


def one_step(config: RunConfig) -> dict[str, Tensor]:
    """Parameters after one step of SGD minus before, over -lr: the gradient that was followed."""
    assert config.steps == 1
    start = Network(config, config.seeds, torch.device("cpu")).parameters
    state = advance(config, config.seeds, None, slice_seconds=float("inf"))[-1].state
    assert state is not None
    return {
        name: (value.detach() - torch.from_numpy(state[f"parameter/{name}"])) / config.lr
        for name, value in start.items()
    }


@pytest.mark.parametrize("auxiliaries", [("digits2",), ("noisy_digits", "digits2")])
@pytest.mark.parametrize("name", ["umtg", "mean"])
def test_weights_act_on_the_encoder_and_leave_heads_alone(
    digits: Digits, name: str, auxiliaries: tuple[str, ...]
) -> None:
    config = digits(
        *auxiliaries, optimizer=name, base_optimizer="sgd", lr=1.0, batch_size=100, epochs=1
    )
    replica = Plain(config, 0)
    shared = list(replica.encoder.parameters())
    gradients, head_gradients = {}, {}
    for task in config.tasks:
        index = BatchStream(0, task, 100, 100).batch(0)
        head = replica.heads[task]
        every = torch.autograd.grad(replica.loss(task, index), [*shared, head.weight, head.bias])
        gradients[task] = every[:-2]
        head_gradients |= {f"{task}.weight": every[-2], f"{task}.bias": every[-1]}
    weight = {"umtg": 1.0, "mean": 1 / len(config.tasks)}[name]

    followed = one_step(config)
    names = [name for name in followed if name.startswith("encoder.")]
    for parameter, per_task in zip(names, zip(*gradients.values(), strict=True), strict=True):
        expected = weight * torch.stack(per_task).sum(dim=0)
        torch.testing.assert_close(followed[parameter][0], expected, rtol=1e-3, atol=1e-6)
    for parameter, expected in head_gradients.items():
        torch.testing.assert_close(
            followed[f"heads.{parameter}"][0], expected, rtol=1e-3, atol=1e-6
        )


@pytest.mark.parametrize("step", [0, 3])
def test_training_loss_is_the_mean_over_the_whole_training_set(digits: Digits, step: int) -> None:
    config = digits(
        "digits2", samples=None, batch_size=250, epochs=3, early_checkpoints=0, base_optimizer="sgd"
    )
    checkpoints = advance(config, (0,), None, slice_seconds=float("inf"))
    rows = [row for c in checkpoints for row in c.rows if row["step"] == step]
    replica = Plain(config, 0)
    if step:
        state = checkpoints[-1].state
        assert state is not None
        with torch.no_grad():
            names = [n for n in state if n.startswith("parameter/encoder.")]
            for name, parameter in zip(names, replica.encoder.parameters(), strict=True):
                parameter.copy_(torch.from_numpy(state[name][0]))
            for task in config.tasks:
                head = replica.heads[task]
                head.weight.copy_(torch.from_numpy(state[f"parameter/heads.{task}.weight"][0]))
                head.bias.copy_(torch.from_numpy(state[f"parameter/heads.{task}.bias"][0]))
    assert [row["task"] for row in rows] == ["digits1", "digits2"]
    for row in rows:
        train_loss, val, test = replica.measure(row["task"])
        assert row["train_loss"] == pytest.approx(train_loss, rel=1e-6)
        assert row["val_metric"] == pytest.approx(val, abs=1e-12)
        assert row["test_metric"] == pytest.approx(test, abs=1e-12)


def test_chunks_do_not_matter(fashion_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluation in chunks that do not divide the data is evaluation at once."""
    from mtl_core.training import replicas

    config = RunConfig("fashion", "fashion1", samples=130, held_out=70, batch_size=65, width=2)
    measured = []
    for chunk in (1_000, 50, 7):
        monkeypatch.setitem(replicas._CHUNK, "cpu", chunk)
        (row,) = advance(config, (0,), None)[0].rows
        measured.append((row["train_loss"], row["val_metric"], row["test_metric"]))
    for other in measured[1:]:
        assert other[0] == pytest.approx(measured[0][0], rel=1e-6)
        assert other[1:] == measured[0][1:]
