"""A step over buffers that stay in place: the plain one's numbers, and nothing for the host."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl_core import RunConfig, optimizers
from mtl_core.training import stepping
from mtl_core.training.batches import BatchStream, derived_seed
from mtl_core.training.gradients import batch_losses, combine
from mtl_core.training.network import Network
from mtl_core.training.replicas import Replicas
from mtl_core.training.schedule import checkpoint_steps
from tests.training import tiny
from tests.training.host import watched

Digits = Callable[..., RunConfig]
CPU = torch.device("cpu")
BASES = ["adam", "sgd", "momentum"]
CASES = [(name, tasks) for name in optimizers.names() for tasks in (2, 3)]
AUXILIARIES = {2: ("digits2",), 3: ("digits2", "noisy_digits")}
STATIC = [case for case in CASES if not optimizers.create(case[0], num_tasks=case[1]).on_host]
SEEDS = (0, 5)


def replayed_as_it_is(step: Callable[[], None]) -> Callable[[], None]:
    """A capture that calls the step itself again."""
    return step


def config(digits: Digits, name: str, tasks: int, base: str = "adam", **more: Any) -> RunConfig:
    small = {"samples": 32, "batch_size": 8, "width": 2} | more
    return digits(*AUXILIARIES[tasks], optimizer=name, base_optimizer=base, lr=0.01, **small)


class Plain:
    """The same step as one would write it, with nothing prepared and everything made anew."""

    def __init__(self, asked: RunConfig, seeds: tuple[int, ...]) -> None:
        self.asked, self.seeds, self.done = asked, seeds, 0
        self.data = Replicas(asked, seeds, CPU)._training
        self.network = Network(asked, seeds, CPU)
        self.method = optimizers.create(asked.optimizer, num_tasks=len(asked.tasks))
        parameters = list(self.network.parameters.values())
        if asked.base_optimizer == "adam":
            self.base: torch.optim.Optimizer = torch.optim.Adam(parameters, lr=asked.lr, fused=True)
        else:
            momentum = 0.9 if asked.base_optimizer == "momentum" else 0.0
            self.base = torch.optim.SGD(parameters, lr=asked.lr, momentum=momentum)

    def step(self) -> None:
        asked, network = self.asked, self.network
        inputs, targets = [], []
        for task in asked.tasks:
            examples, labels = self.data[task]
            rows = [
                BatchStream(seed, task, len(labels), asked.batch_size).batch(self.done)
                for seed in self.seeds
            ]
            index = torch.from_numpy(np.stack(rows))
            inputs.append(examples[index])
            targets.append(labels[index])
        sources = [
            torch.Generator().manual_seed(derived_seed(f"{seed}/method/{self.done}"))
            for seed in self.seeds
        ]
        compare = not self.method.constant and self.done + 1 in checkpoint_steps(asked)
        found = combine(
            network, self.method, asked.tasks, inputs, targets, sources, compare=compare
        )
        parameters = [*network.shared.values(), *network.heads.values()]
        for parameter, gradient in zip(parameters, [*found.shared, *found.heads], strict=True):
            parameter.grad = gradient.contiguous()
        self.base.step()
        if self.method.needs_losses_after:
            self.method.observe(batch_losses(network, asked.tasks, inputs, targets))
        self.done += 1
        if self.done % asked.steps_per_epoch == 0:
            self.method.end_epoch()

    def state(self) -> dict[str, Tensor]:
        found = {}
        for name, parameter in self.network.parameters.items():
            found[f"parameter/{name}"] = parameter.detach()
            found |= {f"{key}/{name}": v for key, v in self.base.state[parameter].items()}
        return found | {f"method/{name}": value for name, value in self.method.state.items()}


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor], exactly: bool) -> None:
    for name, value in theirs.items():
        if value is None:
            continue
        if exactly:
            assert torch.equal(ours[name], value), name
        else:
            torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-7, msg=name)


@pytest.mark.parametrize(
    ("name", "tasks", "base"),
    [(*case, base) for case in CASES for base in BASES if case[1] == 2 or base == "adam"],
)
def test_steps_are_the_plain_ones_bit_for_bit(
    digits: Digits, name: str, tasks: int, base: str
) -> None:
    """Over the end of an epoch, where feeds are filled anew, and on from a checkpoint. Of static
    steps only a closed form may be rounded another way."""
    asked = config(digits, name, tasks, base, epochs=3, early_checkpoints=0, factors=())
    plain = Plain(asked, SEEDS)
    in_place = Replicas(asked, SEEDS, CPU)
    static = Replicas(asked, SEEDS, CPU, capture=replayed_as_it_is)
    before: dict[str, int] = {}
    for _ in range(asked.steps_per_epoch + 2):
        for one in (plain.step, in_place.train_step, static.train_step):
            one()
        buffers = static._stepper.buffers()
        places = {key: value.data_ptr() for key, value in buffers.items()}
        assert before.items() <= places.items(), "every buffer stays where it is"
        before = places
        if in_place.step == asked.steps_per_epoch:
            in_place.restore(in_place.state())
    assert_same(in_place._stepper.buffers(), plain.state(), exactly=True)
    closed = tasks in optimizers.rule(name).closed_forms
    assert_same(static._stepper.buffers(), plain.state(), exactly=not closed)
    assert static._stepper.trouble == ""
    captured = static._stepper._captured
    assert (captured is not None and captured.trusted) is ((name, tasks) in STATIC)


@pytest.mark.parametrize(
    ("name", "tasks", "base"),
    [(*case, "adam") for case in STATIC] + [("umtg", 2, base) for base in BASES[1:]],
)
def test_nothing_in_a_captured_step_waits_for_the_host(
    digits: Digits, name: str, tasks: int, base: str
) -> None:
    replicas = Replicas(config(digits, name, tasks, base), SEEDS, CPU, capture=replayed_as_it_is)
    replicas.train_step()  # makes what is made once
    stepper = replicas._stepper
    stepper.batches(1)
    stepper.ready(1)
    with watched() as seen:
        stepper._carry_out()
    assert seen == []


@pytest.mark.parametrize(("name", "tasks"), [case for case in CASES if case not in STATIC])
def test_a_method_that_needs_the_host_is_caught_and_says_why(
    digits: Digits, name: str, tasks: int
) -> None:
    """So the test above sees what it is to see."""
    replicas = Replicas(config(digits, name, tasks), SEEDS, CPU, capture=replayed_as_it_is)
    assert replicas._stepper._captured is None
    assert replicas._stepper.on_host == optimizers.rule(name).on_host
    replicas.train_step()
    replicas._stepper.batches(1)
    with watched() as seen:
        replicas._stepper._carry_out()
    assert seen


@pytest.mark.parametrize("name", ["mgda", "cagrad", "rlw"])
def test_the_steps_of_a_cpu_are_caught_too(digits: Digits, name: str) -> None:
    """They are quicker with plain numbers, and draw their first random ones as they go."""
    replicas = Replicas(config(digits, name, 2), SEEDS, CPU)
    replicas._stepper.batches(0)
    replicas._stepper.ready(0)
    with watched() as seen:
        replicas._stepper._carry_out()
    assert seen


@pytest.mark.parametrize(("name", "tasks"), STATIC)
def test_no_part_of_a_captured_step_is_on_the_host(digits: Digits, name: str, tasks: int) -> None:
    """On a device without numbers: whatever needs one there, or meets a tensor of the host's,
    fails, and the ways are those of a GPU."""
    asked = config(digits, name, tasks, "momentum")
    replicas = Replicas(asked, SEEDS, torch.device("meta"), capture=replayed_as_it_is)
    for _ in range(2):
        replicas._stepper.step(0)
    assert {value.device.type for value in replicas._stepper.buffers().values()} == {"meta"}


def test_a_number_that_is_asked_for_there_fails(digits: Digits) -> None:
    asked = config(digits, "mgda", 3, "momentum")
    replicas = Replicas(asked, SEEDS, torch.device("meta"), capture=replayed_as_it_is)
    with pytest.raises((RuntimeError, NotImplementedError)):
        replicas._stepper.step(0)


@pytest.mark.parametrize("made", [tiny.images, tiny.scenes, tiny.vectors])
def test_all_kinds_of_networks_can_be_captured(
    made: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = tiny.register(monkeypatch, made())
    names = [task.name for task in setting.tasks]
    asked = RunConfig.from_preset(
        "tiny", "quick", target=names[0], auxiliaries=tuple(names[1:]), optimizer="pcgrad",
        seeds=SEEDS, factors=(),
    )  # fmt: skip
    replicas = Replicas(asked, SEEDS, CPU, capture=replayed_as_it_is)
    replicas.train_step()
    replicas._stepper.batches(1)
    replicas._stepper.ready(1)
    with watched() as seen:
        replicas._stepper._carry_out()
    assert seen == []


def test_a_gpu_is_a_few_steps_behind_at_most(
    digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events tell how far it is; here they write down what is asked of them."""
    given: list[int] = []
    waited: list[int] = []

    class Event:
        def __init__(self, *, blocking: bool) -> None:
            self.number = len(given)

        def record(self) -> None:
            given.append(self.number)

        def synchronize(self) -> None:
            waited.append(self.number)
            assert len(given) - len(waited) == stepping._MOST_AHEAD

    monkeypatch.setattr(torch.cuda, "Event", Event)
    stepper = Replicas(digits(), (0,), CPU)._stepper
    for _ in range(stepping._MOST_AHEAD + 5):
        stepper._wait_for_earlier()
    assert waited == [0, 1, 2, 3, 4]


def test_texts_differ_in_length_from_batch_to_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.register(monkeypatch, tiny.texts())
    asked = RunConfig.from_preset("tiny", "quick", auxiliaries=("score",), factors=())
    replicas = Replicas(asked, (0,), CPU, capture=replayed_as_it_is)
    assert replicas._stepper.on_host == "its batches differ in length"
    replicas.train_step()


def test_the_docs_list_what_is_not_captured() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "gpu.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    expected = []
    for name in optimizers.names():
        if reason := optimizers.rule(name).on_host:
            words = [
                "not captured" if optimizers.create(name, num_tasks=tasks).on_host else "captured"
                for tasks in (2, 3)
            ]
            expected.append(f"| `{name}` | {' | '.join(words)} | {reason} |")
    assert rows == expected
