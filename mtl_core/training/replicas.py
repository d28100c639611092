"""Replicas: a stack of seeds of one config that trains and measures itself."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl_core import factors, settings
from mtl_core.config import RunConfig
from mtl_core.data.base import Split, Stamp
from mtl_core.errors import InputError, TrainingDiverged
from mtl_core.training import padding, precision
from mtl_core.training.captured import Capture
from mtl_core.training.checkpoint import Checkpoint, State
from mtl_core.training.meter import Measurement, Meter
from mtl_core.training.network import Network
from mtl_core.training.objectives import Score
from mtl_core.training.schedule import checkpoint_steps, ends_epoch, factor_steps
from mtl_core.training.stepping import Member, Stepper
from mtl_core.trajectory import Row, Update

__all__ = ["Replicas", "Stack", "advance", "advance_together", "single_thread"]

_CHUNK = {"cpu": 500, "cuda": 10_000}
"""Examples evaluated at once: on a CPU what stays in its cache, on a GPU what fills it."""

_SMALL = 3 * 64 * 64
"""Numbers that an image has at most for that to hold."""

_TOKENS = {"cpu": 4096, "cuda": 2**17}
"""Tokens evaluated at once, for the same reasons."""

_STAY_ON = ("cuda",)
"""Devices on which a stack outlives its slice, since what it has captured does."""

_MOST_STANDING = 16


@dataclass(frozen=True)
class Stack:
    """Some replicas of one experiment, all at one step.

    Args:
        state: where they stopped; None starts them.
    """

    config: RunConfig
    seeds: tuple[int, ...]
    state: State | None = None


def advance(
    config: RunConfig,
    seeds: tuple[int, ...],
    state: State | None,
    *,
    device: str = "cpu",
    slice_seconds: float = 0.0,
) -> list[Checkpoint]:
    """Train some replicas for about ``slice_seconds``, or to the end.

    The result does not depend on where slices end, which process carries them out, or how many
    replicas other processes train: on a CPU every replica is computed by a single thread.

    Args:
        state: where they stopped; None starts them.
        slice_seconds: 0 goes on until the first measured step, and no further.

    Returns:
        The checkpoints on the way, at least one; the last one has the state.

    Raises:
        TrainingDiverged: with the checkpoints before it as its attribute ``checkpoints``.
    """
    stacks = [Stack(config, seeds, state)]
    (found,) = advance_together(stacks, device=device, slice_seconds=slice_seconds)
    return found


def advance_together(
    stacks: Sequence[Stack], *, device: str = "cpu", slice_seconds: float = 0.0
) -> list[list[Checkpoint]]:
    """``advance`` for replicas of some experiments, whose steps are one computation.

    Args:
        stacks: of experiments of one ``stepping.shape``, all at one step.

    Returns:
        The checkpoints of each.

    Raises:
        TrainingDiverged: when one of them does; a single one with the checkpoints before it.
        InputError: for experiments of other shapes, or at other steps.
    """
    if len({-1 if of.state is None else int(of.state["step"]) for of in stacks}) > 1:
        raise InputError("experiments that are at other steps take their steps apart")
    # Whatever a step is rounded to, that is all: measuring is in full precision.
    with single_thread(device), precision.products("fp32", torch.device(device)):
        try:
            return _advanced(stacks, device, slice_seconds)
        except torch.OutOfMemoryError:
            if not _STANDING:
                raise
        # It does not fit beside the stacks that take turns with it, but perhaps in their place.
        _STANDING.clear()
        torch.cuda.empty_cache()
        return _advanced(stacks, device, slice_seconds)


def _advanced(stacks: Sequence[Stack], device: str, slice_seconds: float) -> list[list[Checkpoint]]:
    config, fresh = stacks[0].config, stacks[0].state is None
    with _standing(stacks, device, fresh=fresh) as joint:
        if not fresh:
            joint.restore([stack.state for stack in stacks if stack.state is not None])
        due = set(checkpoint_steps(config))
        measured: list[list[Checkpoint]] = []
        started = time.monotonic()
        if fresh:
            measured.append(joint.checkpoints())
        begun = joint.step
        while joint.step < config.steps:
            # Every slice gets somewhere, however short it is.
            moved = measured or (slice_seconds and joint.step > begun)
            if moved and time.monotonic() - started >= slice_seconds:
                break
            joint.train_step()
            if joint.step in due:
                try:
                    measured.append(joint.checkpoints())
                except TrainingDiverged as error:
                    before = [found for (found,) in measured] if len(stacks) == 1 else []
                    raise TrainingDiverged(error.message, before) from None
        return [
            [*(found[place] for found in measured), joint.last(place)]
            for place in range(len(stacks))
        ]


class Replicas:
    """R replicas of ``config``, one per seed, on one device.

    Args:
        capture: see ``Stepper``.
    """

    def __init__(
        self,
        config: RunConfig,
        seeds: tuple[int, ...],
        device: torch.device,
        *,
        capture: Capture | None = None,
    ) -> None:
        self.config = config
        self.seeds = seeds
        self.step = 0
        self.seconds = 0.0
        self._device = device
        self._network = Network(config, seeds, device)
        self._data = _resident(
            config.setting,
            config.tasks,
            config.samples,
            config.held_out,
            str(device),
            settings.get(config.setting).data_state().stamp,
        )
        self._training = {task: data.train for task, data in self._data.items()}
        self._meter = Meter(config, seeds, self._network, self._training)
        self._factor_steps = frozenset(factor_steps(config))
        self._stepper, self._place = Stepper([self.member], device, capture=capture), 0

    @property
    def member(self) -> Member:
        """What is moved by a step."""
        return Member(self.config, self.seeds, self._network, self._training)

    def enter(self, stepper: Stepper, place: int) -> None:
        """Take steps as a member of a stepper, at this place, from now on."""
        self._stepper, self._place = stepper, place

    @property
    def network(self) -> Network:
        """The replicas' parameters where they stand."""
        return self._network

    def batches(self) -> tuple[list[Tensor] | Tensor, list[Tensor]]:
        """What the next step is taken on, see ``Stepper.batches``."""
        return self._stepper.batches(self.step, self._place)

    def train_step(self) -> None:
        """One step of every replica along the method's combination of its task gradients."""
        _step([self], self._stepper)

    def checkpoint(self) -> Checkpoint:
        """Measure every task of every replica where it stands.

        Raises:
            TrainingDiverged: when a training loss is not finite.
        """
        _settle([self], self._device)
        config = self.config
        examples = {task: inputs for task, (inputs, _) in self._training.items()}
        self._network.settle(examples, config.batch_size)
        measures = self._evaluate()
        self._check_finite(measures)
        found = Measurement({task: {} for task in config.tasks})
        if self.step in self._factor_steps:
            found = self._meter.measure(self.step)
        return Checkpoint(
            self.seeds,
            self.step,
            tuple(
                self._row(replica, task, measures[task][replica], found.values[task])
                for replica in range(len(self.seeds))
                for task in config.tasks
            ),
            cosines=tuple(found.cosines),
            updates=self._updates(),
            notes=tuple(dict.fromkeys([*found.notes, *self._said()])),
        )

    def _row(
        self,
        replica: int,
        task: str,
        measures: tuple[float, float, float],
        measured: Mapping[str, list[float | None]],
    ) -> Row:
        config = self.config
        train_loss, val_metric, test_metric = measures
        return {
            "setting": config.setting,
            "auxiliaries": config.auxiliaries_label,
            "optimizer": config.optimizer,
            "seed": self.seeds[replica],
            "task": task,
            "role": "target" if task == config.target else "auxiliary",
            "step": self.step,
            "epoch": self.step / config.steps_per_epoch,
            "whole_epoch": ends_epoch(config, self.step),
            "train_loss": train_loss,
            "val_metric": val_metric,
            "test_metric": test_metric,
            **{
                name: measured[name][replica] if name in measured else None
                for name in factors.names()
            },
            "seconds": self.seconds,
        }

    def _said(self) -> list[str]:
        """How steps were carried out, where that is not as usual."""
        found = []
        if trouble := self._stepper.trouble:
            found.append(
                f"steps on {self._device.type} were carried out one operation after the other, "
                f"which takes longer and gives the same numbers: they could not be captured "
                f"({trouble})"
            )
        if self._stepper.members > 1:
            found.append(
                f"steps were computed together with those of {self._stepper.members - 1} other "
                "experiments of the question; seconds are its replicas' share of the time"
            )
        return found

    def _updates(self) -> tuple[Update, ...]:
        """What the method did since the checkpoint before."""
        tally = self._stepper.tally(self._place)
        updates = tally.take() if tally is not None else []
        epoch = self.step / self.config.steps_per_epoch
        return tuple(
            Update(seed=seed, step=self.step, epoch=epoch, task=task, **values)
            for seed, of_tasks in zip(self.seeds, updates, strict=False)
            for task, values in zip(self.config.tasks, of_tasks, strict=True)
        )

    def state(self) -> State:
        """A copy of everything that changes while training."""
        _settle([self], self._device)
        state: dict[str, np.ndarray] = {
            "step": np.array(self.step),
            "seconds": np.array(self.seconds),
        }
        for name, value in self._stepper.saved(self._place).items():
            state[name] = value.cpu().numpy().copy()
        return state

    def restore(self, state: State) -> None:
        """Go on from a ``state`` of the same config and seeds."""
        _restore([self], self._stepper, [state], self._device)

    def _check_finite(self, measures: dict[str, list[tuple[float, float, float]]]) -> None:
        config = self.config
        for replica, seed in enumerate(self.seeds):
            for task in config.tasks:
                train_loss, _, _ = measures[task][replica]
                if not np.isfinite(train_loss):
                    raise TrainingDiverged(
                        f"training diverged: loss of {task!r} is {train_loss} at step {self.step} "
                        f"(epoch {self.step / config.steps_per_epoch:.3g}) of seed {seed} with "
                        f"{config.base_optimizer}, lr {config.lr:g}; choose a smaller learning rate"
                    )

    @torch.inference_mode()
    def _evaluate(self) -> dict[str, list[tuple[float, float, float]]]:
        """Per task and replica: full training loss, validation metric, test metric."""
        found: dict[str, dict[str, tuple[Tensor, Tensor]]] = {t: {} for t in self.config.tasks}
        for split in ("train", "val", "test"):
            # What tasks on the same images share is encoded once.
            sharing: dict[tuple[int, ...], list[str]] = {}
            for task in self.config.tasks:
                # Those on the same training examples are normalised alike.
                inputs = (getattr(self._data[task], split)[0], self._training[task][0])
                key = tuple(number for one in inputs for number in (one.data_ptr(), len(one)))
                sharing.setdefault(key, []).append(task)
            for tasks in sharing.values():
                for task, sums in self._evaluate_split(tasks, split).items():
                    found[task][split] = sums
        return {
            task: list(
                zip(
                    splits["train"][0].tolist(),
                    splits["val"][1].tolist(),
                    splits["test"][1].tolist(),
                    strict=True,
                )
            )
            for task, splits in found.items()
        }

    def _evaluate_split(self, tasks: Sequence[str], split: str) -> dict[str, tuple[Tensor, Tensor]]:
        """Mean loss and metric, (R,) each, of tasks that share their inputs."""
        inputs, _ = getattr(self._data[tasks[0]], split)
        setting = settings.get(self.config.setting)
        zero = torch.zeros(len(self.seeds), dtype=torch.float64, device=self._device)
        loss = {task: zero.clone() for task in tasks}
        scores = {task: Score(setting.task(task)) for task in tasks}
        for part, some in self._chunks(inputs):
            features = self._network.features(some, per_replica=False, measured=tasks[0])
            for task in tasks:
                _, targets = getattr(self._data[task], split)
                everyone = targets[part].expand(len(self.seeds), *targets[part].shape)
                outputs = self._network.logits(task, features, measured=True)
                loss[task] += self._network.losses(task, outputs, everyone).sum(dim=1)
                scores[task].add(outputs, everyone)
        return {task: (loss[task] / len(inputs), scores[task].value()) for task in tasks}

    def _chunks(self, inputs: Tensor) -> Iterator[tuple[slice | Tensor, Tensor]]:
        """Which examples are evaluated at once, and their inputs.

        Fewer of large images, as many as ever of small ones; of texts those of like length.
        """
        lengths = padding.lengths(self._network.encoder, inputs)
        if lengths is None:
            most = _CHUNK.get(self._device.type, 500)
            chunk = max(1, min(most, most * _SMALL // max(inputs[0].numel(), 1)))
            for start in range(0, len(inputs), chunk):
                part = slice(start, start + chunk)
                yield part, inputs[part]
        else:
            for index in padding.chunks(lengths, _TOKENS.get(self._device.type, 4096)):
                yield index, padding.cut(inputs[index], int(lengths[index[-1]]))


class _Joint:
    """Replicas of some experiments that take their steps together, and are measured one by one.

    Args:
        stacks: of one ``stepping.shape``.
    """

    def __init__(self, stacks: Sequence[Stack], device: torch.device) -> None:
        self._device = device
        self._members = [Replicas(stack.config, stack.seeds, device) for stack in stacks]
        self._stepper = self._members[0]._stepper
        if len(self._members) > 1:
            self._stepper = Stepper([one.member for one in self._members], device)
            for place, one in enumerate(self._members):
                one.enter(self._stepper, place)

    @property
    def step(self) -> int:
        """Steps that all of them have taken."""
        return self._members[0].step

    def restore(self, states: Sequence[State]) -> None:
        """Go on from the states of each, all at one step."""
        _restore(self._members, self._stepper, states, self._device)

    def train_step(self) -> None:
        """A step of every replica."""
        _step(self._members, self._stepper)

    def checkpoints(self) -> list[Checkpoint]:
        """Of each experiment; see ``Replicas.checkpoint``."""
        _settle(self._members, self._device)
        return [one.checkpoint() for one in self._members]

    def last(self, place: int) -> Checkpoint:
        """Where an experiment stands, with nothing measured."""
        one = self._members[place]
        _settle(self._members, self._device)
        return Checkpoint(one.seeds, one.step, (), one.state())


def _step(members: Sequence[Replicas], stepper: Stepper) -> None:
    """A step of all members of a stepper."""
    started = time.perf_counter()
    stepper.step(members[0].step)
    for one in members:
        one.step += 1
    _spent(members, time.perf_counter() - started)


def _settle(members: Sequence[Replicas], device: torch.device) -> None:
    """Wait for the steps that a GPU was given and count their time, as a CPU's is counted."""
    if device.type == "cuda":
        started = time.perf_counter()
        torch.cuda.synchronize(device)
        _spent(members, time.perf_counter() - started)


def _spent(members: Sequence[Replicas], seconds: float) -> None:
    """Count time: of a step that experiments take together each has its replicas' share."""
    total = sum(len(one.seeds) for one in members)
    for one in members:
        one.seconds += seconds * len(one.seeds) / total


def _restore(
    members: Sequence[Replicas], stepper: Stepper, states: Sequence[State], device: torch.device
) -> None:
    for one, state in zip(members, states, strict=True):
        one.step, one.seconds = int(state["step"]), float(state["seconds"])
    stepper.resume(
        [
            {
                name: torch.from_numpy(np.array(value)).to(device)
                for name, value in state.items()
                if name not in ("step", "seconds")
            }
            for state in states
        ]
    )


@dataclass(frozen=True)
class _ResidentTask:
    """A task's splits as (inputs, targets) tensors on the device."""

    train: tuple[Tensor, Tensor]
    val: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


@lru_cache(maxsize=16)
def _resident(
    setting: str,
    tasks: tuple[str, ...],
    samples: int | None,
    held_out: int | None,
    device: str,
    _stamp: Stamp,
) -> dict[str, _ResidentTask]:
    """The data of a config where it is needed, so that a batch is one gather.

    It is kept for as many sets of tasks as a question has, since its runs take turns; other files
    are other data.
    """
    shared: dict[tuple[int, int], Tensor] = {}

    def place(split: Split) -> tuple[Tensor, Tensor]:
        # Tasks on the same images, such as fashion2 and its noisy twin, share them here too.
        key = (split.inputs.ctypes.data, len(split.inputs))
        if key not in shared:
            shared[key] = _tensor(split.inputs).to(device)
        return shared[key], _tensor(split.targets).to(device)

    resident = {}
    for name, data in settings.get(setting).load(tasks).items():
        resident[name] = _ResidentTask(
            place(data.train.first(samples)),
            place(data.val.first(held_out)),
            place(data.test.first(held_out)),
        )
    return resident


def _tensor(array: NDArray[Any]) -> Tensor:
    """A copy of read-only arrays, such as mapped files, since PyTorch warns of them."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())


_Key = tuple[str, tuple[tuple[RunConfig, tuple[int, ...], Stamp], ...]]
_STANDING: dict[_Key, _Joint] = {}
"""What stands between two slices, what went on last at the end."""


@contextmanager
def _standing(stacks: Sequence[Stack], device: str, *, fresh: bool) -> Iterator[_Joint]:
    """What the slice before left, where stacks stay on the device, or new ones.

    It stays until its run is done or something goes wrong. Where it stands is of no account: what
    was saved of it is put into its buffers.

    Args:
        fresh: whether replicas begin, for which there is no state but that of a new stack.
    """
    if device not in _STAY_ON:
        yield _Joint(stacks, torch.device(device))
        return
    key = (
        device,
        tuple(
            (of.config, of.seeds, settings.get(of.config.setting).data_state().stamp)
            for of in stacks
        ),
    )
    joint = _STANDING.pop(key, None)
    if joint is None or fresh:
        joint = _Joint(stacks, torch.device(device))
    yield joint
    if joint.step < stacks[0].config.steps:
        _STANDING[key] = joint
        if len(_STANDING) > _MOST_STANDING:
            del _STANDING[next(iter(_STANDING))]


@contextmanager
def single_thread(device: str) -> Iterator[None]:
    """On a CPU, sums in one order: results that do not depend on the number of cores."""
    threads = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
