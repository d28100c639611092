"""Stepper: a training step of a stack of replicas, over buffers that stay in place.

Everything that a step reads or changes has a tensor of its own for as long as the stack lives: the
data, the order of its examples and a method's random numbers (``feed``), parameters, what the base
optimizer and the method remember, and the tally. A step is then the same operations each time, on
a CPU and on a GPU, which may replay them from a CUDA graph (``captured``).

The host's part comes before a step (filling the feeds) and after it (counting, ends of epochs).
"""

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl_core import optimizers, settings
from mtl_core.config import RunConfig
from mtl_core.training import eager, padding, precision
from mtl_core.training.batches import BatchStream
from mtl_core.training.captured import Capture, Captured, graph
from mtl_core.training.feed import Noise, Orders
from mtl_core.training.gradients import batch_losses, combine
from mtl_core.training.network import Network
from mtl_core.training.schedule import checkpoint_steps, ends_epoch
from mtl_core.training.tally import Tally

__all__ = ["Stepper"]

Inputs = list[Tensor] | Tensor

_MOST_AHEAD = 16
"""Steps that a GPU has been given and not carried out, at most. A replayed step is given in no
time, and a slice would give it minutes of them before its half second is over."""


class Stepper:
    """Steps of the replicas of ``config``.

    Args:
        training: task -> its training (inputs, targets), on the network's device.
        capture: how a step is captured; by default in a CUDA graph on CUDA, and not at all on a
            CPU. Where it can be, the method is ``static``.

    Attributes:
        method: the multi-task optimizer and its state.
        base: what turns gradients into steps.
        tally: what the method did; None where that is known beforehand.
    """

    def __init__(
        self,
        config: RunConfig,
        seeds: Sequence[int],
        network: Network,
        training: Mapping[str, tuple[Tensor, Tensor]],
        device: torch.device,
        *,
        capture: Capture | None = None,
    ) -> None:
        self._config, self._network, self._training = config, network, training
        self._device = device
        self.method = optimizers.create(
            config.optimizer, num_tasks=len(config.tasks), **dict(config.options)
        )
        self.base = _base_optimizer(config, list(network.parameters.values()))
        # A single task has no weights to record, and constant ones are known beforehand.
        plain = len(config.tasks) == 1 or self.method.constant
        self.tally = None if plain else Tally()
        self._due = frozenset(checkpoint_steps(config))
        self._lengths = self._known_lengths()
        # Tasks on one input take the same examples, whichever of them are learned together.
        self._one_input = settings.get(config.setting).one_input
        streams = {task: task for task in config.tasks}
        if self._one_input:
            streams = {config.setting: config.target}
        self._orders = Orders(
            [
                [
                    BatchStream(seed, name, len(training[task][1]), config.batch_size)
                    for name, task in streams.items()
                ]
                for seed in seeds
            ],
            config.steps_per_epoch,
            device,
        )
        self._noise = Noise(seeds, config.steps_per_epoch, device)
        self._held: dict[str, Tensor] = {}
        self._given: deque[torch.cuda.Event] = deque()
        if capture is None and device.type == "cuda":
            capture = graph
        self.method.static = capture is not None
        self._captured: Captured | None = None
        if capture is not None and not self.on_host:
            self._captured = Captured(self._carry_out, self.buffers, capture)

    @property
    def on_host(self) -> str:
        """Why its steps cannot be captured, as a clause; "" where they can."""
        if self._lengths is not None:
            return "its batches differ in length"
        return self.method.on_host

    @property
    def trouble(self) -> str:
        """Why steps that could be captured were not, as a clause; "" where nothing is wrong."""
        return self._captured.trouble if self._captured is not None else ""

    def step(self, number: int) -> None:
        """The step after ``number`` of them."""
        self._orders.ready(number)
        if self.method.random:
            self._noise.ready(number)
        gradients = self.method.needs_gramian or self.method.needs_jacobian
        compare = self.tally is not None and number + 1 in self._due
        if self._captured is not None and (gradients or not compare):
            self._captured()
        else:
            self._carry_out(compare=compare)
        if self.tally is not None:
            self.tally.note(gradients=gradients or compare)
        if ends_epoch(self._config, number + 1):
            self.method.end_epoch()
            self._hold()
        if self._device.type == "cuda":
            self._wait_for_earlier()

    def batches(self, number: int) -> tuple[Inputs, list[Tensor]]:
        """The (R, B, ...) inputs of that step, a single tensor if all tasks have them, and each
        task's targets."""
        self._orders.ready(number)
        return self._batches()

    def buffers(self) -> dict[str, Tensor]:
        """Every tensor that a step changes, by name; the same ones after each."""
        return self._tensors({} if self.tally is None else self.tally.sums)

    def saved(self) -> dict[str, Tensor]:
        """Those of them that a step of another stack would need to go on from here."""
        return self._tensors({} if self.tally is None else self.tally.state)

    def resume(self, saved: Mapping[str, Tensor]) -> None:
        """Put what was ``saved`` into the buffers."""
        for name, parameter in self._network.parameters.items():
            with torch.no_grad():
                parameter.copy_(saved[f"parameter/{name}"])
            moments = self.base.state[parameter]
            for key in ("step", "exp_avg", "exp_avg_sq", "momentum_buffer"):
                value = saved.get(f"{key}/{name}")
                if value is not None and isinstance(there := moments.get(key), Tensor):
                    there.copy_(value)
                elif value is not None:
                    moments[key] = value
        self.method.state = _of("method/", saved)
        self._hold()
        if self.tally is not None:
            self.tally.state = _of("tally/", saved)

    def _tensors(self, tally: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = {}
        for name, parameter in self._network.parameters.items():
            found[f"parameter/{name}"] = parameter.detach()
            for key, value in self.base.state[parameter].items():
                if isinstance(value, Tensor):
                    found[f"{key}/{name}"] = value
        found |= {f"method/{name}": value for name, value in self.method.state.items()}
        return found | {f"tally/{name}": value for name, value in tally.items()}

    def _carry_out(self, *, compare: bool = False) -> None:
        """The device's part of a step, along the method's combination of its task gradients."""
        state = dict(self.method.state)
        try:
            with precision.products(self._config.precision, self._device):
                self._move(compare=compare)
        except BaseException:
            self.method.state = state
            raise
        self._hold()

    def _move(self, *, compare: bool) -> None:
        network, tasks = self._network, self._config.tasks
        inputs, targets = self._batches()
        numbers = self._noise.numbers() if self.method.random else None
        combined = combine(network, self.method, tasks, inputs, targets, numbers, compare=compare)
        parameters = [*network.shared.values(), *network.heads.values()]
        for parameter, gradient in zip(
            parameters, [*combined.shared, *combined.heads], strict=True
        ):
            # The fused optimizer walks both in storage order: a channels-last gradient of a
            # contiguous parameter would be applied to the wrong weights.
            parameter.grad = gradient.contiguous()
        self.base.step()
        if self.method.needs_losses_after:
            self.method.observe(batch_losses(network, tasks, inputs, targets))
        if self.tally is not None:
            self.tally.add(combined)

    def _hold(self) -> None:
        """Copy what the method replaced in its state to where it was before."""
        for name, value in self.method.state.items():
            held = self._held.setdefault(name, value)
            if held is not value:
                held.copy_(value)
        self.method.state = {name: self._held[name] for name in self.method.state}

    def _wait_for_earlier(self) -> None:
        given = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        given.record()
        self._given.append(given)
        if len(self._given) > _MOST_AHEAD:
            self._given.popleft().synchronize()

    def _batches(self) -> tuple[Inputs, list[Tensor]]:
        examples = [self._training[task][0] for task in self._config.tasks]
        targets = [self._training[task][1] for task in self._config.tasks]
        indices = self._orders.batches()
        if self._lengths is not None:
            longest = [
                int(lengths[order].max())
                for lengths, order in zip(self._lengths, self._orders.known(), strict=False)
            ]
            longest = padding.common(longest, self._device)
            examples = list(map(padding.cut, examples, longest))
        if self._one_input:
            (index,) = indices
            return examples[0][index], [own[index] for own in targets]
        return (
            [own[index] for own, index in zip(examples, indices, strict=True)],
            [own[index] for own, index in zip(targets, indices, strict=True)],
        )

    def _known_lengths(self) -> list[NDArray[np.int64]] | None:
        """Of each task's training inputs, (N,); None where they have no padding.

        On the CPU, where batches are drawn, so that no step waits for a GPU.
        """
        found = [
            padding.lengths(self._network.encoder, inputs) for inputs, _ in self._training.values()
        ]
        known = [one.cpu().numpy() for one in found if one is not None]
        return known or None


def _of(prefix: str, saved: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value for name, value in saved.items() if name.startswith(prefix)
    }


def _base_optimizer(config: RunConfig, parameters: list[Tensor]) -> torch.optim.Optimizer:
    """Elementwise rules, so stacked replicas move as separate ones would."""
    if config.base_optimizer == "adam":
        on_gpu = parameters[0].is_cuda
        return eager.Adam(parameters, lr=config.lr, fused=True, capturable=on_gpu)
    momentum = 0.9 if config.base_optimizer == "momentum" else 0.0
    return eager.SGD(parameters, lr=config.lr, momentum=momentum)
