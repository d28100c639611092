"""Stepper: a training step of stacked replicas, over buffers that stay in place.

Everything that a step reads or changes has a tensor of its own for as long as the stack lives: the
data, the order of its examples and a method's random numbers (``feed``), parameters, what the base
optimizer and the method remember, and the tally. A step is then the same operations each time, on
a CPU and on a GPU, which may replay them from a CUDA graph (``captured``).

The host's part comes before a step (filling the feeds) and after it (counting, ends of epochs).
"""

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl_core import optimizers, settings
from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.optimizers import Beside, Method, Numbers
from mtl_core.training import eager, padding, precision
from mtl_core.training.batches import BatchStream
from mtl_core.training.captured import Capture, Captured, graph
from mtl_core.training.feed import Noise, Orders
from mtl_core.training.gradients import batch_losses, combine
from mtl_core.training.network import Network
from mtl_core.training.schedule import checkpoint_steps, ends_epoch
from mtl_core.training.tally import Tally

__all__ = ["Member", "Stepper", "shape"]

Inputs = list[Tensor] | Tensor

_MOST_AHEAD = 16
"""Steps that a GPU has been given and not carried out, at most. A replayed step is given in no
time, and a slice would give it minutes of them before its half second is over."""


@dataclass(frozen=True)
class Member:
    """Replicas of one experiment, some of those that a stepper moves.

    Args:
        network: of these replicas alone; its parameters are where the steps are taken.
        training: task -> its training (inputs, targets), on the network's device.
    """

    config: RunConfig
    seeds: Sequence[int]
    network: Network
    training: Mapping[str, tuple[Tensor, Tensor]]


class _Part:
    """What a member has of its own in every step: feeds, a method, and its tally.

    Args:
        rows: its replicas among all of them.
    """

    def __init__(self, member: Member, rows: slice, device: torch.device, *, static: bool) -> None:
        config, seeds, training = member.config, member.seeds, member.training
        self.network, self.rows = member.network, rows
        self.examples = [training[task][0] for task in config.tasks]
        self.targets = [training[task][1] for task in config.tasks]
        self.method = optimizers.create(
            config.optimizer, num_tasks=len(config.tasks), **dict(config.options)
        )
        self.method.static = static
        # A single task has no weights to record, and constant ones are known beforehand.
        plain = len(config.tasks) == 1 or self.method.constant
        self.tally = None if plain else Tally()
        # Tasks on one input take the same examples, whichever of them are learned together.
        self._one_input = settings.get(config.setting).one_input
        streams = {task: task for task in config.tasks}
        if self._one_input:
            streams = {config.setting: config.target}
        self.orders = Orders(
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
        self.noise = Noise(seeds, config.steps_per_epoch, device)
        self._held: dict[str, Tensor] = {}

    def batches(self, examples: Sequence[Tensor]) -> tuple[Inputs, list[Tensor]]:
        """Those of the step that it is ready for, out of its ``examples``."""
        indices = self.orders.batches()
        if self._one_input:
            (index,) = indices
            return examples[0][index], [own[index] for own in self.targets]
        return (
            [own[index] for own, index in zip(examples, indices, strict=True)],
            [own[index] for own, index in zip(self.targets, indices, strict=True)],
        )

    def hold(self) -> None:
        """Copy what the method replaced in its state to where it was before."""
        for name, value in self.method.state.items():
            held = self._held.setdefault(name, value)
            if held is not value:
                held.copy_(value)
        self.method.state = {name: self._held[name] for name in self.method.state}


class Stepper:
    """Steps of the replicas of one experiment, or of several of one ``shape``.

    Args:
        members: the experiments, all on ``device``.
        capture: how a step is captured; by default in a CUDA graph on CUDA, and not at all on a
            CPU. Where it can be, methods are ``static``.

    Attributes:
        base: what turns gradients into steps.

    Raises:
        InputError: for several members, if they are not of one shape.
    """

    def __init__(
        self, members: Sequence[Member], device: torch.device, *, capture: Capture | None = None
    ) -> None:
        first = members[0]
        if len({shape(member.config) for member in members}) > 1:
            raise InputError("experiments of other shapes take their steps apart")
        self._config, self._device = first.config, device
        networks = [member.network for member in members]
        self._network = Network.joined(networks) if len(members) > 1 else networks[0]
        if capture is None and device.type == "cuda":
            capture = graph
        ends = list(accumulate(len(member.seeds) for member in members))
        self._parts = [
            _Part(member, slice(end - len(member.seeds), end), device, static=capture is not None)
            for member, end in zip(members, ends, strict=True)
        ]
        self._method: Method | Beside = self._parts[0].method
        if len(members) > 1:
            rows = [len(member.seeds) for member in members]
            self._method = Beside(self._methods, rows, self._numbers)
        self.base = _base_optimizer(first.config, list(self._network.parameters.values()))
        self._due = frozenset(checkpoint_steps(first.config))
        self._lengths = _known_lengths(first)
        if len(members) > 1 and self._lengths is not None:
            raise InputError("experiments on texts, whose batches differ in length, step apart")
        self._given: deque[torch.cuda.Event] = deque()
        self._captured: Captured | None = None
        if capture is not None and not self.on_host:
            self._captured = Captured(self._carry_out, self.buffers, capture)

    @property
    def on_host(self) -> str:
        """Why its steps cannot be captured, as a clause; "" where they can."""
        if self._lengths is not None:
            return "its batches differ in length"
        return next((m.on_host for m in self._methods if m.on_host), "")

    @property
    def trouble(self) -> str:
        """Why steps that could be captured were not, as a clause; "" where nothing is wrong."""
        return self._captured.trouble if self._captured is not None else ""

    @property
    def members(self) -> int:
        """How many experiments it moves."""
        return len(self._parts)

    def method(self, member: int = 0) -> Method:
        """A member's multi-task optimizer and its state."""
        return self._parts[member].method

    def tally(self, member: int = 0) -> Tally | None:
        """What a member's method did; None where that is known beforehand."""
        return self._parts[member].tally

    def ready(self, number: int) -> None:
        """Write what the step after ``number`` of them takes into its buffers."""
        for part in self._parts:
            part.orders.ready(number)
            if part.method.random:
                part.noise.ready(number)

    def step(self, number: int) -> None:
        """The step after ``number`` of them."""
        self.ready(number)
        gradients = self._method.needs_gramian or self._method.needs_jacobian
        compare = self._tallies and number + 1 in self._due
        if self._captured is not None and (gradients or not compare):
            self._captured()
        else:
            self._carry_out(compare=compare)
        for part in self._parts:
            if part.tally is not None:
                part.tally.note(gradients=gradients or compare)
            if ends_epoch(self._config, number + 1):
                part.method.end_epoch()
                part.hold()
        if self._device.type == "cuda":
            self._wait_for_earlier()

    def batches(self, number: int, member: int = 0) -> tuple[Inputs, list[Tensor]]:
        """The (R, B, ...) inputs of a member in that step, a single tensor if all tasks have them,
        and each task's targets."""
        part = self._parts[member]
        part.orders.ready(number)
        return part.batches(self._cut(part))

    def buffers(self) -> dict[str, Tensor]:
        """Every tensor that a step changes, by name; the same ones after each."""
        found = {}
        for name, parameter in self._network.parameters.items():
            found[f"parameter/{name}"] = parameter.detach()
            found |= {f"{key}/{name}": value for key, value in self._moments(parameter).items()}
        for place, part in enumerate(self._parts):
            member = f"{place}/" if len(self._parts) > 1 else ""
            found |= _under(f"{member}method/", part.method.state)
            if part.tally is not None:
                found |= _under(f"{member}tally/", part.tally.sums)
        return found

    def saved(self, member: int = 0) -> dict[str, Tensor]:
        """Those tensors of a member, by its own names, that a step of another stack would need to
        go on from here."""
        part, found = self._parts[member], {}
        own = part.network.parameters
        for name, parameter in zip(own, self._network.parameters.values(), strict=True):
            found[f"parameter/{name}"] = parameter.detach()[part.rows]
            for key, value in self._moments(parameter).items():
                found[f"{key}/{name}"] = value[part.rows] if value.ndim else value
        found |= _under("method/", part.method.state)
        return found | ({} if part.tally is None else _under("tally/", part.tally.state))

    def resume(self, saved: Sequence[Mapping[str, Tensor]]) -> None:
        """Put what was ``saved`` of each member, all at one step, into the buffers."""
        names = [list(part.network.parameters) for part in self._parts]
        for place, parameter in enumerate(self._network.parameters.values()):

            def whole(key: str, place: int = place) -> Tensor | None:
                found = [
                    of.get(f"{key}/{own[place]}") for of, own in zip(saved, names, strict=True)
                ]
                known = [one for one in found if one is not None]
                # A count of steps is of no replica, and the same in all members.
                return (torch.cat(known) if known[0].ndim else known[0]) if known else None

            value = whole("parameter")
            assert value is not None
            with torch.no_grad():
                parameter.copy_(value)
            moments = self.base.state[parameter]
            for key in ("step", "exp_avg", "exp_avg_sq", "momentum_buffer"):
                value = whole(key)
                if value is not None and isinstance(there := moments.get(key), Tensor):
                    there.copy_(value)
                elif value is not None:
                    moments[key] = value
        for part, of in zip(self._parts, saved, strict=True):
            part.method.state = _of("method/", of)
            part.hold()
            if part.tally is not None:
                part.tally.state = _of("tally/", of)

    @property
    def _methods(self) -> list[Method]:
        return [part.method for part in self._parts]

    @property
    def _tallies(self) -> bool:
        return any(part.tally is not None for part in self._parts)

    def _numbers(self) -> list[Numbers | None]:
        """The step's random numbers, of each method that draws any."""
        return [part.noise.numbers() if part.method.random else None for part in self._parts]

    def _moments(self, parameter: Tensor) -> dict[str, Tensor]:
        """What the base optimizer remembers of a parameter."""
        found = self.base.state[parameter].items()
        return {key: value for key, value in found if isinstance(value, Tensor)}

    def _carry_out(self, *, compare: bool = False) -> None:
        """The device's part of a step, along each method's combination of its task gradients."""
        states = [dict(method.state) for method in self._methods]
        try:
            with precision.products(self._config.precision, self._device):
                self._move(compare=compare)
        except BaseException:
            for method, state in zip(self._methods, states, strict=True):
                method.state = state
            raise
        for part in self._parts:
            part.hold()

    def _move(self, *, compare: bool) -> None:
        network, tasks = self._network, self._config.tasks
        inputs, targets = self._batches()
        numbers = self._numbers()[0] if len(self._parts) == 1 else None
        combined = combine(network, self._method, tasks, inputs, targets, numbers, compare=compare)
        parameters = [*network.shared.values(), *network.heads.values()]
        for parameter, gradient in zip(
            parameters, [*combined.shared, *combined.heads], strict=True
        ):
            # The fused optimizer walks both in storage order: a channels-last gradient of a
            # contiguous parameter would be applied to the wrong weights.
            parameter.grad = gradient.contiguous()
        self.base.step()
        if any(method.needs_losses_after for method in self._methods):
            losses = batch_losses(network, tasks, inputs, targets)
            for part in self._parts:
                if part.method.needs_losses_after:
                    part.method.observe(losses[part.rows])
        for part in self._parts:
            if part.tally is not None:
                part.tally.add(combined.of(part.rows))

    def _batches(self) -> tuple[Inputs, list[Tensor]]:
        """Those of all members, one below the other."""
        found = [part.batches(self._cut(part)) for part in self._parts]
        if len(found) == 1:
            return found[0]
        targets = [torch.cat(own) for own in zip(*(of for _, of in found), strict=True)]
        inputs = [of for of, _ in found]
        if isinstance(inputs[0], Tensor):
            return torch.cat([of for of in inputs if isinstance(of, Tensor)]), targets
        return [torch.cat(own) for own in zip(*inputs, strict=True)], targets

    def _cut(self, part: _Part) -> list[Tensor]:
        """A part's examples, of texts no longer than they have to be."""
        if self._lengths is None:
            return part.examples
        longest = [
            int(lengths[order].max())
            for lengths, order in zip(self._lengths, part.orders.known(), strict=False)
        ]
        longest = padding.common(longest, self._device)
        return list(map(padding.cut, part.examples, longest))

    def _wait_for_earlier(self) -> None:
        given = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        given.record()
        self._given.append(given)
        if len(self._given) > _MOST_AHEAD:
            self._given.popleft().synchronize()


def shape(config: RunConfig) -> Hashable:
    """Experiments of the same one can take their steps as one computation.

    They have the same network but for the names of its heads, on the same budget, and methods that
    go the same way about a step: from losses or from task gradients, with or without the host.
    """
    setting = settings.get(config.setting)
    tasks = [setting.task(name) for name in config.tasks]
    # A head that is not a linear layer may be another one for any task.
    own = [task.name if setting.head else "" for task in tasks]
    method = optimizers.create(config.optimizer, num_tasks=len(tasks), **dict(config.options))
    return (
        config.setting,
        tuple((task.classes, task.loss, name) for task, name in zip(tasks, own, strict=True)),
        (config.width, config.precision),
        (config.base_optimizer, config.lr, config.batch_size),
        (config.steps, config.steps_per_epoch, checkpoint_steps(config)),
        (method.needs_gramian, method.needs_jacobian, bool(method.on_host)),
        len(tasks) == 1 or method.constant,
    )


def _known_lengths(member: Member) -> list[NDArray[np.int64]] | None:
    """Of each task's training inputs, (N,); None where they have no padding.

    On the CPU, where batches are drawn, so that no step waits for a GPU.
    """
    encoder = member.network.encoder
    found = [padding.lengths(encoder, inputs) for inputs, _ in member.training.values()]
    known = [one.cpu().numpy() for one in found if one is not None]
    return known or None


def _under(prefix: str, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in values.items()}


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
